//! The cells of one or two objects per kind, next to what upstream's printers make of them.

use serde_json::{Value, json};

use super::*;
use crate::view::View;

mod autoscalers;
mod cluster;
mod core;
mod headings;
mod init;
mod network;
mod pods;
mod rows;
mod storage;
mod workloads;

/// Checks a stream of YAML documents, each an object with its `cells` beside it: all of them, those of wide columns too. The
/// clock stands at an hour past the new year of 2026.
#[track_caller]
fn table(columns: &[Column], documents: &str) {
    for mut object in crate::yaml::read_documents(documents).unwrap_or_else(|error| panic!("{error}\n{documents}")) {
        let expected = object.as_object_mut().and_then(|object| object.remove("cells")).unwrap();
        let found = row(columns, &object, now(), &Value::Null)["cells"].take();
        assert_eq!(found, expected, "{}", crate::yaml::write(&object));
    }
}

fn now() -> Now {
    Now("2026-01-01T01:00:00Z".parse().unwrap())
}

/// The cells behind the name, with the age taken out.
fn cells(columns: &[Column], object: Value) -> Vec<Value> {
    let shown = columns.iter().filter(|column| column.format != "name" && column.name != "Age");
    let (mut view, text) = (View::default(), object.to_string());
    let node = view.read(text.as_bytes()).unwrap();
    shown.map(|column| (column.cell)(node, &Row::new(now()))).collect()
}

/// A row with this `object`.
fn row(columns: &[Column], item: &Value, now: Now, object: &Value) -> Value {
    let (mut view, text, mut out) = (View::default(), item.to_string(), Vec::new());
    let item = view.read(text.as_bytes()).unwrap();
    begin_row(columns, item, now, &mut out);
    out.extend_from_slice(format!("{object}}}").as_bytes());
    serde_json::from_slice(&out).unwrap()
}

#[track_caller]
fn check(columns: &[Column], object: Value, expected: Value) {
    assert_eq!(Value::from(cells(columns, object)), expected);
}

#[test]
fn every_kind_has_columns_that_fit_an_empty_object() {
    for kind in crate::kinds::KINDS {
        assert!(kind.columns.iter().any(|column| column.name == "Name"), "{}", kind.kind);
        for object in [json!({}), json!({"metadata": 1, "spec": [], "status": "x", "webhooks": {}, "subsets": 1})] {
            let row = row(kind.columns, &object, now(), &Value::Null);
            assert_eq!(row["cells"].as_array().unwrap().len(), kind.columns.len());
        }
        for column in kind.columns {
            assert!(!column.description.is_empty() && column.priority < 2, "{} {}", kind.kind, column.name);
        }
    }
}

#[test]
fn core() {
    check(NAMESPACE, json!({"status": {"phase": "Active"}}), json!(["Active"]));
    check(CONFIG_MAP, json!({"data": {"a": "", "b": ""}, "binaryData": {"c": ""}}), json!([3]));
    check(SECRET, json!({"type": "Opaque", "data": {"a": ""}}), json!(["Opaque", 1]));
    check(
        ENDPOINTS,
        json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 443}]}]}),
        json!(["10.0.0.1:80,[fd00::1]:80,10.0.0.1:443 + 1 more..."]),
    );
    check(ENDPOINTS, json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]}), json!(["10.0.0.1"]));
    check(ENDPOINTS, json!({}), json!(["<none>"]));
    check(
        RESOURCE_QUOTA,
        json!({"status": {"hard": {"limits.cpu": "2", "pods": "10", "requests.cpu": "1"}, "used": {"pods": "3", "limits.cpu": "500m"}}}),
        json!(["pods: 3/10, requests.cpu: 0/1", "limits.cpu: 500m/2"]),
    );
}

#[test]
fn volumes() {
    check(
        PERSISTENT_VOLUME,
        json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "volumeMode": "Block",
            "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": "n", "name": "c"}, "storageClassName": "s"},
            "status": {"phase": "Bound"}}),
        json!(["1Gi", "RWO,RWX", "Retain", "Bound", "n/c", "s", "<unset>", "", "Block"]),
    );
    check(
        PERSISTENT_VOLUME_CLAIM,
        json!({"metadata": {"deletionTimestamp": "x"}, "spec": {"volumeName": "v"}, "status": {"phase": "Bound",
            "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOncePod"]}}),
        json!(["Terminating", "v", "2Gi", "RWOP", "", "<unset>", "<unset>"]),
    );
    check(
        PERSISTENT_VOLUME_CLAIM,
        json!({"status": {"phase": "Pending", "accessModes": ["ReadWriteOnce"]}}),
        json!(["Pending", "", "", "", "", "<unset>", "<unset>"]),
    );
    let class =
        json!({"metadata": {"name": "a", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
    assert_eq!(row(STORAGE_CLASS, &class, now(), &Value::Null)["cells"][0], "a (default)");
    check(STORAGE_CLASS, class, json!(["", "Delete", "Immediate", false]));
}

#[test]
fn events() {
    check(
        EVENT,
        json!({"type": "Warning", "reason": "BackOff", "message": " gone \n", "count": 4, "source": {"component": "kubelet", "host": "n"},
            "involvedObject": {"kind": "Pod", "name": "a", "fieldPath": "spec"},
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:59:00Z"}),
        json!(["60s", "Warning", "BackOff", "pod/a", "spec", "kubelet, n", "gone", "60m", 4]),
    );
    check(
        EVENT,
        json!({"regarding": {"kind": "Node"}, "note": "x", "eventTime": "2026-01-01T00:30:00.000000Z", "reportingController": "c",
            "series": {"count": 7, "lastObservedTime": "2026-01-01T00:50:00.000000Z"}}),
        json!(["10m", "", "", "node", "", "c", "x", "30m", 7]),
    );
}

#[test]
fn nodes() {
    let node = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x", "node-role.kubernetes.io/": ""}},
        "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.37.0", "osImage": "Debian"}}});
    check(
        NODE,
        node,
        json!([
            "Ready,SchedulingDisabled",
            "control-plane,x",
            "v1.37.0",
            "10.0.0.1",
            "<none>",
            "Debian",
            "<unknown>",
            "<unknown>"
        ]),
    );
    let node = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
    assert_eq!(cells(NODE, node)[..2], [json!("NotReady"), json!("<none>")]);
    assert_eq!(cells(NODE, json!({}))[0], "Unknown");
}

#[test]
fn services_and_networking() {
    check(
        SERVICE,
        json!({"spec": {"type": "NodePort", "clusterIPs": ["10.96.0.1"], "selector": {"b": "2", "a": "1"},
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]}}),
        json!(["NodePort", "10.96.0.1", "<none>", "80:30080/TCP,53/UDP", "a=1,b=2"]),
    );
    let external = |spec, status| cells(SERVICE, json!({"spec": spec, "status": status}))[2].clone();
    assert_eq!(external(json!({"type": "LoadBalancer"}), json!({})), "<pending>");
    let balancer = json!({"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}, {"hostname": "1.example"}]}});
    assert_eq!(
        external(json!({"type": "LoadBalancer", "externalIPs": ["3.3.3.3"]}), balancer),
        "1.example,2.2.2.2,3.3.3.3"
    );
    assert_eq!(external(json!({"type": "ExternalName", "externalName": "x.y"}), json!({})), "x.y");
    assert_eq!(external(json!({}), json!({})), "<unknown>");
    check(
        ENDPOINT_SLICE,
        json!({"addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}, {}, {"port": 1}], "endpoints": [{"addresses": ["10.0.0.1"]}]}),
        json!(["IPv4", "80,x,* + 1 more...", "10.0.0.1"]),
    );
    check(ENDPOINT_SLICE, json!({"addressType": "IPv4"}), json!(["IPv4", "<unset>", "<unset>"]));
    let rules = json!([{"host": "a"}, {"host": "b"}, {"host": "c"}, {"host": "d"}, {}]);
    check(
        INGRESS,
        json!({"spec": {"rules": rules, "tls": [{}]}}),
        json!(["<none>", "a,b,c + 2 more...", "", "80, 443"]),
    );
    check(
        INGRESS_CLASS,
        json!({"spec": {"controller": "x", "parameters": {"apiGroup": "g", "kind": "K", "name": "n"}}}),
        json!(["x", "K.g/n"]),
    );
    check(NETWORK_POLICY, json!({"spec": {"podSelector": {"matchLabels": {"a": "b"}}}}), json!(["a=b"]));
    check(
        IP_ADDRESS,
        json!({"spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "s"}}}),
        json!(["services/n/s"]),
    );
}

#[test]
fn workloads() {
    let template = json!({"spec": {"containers": [{"name": "x", "image": "i"}, {"name": "y", "image": "j"}]}});
    let selector = json!({"matchLabels": {"a": "b"}});
    check(
        DEPLOYMENT,
        json!({"spec": {"replicas": 3, "selector": selector, "template": template}, "status": {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}}),
        json!(["2/3", 3, 1, "x,y", "i,j", "a=b"]),
    );
    check(
        REPLICA_SET,
        json!({"spec": {"replicas": 3, "selector": selector, "template": template}, "status": {"replicas": 2}}),
        json!([3, 2, 0, "x,y", "i,j", "a=b"]),
    );
    check(STATEFUL_SET, json!({"spec": {"replicas": 2}}), json!(["0/2", "", ""]));
    check(
        DAEMON_SET,
        json!({"status": {"desiredNumberScheduled": 3, "numberReady": 1}}),
        json!([3, 0, 1, 0, 0, "<none>", "", "", "<none>"]),
    );
    let owner = json!({"metadata": {"ownerReferences": [{"controller": true, "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s"}]}, "revision": 4});
    check(CONTROLLER_REVISION, owner, json!(["statefulset.apps/s", 4]));
    check(
        JOB,
        json!({"spec": {"completions": 3}, "status": {"succeeded": 1, "startTime": "2026-01-01T00:58:00Z"}}),
        json!(["Running", "1/3", "2m", "", "", "<none>"]),
    );
    check(
        JOB,
        json!({"spec": {"parallelism": 2}, "status": {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:05Z",
            "conditions": [{"type": "Complete", "status": "True"}]}}),
        json!(["Complete", "0/1 of 2", "5s", "", "", "<none>"]),
    );
    check(
        CRON_JOB,
        json!({"spec": {"schedule": "* * * * *", "suspend": false}, "status": {"active": [{}], "lastScheduleTime": "2026-01-01T00:59:30Z"}}),
        json!(["* * * * *", "<none>", "False", 1, "30s", "", "", "<none>"]),
    );
    check(
        POD_DISRUPTION_BUDGET,
        json!({"spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1}}),
        json!(["50%", "N/A", 1]),
    );
}

#[test]
fn autoscalers() {
    let hpa = |metrics: Value, status: Value| {
        cells(
            HORIZONTAL_POD_AUTOSCALER,
            json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 5, "metrics": metrics},
                "status": {"currentMetrics": status}}),
        )
    };
    let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}});
    let used = json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 20}}});
    assert_eq!(Value::from(hpa(json!([cpu]), json!([used]))), json!(["Deployment/d", "cpu: 20%/80%", "<unset>", 5, 0]));
    assert_eq!(hpa(json!([cpu, cpu, cpu]), json!([]))[1], "cpu: <unknown>/80%, cpu: <unknown>/80% + 1 more...");
    let external = json!({"type": "External", "external": {"target": {"averageValue": "10"}}});
    assert_eq!(hpa(json!([external]), json!([]))[1], "<unknown>/10 (avg)");
    assert_eq!(hpa(json!([]), json!([]))[1], "<none>");
}

#[test]
fn the_rest() {
    check(
        ROLE_BINDING,
        json!({"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "Group", "name": "g"},
            {"kind": "ServiceAccount", "namespace": "n", "name": "s"}, {"kind": "User", "name": "v"}]}),
        json!(["Role/r", "u, v", "g", "n/s"]),
    );
    check(
        CERTIFICATE_SIGNING_REQUEST,
        json!({"spec": {"username": "u", "expirationSeconds": 3600}, "status": {"certificate": "x", "conditions": [{"type": "Approved"}]}}),
        json!(["<none>", "u", "60m", "Approved,Issued"]),
    );
    check(PRIORITY_CLASS, json!({"value": 10, "preemptionPolicy": "Never"}), json!([10, false, "Never"]));
    check(
        FLOW_SCHEMA,
        json!({"spec": {"priorityLevelConfiguration": {"name": "p"}, "matchingPrecedence": 5}}),
        json!(["p", 5, "<none>", "?"]),
    );
    check(
        PRIORITY_LEVEL_CONFIGURATION,
        json!({"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 3}}}),
        json!(["Limited", 3, "<none>", "<none>", "<none>"]),
    );
    check(RESOURCE_CLAIM, json!({"status": {"allocation": {}, "reservedFor": [{}]}}), json!(["allocated,reserved"]));
    check(WEBHOOK_CONFIGURATION, json!({"webhooks": [{}, {}]}), json!([2]));
    check(
        API_SERVICE,
        json!({"spec": {"service": {"namespace": "n", "name": "s"}}, "status": {"conditions": [{"type": "Available", "status": "False", "reason": "R"}]}}),
        json!(["n/s", "False (R)"]),
    );
    check(CSI_DRIVER, json!({"spec": {}}), json!([true, false, false, "<unset>", false, "<none>"]));
    check(
        STORAGE_VERSION_MIGRATION,
        json!({"spec": {"resource": {"resource": "r", "group": "g"}}}),
        json!(["", "r.g"]),
    );
}

#[test]
fn a_row_in_full() {
    let now = Now("2026-01-01T00:10:00Z".parse().unwrap());
    let item = json!({"kind": "X", "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}});
    let definitions = definitions(NAME_AGE);
    assert_eq!((&definitions[0]["name"], &definitions[0]["format"]), (&json!("Name"), &json!("name")));
    assert_eq!(row(NAME_AGE, &item, now, &Value::Null), json!({"cells": ["a", "10m"], "object": null}));
    assert_eq!(row(NAME_AGE, &item, now, &item)["object"], item);
    let (mut view, text, mut out) = (View::default(), item.to_string(), Vec::new());
    write_partial(view.read(text.as_bytes()).unwrap(), &mut out);
    let partial: Value = serde_json::from_slice(&out).unwrap();
    let expected =
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": item["metadata"]});
    assert_eq!(partial, expected);
}

#[test]
fn finished_pods_are_marked() {
    let now = Now(Timestamp::UNIX_EPOCH);
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"phase": "Failed"}});
    assert_eq!(row(NAME_AGE, &pod, now, &Value::Null)["conditions"][0]["reason"], "Failed");
    pod["apiVersion"] = json!("example.com/v1");
    assert_eq!(row(NAME_AGE, &pod, now, &Value::Null).get("conditions"), None);
    assert_eq!(IncludeObject::parse("All"), None);
}
