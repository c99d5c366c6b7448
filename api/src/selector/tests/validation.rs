//! Selectors in objects: which are refused, and where (ValidateLabelSelector).

use serde_json::{Value, json};

use crate::field::Path;
use crate::selector::validate;

fn complaints(selector: &Value) -> Vec<String> {
    let form = |text: String| text.split(" (e.g. ").next().unwrap_or_default().to_string();
    validate(selector, &Path::new("s")).iter().map(|error| form(error.to_string())).collect()
}

#[test]
fn fine_ones() {
    for selector in [
        json!(null),
        json!({}),
        json!({"matchLabels": {}, "matchExpressions": []}),
        json!({"matchLabels": {"a": "", "b.c/d": "E_f"}}),
        json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", ""]}]}),
        json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}),
        json!({"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "DoesNotExist", "values": []}]}),
    ] {
        assert_eq!(complaints(&selector), Vec::<String>::new(), "{selector}");
    }
}

#[test]
fn broken_ones() {
    let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": "fine", "operator": "Exists"}, {"key": key, "operator": operator, "values": values}]});
    let name = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let value = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let at = "s.matchExpressions[1]";
    let table: &[(Value, Vec<String>)] = &[
        (json!({"matchLabels": {"a b": "c"}}), vec![format!("s.matchLabels: Invalid value: \"a b\": {name}")]),
        (json!({"matchLabels": {"a": "-"}}), vec![format!("s.matchLabels: Invalid value: \"-\": {value}")]),
        (
            expression("a", "In", json!([])),
            vec![format!("{at}.values: Required value: must be specified when `operator` is 'In' or 'NotIn'")],
        ),
        (
            expression("a", "NotIn", json!(null)),
            vec![format!("{at}.values: Required value: must be specified when `operator` is 'In' or 'NotIn'")],
        ),
        (
            expression("a", "Exists", json!(["b"])),
            vec![format!("{at}.values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'")],
        ),
        (
            expression("a", "DoesNotExist", json!([""])),
            vec![format!("{at}.values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'")],
        ),
        (
            expression("a", "Gt", json!(["1"])),
            vec![format!("{at}.operator: Invalid value: \"Gt\": not a valid selector operator")],
        ),
        (
            expression("a", "", json!([])),
            vec![format!("{at}.operator: Invalid value: \"\": not a valid selector operator")],
        ),
        (expression("-", "Exists", json!([])), vec![format!("{at}.key: Invalid value: \"-\": {name}")]),
        (
            expression("", "Exists", json!([])),
            vec![
                format!("{at}.key: Invalid value: \"\": name part must be non-empty"),
                format!("{at}.key: Invalid value: \"\": {name}"),
            ],
        ),
        (
            expression("a", "In", json!(["fine", "not fine", "-"])),
            vec![
                format!("{at}.values[1]: Invalid value: \"not fine\": {value}"),
                format!("{at}.values[2]: Invalid value: \"-\": {value}"),
            ],
        ),
        // All that is wrong at once: values, key, each value.
        (
            expression("-", "Exists", json!(["-"])),
            vec![
                format!("{at}.values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
                format!("{at}.key: Invalid value: \"-\": {name}"),
                format!("{at}.values[0]: Invalid value: \"-\": {value}"),
            ],
        ),
    ];
    for (selector, expected) in table {
        assert_eq!(complaints(selector), *expected, "{selector}");
    }
}
