//! Kinds without a description of their own: all fields, with readable names (kubectl, pkg/describe/describe.go:
//! printUnstructuredContent, smartLabelFor).

use serde_json::{Map, Value};

use super::text::Out;
use crate::output::go;

/// Words that are written in capitals.
const ACRONYMS: [&str; 5] = ["API", "URL", "UID", "OSB", "GUID"];
/// Fields that are told before, or not worth telling.
const LEFT_OUT: [&str; 5] =
    [".metadata.name", ".metadata.namespace", ".metadata.labels", ".metadata.annotations", ".metadata.managedFields"];

/// Everything about an object.
pub fn object(object: &Value) -> Out {
    let mut out = Out::default();
    out.field(0, "Name", api::object::name(object));
    out.field(0, "Namespace", api::object::namespace(object));
    out.labels("", "Labels", api::object::labels(object));
    out.annotations("", api::object::annotations(object));
    if let Some(fields) = object.as_object() {
        self::fields(&mut out, 0, fields, "");
    }
    out
}

fn fields(out: &mut Out, level: usize, fields: &Map<String, Value>, path: &str) {
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        if LEFT_OUT.contains(&path.as_str()) {
            continue;
        }
        let title = label(name);
        match value {
            Value::Object(inner) => {
                out.line(level, &format!("{title}:"));
                self::fields(out, level + 1, inner, &path);
            }
            Value::Array(items) => {
                out.line(level, &format!("{title}:"));
                for item in items {
                    match item {
                        Value::Object(inner) => self::fields(out, level + 1, inner, &path),
                        other => out.line(level + 1, &go(other)),
                    }
                }
            }
            other => out.field(level, &title, &go(other)),
        }
    }
}

/// `creationTimestamp` as `Creation Timestamp`.
fn label(field: &str) -> String {
    if field.chars().any(|char| !char.is_alphabetic() && char != '-') {
        return field.to_string();
    }
    let title = |word: String| {
        let upper = word.to_uppercase();
        if ACRONYMS.contains(&upper.as_str()) {
            return upper;
        }
        let mut chars = word.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
    };
    words(field).into_iter().map(title).collect::<Vec<String>>().join(" ")
}

/// The words of a name in camel case; a run of capitals is a word up to the one that begins the next.
fn words(field: &str) -> Vec<String> {
    let chars: Vec<char> = field.chars().collect();
    let mut words: Vec<String> = Vec::new();
    for (index, char) in chars.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| chars[before]);
        let after = chars.get(index + 1);
        let starts = match before {
            None => true,
            Some(before) if char.is_uppercase() => {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            }
            Some(before) => char.is_alphabetic() != before.is_alphabetic(),
        };
        match words.last_mut() {
            Some(word) if !starts => word.push(*char),
            _ => words.push(char.to_string()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_become_words() {
        for (field, expected) in [
            ("creationTimestamp", "Creation Timestamp"),
            ("apiVersion", "API Version"),
            ("uid", "UID"),
            ("holderIdentity", "Holder Identity"),
            ("podCIDR", "Pod CIDR"),
            ("clusterIPs", "Cluster I Ps"),
            ("k8s.io/x", "k8s.io/x"),
            ("a1", "a1"),
        ] {
            assert_eq!(label(field), expected);
        }
    }

    #[test]
    fn lists_and_maps_are_indented() {
        let lease = json!({"apiVersion": "v1", "metadata": {"name": "l", "uid": "u"}, "spec": {"list": ["a", {"x": 1}], "n": 5}});
        let text = object(&lease).0;
        assert!(
            text.ends_with("API Version:\tv1\nMetadata:\n  UID:\tu\nSpec:\n  List:\n    a\n    X:\t1\n  N:\t5\n"),
            "{text}"
        );
    }
}
