//! Templates from the documentation of kubectl, on objects as it gets them.

use serde_json::{Value, json};

use crate::jsonpath::JsonPath;

fn pods() -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": ""}, "items": [
        {"kind": "Pod", "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "web", "version": "1.2"},
            "annotations": {"example.com/owner": "team a"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
         "spec": {"nodeName": "node-1", "containers": [{"name": "nginx", "image": "nginx:1.27", "ports": [{"containerPort": 80}]},
            {"name": "log", "image": "busybox"}]},
         "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [
            {"name": "nginx", "ready": true, "restartCount": 2}, {"name": "log", "ready": false, "restartCount": 0}]}},
        {"kind": "Pod", "metadata": {"name": "web-2", "namespace": "other", "labels": {"app": "web"}},
         "spec": {"nodeName": "node-2", "containers": [{"name": "nginx", "image": "nginx:1.28"}]},
         "status": {"phase": "Pending"}},
    ]})
}

fn nodes() -> Value {
    json!({"kind": "List", "items": [
        {"metadata": {"name": "node-1"}, "spec": {"podCIDR": "10.0.1.0/24"}, "status": {"capacity": {"cpu": "4"}, "addresses": [
            {"type": "Hostname", "address": "node-1"}, {"type": "ExternalIP", "address": "1.1.1.1"}],
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]}},
        {"metadata": {"name": "node-2"}, "spec": {"podCIDR": "10.0.2.0/24", "unschedulable": true}, "status": {"capacity": {"cpu": "8"},
            "addresses": [{"type": "ExternalIP", "address": "2.2.2.2"}], "conditions": [{"type": "Ready", "status": "Unknown"}]}},
    ]})
}

fn check(value: &Value, table: &[(&str, &str)]) {
    for (template, expected) in table {
        let found = JsonPath::parse(template).and_then(|path| path.render(value));
        assert_eq!(found.as_deref(), Ok(*expected), "{template}");
    }
}

#[test]
fn on_pods() {
    check(
        &pods(),
        &[
            ("{.items[*].metadata.name}", "web-1 web-2"),
            ("{.items[0].metadata.labels.version}", "1.2"),
            ("{.items[*].metadata.labels.version}", "1.2"),
            ("{.items[0].metadata.annotations.example\\.com/owner}", "team a"),
            ("{.items[*].spec.containers[*].image}", "nginx:1.27 busybox nginx:1.28"),
            ("{..image}", "nginx:1.27 busybox nginx:1.28"),
            ("{.items[*]['metadata.name','status.phase']}", "web-1 web-2 Running Pending"),
            ("{range .items[*]}{.metadata.name}{'\\t'}{.status.podIP}{'\\n'}{end}", "web-1\t10.0.0.1\nweb-2\t\n"),
            (
                "{range .items[*]}{@.metadata.name}: {@.spec.containers[0].image}\n{end}",
                "web-1: nginx:1.27\nweb-2: nginx:1.28\n",
            ),
            ("{.items[?(@.status.phase==\"Running\")].metadata.name}", "web-1"),
            ("{.items[?(@.status.phase!=\"Running\")].metadata.name}", "web-2"),
            ("{.items[?(@.metadata.namespace=='other')].metadata.name}", "web-2"),
            ("{.items[?(@.spec.nodeName==\"node-1\")].spec.containers[?(@.name==\"log\")].image}", "busybox"),
            ("{.items[0].status.containerStatuses[?(@.ready==false)].name}", "log"),
            ("{.items[0].status.containerStatuses[?(@.restartCount>1)].name}", "nginx"),
            ("{.items[-1:].metadata.name}", "web-2"),
            ("{.items[0].spec.containers[0].ports[0].containerPort}", "80"),
            ("{.items[*].status.containerStatuses[0].restartCount}", "2"),
            ("{.metadata.resourceVersion}", ""),
            ("{.items[1].metadata.labels}", "{\"app\":\"web\"}"),
            ("{range .items[*]}{.metadata.namespace}/{.metadata.name} {end}", "default/web-1 other/web-2 "),
            ("Names:{range .items[*]}\n- {.metadata.name}{end}\n", "Names:\n- web-1\n- web-2\n"),
        ],
    );
}

#[test]
fn on_nodes() {
    check(
        &nodes(),
        &[
            ("{.items[*].status.addresses[?(@.type==\"ExternalIP\")].address}", "1.1.1.1 2.2.2.2"),
            ("{.items[*].spec.podCIDR}", "10.0.1.0/24 10.0.2.0/24"),
            ("{.items[?(@.spec.unschedulable)].metadata.name}", "node-2"),
            ("{.items[?(@.spec.unschedulable==true)].metadata.name}", "node-2"),
            ("{.items[*].status.capacity.cpu}", "4 8"),
            (
                "{range .items[*]}{@.metadata.name}:{range @.status.conditions[*]}{@.type}={@.status};{end}{end}",
                "node-1:MemoryPressure=False;Ready=True;node-2:Ready=Unknown;",
            ),
            (
                "{range .items[*]}{.metadata.name} {.status.conditions[?(@.type==\"Ready\")].status}\n{end}",
                "node-1 True\nnode-2 Unknown\n",
            ),
            ("{.items[*].status.addresses[0].address}", "node-1 2.2.2.2"),
        ],
    );
}

/// `kubectl get -o jsonpath` on one object, and the values it may hold.
#[test]
fn on_values_of_every_type() {
    let value = json!({"s": "text", "i": 5, "f": 2.50, "b": true, "n": null, "l": [1, "a", null], "m": {"k": "v"}, "e": "", "el": [], "em": {}});
    check(
        &value,
        &[
            ("{.s}|{.i}|{.f}|{.b}|{.n}", "text|5|2.5|true|null"),
            ("{.l}|{.m}|{.e}|{.el}|{.em}", "[1,\"a\",null]|{\"k\":\"v\"}||[]|{}"),
            ("{.l[*]}", "1 a null"),
            ("{.m.*}", "v"),
            ("{.el[*]}|{.em.*}", "|"),
            ("{.s}{.missing}{.i}", "text5"),
        ],
    );
}
