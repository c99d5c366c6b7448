//! Events and autoscalers in both of their versions.

use super::*;
use crate::kinds::find;

mod metrics;

fn there_and_back(group: &str, version: &str, plural: &str, value: &Value) -> Value {
    let (kind, served) = find(group, version, plural).unwrap();
    let other = convert(kind, value.clone(), &served).unwrap();
    assert_eq!(other["apiVersion"], served.api_version());
    assert_eq!(&convert(kind, other.clone(), &kind.served()).unwrap(), value);
    other
}

#[test]
fn events_change_names() {
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "r",
        "involvedObject": {"name": "p"}, "message": "m", "source": {"component": "c"}, "count": 3, "type": "Normal",
        "firstTimestamp": "2024-01-01T00:00:00Z", "lastTimestamp": "2024-01-01T00:00:01Z",
        "reportingComponent": "c", "reportingInstance": "i"});
    let other = there_and_back("events.k8s.io", "v1", "events", &event);
    assert_eq!((&other["regarding"]["name"], &other["note"]), (&json!("p"), &json!("m")));
    assert_eq!((&other["deprecatedCount"], &other["reportingController"]), (&json!(3), &json!("c")));
    assert!(other.get("message").is_none());
    let def = crate::schema::def("io.k8s.api.events.v1.Event").unwrap();
    assert_eq!(crate::validate::prune(def, &mut other.clone()).unwrap(), Vec::<String>::new());
}

#[test]
fn autoscalers_keep_what_v1_has_no_field_for() {
    let autoscaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
            "metrics": [
                {"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 80}}},
                {"type": "Pods", "pods": {"metric": {"name": "rps", "selector": {}},
                    "target": {"type": "AverageValue", "averageValue": "10"}}},
                {"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": {"kind": "K", "name": "n"},
                    "target": {"type": "Value", "value": "5"}}}]},
        "status": {"currentReplicas": 1, "desiredReplicas": 2, "conditions": [{"type": "AbleToScale"}],
            "currentMetrics": [{"type": "Resource",
                "resource": {"name": "cpu", "current": {"averageUtilization": 50, "averageValue": "5m"}}}]}});
    let v1 = there_and_back("autoscaling", "v1", "horizontalpodautoscalers", &autoscaler);
    assert_eq!(v1["spec"]["targetCPUUtilizationPercentage"], 80);
    assert_eq!(v1["status"]["currentCPUUtilizationPercentage"], 50);
    let metrics = v1["metadata"]["annotations"][METRICS].as_str().unwrap();
    assert!(metrics.contains("\"metricName\":\"rps\"") && metrics.contains("\"targetAverageValue\":\"10\""));
    let def = crate::schema::def("io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler").unwrap();
    assert_eq!(crate::validate::prune(def, &mut v1.clone()).unwrap(), Vec::<String>::new());
}

#[test]
fn a_v1_autoscaler_becomes_a_v2_one() {
    let (kind, v1) = find("autoscaling", "v1", "horizontalpodautoscalers").unwrap();
    let value = json!({"apiVersion": v1.api_version(), "kind": kind.kind,
        "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 70}});
    let v2 = convert(kind, value, &kind.served()).unwrap();
    assert_eq!(v2["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70);
    assert!(v2["spec"].get("targetCPUUtilizationPercentage").is_none());
}

#[test]
fn other_kinds_only_get_their_words() {
    let (kind, served) = find("", "v1", "pods").unwrap();
    let value = convert(kind, json!({"spec": {}}), &served).unwrap();
    assert_eq!(value, json!({"apiVersion": "v1", "kind": "Pod", "spec": {}}));
    assert!(convert(kind, json!({"apiVersion": "v2"}), &served).is_err());
    assert!(convert(kind, json!([]), &served).is_err());
}
