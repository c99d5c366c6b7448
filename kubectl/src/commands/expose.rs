//! `expose` (kubectl, pkg/cmd/expose): a Service for what has pods.

use serde_json::{Value, json};

use super::create::{metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::common::{DRY, FILES, PRINT, SAVE, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::Text;
use crate::flags::{Flag, Flags, flag};
use crate::locate::{self, Options};
use crate::overrides::{OVERRIDES, overridden};
use crate::pairs::map_of;

const FLAGS: &[Flag] = &[
    manager("kubectl-expose"),
    flag("cluster-ip", "", Text(""), "The Service's address, or None for a headless one."),
    flag("external-ip", "", Text(""), "Another address that the Service listens to."),
    flag("labels", "l", Text(""), "Labels of the Service."),
    flag("load-balancer-ip", "", Text(""), "Address that the load balancer shall have."),
    flag("name", "", Text(""), "Name of the Service; else that of the object."),
    flag("port", "", Text(""), "Its ports; else those of the containers."),
    flag("protocol", "", Text(""), "TCP, UDP or SCTP."),
    flag("selector", "", Text(""), "Which pods are meant; else those of the object."),
    flag("session-affinity", "", Text(""), "None or ClientIP."),
    flag("target-port", "", Text(""), "Number or name of the containers' port."),
    flag("type", "", Text(""), "ClusterIP, NodePort, LoadBalancer or ExternalName."),
];

/// `expose`.
pub const COMMAND: Command = command(
    "expose",
    "(-f FILENAME | TYPE NAME) [--port=port] [--protocol=TCP|UDP|SCTP] [--target-port=number-or-name] [--name=name] [--external-ip=external-ip-of-service] [--type=type]",
    "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service",
    FLAGS,
    &[OVERRIDES, FILES, SAVE, PRINT, DRY],
    run!(expose),
);

async fn expose(call: Call) -> Result<()> {
    let session = &call.session;
    if call.args.is_empty() && session.flags.list("filename").is_empty() {
        return Err(fail!("{}", locate::NOTHING_NAMED));
    }
    let (found, errors) = locate::live(session, &call.args, &Options::default()).await?;
    locate::each(found, errors, async |found| {
        let name = session.flags.some("name").unwrap_or(&found.name).to_string();
        let object = exposed(&found.object, metadata(&call, &name)?, &session.flags)?;
        submit(&call, overridden(object, &session.flags)?, "", "exposed").await
    })
    .await
}

/// The Service of `expose`, for an object that has pods.
fn exposed(object: &Value, mut metadata: Value, flags: &Flags) -> Result<Value> {
    let kind = api::object::kind(object);
    let selector = match (kind, flags.some("selector")) {
        (_, Some(text)) => map_of(&[text.to_string()])?,
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
    let mut spec = json!({"ports": ports(object, flags)?, "selector": selector});
    let fields = [
        ("type", "type"),
        ("cluster-ip", "clusterIP"),
        ("load-balancer-ip", "loadBalancerIP"),
        ("session-affinity", "sessionAffinity"),
    ];
    for (flag, field) in fields {
        if let Some(text) = flags.some(flag) {
            spec[field] = json!(text);
        }
    }
    if let Some(address) = flags.some("external-ip") {
        spec["externalIPs"] = json!([address]);
    }
    metadata["labels"] = match flags.some("labels") {
        Some(text) => map_of(&[text.to_string()])?,
        None => object["metadata"]["labels"].clone(),
    };
    if !metadata["labels"].is_object() {
        metadata.as_object_mut().into_iter().for_each(|metadata| drop(metadata.remove("labels")));
    }
    Ok(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}}),
    )
}

/// The ports said, or those that the containers declare; several are named by their place.
fn ports(object: &Value, flags: &Flags) -> Result<Vec<Value>> {
    let base = if api::object::kind(object) == "Pod" { "/spec" } else { "/spec/template/spec" };
    let target = |default: &Value| match flags.some("target-port") {
        Some(text) => text.parse::<u16>().map_or_else(|_| json!(text), |number| json!(number)),
        None => default.clone(),
    };
    let said = flags.some("port").into_iter().flat_map(|list| list.split(',')).map(|text| {
        let number: u16 = text.parse().map_err(|_| fail!("strconv.Atoi: parsing {text:?}: invalid syntax"))?;
        Ok((json!(number), flags.some("protocol").unwrap_or("TCP").to_string()))
    });
    let mut found: Vec<(Value, String)> = said.collect::<Result<_>>()?;
    if found.is_empty() {
        let containers = api::object::list(object, &format!("{base}/containers"));
        let declared = containers.iter().flat_map(|container| api::object::list(container, "/ports"));
        let default = |port: &Value| port["protocol"].as_str().unwrap_or("TCP").to_string();
        let protocol = |port: &Value| flags.some("protocol").map_or_else(|| default(port), str::to_string);
        found.extend(declared.map(|port| (port["containerPort"].clone(), protocol(port))));
    }
    if found.is_empty() {
        return Err(fail!("couldn't find port via --port flag or introspection"));
    }
    let several = found.len() > 1;
    let port = |(index, (number, protocol)): (usize, (Value, String))| {
        let mut port = json!({"port": number, "protocol": protocol, "targetPort": target(&number)});
        if several {
            port["name"] = json!(format!("port-{}", index + 1));
        }
        port
    };
    Ok(found.into_iter().enumerate().map(port).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn services_are_made_of_what_has_pods() {
        let deployment = json!({"kind": "Deployment", "metadata": {"labels": {"a": "b"}}, "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"spec": {"containers": [{"ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]}]}}}});
        let made = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
            exposed(&deployment, json!({"name": "s"}), &parse(FLAGS, &words).unwrap().flags)
        };
        assert_eq!(
            made("").unwrap()["spec"],
            json!({"selector": {"app": "x"}, "ports": [
                {"name": "port-1", "port": 80, "protocol": "TCP", "targetPort": 80},
                {"name": "port-2", "port": 53, "protocol": "UDP", "targetPort": 53}]})
        );
        let made_one = made("--port=8080 --target-port=web --type=NodePort --labels=c=d").unwrap();
        assert_eq!(made_one["spec"]["ports"], json!([{"port": 8080, "protocol": "TCP", "targetPort": "web"}]));
        assert_eq!(
            (&made_one["spec"]["type"], &made_one["metadata"]["labels"]),
            (&json!("NodePort"), &json!({"c": "d"}))
        );
        assert!(made("--port=x").is_err());
        assert!(exposed(&json!({"kind": "Node"}), json!({}), &Flags::default()).is_err());
    }
}
