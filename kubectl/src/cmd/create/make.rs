//! The objects that the generators of `create`, `run` and `expose` make. Pure: flags in, object out, with the empty fields that
//! kubectl's typed objects print in a dry run.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::error::{Result, fail};
use crate::files::why;
use crate::flags::Flags;

/// `metadata` of a new object.
fn metadata(name: &str, namespace: &str) -> Value {
    let mut metadata = json!({"creationTimestamp": null, "name": name});
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

/// A Namespace.
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata(name, ""), "spec": {}, "status": {}})
}

/// A ServiceAccount.
pub fn service_account(name: &str, namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name, namespace)})
}

/// The name of a container made from its image.
fn container_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split([':', '@']).next().unwrap_or_default().to_string()
}

/// A Deployment with one container per image.
pub fn deployment(name: &str, namespace: &str, flags: &Flags, command: &[String]) -> Result<Value> {
    let images = flags.list("image");
    if images.is_empty() {
        return Err(fail!("required flag(s) \"image\" not set"));
    }
    if images.len() > 1 && !command.is_empty() {
        return Err(fail!("cannot specify multiple --image options and command"));
    }
    let labels = json!({"app": name});
    let containers: Vec<Value> = images
        .iter()
        .map(|image| {
            let mut container = json!({"image": image, "name": container_name(image), "resources": {}});
            if !command.is_empty() {
                container["command"] = json!(command);
            }
            if flags.int("port") > 0 {
                container["ports"] = json!([{"containerPort": flags.int("port")}]);
            }
            container
        })
        .collect();
    let mut meta = metadata(name, namespace);
    meta["labels"] = labels.clone();
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
        "spec": {
            "replicas": flags.int("replicas"), "selector": {"matchLabels": labels}, "strategy": {},
            "template": {"metadata": {"creationTimestamp": null, "labels": labels}, "spec": {"containers": containers}},
        },
        "status": {},
    }))
}

/// The pod of `run`.
pub fn pod(name: &str, namespace: &str, flags: &Flags, words: &[String]) -> Result<Value> {
    let Some(image) = flags.some("image") else { return Err(fail!("required flag(s) \"image\" not set")) };
    let mut container = json!({"image": image, "name": name, "resources": {}});
    if !words.is_empty() {
        container[if flags.is("command") { "command" } else { "args" }] = json!(words);
    }
    if let Some(port) = flags.some("port") {
        let port: i64 = port.parse().map_err(|_| fail!("strconv.ParseInt: parsing {port:?}: invalid syntax"))?;
        container["ports"] = json!([{"containerPort": port}]);
    }
    let env = flags.list("env").iter().map(|pair| {
        let (name, value) =
            pair.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| fail!("invalid env: {pair}"))?;
        Ok(if value.is_empty() { json!({"name": name}) } else { json!({"name": name, "value": value}) })
    });
    let env: Vec<Value> = env.collect::<Result<_>>()?;
    if !env.is_empty() {
        container["env"] = json!(env);
    }
    for (flag, field) in [("stdin", "stdin"), ("tty", "tty")] {
        if flags.is(flag) {
            container[field] = json!(true);
        }
    }
    if flags.is("stdin") && !flags.is("leave-stdin-open") {
        container["stdinOnce"] = json!(true);
    }
    if let Some(policy) = flags.some("image-pull-policy") {
        container["imagePullPolicy"] = json!(policy);
    }
    let restart = flags.text("restart");
    if !["Always", "OnFailure", "Never"].contains(&restart) {
        return Err(fail!("invalid restart policy: {restart}"));
    }
    let mut meta = metadata(name, namespace);
    meta["labels"] = match flags.list("labels") {
        [] => json!({"run": name}),
        pairs => pairs_of(pairs)?,
    };
    if !flags.list("annotations").is_empty() {
        meta["annotations"] = pairs_of(flags.list("annotations"))?;
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": meta,
        "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": restart}, "status": {},
    }))
}

/// `a=b` texts as a map.
fn pairs_of(pairs: &[String]) -> Result<Value> {
    let mut map = Map::new();
    for pair in pairs.iter().flat_map(|list| list.split(',')) {
        let (key, value) = pair.split_once('=').ok_or_else(|| fail!("unexpected label spec: {pair}"))?;
        map.insert(key.into(), json!(value));
    }
    Ok(Value::Object(map))
}

/// The data of a ConfigMap or Secret as bytes, from literals, files and files of variables.
fn data(flags: &Flags, what: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |key: String, value: Vec<u8>| {
        if let Err(errors) = valid_key(&key) {
            return Err(fail!("{key:?} is not a valid key name for a {what}: {errors}"));
        }
        if all.iter().any(|(known, _)| *known == key) {
            return Err(fail!("cannot add key {key:?}, another key by that name already exists in Data for {what}"));
        }
        all.push((key, value));
        Ok(())
    };
    if !flags.list("from-env-file").is_empty()
        && (!flags.list("from-file").is_empty() || !flags.list("from-literal").is_empty())
    {
        return Err(fail!("from-env-file cannot be combined with from-file or from-literal"));
    }
    let read = |path: &str| std::fs::read(path).map_err(|error| fail!("error reading {path}: {}", why(&error)));
    for source in flags.list("from-file") {
        let (key, path) = match source.split_once('=') {
            Some(("", _)) => return Err(fail!("key name for file path {} missing", source.trim_start_matches('='))),
            Some((_, "")) => return Err(fail!("file path for key name {} missing", source.trim_end_matches('='))),
            Some((key, path)) => (Some(key), path),
            None => (None, source.as_str()),
        };
        let path = std::path::Path::new(path);
        if path.is_dir() {
            if key.is_some() {
                return Err(fail!("cannot give a key name for a directory path"));
            }
            let mut files: Vec<_> = std::fs::read_dir(path)?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_file())
                .collect();
            files.sort();
            for file in files {
                add(file_name(&file), read(&file.display().to_string())?)?;
            }
        } else {
            add(key.map_or_else(|| file_name(path), str::to_string), read(&path.display().to_string())?)?;
        }
    }
    for literal in flags.list("from-literal") {
        let Some((key, value)) = literal.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(fail!("invalid literal source {literal}, expected key=value"));
        };
        let quoted = value.strip_prefix(['\'', '"']).and_then(|value| value.strip_suffix(['\'', '"']));
        add(key.to_string(), quoted.unwrap_or(value).as_bytes().to_vec())?;
    }
    for path in flags.list("from-env-file") {
        let text = String::from_utf8(read(path)?)
            .map_err(|error| fail!("env file {path} contains invalid utf8 bytes: {error}"))?;
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_once('=') {
                Some((key, value)) => add(key.into(), value.as_bytes().to_vec())?,
                None => add(line.into(), std::env::var(line).unwrap_or_default().into_bytes())?,
            }
        }
    }
    Ok(all)
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn valid_key(key: &str) -> Result<(), String> {
    let legal = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if !key.is_empty() && key.len() <= 253 && key.chars().all(legal) && key != "." && !key.starts_with("..") {
        return Ok(());
    }
    Err("a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')".into())
}

/// A ConfigMap; what is no text becomes binary data.
pub fn config_map(name: &str, namespace: &str, flags: &Flags) -> Result<Value> {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name, namespace)});
    for (key, bytes) in data(flags, "ConfigMap")? {
        match String::from_utf8(bytes) {
            Ok(text) => object["data"][key] = json!(text),
            Err(error) => object["binaryData"][key] = json!(STANDARD.encode(error.as_bytes())),
        }
    }
    Ok(object)
}

/// A Secret of any type.
pub fn secret(name: &str, namespace: &str, flags: &Flags) -> Result<Value> {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name, namespace)});
    if let Some(kind) = flags.some("type") {
        object["type"] = json!(kind);
    }
    for (key, bytes) in data(flags, "Secret")? {
        object["data"][key] = json!(STANDARD.encode(bytes));
    }
    Ok(object)
}

/// A Secret with a certificate and its key.
pub fn tls_secret(name: &str, namespace: &str, flags: &Flags) -> Result<Value> {
    let (Some(cert), Some(key)) = (flags.some("cert"), flags.some("key")) else {
        return Err(fail!("key and cert must be specified"));
    };
    let read = |path: &str| std::fs::read(path).map_err(|error| fail!("open {path}: {}", why(&error)));
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata(name, namespace), "type": "kubernetes.io/tls",
        "data": {"tls.crt": STANDARD.encode(read(cert)?), "tls.key": STANDARD.encode(read(key)?)},
    }))
}

/// A Secret with the credentials of an image registry.
pub fn registry_secret(name: &str, namespace: &str, flags: &Flags) -> Result<Value> {
    let (user, password, server) =
        (flags.text("docker-username"), flags.text("docker-password"), flags.text("docker-server"));
    if user.is_empty() || password.is_empty() {
        return Err(fail!(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is required"
        ));
    }
    let mut entry =
        json!({"username": user, "password": password, "auth": STANDARD.encode(format!("{user}:{password}"))});
    if let Some(email) = flags.some("docker-email") {
        entry["email"] = json!(email);
    }
    let config = json!({"auths": {server: entry}}).to_string();
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata(name, namespace),
        "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": STANDARD.encode(config)},
    }))
}

/// `5678:8080` or `80`; the name is the ports, as kubectl names them.
fn port(text: &str, node_port: i64) -> Result<Value> {
    let number = |text: &str| text.parse::<u16>().map_err(|_| fail!("unable to parse service port {text:?}"));
    let (port, target) = text.split_once(':').unwrap_or((text, text));
    let port = number(port)?;
    let target = target.parse::<u16>().map_or_else(|_| json!(target), |target| json!(target));
    let mut made = json!({"name": text.replace(':', "-"), "port": port, "protocol": "TCP", "targetPort": target});
    if node_port > 0 {
        made["nodePort"] = json!(node_port);
    }
    Ok(made)
}

/// A Service of a type (`ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`).
pub fn service(name: &str, namespace: &str, kind: &str, flags: &Flags) -> Result<Value> {
    let ports: Vec<Value> =
        flags.list("tcp").iter().map(|text| port(text, flags.int("node-port"))).collect::<Result<_>>()?;
    if ports.is_empty() && kind != "ExternalName" && flags.text("clusterip") != "None" {
        return Err(fail!("at least one tcp port specifier must be provided"));
    }
    let labels = json!({"app": name});
    let mut meta = metadata(name, namespace);
    meta["labels"] = labels.clone();
    let mut spec = json!({"selector": labels, "type": kind});
    if !ports.is_empty() {
        spec["ports"] = json!(ports);
    }
    if let Some(address) = flags.some("clusterip") {
        spec["clusterIP"] = json!(address);
    }
    if let Some(external) = flags.some("external-name") {
        spec["externalName"] = json!(external);
    }
    Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec, "status": {"loadBalancer": {}}}))
}

/// The Service of `expose`, for an object that has pods.
pub fn exposed(object: &Value, name: &str, namespace: &str, flags: &Flags) -> Result<Value> {
    let kind = api::object::kind(object);
    let selector = match (kind, flags.some("selector")) {
        (_, Some(text)) => pairs_of(&[text.to_string()])?,
        ("Pod", None) => object["metadata"]["labels"].clone(),
        ("Service" | "ReplicationController", None) => object["spec"]["selector"].clone(),
        ("Deployment" | "ReplicaSet", None) => object["spec"]["selector"]["matchLabels"].clone(),
        (other, None) => return Err(fail!("cannot expose a {other}")),
    };
    if selector.is_null() {
        return Err(fail!(
            "couldn't retrieve selectors via --selector flag or introspection: the object has no labels and cannot be exposed"
        ));
    }
    let base = if kind == "Pod" { "/spec/containers" } else { "/spec/template/spec/containers" };
    let declared =
        api::object::list(object, base).iter().flat_map(|container| api::object::list(container, "/ports").iter());
    let mut ports: Vec<Value> = Vec::new();
    let protocol = flags.some("protocol").unwrap_or("TCP");
    let target = |default: Value| match flags.some("target-port") {
        Some(text) => text.parse::<u16>().map_or_else(|_| json!(text), |number| json!(number)),
        None => default,
    };
    match flags.some("port") {
        Some(list) => {
            for (index, text) in list.split(',').enumerate() {
                let number: u16 = text.parse().map_err(|_| fail!("strconv.Atoi: parsing {text:?}: invalid syntax"))?;
                let mut port = json!({"port": number, "protocol": protocol, "targetPort": target(json!(number))});
                if list.contains(',') {
                    port["name"] = json!(format!("port-{}", index + 1));
                }
                ports.push(port);
            }
        }
        None => {
            for port in declared {
                let number = port["containerPort"].clone();
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                ports.push(json!({"port": number, "protocol": protocol, "targetPort": target(number.clone())}));
            }
            if ports.is_empty() {
                return Err(fail!("couldn't find port via --port flag or introspection"));
            }
            if ports.len() > 1 {
                ports
                    .iter_mut()
                    .enumerate()
                    .for_each(|(index, port)| port["name"] = json!(format!("port-{}", index + 1)));
            }
        }
    }
    let mut meta = metadata(name, namespace);
    if object["metadata"]["labels"].is_object() {
        meta["labels"] = object["metadata"]["labels"].clone();
    }
    let mut spec = json!({"ports": ports, "selector": selector});
    if let Some(kind) = flags.some("type") {
        spec["type"] = json!(kind);
    }
    if let Some(address) = flags.some("cluster-ip") {
        spec["clusterIP"] = json!(address);
    }
    Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec, "status": {"loadBalancer": {}}}))
}

/// A RoleBinding or ClusterRoleBinding.
pub fn binding(name: &str, namespace: &str, cluster: bool, flags: &Flags) -> Result<Value> {
    let role = match (flags.some("clusterrole"), flags.some("role")) {
        (Some(role), None) => json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": role}),
        (None, Some(role)) => json!({"apiGroup": RBAC, "kind": "Role", "name": role}),
        _ => return Err(fail!("exactly one of clusterrole or role must be specified")),
    };
    let mut subjects: Vec<Value> = Vec::new();
    for (flag, kind) in [("user", "User"), ("group", "Group")] {
        let of = |name: &String| json!({"apiGroup": RBAC, "kind": kind, "name": name});
        subjects.extend(flags.list(flag).iter().map(of));
    }
    for account in flags.list("serviceaccount") {
        let Some((namespace, name)) = account.split_once(':') else {
            return Err(fail!("serviceaccount must be <namespace>:<name>"));
        };
        subjects.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
    }
    let kind = if cluster { "ClusterRoleBinding" } else { "RoleBinding" };
    let mut object = json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata(name, namespace), "roleRef": role});
    if !subjects.is_empty() {
        object["subjects"] = json!(subjects);
    }
    Ok(object)
}

/// The group of roles.
const RBAC: &str = "rbac.authorization.k8s.io";

/// A Role or ClusterRole with a rule per group of the resources.
pub fn role(
    name: &str,
    namespace: &str,
    kind: &str,
    flags: &Flags,
    group: impl Fn(&str) -> Result<(String, String)>,
) -> Result<Value> {
    let verbs = flags.list("verb");
    if verbs.is_empty() {
        return Err(fail!("at least one verb must be specified"));
    }
    let (mut rules, resources) = (Vec::<Value>::new(), flags.list("resource"));
    for word in resources {
        let (word, sub) = word.split_once('/').map_or((word.as_str(), ""), |(word, sub)| (word, sub));
        let (group, plural) = group(word)?;
        let resource = if sub.is_empty() { plural } else { format!("{plural}/{sub}") };
        match rules.iter_mut().find(|rule| rule["apiGroups"][0] == group.as_str()) {
            Some(rule) => rule["resources"].as_array_mut().into_iter().for_each(|list| list.push(json!(resource))),
            None => rules.push(json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})),
        }
    }
    if !flags.list("resource-name").is_empty() {
        rules.iter_mut().for_each(|rule| rule["resourceNames"] = json!(flags.list("resource-name")));
    }
    if !flags.list("non-resource-url").is_empty() {
        rules.push(json!({"nonResourceURLs": flags.list("non-resource-url"), "verbs": verbs}));
    }
    if rules.is_empty() {
        return Err(fail!("at least one resource must be specified"));
    }
    Ok(json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata(name, namespace), "rules": rules}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{self, Takes, flag};

    const TABLE: &[flags::Flag] = &[
        flag("image", "", Takes::List, ""),
        flag("replicas", "", Takes::Int(1), ""),
        flag("port", "", Takes::Int(-1), ""),
        flag("from-literal", "", Takes::Array, ""),
        flag("tcp", "", Takes::List, ""),
        flag("node-port", "", Takes::Int(0), ""),
        flag("verb", "", Takes::List, ""),
        flag("resource", "", Takes::List, ""),
    ];

    fn given(line: &str) -> Flags {
        flags::parse(TABLE, &line.split_whitespace().map(str::to_string).collect::<Vec<_>>()).unwrap().flags
    }

    #[test]
    fn deployments_have_a_container_per_image() {
        let made = deployment("d", "", &given("--image=a/b:1,c --replicas=2 --port=80"), &[]).unwrap();
        let containers = &made["spec"]["template"]["spec"]["containers"];
        assert_eq!((containers[0]["name"].as_str(), containers[1]["name"].as_str()), (Some("b"), Some("c")));
        assert_eq!((&made["spec"]["replicas"], &containers[0]["ports"][0]["containerPort"]), (&json!(2), &json!(80)));
        assert!(deployment("d", "", &given(""), &[]).is_err());
    }

    #[test]
    fn data_comes_from_literals() {
        let made = config_map("c", "n", &given("--from-literal=a=b=c --from-literal=d='e'")).unwrap();
        assert_eq!(made["data"], json!({"a": "b=c", "d": "e"}));
        assert_eq!(secret("s", "n", &given("--from-literal=a=b")).unwrap()["data"]["a"], "Yg==");
        assert!(
            config_map("c", "n", &given("--from-literal=a")).unwrap_err().to_string().contains("expected key=value")
        );
        assert!(config_map("c", "n", &given("--from-literal=a/b=c")).is_err());
    }

    #[test]
    fn ports_and_roles() {
        let made = service("s", "", "NodePort", &given("--tcp=80:8080 --node-port=30000")).unwrap();
        assert_eq!(
            made["spec"]["ports"][0],
            json!({"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30000})
        );
        let made = role("r", "", "Role", &given("--verb=get --resource=pods,pods/log"), |word| {
            Ok((String::new(), word.into()))
        })
        .unwrap();
        assert_eq!(made["rules"][0]["resources"], json!(["pods", "pods/log"]));
    }
}
