//! Workloads, Services and small kinds (kubectl, pkg/describe/describe.go).

use api::object::{integer, list, map, text};
use base64::Engine;
use serde_json::Value;

use super::pod::template;
use super::text::{Out, or_none, time};
use crate::output::go;

/// A Deployment and its ReplicaSets.
pub fn deployment(object: &Value, sets: &[Value]) -> Out {
    let mut out = Out::default();
    out.field(0, "Name", api::object::name(object));
    out.field(0, "Namespace", api::object::namespace(object));
    out.field(0, "CreationTimestamp", &time(api::object::creation_timestamp(object).unwrap_or_default()));
    out.labels("", "Labels", api::object::labels(object));
    out.annotations("", api::object::annotations(object));
    out.field(0, "Selector", &selector(object));
    let number = |pointer: &str| integer(object, pointer).unwrap_or(0);
    out.field(
        0,
        "Replicas",
        &format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            number("/spec/replicas"),
            number("/status/updatedReplicas"),
            number("/status/replicas"),
            number("/status/availableReplicas"),
            number("/status/unavailableReplicas")
        ),
    );
    out.field(0, "StrategyType", text(object, "/spec/strategy/type"));
    out.field(0, "MinReadySeconds", &number("/spec/minReadySeconds").to_string());
    if let Some(rolling) = object.pointer("/spec/strategy/rollingUpdate") {
        let (unavailable, surge) = (go(&rolling["maxUnavailable"]), go(&rolling["maxSurge"]));
        out.field(0, "RollingUpdateStrategy", &format!("{unavailable} max unavailable, {surge} max surge"));
    }
    template(&mut out, &object["spec"]["template"]);
    let conditions = list(object, "/status/conditions");
    if !conditions.is_empty() {
        out.line(0, "Conditions:");
        out.line(1, "Type\tStatus\tReason");
        out.line(1, "----\t------\t------");
        for condition in conditions {
            let part = |pointer: &str| text(condition, pointer);
            out.line(1, &format!("{} \t{}\t{}", part("/type"), part("/status"), part("/reason")));
        }
    }
    let mut sets: Vec<&Value> = sets.iter().collect();
    sets.sort_by_key(|set| (api::object::creation_timestamp(set).unwrap_or_default(), api::object::name(set)));
    let revision = api::object::annotation(object, REVISION).unwrap_or_default();
    let is_new = |set: &&Value| api::object::annotation(set, REVISION).unwrap_or_default() == revision;
    out.field(0, "OldReplicaSets", &self::sets(sets.iter().copied().filter(|set| !is_new(set))));
    out.field(0, "NewReplicaSet", &self::sets(sets.iter().copied().filter(is_new)));
    out
}

/// Where a Deployment numbers its templates.
pub const REVISION: &str = "deployment.kubernetes.io/revision";

fn sets<'a>(sets: impl Iterator<Item = &'a Value>) -> String {
    let one = |set: &Value| {
        let (created, wanted) =
            (integer(set, "/status/replicas").unwrap_or(0), integer(set, "/spec/replicas").unwrap_or(0));
        format!("{} ({created}/{wanted} replicas created)", api::object::name(set))
    };
    or_none(&sets.map(one).collect::<Vec<_>>().join(", ")).to_string()
}

fn selector(object: &Value) -> String {
    or_none(&object.pointer("/spec/selector").map(api::selector::format).unwrap_or_default()).to_string()
}

/// A ReplicaSet and its pods.
pub fn replica_set(object: &Value, pods: &[Value]) -> Out {
    let mut out = Out::default();
    out.field(0, "Name", api::object::name(object));
    out.field(0, "Namespace", api::object::namespace(object));
    out.field(0, "Selector", &selector(object));
    out.labels("", "Labels", api::object::labels(object));
    out.annotations("", api::object::annotations(object));
    if let Some(owner) = api::object::controller_of(object) {
        out.field(0, "Controlled By", &format!("{}/{}", text(owner, "/kind"), text(owner, "/name")));
    }
    let number = |pointer: &str| integer(object, pointer).unwrap_or(0);
    out.field(0, "Replicas", &format!("{} current / {} desired", number("/status/replicas"), number("/spec/replicas")));
    let count = |phase: &str| pods.iter().filter(|pod| text(pod, "/status/phase") == phase).count();
    let (running, waiting) = (count("Running"), count("Pending"));
    let (succeeded, failed) = (count("Succeeded"), count("Failed"));
    out.field(
        0,
        "Pods Status",
        &format!("{running} Running / {waiting} Waiting / {succeeded} Succeeded / {failed} Failed"),
    );
    template(&mut out, &object["spec"]["template"]);
    out
}

/// A Service and its EndpointSlices.
pub fn service(object: &Value, slices: &[Value]) -> Out {
    let mut out = Out::default();
    out.head(object);
    let spec = |pointer: &str| text(object, &format!("/spec{pointer}"));
    let joined = |pointer: &str| {
        let all: Vec<&str> = list(object, &format!("/spec{pointer}")).iter().filter_map(Value::as_str).collect();
        all.join(",")
    };
    let labels = map(object, "/spec/selector").filter(|map| !map.is_empty());
    let labels = labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", go(value)));
    out.field(0, "Selector", or_none(&labels.collect::<Vec<_>>().join(",")));
    out.field(0, "Type", spec("/type"));
    out.optional(0, "IP Family Policy", spec("/ipFamilyPolicy"));
    out.field(0, "IP Families", or_none(&joined("/ipFamilies")));
    out.field(0, "IP", spec("/clusterIP"));
    out.field(0, "IPs", or_none(&joined("/clusterIPs")));
    out.optional(0, "External IPs", &joined("/externalIPs"));
    out.optional(0, "Desired LoadBalancer IP", spec("/loadBalancerIP"));
    out.optional(0, "External Name", spec("/externalName"));
    for port in list(object, "/spec/ports") {
        let name = match text(port, "/name") {
            "" => "<unset>",
            name => name,
        };
        let protocol = text(port, "/protocol");
        out.field(0, "Port", &format!("{name}\t{}/{protocol}", integer(port, "/port").unwrap_or(0)));
        let target = port.get("targetPort").map(go).unwrap_or_else(|| "0".into());
        out.field(0, "TargetPort", &format!("{target}/{protocol}"));
        if let Some(node) = integer(port, "/nodePort").filter(|port| *port != 0) {
            out.field(0, "NodePort", &format!("{name}\t{node}/{protocol}"));
        }
        out.field(0, "Endpoints", &endpoints(slices, text(port, "/name")));
    }
    out.field(0, "Session Affinity", spec("/sessionAffinity"));
    out.optional(0, "External Traffic Policy", spec("/externalTrafficPolicy"));
    out.optional(0, "Internal Traffic Policy", spec("/internalTrafficPolicy"));
    out.optional(0, "LoadBalancer Source Ranges", &joined("/loadBalancerSourceRanges"));
    out
}

/// The first three ready addresses of a port.
fn endpoints(slices: &[Value], port: &str) -> String {
    let mut all = Vec::new();
    for slice in slices {
        for number in list(slice, "/ports").iter().filter(|candidate| text(candidate, "/name") == port) {
            for endpoint in list(slice, "/endpoints") {
                if endpoint.pointer("/conditions/ready").and_then(Value::as_bool) == Some(false) {
                    continue;
                }
                let addresses = list(endpoint, "/addresses").iter().filter_map(Value::as_str);
                all.extend(addresses.map(|address| format!("{address}:{}", integer(number, "/port").unwrap_or(0))));
            }
        }
    }
    match all.len() {
        0..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}

/// A ConfigMap.
pub fn config_map(object: &Value) -> Out {
    let mut out = Out::default();
    out.head(object);
    out.line(0, "\nData\n====");
    for (key, value) in map(object, "/data").into_iter().flatten() {
        out.line(0, &format!("{key}:\n----\n{}\n", go(value)));
    }
    out.line(0, "\nBinaryData\n====");
    for (key, value) in map(object, "/binaryData").into_iter().flatten() {
        out.line(0, &format!("{key}: {} bytes", size(value)));
    }
    out.line(0, "");
    out
}

fn size(value: &Value) -> usize {
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default());
    decoded.map(|bytes| bytes.len()).unwrap_or_default()
}

/// A Secret: how long its values are, not what they are.
pub fn secret(object: &Value) -> Out {
    let mut out = Out::default();
    out.head(object);
    out.line(0, &format!("\nType:\t{}\n\nData\n====", text(object, "/type")));
    for (key, value) in map(object, "/data").into_iter().flatten() {
        out.line(0, &format!("{key}:\t{} bytes", size(value)));
    }
    out
}

/// A Namespace with what limits it.
pub fn namespace(object: &Value) -> Out {
    let mut out = Out::default();
    out.head(object);
    out.field(0, "Status", text(object, "/status/phase"));
    let conditions = list(object, "/status/conditions");
    if !conditions.is_empty() {
        out.line(0, "Conditions:");
        out.line(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage");
        out.line(1, "----\t------\t------------------\t------\t-------");
        for condition in conditions {
            let part = |pointer: &str| text(condition, pointer);
            let at = time(part("/lastTransitionTime"));
            out.line(
                1,
                &format!("{}\t{}\t{at}\t{}\t{}", part("/type"), part("/status"), part("/reason"), part("/message")),
            );
        }
    }
    out.line(0, "\nNo resource quota.");
    out.line(0, "\nNo LimitRange resource.");
    out
}

/// A ServiceAccount.
pub fn service_account(object: &Value) -> Out {
    let mut out = Out::default();
    out.head(object);
    for (title, pointer) in
        [("Image pull secrets", "/imagePullSecrets"), ("Mountable secrets", "/secrets"), ("Tokens", "/tokens")]
    {
        let names: Vec<String> = list(object, pointer).iter().map(|one| text(one, "/name").to_string()).collect();
        out.lines("", title, &names);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_names_three_endpoints() {
        let slice = json!({"ports": [{"name": "http", "port": 8080}], "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true}}, {"addresses": ["10.0.0.2"]},
            {"addresses": ["10.0.0.3"], "conditions": {"ready": false}}, {"addresses": ["10.0.0.4"]}, {"addresses": ["10.0.0.5"]}]});
        assert_eq!(endpoints(&[slice], "http"), "10.0.0.1:8080,10.0.0.2:8080,10.0.0.4:8080 + 1 more...");
        assert_eq!(endpoints(&[], ""), "");
    }

    #[test]
    fn config_maps_show_their_values() {
        let object = json!({"metadata": {"name": "c", "namespace": "n"}, "data": {"K": "v"}});
        let expected = "Name:\tc\nNamespace:\tn\nLabels:\t<none>\nAnnotations:\t<none>\n\nData\n====\nK:\n----\nv\n\n\nBinaryData\n====\n\n";
        assert_eq!(config_map(&object).0, expected);
    }

    #[test]
    fn replica_sets_are_counted() {
        let set = json!({"metadata": {"name": "s"}, "spec": {"replicas": 3}, "status": {"replicas": 2}});
        assert_eq!(sets([&set].into_iter()), "s (2/3 replicas created)");
        assert_eq!(sets(std::iter::empty()), "<none>");
    }

    #[test]
    fn a_deployment_is_told_with_its_replica_sets() {
        let object = json!({
            "metadata": {"name": "d", "namespace": "n", "creationTimestamp": "2026-11-20T20:06:01Z", "annotations": {REVISION: "2"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "x"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 1}},
                "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
            "status": {"replicas": 3, "updatedReplicas": 2, "availableReplicas": 1, "unavailableReplicas": 2,
                "conditions": [{"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}]},
        });
        let set = |name: &str, revision: &str, created: &str| json!({"metadata": {"name": name, "creationTimestamp": created, "annotations": {REVISION: revision}}, "spec": {"replicas": 1}, "status": {"replicas": 1}});
        let text =
            deployment(&object, &[set("new", "2", "2026-11-20T20:07:00Z"), set("old", "1", "2026-11-20T20:06:02Z")]).0;
        for line in [
            "CreationTimestamp:\tFri, 20 Nov 2026 20:06:01 +0000\n",
            "Selector:\tapp=x\n",
            "Replicas:\t3 desired | 2 updated | 3 total | 1 available | 2 unavailable\n",
            "RollingUpdateStrategy:\t25% max unavailable, 1 max surge\n",
            "  Available \tFalse\tMinimumReplicasUnavailable\n",
            "OldReplicaSets:\told (1/1 replicas created)\nNewReplicaSet:\tnew (1/1 replicas created)\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_replica_set_counts_its_pods() {
        let pod = |phase: &str| json!({"status": {"phase": phase}});
        let set = json!({"metadata": {"name": "s", "ownerReferences": [{"kind": "Deployment", "name": "d", "controller": true}]},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": {}}, "status": {"replicas": 2}});
        let text = replica_set(&set, &[pod("Running"), pod("Pending"), pod("Failed")]).0;
        assert!(text.contains("Controlled By:\tDeployment/d\nReplicas:\t2 current / 3 desired\n"), "{text}");
        assert!(text.contains("Pods Status:\t1 Running / 1 Waiting / 0 Succeeded / 1 Failed\n"), "{text}");
    }

    #[test]
    fn secrets_tell_only_sizes() {
        let object = json!({"metadata": {"name": "s"}, "type": "Opaque", "data": {"k": "c2VjcmV0"}});
        let text = secret(&object).0;
        assert!(text.ends_with("\nType:\tOpaque\n\nData\n====\nk:\t6 bytes\n") && !text.contains("c2VjcmV0"), "{text}");
    }

    #[test]
    fn a_service_is_told_port_by_port() {
        let object = json!({"metadata": {"name": "s", "namespace": "n"}, "spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ipFamilies": ["IPv4"], "selector": {"a": "b"}, "sessionAffinity": "None",
            "ports": [{"port": 80, "targetPort": "web", "protocol": "TCP", "nodePort": 30080}]}});
        let text = service(&object, &[]).0;
        assert!(
            text.contains("Port:\t<unset>\t80/TCP\nTargetPort:\tweb/TCP\nNodePort:\t<unset>\t30080/TCP\nEndpoints:\t\nSession Affinity:\tNone\n"),
            "{text}"
        );
    }
}
