//! The rows, by kind; and the functions for what rows cannot say.

use api::kinds::KindRef;
use serde_json::{Value, json};

use super::Fill::{Flag, Map, Number, Text};
use super::{Row, each, pod_spec};

/// The rows of a kind.
pub(super) fn of(kind: KindRef) -> &'static [Row] {
    match (kind.group, kind.plural) {
        ("", "secrets") => &[("type", Text("Opaque"))],
        ("", "endpoints") => &[("subsets.*.ports.*.protocol", Text("TCP"))],
        ("", "persistentvolumeclaims") => &[("spec.volumeMode", Text("Filesystem"))],
        ("", "persistentvolumes") => &[
            ("spec.volumeMode", Text("Filesystem")),
            ("spec.persistentVolumeReclaimPolicy", Text("Retain")),
            ("spec.hostPath.type", Text("")),
        ],
        ("", "replicationcontrollers") => &[("spec.replicas", Number(1))],
        ("apps", "deployments") => &[
            ("spec.replicas", Number(1)),
            ("spec.strategy", Map),
            ("spec.strategy.type", Text("RollingUpdate")),
            ("spec.revisionHistoryLimit", Number(10)),
            ("spec.progressDeadlineSeconds", Number(600)),
        ],
        ("apps", "replicasets") => &[("spec.replicas", Number(1))],
        ("apps", "statefulsets") => &[
            ("spec.replicas", Number(1)),
            ("spec.podManagementPolicy", Text("OrderedReady")),
            ("spec.updateStrategy", Map),
            ("spec.updateStrategy.type", Text("RollingUpdate")),
            ("spec.revisionHistoryLimit", Number(10)),
            ("spec.persistentVolumeClaimRetentionPolicy", Map),
            ("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", Text("Retain")),
            ("spec.persistentVolumeClaimRetentionPolicy.whenScaled", Text("Retain")),
            ("spec.volumeClaimTemplates.*.spec.volumeMode", Text("Filesystem")),
        ],
        ("apps", "daemonsets") => &[
            ("spec.updateStrategy", Map),
            ("spec.updateStrategy.type", Text("RollingUpdate")),
            ("spec.revisionHistoryLimit", Number(10)),
        ],
        ("batch", "jobs") => JOB,
        ("batch", "cronjobs") => &[
            ("spec.concurrencyPolicy", Text("Allow")),
            ("spec.suspend", Flag(false)),
            ("spec.successfulJobsHistoryLimit", Number(3)),
            ("spec.failedJobsHistoryLimit", Number(1)),
        ],
        ("discovery.k8s.io", "endpointslices") => &[("ports.*.name", Text("")), ("ports.*.protocol", Text("TCP"))],
        ("networking.k8s.io", "networkpolicies") => {
            &[("spec.ingress.*.ports.*.protocol", Text("TCP")), ("spec.egress.*.ports.*.protocol", Text("TCP"))]
        }
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            &[("roleRef.apiGroup", Text("rbac.authorization.k8s.io"))]
        }
        ("scheduling.k8s.io", "priorityclasses") => &[("preemptionPolicy", Text("PreemptLowerPriority"))],
        ("storage.k8s.io", "storageclasses") => {
            &[("reclaimPolicy", Text("Delete")), ("volumeBindingMode", Text("Immediate"))]
        }
        ("storage.k8s.io", "csidrivers") => &[
            ("spec.attachRequired", Flag(true)),
            ("spec.podInfoOnMount", Flag(false)),
            ("spec.storageCapacity", Flag(false)),
            ("spec.fsGroupPolicy", Text("ReadWriteOnceWithFSType")),
            ("spec.requiresRepublish", Flag(false)),
            ("spec.seLinuxMount", Flag(false)),
        ],
        ("autoscaling", "horizontalpodautoscalers") => &[("spec.minReplicas", Number(1))],
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations") => MUTATING_WEBHOOK,
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations") => WEBHOOK,
        ("", "services") => SERVICE,
        _ => &[],
    }
}

const JOB: &[Row] =
    &[("spec.completionMode", Text("NonIndexed")), ("spec.suspend", Flag(false)), ("spec.manualSelector", Flag(false))];
const WEBHOOK: &[Row] = &[
    ("webhooks.*.failurePolicy", Text("Fail")),
    ("webhooks.*.matchPolicy", Text("Equivalent")),
    ("webhooks.*.namespaceSelector", Map),
    ("webhooks.*.objectSelector", Map),
    ("webhooks.*.timeoutSeconds", Number(10)),
    ("webhooks.*.rules.*.scope", Text("*")),
    ("webhooks.*.clientConfig.service.port", Number(443)),
];
const MUTATING_WEBHOOK: &[Row] = &[
    ("webhooks.*.failurePolicy", Text("Fail")),
    ("webhooks.*.matchPolicy", Text("Equivalent")),
    ("webhooks.*.namespaceSelector", Map),
    ("webhooks.*.objectSelector", Map),
    ("webhooks.*.timeoutSeconds", Number(10)),
    ("webhooks.*.reinvocationPolicy", Text("Never")),
    ("webhooks.*.rules.*.scope", Text("*")),
    ("webhooks.*.clientConfig.service.port", Number(443)),
];
const SERVICE: &[Row] =
    &[("spec.sessionAffinity", Text("None")), ("spec.type", Text("ClusterIP")), ("spec.ports.*.protocol", Text("TCP"))];

/// What depends on other fields.
pub(super) fn special(kind: KindRef, object: &mut Value) {
    match (kind.group, kind.plural) {
        ("", "pods") => pod_spec::pod(object),
        ("", "podtemplates") => template(object, "/template"),
        ("", "replicationcontrollers") => {
            template(object, "/spec/template");
            selector_from_template(object);
        }
        ("", "nodes") => node(object),
        ("", "services") => service(object),
        ("", "resourcequotas" | "limitranges" | "configmaps") => {}
        ("apps", "deployments") => {
            template(object, "/spec/template");
            rolling(object, "/spec/strategy", &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))]);
        }
        ("apps", "daemonsets") => {
            template(object, "/spec/template");
            rolling(object, "/spec/updateStrategy", &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))]);
        }
        ("apps", "statefulsets") => {
            template(object, "/spec/template");
            rolling(object, "/spec/updateStrategy", &[("partition", json!(0))]);
        }
        ("apps", "replicasets") => template(object, "/spec/template"),
        ("batch", "jobs") => {
            template(object, "/spec/template");
            job(object.get_mut("spec"));
        }
        ("batch", "cronjobs") => {
            template(object, "/spec/jobTemplate/spec/template");
        }
        ("networking.k8s.io", "networkpolicies") => policy_types(object),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => subjects(object),
        _ => {}
    }
}

fn template(object: &mut Value, pointer: &str) {
    if let Some(spec) = object.pointer_mut(pointer).and_then(|template| template.get_mut("spec")) {
        pod_spec::spec(spec);
    }
}

/// `rollingUpdate` and its fields, for the strategy of that name.
fn rolling(object: &mut Value, pointer: &str, fields: &[(&str, Value)]) {
    let Some(strategy) = object.pointer_mut(pointer).filter(|strategy| strategy["type"] == "RollingUpdate") else {
        return;
    };
    if !strategy["rollingUpdate"].is_object() {
        strategy["rollingUpdate"] = json!({});
    }
    for (field, value) in fields {
        if strategy["rollingUpdate"].get(field).is_none_or(Value::is_null) {
            strategy["rollingUpdate"][*field] = value.clone();
        }
    }
}

fn selector_from_template(object: &mut Value) {
    let Some(labels) = object.pointer("/spec/template/metadata/labels").cloned() else { return };
    let empty = |value: Option<&Value>| value.is_none_or(|value| value.as_object().is_none_or(|map| map.is_empty()));
    if empty(object.pointer("/spec/selector")) {
        object["spec"]["selector"] = labels.clone();
    }
    if empty(object.pointer("/metadata/labels")) {
        object["metadata"]["labels"] = labels;
    }
}

fn node(object: &mut Value) {
    let capacity = object.pointer("/status/capacity").cloned();
    if let (Some(capacity), None) = (capacity, object.pointer("/status/allocatable")) {
        object["status"]["allocatable"] = capacity;
    }
}

fn service(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    let outside = spec["type"] == "ClusterIP" && spec["externalIPs"].as_array().is_some_and(|ips| !ips.is_empty());
    if spec["type"] == "NodePort" || spec["type"] == "LoadBalancer" || outside {
        super::set(spec, "externalTrafficPolicy", &Text("Cluster"));
    }
    if spec["type"] == "LoadBalancer" {
        super::set(spec, "allocateLoadBalancerNodePorts", &Flag(true));
    }
    if spec["type"] != "ExternalName" {
        super::set(spec, "internalTrafficPolicy", &Text("Cluster"));
    }
    if spec["sessionAffinity"] == "ClientIP" && spec.pointer("/sessionAffinityConfig/clientIP/timeoutSeconds").is_none()
    {
        spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 10800}});
    }
    each(&mut spec["ports"], |port| {
        let missing = matches!(&port["targetPort"], Value::Null) || port["targetPort"] == 0 || port["targetPort"] == "";
        if missing && !port["port"].is_null() {
            port["targetPort"] = port["port"].clone();
        }
    });
    if spec["ports"].is_null()
        && let Some(map) = spec.as_object_mut()
    {
        map.remove("ports");
    }
}

fn job(spec: Option<&mut Value>) {
    let Some(spec) = spec.filter(|spec| spec.is_object()) else { return };
    // A job without numbers runs one pod; one with a parallelism alone is a work queue.
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        spec["completions"] = json!(1);
        spec["parallelism"] = json!(1);
    }
    super::set(spec, "parallelism", &Number(1));
    let indexed = !spec["backoffLimitPerIndex"].is_null();
    super::set(spec, "backoffLimit", &Number(if indexed { i64::from(i32::MAX) } else { 6 }));
    let policy = if spec["podFailurePolicy"].is_null() { "TerminatingOrFailed" } else { "Failed" };
    super::set(spec, "podReplacementPolicy", &Text(policy));
    for absent in ["completions", "backoffLimitPerIndex", "podFailurePolicy"] {
        if let Some(map) = spec.as_object_mut()
            && map.get(absent).is_some_and(Value::is_null)
        {
            map.remove(absent);
        }
    }
}

fn policy_types(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    let present = spec.get("policyTypes").and_then(Value::as_array).is_some_and(|types| !types.is_empty());
    if !present {
        let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
        spec["policyTypes"] = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
}

fn subjects(object: &mut Value) {
    let Some(subjects) = object.get_mut("subjects") else { return };
    each(subjects, |subject| {
        let group = match subject["kind"].as_str() {
            Some("User" | "Group") => "rbac.authorization.k8s.io",
            _ => return,
        };
        if subject["apiGroup"].as_str().unwrap_or_default().is_empty() {
            subject["apiGroup"] = json!(group);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::apply;
    use super::*;
    use api::kinds;

    fn defaulted(group: &str, version: &str, plural: &str, mut object: Value) -> Value {
        let (kind, _) = kinds::find(group, version, plural).unwrap();
        apply(kind, &mut object);
        let once = object.clone();
        apply(kind, &mut object);
        assert_eq!(object, once, "defaults of {plural} are not stable");
        object
    }

    #[test]
    fn deployments() {
        let done = defaulted("apps", "v1", "deployments", json!({"spec": {"template": {"spec": {"containers": []}}}}));
        assert_eq!(done["spec"]["replicas"], 1);
        assert_eq!(
            done["spec"]["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
        );
        let recreate =
            defaulted("apps", "v1", "deployments", json!({"spec": {"replicas": 0, "strategy": {"type": "Recreate"}}}));
        assert_eq!(
            (&recreate["spec"]["strategy"], &recreate["spec"]["replicas"]),
            (&json!({"type": "Recreate"}), &json!(0))
        );
    }

    #[test]
    fn services() {
        let done = defaulted(
            "",
            "v1",
            "services",
            json!({"spec": {"ports": [{"port": 80}, {"port": 81, "targetPort": "x"}]}}),
        );
        let expected = json!({"type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "ports": [
            {"port": 80, "protocol": "TCP", "targetPort": 80}, {"port": 81, "protocol": "TCP", "targetPort": "x"}]});
        assert_eq!(done["spec"], expected);
        let external =
            defaulted("", "v1", "services", json!({"spec": {"type": "ExternalName", "externalName": "a.b"}}));
        assert_eq!(external["spec"].get("internalTrafficPolicy"), None);
    }

    #[test]
    fn jobs() {
        let one = defaulted("batch", "v1", "jobs", json!({"spec": {}}));
        assert_eq!((&one["spec"]["completions"], &one["spec"]["backoffLimit"]), (&json!(1), &json!(6)));
        let queue = defaulted("batch", "v1", "jobs", json!({"spec": {"parallelism": 3}}));
        assert_eq!(queue["spec"].get("completions"), None);
    }

    #[test]
    fn bindings_and_policies() {
        let binding = defaulted(
            "rbac.authorization.k8s.io",
            "v1",
            "rolebindings",
            json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}]}),
        );
        assert_eq!(binding["subjects"][0]["apiGroup"], "rbac.authorization.k8s.io");
        assert_eq!(binding["subjects"][1].get("apiGroup"), None);
        let policy = defaulted("networking.k8s.io", "v1", "networkpolicies", json!({"spec": {"egress": [{}]}}));
        assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    }
}
