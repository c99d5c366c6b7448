//! Conversion between the versions that share a storage: events (core and events.k8s.io) and autoscalers (v1 and v2).
//! Every other kind is served in one version; there only the words `apiVersion` and `kind` are set.
//!
//! Sources: kubernetes pkg/apis/events/v1 and pkg/apis/autoscaling/{v1,annotations.go} (conversion by way of the internal
//! types). What autoscaling/v1 has no field for travels in annotations.

use serde_json::{Map, Value, json};

use crate::kinds::{Kind, Served};
use crate::status::Status;

type Object = Map<String, Value>;

/// `value`, an object of `kind` in any of its versions, in the version `to`.
pub fn convert(kind: &Kind, mut value: Value, to: &Served) -> Result<Value, Status> {
    let wanted = to.api_version();
    let found = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Value::Object(object) = &mut value else {
        return Err(Status::internal(format!("{} is not an object", kind.kind)));
    };
    if found != wanted && !found.is_empty() {
        match (found.as_str(), wanted.as_str()) {
            ("v1", "events.k8s.io/v1") => rename(object, &EVENT),
            ("events.k8s.io/v1", "v1") => rename(object, &EVENT.map(|(old, new)| (new, old))),
            ("autoscaling/v1", "autoscaling/v2") => autoscaler_to_v2(object),
            ("autoscaling/v2", "autoscaling/v1") => autoscaler_to_v1(object),
            _ => {
                let what = format!("unable to convert {} from {found} to {wanted}", kind.kind);
                return Err(Status::internal(what));
            }
        }
    }
    object.insert("apiVersion".into(), wanted.into());
    object.insert("kind".into(), kind.kind.into());
    Ok(value)
}

/// Fields of events: in core and in events.k8s.io.
const EVENT: [(&str, &str); 8] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

fn rename(object: &mut Object, table: &[(&str, &str)]) {
    let moves: Vec<(&str, Value)> = table.iter().filter_map(|(from, to)| Some((*to, object.remove(*from)?))).collect();
    for (to, value) in moves {
        object.insert(to.into(), value);
    }
}

/// The annotations of autoscaling/v1 (pkg/apis/autoscaling/annotations.go), and the field of v2 each one stands for.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

fn section<'a>(object: &'a mut Object, name: &str) -> Option<&'a mut Object> {
    object.get_mut(name)?.as_object_mut()
}

fn autoscaler_to_v1(object: &mut Object) {
    let mut notes: Vec<(&str, Value)> = vec![];
    if let Some(spec) = section(object, "spec") {
        let metrics = spec.remove("metrics").and_then(|metrics| metrics.as_array().cloned()).unwrap_or_default();
        let mut others = vec![];
        for metric in metrics {
            match cpu(&metric, "target") {
                Some(percent) if !spec.contains_key("targetCPUUtilizationPercentage") => {
                    spec.insert("targetCPUUtilizationPercentage".into(), percent);
                }
                _ => others.push(metric_to_v1(metric, false)),
            }
        }
        if !others.is_empty() {
            notes.push((METRICS, others.into()));
        }
        notes.extend(spec.remove("behavior").map(|behavior| (BEHAVIOR, behavior)));
    }
    if let Some(status) = section(object, "status") {
        let metrics = status.remove("currentMetrics").and_then(|metrics| metrics.as_array().cloned());
        let mut current = vec![];
        for metric in metrics.unwrap_or_default() {
            if let Some(percent) = cpu(&metric, "current") {
                status.insert("currentCPUUtilizationPercentage".into(), percent);
            }
            current.push(metric_to_v1(metric, true));
        }
        if !current.is_empty() {
            notes.push((CURRENT_METRICS, current.into()));
        }
        notes.extend(status.remove("conditions").map(|conditions| (CONDITIONS, conditions)));
    }
    if notes.is_empty() {
        return;
    }
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    for (name, value) in notes {
        if let Some(metadata) = metadata.as_object_mut() {
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            annotations[name] = value.to_string().into();
        }
    }
}

fn autoscaler_to_v2(object: &mut Object) {
    let mut take = |name: &str| -> Option<Value> {
        let annotations = section(section(object, "metadata")?, "annotations")?;
        let text = annotations.remove(name)?;
        let empty = annotations.is_empty();
        if empty && let Some(metadata) = section(object, "metadata") {
            metadata.remove("annotations");
        }
        crate::decode::parse(text.as_str()?.as_bytes()).ok()
    };
    let (metrics, current, conditions, behavior) =
        (take(METRICS), take(CURRENT_METRICS), take(CONDITIONS), take(BEHAVIOR));
    let list = |value: Option<Value>, current| -> Vec<Value> {
        let list = value.and_then(|value| value.as_array().cloned()).unwrap_or_default();
        list.into_iter().map(|metric| metric_to_v2(metric, current)).collect()
    };
    if let Some(spec) = section(object, "spec") {
        let mut all = list(metrics, false);
        if let Some(percent) = spec.remove("targetCPUUtilizationPercentage") {
            let target = json!({"type": "Utilization", "averageUtilization": percent});
            all.insert(0, json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        if !all.is_empty() {
            spec.insert("metrics".into(), all.into());
        }
        spec.extend(behavior.map(|behavior| ("behavior".to_owned(), behavior)));
    }
    if let Some(status) = section(object, "status") {
        let percent = status.remove("currentCPUUtilizationPercentage");
        let mut all = list(current, true);
        if let (true, Some(percent)) = (all.is_empty(), percent) {
            all.push(
                json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}),
            );
        }
        if !all.is_empty() {
            status.insert("currentMetrics".into(), all.into());
        }
        status.extend(conditions.map(|conditions| ("conditions".to_owned(), conditions)));
    }
}

/// The utilization of a metric that is the processor's, which v1 has a field for.
fn cpu(metric: &Value, section: &str) -> Option<Value> {
    let resource = metric.get("resource").filter(|resource| resource["name"] == "cpu")?;
    resource.get(section)?.get("averageUtilization").cloned()
}

/// The members of a metric source: type, and by section `(v1 name, path in v2)`. `@` is `target` or `current`, `#` the
/// prefix `target` or `current` of names in v1.
const SOURCES: [(&str, &[(&str, &str)]); 5] = [
    (
        "object",
        &[
            ("target", "describedObject"),
            ("metricName", "metric/name"),
            ("selector", "metric/selector"),
            ("#Value", "@/value"),
            ("averageValue", "@/averageValue"),
        ],
    ),
    ("pods", &[("metricName", "metric/name"), ("selector", "metric/selector"), ("#AverageValue", "@/averageValue")]),
    (
        "resource",
        &[("name", "name"), ("#AverageUtilization", "@/averageUtilization"), ("#AverageValue", "@/averageValue")],
    ),
    (
        "containerResource",
        &[
            ("name", "name"),
            ("container", "container"),
            ("#AverageUtilization", "@/averageUtilization"),
            ("#AverageValue", "@/averageValue"),
        ],
    ),
    (
        "external",
        &[
            ("metricName", "metric/name"),
            ("metricSelector", "metric/selector"),
            ("#Value", "@/value"),
            ("#AverageValue", "@/averageValue"),
        ],
    ),
];

fn names(pair: (&str, &str), current: bool) -> (String, String) {
    let word = if current { "current" } else { "target" };
    (pair.0.replace('#', word), pair.1.replace('@', word))
}

fn metric_to_v1(metric: Value, current: bool) -> Value {
    let mut result = json!({"type": metric["type"]});
    for (source, members) in SOURCES {
        let Some(from) = metric.get(source) else { continue };
        let mut to = Object::new();
        for pair in members {
            let (v1, v2) = names(*pair, current);
            to.extend(from.pointer(&format!("/{v2}")).map(|value| (v1, value.clone())));
        }
        result[source] = to.into();
    }
    result
}

fn metric_to_v2(metric: Value, current: bool) -> Value {
    let mut result = json!({"type": metric["type"]});
    for (source, members) in SOURCES {
        let Some(from) = metric.get(source) else { continue };
        let mut to = json!({});
        for pair in members {
            let (v1, v2) = names(*pair, current);
            let Some(value) = from.get(&v1) else { continue };
            match v2.split_once('/') {
                None => to[v2] = value.clone(),
                Some((section, name)) => to[section][name] = value.clone(),
            }
        }
        if !current {
            let target = &mut to["target"];
            let kind = if target.get("averageUtilization").is_some() {
                "Utilization"
            } else if target.get("averageValue").is_some() {
                "AverageValue"
            } else {
                "Value"
            };
            target["type"] = kind.into();
        }
        result[source] = to;
    }
    result
}

#[cfg(test)]
mod tests;
