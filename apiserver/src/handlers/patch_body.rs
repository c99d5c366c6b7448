//! Bodies of patches: their form, their JSON, and what is wrong with the object that one of them makes
//! (upstream: apiserver, pkg/endpoints/handlers/patch.go, whose 422 names the field `patch`).

use api::field::{FieldError, Path};
use api::kinds::Served;
use api::validate::{self, FieldValidation};
use api::{Status, schema};
use serde_json::{Value, json};

use super::decode::essence;
use crate::registry::Call;
use crate::registry::patch::Form;

/// Patch types in upstream's order.
const PATCH_TYPES: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

/// A patch as it came.
pub struct Patch {
    /// Its form.
    pub form: Form,
    /// Its JSON.
    pub body: Value,
    /// What is odd about its JSON: keys that came twice.
    reports: Vec<String>,
}

/// Which form of patch a body has.
///
/// # Errors
/// 415, in plain words for server-side apply.
pub fn form(content_type: &str) -> Result<Form, Status> {
    match essence(content_type) {
        "application/json-patch+json" => Ok(Form::Json),
        "application/merge-patch+json" => Ok(Form::Merge),
        "application/strategic-merge-patch+json" => Ok(Form::Strategic),
        "application/apply-patch+yaml" | "application/apply-patch+cbor" => {
            let mut status = Status::unsupported_media_type(PATCH_TYPES);
            status.message = format!(
                "server-side apply is not supported by this server yet; use client-side apply (kubectl apply without --server-side) or one of: {}",
                PATCH_TYPES.join(", ")
            );
            Err(status)
        }
        _ => Err(Status::unsupported_media_type(PATCH_TYPES)),
    }
}

impl Patch {
    /// Reads a body.
    ///
    /// # Errors
    /// `BadRequest`.
    pub fn parse(form: Form, body: &[u8]) -> Result<Self, Status> {
        let bad = |error| Status::bad_request(format!("error decoding patch: {error}"));
        let (value, duplicates) = api::decode::strict(body).map_err(bad)?;
        let origin = if form == Form::Json { "json patch " } else { "" };
        let reports = duplicates.into_iter().map(|path| format!("{origin}duplicate field {path:?}")).collect();
        Ok(Self { form, body: value, reports })
    }

    /// Brings the patched object into the form in which objects are stored; tells or refuses unknown fields.
    ///
    /// # Errors
    /// `Invalid`, about the field `patch`.
    pub fn check(
        &self,
        call: &Call,
        served: &Served,
        patched: &mut Value,
        validation: FieldValidation,
    ) -> Result<(), Status> {
        let definition = schema::def(served.definition)
            .ok_or_else(|| Status::internal(format_args!("no schema of {}", served.definition)))?;
        // What is dropped must still be seen in the refusal.
        let before = (validation == FieldValidation::Strict).then(|| patched.to_string());
        let found = validate::prune(definition, patched);
        let refuse = |patched: &Value, why: &str| {
            let shown = match (self.form, before) {
                (Form::Strategic, _) => go_map(&self.body),
                (_, Some(text)) => text,
                (_, None) => patched.to_string(),
            };
            let error = FieldError::invalid(&Path::new("patch"), &json!(shown), why);
            Status::invalid("", "", "", &[error])
        };
        let mut reports = match found {
            Ok(found) => found,
            Err(why) => return Err(refuse(patched, &why)),
        };
        reports.splice(0..0, self.reports.iter().cloned());
        match validation {
            FieldValidation::Strict if !reports.is_empty() => {
                return Err(refuse(patched, &validate::strict_error(&reports)));
            }
            FieldValidation::Warn => reports.into_iter().for_each(|text| call.warn(text)),
            FieldValidation::Strict | FieldValidation::Ignore => {}
        }
        Ok(())
    }
}

/// A value as Go's `%+v` prints it: `map[a:b c:[1 2]]`.
fn go_map(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_map).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", go_map(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds;

    #[test]
    fn forms() {
        assert_eq!(form("application/merge-patch+json; charset=utf-8").unwrap(), Form::Merge);
        assert!(form("application/apply-patch+yaml").unwrap_err().message.starts_with("server-side apply is not"));
        assert_eq!(form("application/json").unwrap_err().code, 415);
    }

    #[test]
    fn refusals_show_the_patch() {
        let (_, served) = kinds::find("", "v1", "configmaps").unwrap();
        let check = |form, body: &str, mut patched: Value, validation| {
            let call = Call::internal();
            let patch = Patch::parse(form, body.as_bytes()).unwrap();
            let refused = patch.check(&call, &served, &mut patched, validation).err().map(|status| status.message);
            (refused.unwrap_or_default(), call.take_warnings())
        };
        let bad = json!({"data": {"k": 5}});
        let (message, _) = check(Form::Merge, "{}", bad.clone(), FieldValidation::Warn);
        assert!(message.starts_with(r#" "" is invalid: patch: Invalid value: "{\"#), "{message}");
        assert!(message.ends_with("json: cannot unmarshal number into Go struct field ConfigMap.data of type string"));
        let (message, _) = check(Form::Strategic, r#"{"data":{"k":5}}"#, bad, FieldValidation::Ignore);
        assert!(message.contains(r#"Invalid value: "map[data:map[k:5]]""#), "{message}");
        let unknown = json!({"nope": 1});
        let (message, _) = check(Form::Merge, "{}", unknown.clone(), FieldValidation::Strict);
        assert!(message.contains(r#"{\"nope\":1}"#) && message.ends_with(r#"unknown field "nope""#), "{message}");
        let twice = r#"{"a":1,"a":1}"#;
        let (message, warnings) = check(Form::Merge, twice, unknown, FieldValidation::Warn);
        assert_eq!(
            (message.as_str(), warnings),
            ("", vec![r#"duplicate field "a""#.into(), r#"unknown field "nope""#.into()])
        );
    }
}
