//! `create ingress`.

use serde_json::{Value, json};

use super::{MADE, metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::error::{Result, fail};
use crate::flags::Takes::{Array, Text};
use crate::flags::{Flag, Flags, flag};
use crate::pairs::map_of;

const FLAGS: &[Flag] = &[
    flag("annotation", "", Array, "KEY=VALUE."),
    flag("class", "", Text(""), "Its class."),
    flag("default-backend", "", Text(""), "SERVICE:PORT for what no rule matches."),
    flag("rule", "", Array, "HOST/PATH=SERVICE:PORT[,tls[=SECRET]]."),
];

/// `create ingress`.
pub const COMMAND: Command = command(
    "ingress",
    "NAME --rule=host/path=service:port[,tls[=secret]] ",
    "Create an ingress with the specified name",
    FLAGS,
    MADE,
    run!(ingress),
)
.also(&["ing"]);

async fn ingress(call: Call) -> Result<()> {
    let object = make(metadata(&call, call.exactly_one_name()?)?, &call.session.flags)?;
    submit(&call, object, "ingress", "created").await
}

fn make(mut metadata: Value, flags: &Flags) -> Result<Value> {
    let (rules, backend) = (flags.list("rule"), flags.some("default-backend"));
    if rules.is_empty() && backend.is_none() {
        return Err(fail!(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)"
        ));
    }
    if !flags.list("annotation").is_empty() {
        metadata["annotations"] = map_of(flags.list("annotation"))?;
    }
    let mut spec = json!({});
    if let Some(class) = flags.some("class") {
        spec["ingressClassName"] = json!(class);
    }
    if let Some(text) = backend {
        let backend =
            service(text).ok_or_else(|| fail!("default-backend should be in format servicename:serviceport"))?;
        spec["defaultBackend"] = backend;
    }
    let (mut hosts, mut tls): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for text in rules {
        let (host, path, secret) = rule(text)?;
        let known = hosts.iter_mut().find(|known| known["host"].as_str().unwrap_or_default() == host);
        match known {
            Some(known) => known["http"]["paths"].as_array_mut().into_iter().for_each(|paths| paths.push(path.clone())),
            None => {
                let mut one = json!({"http": {"paths": [path]}});
                if !host.is_empty() {
                    one["host"] = json!(host);
                }
                hosts.push(one);
            }
        }
        add_tls(&mut tls, &host, secret);
    }
    if !hosts.is_empty() {
        spec["rules"] = json!(hosts);
    }
    if !tls.is_empty() {
        spec["tls"] = json!(tls);
    }
    Ok(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec,
        "status": {"loadBalancer": {}}}))
}

fn add_tls(tls: &mut Vec<Value>, host: &str, secret: Option<String>) {
    let Some(secret) = secret else { return };
    let same = |one: &&mut Value| one["secretName"].as_str().unwrap_or_default() == secret;
    match tls.iter_mut().find(same) {
        Some(one) if host.is_empty() || one["hosts"].as_array().is_some_and(|hosts| hosts.contains(&json!(host))) => {}
        Some(one) => match one["hosts"].as_array_mut() {
            Some(hosts) => hosts.push(json!(host)),
            None => one["hosts"] = json!([host]),
        },
        None => {
            let mut one = json!({});
            if !host.is_empty() {
                one["hosts"] = json!([host]);
            }
            if !secret.is_empty() {
                one["secretName"] = json!(secret);
            }
            tls.push(one);
        }
    }
}

/// `service:port`; a port is a number or a name.
fn service(text: &str) -> Option<Value> {
    let (name, port) = text.split_once(':').filter(|(name, port)| !name.is_empty() && !port.is_empty())?;
    let port = port.parse::<u16>().map_or_else(|_| json!({"name": port}), |number| json!({"number": number}));
    Some(json!({"service": {"name": name, "port": port}}))
}

/// Host, path with its backend, and the Secret of its TLS.
fn rule(text: &str) -> Result<(String, Value, Option<String>)> {
    let wrong = || fail!("rule {text} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]");
    let (rest, tls) = match text.split_once(",tls") {
        None => (text, None),
        Some((rest, "")) => (rest, Some(String::new())),
        Some((rest, secret)) => (rest, Some(secret.strip_prefix('=').ok_or_else(wrong)?.to_string())),
    };
    let (place, backend) = rest.split_once('=').ok_or_else(wrong)?;
    let (host, path) = place.split_once('/').ok_or_else(wrong)?;
    let (path, kind) = match path.strip_suffix('*') {
        Some(prefix) => (prefix, "Prefix"),
        None => (path, "Exact"),
    };
    let backend = service(backend).ok_or_else(wrong)?;
    Ok((host.to_string(), json!({"backend": backend, "path": format!("/{path}"), "pathType": kind}), tls))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn rules_are_grouped_by_host() {
        let words: Vec<String> = ["--rule=a.b/x*=s:80,tls=c", "--rule=a.b/=t:web", "--class=k"]
            .iter()
            .map(|word| word.to_string())
            .collect();
        let made = make(json!({}), &parse(FLAGS, &words).unwrap().flags).unwrap();
        assert_eq!(
            made["spec"],
            json!({
                "ingressClassName": "k",
                "rules": [{"host": "a.b", "http": {"paths": [
                    {"backend": {"service": {"name": "s", "port": {"number": 80}}}, "path": "/x", "pathType": "Prefix"},
                    {"backend": {"service": {"name": "t", "port": {"name": "web"}}}, "path": "/", "pathType": "Exact"},
                ]}}],
                "tls": [{"hosts": ["a.b"], "secretName": "c"}],
            })
        );
        for text in ["x", "a=b", "a/b=c", "a/b=c:80,tlsx"] {
            assert!(rule(text).is_err(), "{text}");
        }
        assert!(make(json!({}), &parse(FLAGS, &[]).unwrap().flags).is_err());
    }
}
