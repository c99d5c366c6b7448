//! Defaults of pods and of the templates they are made from (upstream: pkg/apis/core/v1/defaults.go).

use serde_json::{Value, json};

use super::Fill::{Map as EmptyMap, Number, Text};
use super::{Fill, Row, each, set};

/// Mode of files in volumes: 0644.
const FILE_MODE: i64 = 0o644;

const SPEC: &[Row] = &[
    ("restartPolicy", Text("Always")),
    ("dnsPolicy", Text("ClusterFirst")),
    ("terminationGracePeriodSeconds", Number(30)),
    ("securityContext", EmptyMap),
    ("schedulerName", Text("default-scheduler")),
];
const CONTAINER: &[Row] = &[
    ("terminationMessagePath", Text("/dev/termination-log")),
    ("terminationMessagePolicy", Text("File")),
    ("resources", EmptyMap),
    ("ports.*.protocol", Text("TCP")),
    ("env.*.valueFrom.fieldRef.apiVersion", Text("v1")),
    ("lifecycle.postStart.httpGet.path", Text("/")),
    ("lifecycle.postStart.httpGet.scheme", Text("HTTP")),
    ("lifecycle.preStop.httpGet.path", Text("/")),
    ("lifecycle.preStop.httpGet.scheme", Text("HTTP")),
];
const PROBE: &[Row] = &[
    ("timeoutSeconds", Number(1)),
    ("periodSeconds", Number(10)),
    ("successThreshold", Number(1)),
    ("failureThreshold", Number(3)),
    ("httpGet.path", Text("/")),
    ("httpGet.scheme", Text("HTTP")),
    ("grpc.service", Text("")),
];
const VOLUME: &[Row] = &[
    ("secret.defaultMode", Number(FILE_MODE)),
    ("configMap.defaultMode", Number(FILE_MODE)),
    ("downwardAPI.defaultMode", Number(FILE_MODE)),
    ("downwardAPI.items.*.fieldRef.apiVersion", Text("v1")),
    ("projected.defaultMode", Number(FILE_MODE)),
    ("projected.sources.*.serviceAccountToken.expirationSeconds", Number(3600)),
    ("projected.sources.*.downwardAPI.items.*.fieldRef.apiVersion", Text("v1")),
    ("hostPath.type", Text("")),
    ("ephemeral.volumeClaimTemplate.spec.volumeMode", Text("Filesystem")),
];

fn fill(object: &mut Value, rows: &[Row]) {
    for (path, value) in rows {
        set(object, path, value);
    }
}

/// A pod: the spec's defaults, and what only pods get.
pub fn pod(object: &mut Value) {
    let Some(spec_of_pod) = object.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    spec(spec_of_pod);
    set(spec_of_pod, "enableServiceLinks", &Fill::Flag(true));
    for containers in ["containers", "initContainers"] {
        if let Some(containers) = spec_of_pod.get_mut(containers) {
            each(containers, requests_from_limits);
        }
    }
}

/// The spec of a pod or of a template.
pub fn spec(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    fill(spec, SPEC);
    // The older name of the same field is kept equal.
    let account =
        spec["serviceAccountName"].as_str().or(spec["serviceAccount"].as_str()).unwrap_or_default().to_string();
    if let Some(map) = spec.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    if !account.is_empty() {
        spec["serviceAccountName"] = json!(account);
        spec["serviceAccount"] = json!(account);
    }
    let host_network = spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or(false);
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        if let Some(containers) = spec.get_mut(containers) {
            each(containers, |one| container(one, host_network));
        }
    }
    if let Some(volumes) = spec.get_mut("volumes") {
        each(volumes, volume);
    }
}

fn container(container: &mut Value, host_network: bool) {
    if !container.is_object() {
        return;
    }
    fill(container, CONTAINER);
    let policy = if pulls_always(container["image"].as_str().unwrap_or_default()) { "Always" } else { "IfNotPresent" };
    set(container, "imagePullPolicy", &Text(policy));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) {
            // A zero counts as absent.
            for field in ["timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
                if probe.get(field).is_some_and(|value| value == 0) {
                    probe[field] = Value::Null;
                }
            }
            fill(probe, PROBE);
        }
    }
    if host_network && let Some(ports) = container.get_mut("ports") {
        each(ports, |port| {
            if port["hostPort"].as_i64().unwrap_or(0) == 0 {
                port["hostPort"] = port["containerPort"].clone();
            }
        });
    }
    if let Some(map) = container.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
}

/// Whether the image is named by the tag `latest`, openly or by default.
fn pulls_always(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains('@') {
        return false;
    }
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Value) {
    let Some(map) = volume.as_object_mut() else { return };
    map.retain(|_, value| !value.is_null());
    if map.len() <= 1 && map.contains_key("name") {
        map.insert("emptyDir".into(), json!({}));
    }
    fill(volume, VOLUME);
}

/// A limit without a request is a request too.
fn requests_from_limits(container: &mut Value) {
    let Some(limits) = container.pointer("/resources/limits").and_then(Value::as_object).cloned() else { return };
    let resources = &mut container["resources"];
    if !resources["requests"].is_object() {
        resources["requests"] = json!({});
    }
    for (name, limit) in limits {
        if resources["requests"].get(&name).is_none() {
            resources["requests"][name] = limit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaulted(spec: Value) -> Value {
        let mut object = json!({"spec": spec});
        pod(&mut object);
        object["spec"].take()
    }

    #[test]
    fn a_plain_pod() {
        let spec = defaulted(json!({"containers": [{"name": "a", "image": "nginx"}], "volumes": [{"name": "v"}]}));
        assert_eq!(
            spec,
            json!({
                "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
                "securityContext": {}, "schedulerName": "default-scheduler", "enableServiceLinks": true,
                "containers": [{"name": "a", "image": "nginx", "imagePullPolicy": "Always", "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
                "volumes": [{"name": "v", "emptyDir": {}}],
            })
        );
    }

    #[test]
    fn images_decide_the_pull_policy() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.2", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:abc", "IfNotPresent"),
        ] {
            let spec = defaulted(json!({"containers": [{"image": image}]}));
            assert_eq!(spec["containers"][0]["imagePullPolicy"], policy, "{image}");
        }
    }

    #[test]
    fn probes_ports_and_requests() {
        let spec = defaulted(json!({"hostNetwork": true, "containers": [{
            "image": "a:1", "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 0},
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}}]}));
        let container = &spec["containers"][0];
        assert_eq!(container["ports"][0], json!({"containerPort": 80, "hostPort": 80, "protocol": "TCP"}));
        assert_eq!(
            container["livenessProbe"],
            json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
                   "successThreshold": 1, "failureThreshold": 3})
        );
        assert_eq!(container["resources"]["requests"], json!({"cpu": "500m", "memory": "1Gi"}));
    }

    #[test]
    fn volumes_get_modes_and_accounts_both_names() {
        let spec = defaulted(json!({"serviceAccountName": "x", "containers": [],
            "volumes": [{"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]}));
        assert_eq!(spec["serviceAccount"], "x");
        assert_eq!(
            spec["volumes"][0]["projected"],
            json!({"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}]})
        );
    }
}
