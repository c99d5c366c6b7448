//! Whether a pod puts up with a taint of a node (component-helpers, `Toleration.ToleratesTaint`).

use k8s_openapi::api::core::v1::Toleration;

/// Whether the toleration covers the taint (key, value, effect). Where it names no key or no effect, any will do.
pub fn tolerates(toleration: &Toleration, (key, value, effect): (&str, &str, &str)) -> bool {
    let for_key = toleration.key.as_deref().unwrap_or_default();
    let for_effect = toleration.effect.as_deref().unwrap_or_default();
    if (!for_key.is_empty() && for_key != key) || (!for_effect.is_empty() && for_effect != effect) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => toleration.value.as_deref().unwrap_or_default() == value,
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_toleration_must_fit_in_key_value_and_effect() {
        let table = [
            (json!({"key": "k", "value": "v"}), true),
            (json!({"key": "k", "value": "v", "operator": "", "effect": ""}), true),
            (json!({"key": "k", "value": "v", "operator": "Equal", "effect": "NoExecute"}), true),
            (json!({"key": "k", "value": "w"}), false),
            (json!({"key": "k"}), false),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"key": "l", "operator": "Exists"}), false),
            (json!({"operator": "Exists"}), true),
            (json!({"operator": "Exists", "effect": "NoSchedule"}), false),
            (json!({"key": "k", "operator": "Gt"}), false),
        ];
        for (toleration, fits) in table {
            let read = from_value(toleration.clone()).unwrap();
            assert_eq!(tolerates(&read, ("k", "v", "NoExecute")), fits, "{toleration}");
        }
    }
}
