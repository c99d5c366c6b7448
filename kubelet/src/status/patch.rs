//! The smallest strategic merge patch that turns one pod status into the next. Pure.
//!
//! Conditions merge by `type` and only the kubelet's own are sent, so that what others wrote stays. Addresses merge by `ip`,
//! so those that are gone are deleted by name. Everything else is replaced as a whole.

use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Map, Value, json};

use super::conditions::is_ours;

/// The patch for the pod with `uid` (a precondition), or `None` when nothing changed.
pub fn patch(uid: &str, old: &PodStatus, new: &PodStatus) -> Option<Value> {
    let (Ok(Value::Object(old)), Ok(Value::Object(new))) = (serde_json::to_value(old), serde_json::to_value(new))
    else {
        return None;
    };
    let mut status = Map::new();
    for (key, value) in &new {
        if old.get(key) == Some(value) {
            continue;
        }
        let before = old.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let after = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let change = match key.as_str() {
            "conditions" => conditions(before, after),
            "podIPs" | "hostIPs" => Some(addresses(before, after)),
            _ => Some(value.clone()),
        };
        if let Some(change) = change {
            status.insert(key.clone(), change);
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        status.insert(key.clone(), Value::Null);
    }
    (!status.is_empty()).then(|| json!({"metadata": {"uid": uid}, "status": status}))
}

fn conditions(before: &[Value], after: &[Value]) -> Option<Value> {
    let text = |c: &Value, field: &str| c[field].as_str().unwrap_or_default().to_string();
    let owned = |c: &&Value| is_ours(&text(c, "type"), &text(c, "reason"));
    let changed: Vec<Value> = after
        .iter()
        .filter(owned)
        .filter(|c| !before.contains(c))
        .map(|c| {
            let mut change = c.clone();
            // A merge keeps what is not named: fields that are gone are set to null.
            let old = before.iter().find(|b| b["type"] == c["type"]).and_then(Value::as_object);
            for key in old.into_iter().flat_map(Map::keys) {
                if change.get(key).is_none() {
                    change[key.as_str()] = Value::Null;
                }
            }
            change
        })
        .collect();
    (!changed.is_empty()).then_some(Value::Array(changed))
}

fn addresses(before: &[Value], after: &[Value]) -> Value {
    let gone = before.iter().filter(|b| !after.contains(b)).map(|b| json!({"ip": b["ip"], "$patch": "delete"}));
    Value::Array(after.iter().cloned().chain(gone).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_what_changed_is_sent() {
        let old = status(json!({"phase": "Pending", "qosClass": "Burstable", "reason": "X",
            "podIPs": [{"ip": "10.0.0.1"}], "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
                {"type": "Initialized", "status": "True"}, {"type": "example.com/gate", "status": "False"}]}));
        assert_eq!(patch("u", &old, &old), None);
        let new = status(json!({"phase": "Running", "qosClass": "Burstable",
            "podIPs": [{"ip": "10.0.0.2"}], "podIP": "10.0.0.2",
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"},
                {"type": "example.com/gate", "status": "True"}]}));
        let expected = json!({"metadata": {"uid": "u"}, "status": {"phase": "Running", "reason": null,
            "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1", "$patch": "delete"}],
            "conditions": [{"type": "Ready", "status": "True", "reason": null}]}});
        assert_eq!(patch("u", &old, &new), Some(expected));
    }
}
