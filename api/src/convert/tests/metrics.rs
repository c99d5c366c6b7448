//! Every form of a metric in both versions of the autoscaler: version 1 keeps what it has no field for in annotations.

use serde_json::{Value, json};

use crate::convert::convert;
use crate::kinds::find;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

fn to(version: &str, object: Value) -> Value {
    let (kind, served) = find("autoscaling", version, "horizontalpodautoscalers").unwrap();
    convert(kind, object, &served).unwrap()
}

fn annotation(object: &Value, name: &str) -> Value {
    let text = object["metadata"]["annotations"][name].as_str().unwrap_or("null");
    serde_json::from_str(text).unwrap()
}

/// A metric of version 2, and what stands of it in the annotation of version 1.
#[test]
fn wanted_values() {
    let table = [
        (
            json!({"type": "Pods", "pods": {"metric": {"name": "rps", "selector": {"matchLabels": {"a": "b"}}},
                "target": {"type": "AverageValue", "averageValue": "10"}}}),
            json!({"type": "Pods", "pods": {"metricName": "rps", "selector": {"matchLabels": {"a": "b"}}, "targetAverageValue": "10"}}),
        ),
        (
            json!({"type": "Object", "object": {"describedObject": {"kind": "Ingress", "name": "i"}, "metric": {"name": "hits"},
                "target": {"type": "Value", "value": "2k"}}}),
            json!({"type": "Object", "object": {"target": {"kind": "Ingress", "name": "i"}, "metricName": "hits", "targetValue": "2k"}}),
        ),
        (
            json!({"type": "External", "external": {"metric": {"name": "queue", "selector": {"matchLabels": {"q": "x"}}},
                "target": {"type": "AverageValue", "averageValue": "30"}}}),
            json!({"type": "External", "external": {"metricName": "queue", "metricSelector": {"matchLabels": {"q": "x"}}, "targetAverageValue": "30"}}),
        ),
        (
            json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "30"}}}),
            json!({"type": "External", "external": {"metricName": "queue", "targetValue": "30"}}),
        ),
        (
            json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}),
            json!({"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}),
        ),
        (
            json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 60}}}),
            json!({"type": "Resource", "resource": {"name": "memory", "targetAverageUtilization": 60}}),
        ),
        (
            json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c",
                "target": {"type": "Utilization", "averageUtilization": 60}}}),
            json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c", "targetAverageUtilization": 60}}),
        ),
    ];
    for (metric, noted) in table {
        let object = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "spec": {"maxReplicas": 3, "metrics": [metric]}});
        let first = to("v1", object.clone());
        assert_eq!(annotation(&first, METRICS), json!([noted]), "{metric}");
        assert!(first["spec"].get("metrics").is_none());
        assert_eq!(to("v2", first), object, "{metric}");
    }
}

/// The same for what was measured.
#[test]
fn current_values() {
    let table = [
        (
            json!({"type": "Pods", "pods": {"metric": {"name": "rps"}, "current": {"averageValue": "9"}}}),
            json!({"type": "Pods", "pods": {"metricName": "rps", "currentAverageValue": "9"}}),
        ),
        (
            json!({"type": "Object", "object": {"describedObject": {"kind": "K", "name": "n"}, "metric": {"name": "m"}, "current": {"value": "1"}}}),
            json!({"type": "Object", "object": {"target": {"kind": "K", "name": "n"}, "metricName": "m", "currentValue": "1"}}),
        ),
        (
            json!({"type": "External", "external": {"metric": {"name": "m"}, "current": {"value": "1", "averageValue": "2"}}}),
            json!({"type": "External", "external": {"metricName": "m", "currentValue": "1", "currentAverageValue": "2"}}),
        ),
        (
            json!({"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "1Gi", "averageUtilization": 5}}}),
            json!({"type": "Resource", "resource": {"name": "memory", "currentAverageValue": "1Gi", "currentAverageUtilization": 5}}),
        ),
    ];
    for (metric, noted) in table {
        let object = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "status": {"currentMetrics": [metric]}});
        let first = to("v1", object.clone());
        assert_eq!(annotation(&first, CURRENT), json!([noted]), "{metric}");
        assert_eq!(to("v2", first), object, "{metric}");
    }
}

#[test]
fn the_field_of_version_1() {
    let cpu = |percent: i64| json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}});
    let other = json!({"type": "Pods", "pods": {"metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": "1"}}});
    let spec = |metrics: Value| json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": {"metrics": metrics}});
    // The processor's utilization is a field, wherever it stands among the metrics; it comes back in front.
    let first = to("v1", spec(json!([other, cpu(50)])));
    assert_eq!(first["spec"], json!({"targetCPUUtilizationPercentage": 50}));
    assert_eq!(annotation(&first, METRICS).as_array().unwrap().len(), 1);
    assert_eq!(to("v2", first)["spec"]["metrics"], json!([cpu(50), other]));
    // A second one stays a metric.
    let first = to("v1", spec(json!([cpu(50), cpu(60)])));
    assert_eq!(first["spec"]["targetCPUUtilizationPercentage"], 50);
    assert_eq!(annotation(&first, METRICS)[0]["resource"]["targetAverageUtilization"], 60);
    // An amount of the processor is none.
    let amount = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "100m"}}});
    let first = to("v1", spec(json!([amount])));
    assert_eq!(first["spec"], json!({}));
    assert_eq!(to("v2", first)["spec"]["metrics"], json!([amount]));
    // Nothing to keep, nothing is noted.
    assert!(to("v1", spec(json!([cpu(50)]))).get("metadata").is_none());
}

#[test]
fn what_else_travels() {
    let object = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "annotations": {"mine": "stays"}},
        "spec": {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}]}}},
        "status": {"conditions": [{"type": "ScalingActive", "status": "True"}]}});
    let first = to("v1", object.clone());
    let annotations = first["metadata"]["annotations"].as_object().unwrap();
    let names: Vec<&str> = annotations.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["autoscaling.alpha.kubernetes.io/behavior", "autoscaling.alpha.kubernetes.io/conditions", "mine"]
    );
    assert_eq!(to("v2", first), object);
    // Annotations that are no JSON are dropped, as they mean nothing.
    let damaged = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": {"annotations": {METRICS: "{"}}, "spec": {"maxReplicas": 1}});
    assert_eq!(to("v2", damaged)["spec"], json!({"maxReplicas": 1}));
}

#[test]
fn events_in_both_shapes() {
    let pairs = [
        ("involvedObject", "regarding", json!({"kind": "Pod", "name": "p"})),
        ("message", "note", json!("m")),
        ("source", "deprecatedSource", json!({"component": "c"})),
        ("firstTimestamp", "deprecatedFirstTimestamp", json!("2026-01-01T00:00:00Z")),
        ("lastTimestamp", "deprecatedLastTimestamp", json!("2026-01-01T00:00:01Z")),
        ("count", "deprecatedCount", json!(3)),
        ("reportingComponent", "reportingController", json!("c")),
        ("reportingInstance", "reportingInstance", json!("i")),
        // The same in both.
        ("reason", "reason", json!("r")),
        ("type", "type", json!("Normal")),
        ("action", "action", json!("a")),
        ("eventTime", "eventTime", json!("2026-01-01T00:00:00.000000Z")),
        ("related", "related", json!({"kind": "Node"})),
        ("series", "series", json!({"count": 2})),
    ];
    let (kind, newer) = find("events.k8s.io", "v1", "events").unwrap();
    for (old, new, value) in pairs {
        let event = json!({"apiVersion": "v1", "kind": "Event", old: value});
        let other = convert(kind, event.clone(), &newer).unwrap();
        assert_eq!(other, json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", new: value}));
        assert_eq!(convert(kind, other, &kind.served()).unwrap(), event);
    }
    let strange = json!({"apiVersion": "events.k8s.io/v1beta1", "kind": "Event"});
    let status = convert(kind, strange, &newer).unwrap_err();
    assert_eq!(
        status.message,
        "Internal error occurred: unable to convert Event from events.k8s.io/v1beta1 to events.k8s.io/v1"
    );
}
