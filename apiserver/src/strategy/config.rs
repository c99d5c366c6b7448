//! ConfigMaps and Secrets (upstream: ValidateConfigMap, ValidateSecret in pkg/apis/core/validation).

use api::field::{FieldError, Path};
use api::names;
use base64::Engine;
use serde_json::{Value, json};

use super::Strategy;
use super::check::{At, Errors, run};

/// What the data may weigh together (1 MiB).
const MOST: usize = 1024 * 1024;
const FIXED: &str = "field is immutable when `immutable` is set";
/// What upstream shows in place of a secret.
const REDACTED: &str = "<secret contents redacted>";

/// See the module.
pub struct ConfigMap;

/// See the module.
pub struct Secret;

impl Strategy for ConfigMap {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        run(|errors| {
            let (data, binary) = (root.get("data"), root.get("binaryData"));
            let mut size = 0;
            for (key, value) in data.entries() {
                key_form(key, &value, errors);
                if binary.value.get(key).is_some() {
                    errors.invalid_as(&value, key, "duplicate of key present in binaryData");
                }
                size += value.text().len();
            }
            for (key, value) in binary.entries() {
                key_form(key, &value, errors);
                size += decoded_len(value.text());
            }
            if size > MOST {
                // The whole object is meant: upstream's empty path prints like this.
                errors.0.push(FieldError::too_long(&Path::new("[]"), MOST));
            }
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        run(|errors| fixed(&At::root(new), &At::root(old), &["data", "binaryData"], errors))
    }
}

impl Strategy for Secret {
    fn default(&self, object: &mut Value) {
        fold_strings(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        run(|errors| {
            let data = root.get("data");
            let mut size = 0;
            for (key, value) in data.entries() {
                key_form(key, &value, errors);
                size += decoded_len(value.text());
            }
            if size > MOST {
                errors.0.push(FieldError::too_long(&data.path, MOST));
            }
            of_type(&root, &data, errors);
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let (new, old) = (At::root(new), At::root(old));
        run(|errors| {
            errors.unchanged(&new.get("type"), &old.get("type"));
            fixed(&new, &old, &["data"], errors);
        })
    }
}

fn key_form(key: &str, value: &At<'_>, errors: &mut Errors) {
    errors.0.extend(names::invalid(&value.path, key, names::config_map_key(key)));
}

/// How many bytes base64 text stands for.
fn decoded_len(text: &str) -> usize {
    let text = text.trim_end_matches('=');
    text.len() * 3 / 4
}

/// An immutable object keeps its data and stays immutable.
fn fixed(new: &At<'_>, old: &At<'_>, fields: &[&'static str], errors: &mut Errors) {
    if !old.get("immutable").flag() {
        return;
    }
    if !new.get("immutable").flag() {
        errors.forbidden(&new.get("immutable"), FIXED);
    }
    for field in fields {
        if new.get(field).value != old.get(field).value {
            errors.forbidden(&new.get(field), FIXED);
        }
    }
}

/// `stringData` is written into `data` (upstream does so when it converts to its internal type).
fn fold_strings(object: &mut Value) {
    let Some(strings) = object.as_object_mut().and_then(|map| map.remove("stringData")) else { return };
    let Some(strings) = strings.as_object().filter(|strings| !strings.is_empty()) else { return };
    if !object["data"].is_object() {
        object["data"] = json!({});
    }
    for (key, text) in strings {
        let bytes = text.as_str().unwrap_or_default();
        object["data"][key] = json!(base64::engine::general_purpose::STANDARD.encode(bytes));
    }
}

/// What each type of secret must hold.
fn of_type(root: &At<'_>, data: &At<'_>, errors: &mut Errors) {
    let has = |key: &str| data.value.get(key).is_some();
    let at = |key: &str| At { value: data.value, path: data.path.key(key) };
    match root.get("type").text() {
        "kubernetes.io/service-account-token" => {
            let notes = root.at("metadata.annotations");
            let key = "kubernetes.io/service-account.name";
            if notes.value.get(key).and_then(Value::as_str).unwrap_or_default().is_empty() {
                errors.required(&At { value: notes.value, path: notes.path.key(key) }, "");
            }
        }
        "kubernetes.io/dockercfg" => json_in(data, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => json_in(data, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            errors.required(&at("username"), "");
            errors.required(&at("password"), "");
        }
        "kubernetes.io/ssh-auth" if data.get("ssh-privatekey").text().is_empty() => {
            errors.required(&at("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"].into_iter().filter(|key| !has(key)) {
                errors.required(&at(key), "");
            }
        }
        _ => {}
    }
}

fn json_in(data: &At<'_>, key: &str, errors: &mut Errors) {
    let at = At { value: data.value, path: data.path.key(key) };
    let Some(text) = data.value.get(key).and_then(Value::as_str) else { return errors.required(&at, "") };
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    let complaint = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(_) => "json: cannot unmarshal into Go value of type map[string]interface {}".to_string(),
        Err(_) if bytes.iter().all(u8::is_ascii_whitespace) => "unexpected end of JSON input".to_string(),
        Err(error) if error.is_eof() => "unexpected end of JSON input".to_string(),
        Err(error) => {
            let wrong = bytes.get(error.column().saturating_sub(1)).copied().unwrap_or_default();
            format!("invalid character {:?} looking for beginning of value", char::from(wrong))
        }
    };
    errors.invalid_as(&at, REDACTED, complaint);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::texts;

    const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

    #[test]
    fn config_maps() {
        let table = [
            (json!({"data": {"a": "b"}, "binaryData": {"c": "AA=="}}), vec![]),
            (json!({"data": {"a b": ""}}), vec![format!("data[a b]: Invalid value: \"a b\": {KEY}")]),
            (json!({"data": {"..": ""}}), vec!["data[..]: Invalid value: \"..\": must not be '..'".into()]),
            (
                json!({"data": {"a": ""}, "binaryData": {"a": ""}}),
                vec!["data[a]: Invalid value: \"a\": duplicate of key present in binaryData".into()],
            ),
            (
                json!({"data": {"a": "x".repeat(MOST + 1)}}),
                vec!["[]: Too long: may not be more than 1048576 bytes".to_string()],
            ),
        ];
        for (map, expected) in table {
            let found = texts(&ConfigMap.validate(&map));
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(&expected) {
                assert!(found.ends_with(expected.as_str()), "{found}");
            }
        }
        let old = json!({"immutable": true, "data": {"a": "b"}});
        assert_eq!(
            texts(&ConfigMap.validate_update(&json!({"data": {"a": "c"}}), &old)),
            [format!("immutable: Forbidden: {FIXED}"), format!("data: Forbidden: {FIXED}")]
        );
    }

    #[test]
    fn secrets() {
        let kind = |kind: &str, data: Value| json!({"type": kind, "data": data});
        let table = [
            (kind("Opaque", json!({"a": "AA=="})), vec![]),
            (kind("example.com/own", json!({})), vec![]),
            (kind("kubernetes.io/tls", json!({"tls.crt": ""})), vec!["data[tls.key]: Required value".to_string()]),
            (
                kind("kubernetes.io/basic-auth", json!({})),
                vec!["data[username]: Required value".into(), "data[password]: Required value".into()],
            ),
            (kind("kubernetes.io/ssh-auth", json!({})), vec!["data[ssh-privatekey]: Required value".into()]),
            (
                kind("kubernetes.io/service-account-token", json!({})),
                vec!["metadata.annotations[kubernetes.io/service-account.name]: Required value".into()],
            ),
            (kind("kubernetes.io/dockerconfigjson", json!({})), vec!["data[.dockerconfigjson]: Required value".into()]),
            (
                kind("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": ""})),
                vec![format!("data[.dockerconfigjson]: Invalid value: \"{REDACTED}\": unexpected end of JSON input")],
            ),
            (kind("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "e30="})), vec![]),
        ];
        for (secret, expected) in table {
            assert_eq!(texts(&Secret.validate(&secret)), expected, "{secret}");
        }
        let changed = Secret.validate_update(&kind("b", json!({})), &kind("a", json!({})));
        assert_eq!(texts(&changed), ["type: Invalid value: \"b\": field is immutable"]);
    }

    #[test]
    fn strings_become_data() {
        let mut secret = json!({"data": {"a": "AA==", "b": "AA=="}, "stringData": {"b": "hi"}});
        Secret.default(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "AA==", "b": "aGk="}}));
    }
}
