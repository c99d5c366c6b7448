//! `create service clusterip` and its siblings.

use serde_json::{Value, json};

use super::{MADE, metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::error::{Result, fail};
use crate::flags::Takes::{Int, List, Text};
use crate::flags::{Flag, Flags, flag};

const PORTS: Flag = flag("tcp", "", List, "PORT or PORT:TARGET.");

/// `create service`.
pub const SERVICES: &[Command] = &[
    command(
        "clusterip",
        "NAME [--tcp=<port>:<targetPort>]",
        "Create a ClusterIP service",
        &[PORTS, flag("clusterip", "", Text(""), "Its address, or None for a headless Service.")],
        MADE,
        run!(service),
    ),
    command(
        "externalname",
        "NAME --external-name external.name",
        "Create an ExternalName service",
        &[PORTS, flag("external-name", "", Text(""), "The name that it stands for.")],
        MADE,
        run!(service),
    ),
    command(
        "loadbalancer",
        "NAME [--tcp=port:targetPort]",
        "Create a LoadBalancer service",
        &[PORTS],
        MADE,
        run!(service),
    ),
    command(
        "nodeport",
        "NAME [--tcp=port:targetPort]",
        "Create a NodePort service",
        &[PORTS, flag("node-port", "", Int(0), "Port on the nodes; 0 for any.")],
        MADE,
        run!(service),
    ),
];

async fn service(call: Call) -> Result<()> {
    let kind = match call.word() {
        "nodeport" => "NodePort",
        "loadbalancer" => "LoadBalancer",
        "externalname" => "ExternalName",
        _ => "ClusterIP",
    };
    let name = call.exactly_one_name()?;
    let object = make(name, metadata(&call, name)?, kind, &call.session.flags)?;
    submit(&call, object, &format!("{kind} service"), "created").await
}

/// `5678:8080` or `80`; the name is the ports, as kubectl names them.
fn port(text: &str, node_port: i64) -> Result<Value> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let why = if digits { "value out of range" } else { "invalid syntax" };
        text.parse::<u16>().map_err(|_| fail!("strconv.ParseUint: parsing {text:?}: {why}"))
    };
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
fn make(name: &str, metadata: Value, kind: &str, flags: &Flags) -> Result<Value> {
    let ports: Vec<Value> =
        flags.list("tcp").iter().map(|text| port(text, flags.int("node-port"))).collect::<Result<_>>()?;
    if ports.is_empty() && kind != "ExternalName" && flags.text("clusterip") != "None" {
        return Err(fail!("at least one tcp port specifier must be provided"));
    }
    let labels = json!({"app": name});
    let mut meta = metadata;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn ports_are_named_by_their_numbers() {
        let flags =
            parse(SERVICES[3].flags, &["--tcp=80:8080,53:dns".into(), "--node-port=30000".into()]).unwrap().flags;
        let made = make("s", json!({}), "NodePort", &flags).unwrap();
        assert_eq!(
            made["spec"]["ports"],
            json!([
                {"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30000},
                {"name": "53-dns", "port": 53, "protocol": "TCP", "targetPort": "dns", "nodePort": 30000},
            ])
        );
        let none = parse(SERVICES[0].flags, &[]).unwrap().flags;
        assert!(make("s", json!({}), "ClusterIP", &none).is_err());
        assert!(make("s", json!({}), "ExternalName", &none).is_ok());
    }
}
