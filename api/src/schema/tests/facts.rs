//! Facts of the schema table that merges, the wire and validation stand on, field by field as k8s.io/api has them.

use crate::schema::{Field, ListType, def, go_type};

fn field(path: &str) -> &'static Field {
    let (kind, name) = path.rsplit_once('.').unwrap();
    let found = def(kind).unwrap_or_else(|| panic!("no {kind}")).field(name);
    found.unwrap_or_else(|| panic!("no {name} in {kind}"))
}

/// Field, merge key and strategy of a strategic merge patch.
#[test]
fn strategies_of_patches() {
    let table = [
        ("io.k8s.api.core.v1.PodSpec.containers", "name", "merge"),
        ("io.k8s.api.core.v1.PodSpec.initContainers", "name", "merge"),
        ("io.k8s.api.core.v1.PodSpec.ephemeralContainers", "name", "merge"),
        ("io.k8s.api.core.v1.PodSpec.volumes", "name", "merge retain"),
        ("io.k8s.api.core.v1.PodSpec.imagePullSecrets", "name", "merge"),
        ("io.k8s.api.core.v1.PodSpec.hostAliases", "ip", "merge"),
        ("io.k8s.api.core.v1.PodSpec.topologySpreadConstraints", "topologyKey", "merge"),
        ("io.k8s.api.core.v1.PodSpec.resourceClaims", "name", "merge retain"),
        ("io.k8s.api.core.v1.PodSpec.schedulingGates", "name", "merge"),
        ("io.k8s.api.core.v1.PodSpec.tolerations", "", ""),
        ("io.k8s.api.core.v1.PodSpec.nodeSelector", "", ""),
        ("io.k8s.api.core.v1.Container.ports", "containerPort", "merge"),
        ("io.k8s.api.core.v1.Container.env", "name", "merge"),
        ("io.k8s.api.core.v1.Container.envFrom", "", ""),
        ("io.k8s.api.core.v1.Container.volumeMounts", "mountPath", "merge"),
        ("io.k8s.api.core.v1.Container.volumeDevices", "devicePath", "merge"),
        ("io.k8s.api.core.v1.Container.args", "", ""),
        ("io.k8s.api.core.v1.PodStatus.conditions", "type", "merge"),
        ("io.k8s.api.core.v1.PodStatus.podIPs", "ip", "merge"),
        ("io.k8s.api.core.v1.PodStatus.hostIPs", "ip", "merge"),
        ("io.k8s.api.core.v1.PodStatus.containerStatuses", "", ""),
        ("io.k8s.api.core.v1.NodeStatus.addresses", "type", "merge"),
        ("io.k8s.api.core.v1.NodeStatus.conditions", "type", "merge"),
        ("io.k8s.api.core.v1.NodeSpec.taints", "", ""),
        ("io.k8s.api.core.v1.NodeSpec.podCIDRs", "", "merge"),
        ("io.k8s.api.core.v1.ServiceSpec.ports", "port", "merge"),
        ("io.k8s.api.core.v1.ServiceStatus.conditions", "type", "merge"),
        ("io.k8s.api.core.v1.ServiceAccount.secrets", "name", "merge"),
        ("io.k8s.api.core.v1.NamespaceStatus.conditions", "type", "merge"),
        ("io.k8s.api.apps.v1.DeploymentSpec.strategy", "", "retain"),
        ("io.k8s.api.apps.v1.DeploymentStatus.conditions", "type", "merge"),
        ("io.k8s.api.batch.v1.JobStatus.conditions", "type", "merge"),
        ("io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration.webhooks", "name", "merge"),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.finalizers", "", "merge"),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.ownerReferences", "uid", "merge"),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.managedFields", "", ""),
    ];
    for (path, key, strategy) in table {
        let patch = field(path).patch;
        let words: Vec<&str> = [(patch.merge, "merge"), (patch.retain_keys, "retain"), (patch.replace, "replace")]
            .into_iter()
            .filter_map(|(set, word)| set.then_some(word))
            .collect();
        assert_eq!((field(path).merge_key(), words.join(" ").as_str()), (key, strategy), "{path}");
    }
}

/// Field, kind of list, its keys: what server-side apply goes by.
#[test]
fn kinds_of_lists() {
    use ListType::{Atomic, Map, None, Set};
    let table: &[(&str, ListType, &[&str])] = &[
        ("io.k8s.api.core.v1.PodSpec.containers", Map, &["name"]),
        ("io.k8s.api.core.v1.PodSpec.tolerations", Atomic, &[]),
        ("io.k8s.api.core.v1.PodSpec.topologySpreadConstraints", Map, &["topologyKey", "whenUnsatisfiable"]),
        ("io.k8s.api.core.v1.Container.ports", Map, &["containerPort", "protocol"]),
        ("io.k8s.api.core.v1.Container.volumeMounts", Map, &["mountPath"]),
        ("io.k8s.api.core.v1.Container.args", Atomic, &[]),
        ("io.k8s.api.core.v1.ServiceSpec.ports", Map, &["port", "protocol"]),
        ("io.k8s.api.core.v1.ServiceSpec.externalIPs", Atomic, &[]),
        ("io.k8s.api.core.v1.NodeSpec.podCIDRs", Set, &[]),
        ("io.k8s.api.core.v1.ServiceAccount.secrets", Map, &["name"]),
        ("io.k8s.api.discovery.v1.EndpointSlice.endpoints", Atomic, &[]),
        ("io.k8s.api.discovery.v1.Endpoint.addresses", Set, &[]),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.finalizers", Set, &[]),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.ownerReferences", Map, &["uid"]),
        ("io.k8s.api.batch.v1.JobStatus.conditions", Atomic, &[]),
        ("io.k8s.api.core.v1.ResourceQuotaSpec.hard", None, &[]),
    ];
    for (path, list, keys) in table {
        assert_eq!((field(path).list, field(path).keys()), (*list, *keys), "{path}");
    }
}

/// Field, number on the wire, type in Go's words, pointer, written even when empty.
#[test]
fn the_wire() {
    let table = [
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.name", 1, "string", false, false),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.namespace", 3, "string", false, false),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.uid", 5, "types.UID", false, false),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.generation", 7, "int64", false, false),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.labels", 11, "map[string]string", false, false),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.deletionGracePeriodSeconds", 10, "int64", true, false),
        ("io.k8s.api.core.v1.PodSpec.volumes", 1, "[]v1.Volume", false, false),
        ("io.k8s.api.core.v1.PodSpec.terminationGracePeriodSeconds", 4, "int64", true, false),
        ("io.k8s.api.core.v1.PodSpec.nodeName", 10, "string", false, false),
        ("io.k8s.api.core.v1.PodSpec.hostNetwork", 11, "bool", false, false),
        ("io.k8s.api.core.v1.Container.name", 1, "string", false, true),
        ("io.k8s.api.core.v1.ContainerStatus.restartCount", 5, "int32", false, true),
        ("io.k8s.api.core.v1.ContainerStatus.started", 9, "bool", true, false),
        ("io.k8s.api.core.v1.Secret.data", 2, "map[string][]uint8", false, false),
        ("io.k8s.api.core.v1.ResourceRequirements.limits", 1, "v1.ResourceList", false, false),
        ("io.k8s.api.apps.v1.DeploymentSpec.replicas", 1, "int32", true, false),
        ("io.k8s.api.apps.v1.DeploymentSpec.template", 3, "v1.PodTemplateSpec", false, true),
        ("io.k8s.api.coordination.v1.LeaseSpec.renewTime", 4, "v1.MicroTime", true, false),
        ("io.k8s.api.policy.v1.PodDisruptionBudgetSpec.minAvailable", 1, "intstr.IntOrString", true, false),
        ("io.k8s.api.authorization.v1.SubjectAccessReviewStatus.allowed", 1, "bool", false, true),
    ];
    for (path, number, go, pointer, keep) in table {
        let found = field(path);
        let facts = (found.number, found.go_type(), found.pointer, found.keep);
        assert_eq!(facts, (number, go.to_string(), pointer, keep), "{path}");
    }
}

/// What `kubectl explain` marks as required.
#[test]
fn required_fields() {
    let table: &[(&str, &[&str])] = &[
        ("io.k8s.api.core.v1.PodSpec", &["containers"]),
        ("io.k8s.api.core.v1.Container", &["name"]),
        ("io.k8s.api.core.v1.ContainerPort", &["containerPort"]),
        ("io.k8s.api.core.v1.ConfigMap", &[]),
        ("io.k8s.api.core.v1.Event", &["involvedObject", "metadata"]),
        ("io.k8s.api.apps.v1.DeploymentSpec", &["selector", "template"]),
        ("io.k8s.api.batch.v1.CronJobSpec", &["jobTemplate", "schedule"]),
        ("io.k8s.api.networking.v1.IngressBackend", &[]),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference", &["apiVersion", "kind", "name", "uid"]),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", &["key", "operator"]),
    ];
    for (name, expected) in table {
        let mut found: Vec<&str> = def(name).unwrap().all_fields().filter(|f| f.required).map(|f| f.name).collect();
        found.sort_unstable();
        assert_eq!(found, *expected, "{name}");
    }
}

#[test]
fn types_in_gos_words() {
    let table = [
        ("io.k8s.api.core.v1.Secret.data", "map[string][]uint8"),
        ("io.k8s.api.core.v1.PodSpec.volumes", "[]v1.Volume"),
        ("io.k8s.api.core.v1.EventSeries.count", "int32"),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp", "v1.Time"),
    ];
    for (path, go) in table {
        assert_eq!(go_type(field(path).ty), go, "{path}");
    }
    let selector = def("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector").unwrap();
    assert_eq!(
        (selector.name().as_str(), selector.go_name().as_str(), selector.atomic),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", "v1.LabelSelector", true)
    );
}
