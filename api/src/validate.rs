//! What Go's decoder does with a body, done by the schema table: unknown fields are dropped and reported, wrong types are
//! errors with a path, and the object comes out as Go would write it again (nulls and empty `omitempty` values gone,
//! structs that are no pointers there, quantities and times canonical). That is the form in which objects are stored.
//!
//! Texts are those of sigs.k8s.io/json and of `transformDecodeError` (apiserver, pkg/endpoints/handlers), because people
//! and `kubectl --validate` read them.

use serde_json::{Map, Value};

use crate::quantity;
use crate::schema::{Def, Field, Form, Type, go_type};
use crate::status::Status;

/// What to do about unknown and duplicate fields (query parameter `fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so in a Warning header each.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

/// Reports, at most, as in sigs.k8s.io/json.
const MAX_REPORTS: usize = 100;

/// Brings a body into the form in which objects are stored. Gives the warnings, or the 400 that says what is wrong.
pub fn validate_fields(
    def: &'static Def,
    value: &mut Value,
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    validate_decoded(def, value, &[], validation)
}

/// The same for a body in which [`crate::decode::strict`] found duplicate keys.
pub fn validate_decoded(
    def: &'static Def,
    value: &mut Value,
    duplicates: &[String],
    validation: FieldValidation,
) -> Result<Vec<String>, Status> {
    let version = def.package.rsplit('.').next().unwrap_or_default();
    let refuse = |why: &str| cannot_be_handled(def.short, version, def.short, why);
    let mut reports: Vec<String> = duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
    reports.extend(prune(def, value).map_err(|error| refuse(&error))?);
    match validation {
        FieldValidation::Ignore => Ok(vec![]),
        FieldValidation::Warn => Ok(reports),
        FieldValidation::Strict if reports.is_empty() => Ok(vec![]),
        FieldValidation::Strict => Err(refuse(&strict_error(&reports))),
    }
}

/// `strict decoding error: unknown field "spec.foo", unknown field "spec.bar"`.
pub fn strict_error(reports: &[String]) -> String {
    format!("strict decoding error: {}", reports.join(", "))
}

/// The 400 for a body of kind `found` that does not decode as a `wanted`.
pub fn cannot_be_handled(found: &str, version: &str, wanted: &str, why: &str) -> Status {
    Status::bad_request(format!("{found} in version {version:?} cannot be handled as a {wanted}: {why}"))
}

/// Drops what the definition does not know and canonicalises the rest. Gives one report per unknown field, or Go's error
/// for the first value of a wrong type.
pub fn prune(def: &'static Def, value: &mut Value) -> Result<Vec<String>, String> {
    let mut pass = Pass { reports: vec![], steps: vec![], owner: None };
    pass.definition(def, value)?;
    Ok(pass.reports)
}

enum Step {
    /// A field of a struct: also in the paths of type errors.
    Field(&'static str),
    Key(String),
    Index(usize),
}

struct Pass {
    reports: Vec<String>,
    steps: Vec<Step>,
    /// The struct whose field is being read.
    owner: Option<&'static Def>,
}

type Checked = Result<(), String>;

impl Pass {
    /// The path with keys and indices, as in `unknown field "spec.containers[0].foo"`.
    fn report_unknown(&mut self, name: &str) {
        if self.reports.len() >= MAX_REPORTS {
            return;
        }
        let mut path = String::new();
        for step in &self.steps {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Field(name) => push_name(&mut path, name),
                Step::Key(key) => push_name(&mut path, key),
            }
        }
        push_name(&mut path, name);
        self.reports.push(format!("unknown field {path:?}"));
    }

    /// `json: cannot unmarshal string into Go struct field PodSpec.spec.replicas of type int32`; only fields of structs are
    /// in this path.
    fn wrong_type(&self, value: &Value, ty: &str) -> String {
        let found = match value {
            Value::Null => "null".into(),
            Value::Bool(_) => "bool".into(),
            Value::Number(number) if ["int32", "int64"].contains(&ty) => format!("number {number}"),
            Value::Number(_) => "number".into(),
            Value::String(_) => "string".into(),
            Value::Array(_) => "array".into(),
            Value::Object(_) => "object".into(),
        };
        let Some(owner) = self.owner else {
            return format!("json: cannot unmarshal {found} into Go value of type {ty}");
        };
        let fields = self.steps.iter().filter_map(|step| match step {
            Step::Field(name) => Some(*name),
            _ => None,
        });
        let path: Vec<&str> = fields.collect();
        format!("json: cannot unmarshal {found} into Go struct field {}.{} of type {ty}", owner.short, path.join("."))
    }

    fn definition(&mut self, def: &'static Def, value: &mut Value) -> Checked {
        match def.form {
            Form::Object => self.object(def, value),
            Form::Quantity => self.quantity(value),
            Form::Time | Form::MicroTime => self.time(def, value),
            Form::IntOrString => int_or_string(value),
            Form::Items => match def.field("items") {
                Some(items) => self.typed(items.ty, value, || go_type(items.ty)),
                None => Ok(()),
            },
            Form::Raw | Form::Fields | Form::Json => Ok(()),
            Form::SchemaOrBool if value.is_boolean() => Ok(()),
            Form::SchemaOrBool | Form::SchemaOrArray | Form::SchemaOrStrings => self.either(def, value),
        }
    }

    fn object(&mut self, def: &'static Def, value: &mut Value) -> Checked {
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        let Value::Object(object) = value else { return Err(self.wrong_type(value, &def.go_name())) };
        let outer = self.owner.replace(def);
        let names: Vec<String> = object.keys().cloned().collect();
        for name in names {
            let Some(field) = def.field(&name) else {
                self.report_unknown(&name);
                object.remove(&name);
                continue;
            };
            let Some(inner) = object.get_mut(&name) else { continue };
            if !inner.is_null() {
                self.steps.push(Step::Field(def_name(def, &name)));
                self.typed(field.ty, inner, || field.go_type())?;
                self.steps.pop();
            }
            if is_omitted(field, inner) {
                object.remove(&name);
            }
        }
        for field in def.all_fields() {
            complete(field, object);
        }
        self.owner = outer;
        Ok(())
    }

    fn typed(&mut self, ty: Type, value: &mut Value, name: impl Fn() -> String) -> Checked {
        match (ty, &mut *value) {
            (Type::String, Value::String(_)) | (Type::Bool, Value::Bool(_)) | (Type::Double, Value::Number(_)) => {
                Ok(())
            }
            (Type::Int64, Value::Number(number)) if number.is_i64() => Ok(()),
            (Type::Int32, Value::Number(number)) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(()),
            (Type::Int32 | Type::Int64, Value::Number(_)) => Err(self.wrong_type(value, &go_type(ty))),
            (Type::Bytes, Value::String(text)) => base64(text),
            (Type::Def(id), value) => self.definition(id.get(), value),
            (Type::List(element), Value::Array(list)) => {
                for (index, item) in list.iter_mut().enumerate() {
                    self.steps.push(Step::Index(index));
                    self.element(*element, item)?;
                    self.steps.pop();
                }
                Ok(())
            }
            (Type::Map(element), Value::Object(map)) => {
                for (key, item) in map.iter_mut() {
                    self.steps.push(Step::Key(key.clone()));
                    self.element(*element, item)?;
                    self.steps.pop();
                }
                Ok(())
            }
            _ => Err(self.wrong_type(value, &name())),
        }
    }

    /// An element of a list or map: null is the zero value.
    fn element(&mut self, ty: Type, value: &mut Value) -> Checked {
        if value.is_null() {
            *value = zero(ty);
        }
        self.typed(ty, value, || go_type(ty))
    }

    /// Upstream keeps quantities in their canonical form (resource.Quantity.String).
    fn quantity(&self, value: &mut Value) -> Checked {
        let text = match &*value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Null => "0".into(),
            other => other.to_string(),
        };
        let canonical =
            if text.is_empty() { "0".into() } else { quantity::canonical_text(&text).map_err(|e| e.to_string())? };
        *value = canonical.into();
        Ok(())
    }

    fn time(&self, def: &'static Def, value: &mut Value) -> Checked {
        let text = match &*value {
            Value::String(text) => text,
            other => {
                let found = match other {
                    Value::Bool(_) => "bool",
                    Value::Number(_) => "number",
                    Value::Array(_) => "array",
                    _ => "object",
                };
                return Err(format!("json: cannot unmarshal {found} into Go value of type string"));
            }
        };
        let micro = def.form == Form::MicroTime;
        let time: jiff::Timestamp = match (looks_like_rfc3339(text), text.parse()) {
            (true, Ok(time)) => time,
            _ => return Err(time_error(text, micro)),
        };
        let format = if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
        *value = time.strftime(format).to_string().into();
        Ok(())
    }

    fn either(&mut self, def: &'static Def, value: &mut Value) -> Checked {
        let schema = def.field("schema").map(|field| field.ty);
        match (def.form, schema, &mut *value) {
            (_, Some(ty), value @ Value::Object(_)) => self.typed(ty, value, || go_type(ty)),
            (Form::SchemaOrArray, Some(ty), Value::Array(list)) => {
                list.iter_mut().try_for_each(|item| self.element(ty, item))
            }
            (Form::SchemaOrStrings, _, Value::Array(_)) | (_, _, Value::Null) => Ok(()),
            (Form::SchemaOrBool, ..) => Err("boolean or JSON schema expected".into()),
            _ => Err(self.wrong_type(value, &def.go_name())),
        }
    }
}

/// The static name of a field that is known to exist.
fn def_name(def: &'static Def, name: &str) -> &'static str {
    def.field(name).map_or("", |field| field.name)
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Whether Go's encoder would leave the value out.
fn is_omitted(field: &Field, value: &Value) -> bool {
    let empty = match value {
        Value::Null => return true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    };
    let plain = matches!(field.ty, Type::Def(id) if id.get().form != Form::Items);
    empty && !field.keep && !field.pointer && !plain
}

/// Structs that are no pointers are always written.
fn complete(field: &'static Field, object: &mut Map<String, Value>) {
    let Type::Def(id) = field.ty else { return };
    if field.pointer || field.omit_zero || object.contains_key(field.name) {
        return;
    }
    let def = id.get();
    let value = match def.form {
        Form::Object => {
            let mut inner = Map::new();
            for field in def.all_fields() {
                complete(field, &mut inner);
            }
            Value::Object(inner)
        }
        Form::Quantity => "0".into(),
        _ => return,
    };
    object.insert(field.name.into(), value);
}

fn zero(ty: Type) -> Value {
    match ty {
        Type::String | Type::Bytes => "".into(),
        Type::Int32 | Type::Int64 | Type::Double => 0.into(),
        Type::Bool => false.into(),
        Type::List(_) => Value::Array(vec![]),
        Type::Map(_) => Value::Object(Map::new()),
        Type::Def(id) => match id.get().form {
            Form::Object => Value::Object(Map::new()),
            Form::Quantity => "0".into(),
            Form::IntOrString => 0.into(),
            Form::Items => Value::Array(vec![]),
            _ => Value::Null,
        },
    }
}

/// Like encoding/base64: line breaks are allowed, the error names the byte.
fn base64(text: &mut String) -> Checked {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    if text.contains(['\r', '\n']) {
        text.retain(|c| !matches!(c, '\r' | '\n'));
    }
    STANDARD.decode(text.as_bytes()).map(drop).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
            base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len() / 4 * 4,
        };
        format!("illegal base64 data at input byte {at}")
    })
}

fn int_or_string(value: &Value) -> Checked {
    let found = match value {
        Value::String(_) | Value::Null => return Ok(()),
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => return Ok(()),
        Value::Number(number) => format!("number {number}"),
        Value::Bool(_) => "bool".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    };
    Err(format!("json: cannot unmarshal {found} into Go value of type int32"))
}

/// Jiff reads more than RFC 3339; Go does not.
fn looks_like_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let at = |index: usize| bytes.get(index).copied();
    let zone = text.ends_with('Z') || matches!(at(text.len().wrapping_sub(6)), Some(b'+' | b'-'));
    digits(0..4)
        && at(4) == Some(b'-')
        && digits(5..7)
        && at(7) == Some(b'-')
        && digits(8..10)
        && at(10) == Some(b'T')
        && digits(11..13)
        && at(13) == Some(b':')
        && digits(14..16)
        && at(16) == Some(b':')
        && digits(17..19)
        && zone
}

/// `parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"`.
fn time_error(text: &str, micro: bool) -> String {
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let parts: &[(&str, usize)] = &[
        ("2006", 4),
        ("-", 0),
        ("01", 2),
        ("-", 0),
        ("02", 2),
        ("T", 0),
        ("15", 2),
        (":", 0),
        ("04", 2),
        (":", 0),
        ("05", 2),
    ];
    let mut rest = text;
    for (part, digits) in parts {
        let length = if *digits == 0 { part.len() } else { *digits };
        let fits = rest.as_bytes().get(..length).is_some_and(|head| {
            if *digits == 0 { head == part.as_bytes() } else { head.iter().all(u8::is_ascii_digit) }
        });
        if !fits {
            return format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}");
        }
        rest = &rest[length..];
    }
    format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as \"Z07:00\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::def;

    fn pruned(name: &str, mut value: Value) -> Result<(Value, Vec<String>), String> {
        let reports = prune(def(name).unwrap(), &mut value)?;
        Ok((value, reports))
    }

    const POD: &str = "io.k8s.api.core.v1.Pod";
    const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";

    #[test]
    fn unknown_fields_are_dropped_and_reported_with_their_path() {
        let (value, reports) = pruned(
            POD,
            json!({"kind": "Pod", "apiVersion": "v1", "foo": 1, "Spec": {},
                "metadata": {"name": "p", "labels": {"any": "thing"}},
                "spec": {"containers": [{"name": "a", "x": 1}, {"name": "b", "env": [{"name": "e", "y": {}}]}],
                         "volumes": [{"name": "v", "emptyDir": {"z": 1}}], "overhead": {"cpu": "1"}}}),
        )
        .unwrap();
        assert_eq!(
            reports,
            [
                "unknown field \"Spec\"",
                "unknown field \"foo\"",
                "unknown field \"spec.containers[0].x\"",
                "unknown field \"spec.containers[1].env[0].y\"",
                "unknown field \"spec.volumes[0].emptyDir.z\"",
            ]
        );
        assert!(value.get("foo").is_none() && value["spec"]["containers"][0].get("x").is_none());
        assert_eq!(value["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
    }

    #[test]
    fn wrong_types_are_refused_in_gos_words() {
        let field = "json: cannot unmarshal";
        let table = [
            (
                DEPLOYMENT,
                json!({"spec": {"replicas": "3"}}),
                "string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                DEPLOYMENT,
                json!({"spec": {"replicas": 1.5}}),
                "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                DEPLOYMENT,
                json!({"spec": {"replicas": 3_000_000_000u64}}),
                "number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                POD,
                json!({"metadata": {"labels": {"a": 1}}}),
                "number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                POD,
                json!({"metadata": {"labels": "a"}}),
                "string into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            ),
            (POD, json!({"metadata": []}), "array into Go struct field Pod.metadata of type v1.ObjectMeta"),
            (
                POD,
                json!({"spec": {"containers": {}}}),
                "object into Go struct field PodSpec.spec.containers of type []v1.Container",
            ),
            (
                POD,
                json!({"spec": {"containers": [1]}}),
                "number into Go struct field PodSpec.spec.containers of type v1.Container",
            ),
            (
                POD,
                json!({"spec": {"containers": [{"env": [{"value": true}]}]}}),
                "bool into Go struct field EnvVar.spec.containers.env.value of type string",
            ),
            (
                POD,
                json!({"spec": {"containers": [{"ports": [{"protocol": 6}]}]}}),
                "number into Go struct field ContainerPort.spec.containers.ports.protocol of type v1.Protocol",
            ),
            (POD, json!([]), "array into Go value of type v1.Pod"),
        ];
        for (name, value, error) in table {
            assert_eq!(pruned(name, value).unwrap_err(), format!("{field} {error}"));
        }
    }

    #[test]
    fn types_with_a_form_of_their_own_have_their_own_errors() {
        let table = [
            (
                json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}}),
                "quantities must match the regular expression",
            ),
            (
                json!({"metadata": {"creationTimestamp": "today"}}),
                "parsing time \"today\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"today\" as \"2006\"",
            ),
            (json!({"metadata": {"creationTimestamp": "2024-01-01 00:00"}}), "cannot parse \" 00:00\" as \"T\""),
            (
                json!({"metadata": {"creationTimestamp": 5}}),
                "json: cannot unmarshal number into Go value of type string",
            ),
            (
                json!({"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": true}}}]}}),
                "json: cannot unmarshal bool into Go value of type int32",
            ),
        ];
        for (value, error) in table {
            let found = pruned(POD, value).unwrap_err();
            assert!(found.contains(error), "{found}");
        }
        let secret = pruned("io.k8s.api.core.v1.Secret", json!({"data": {"a": "no base64!"}}));
        assert_eq!(secret.unwrap_err(), "illegal base64 data at input byte 2");
    }

    #[test]
    fn objects_come_out_as_go_writes_them() {
        let (value, _) = pruned(
            POD,
            json!({"metadata": {"name": "p", "labels": {}, "namespace": null, "annotations": {"a": null},
                        "creationTimestamp": "2024-01-01T01:00:00.5+01:00"},
                   "spec": {"hostNetwork": false, "nodeName": "", "terminationGracePeriodSeconds": 0,
                        "containers": [{"name": "c", "args": [null, "x"], "ports": [],
                            "resources": {"requests": {"cpu": "0.50", "memory": 1024}}}]}}),
        )
        .unwrap();
        assert_eq!(
            value,
            json!({"metadata": {"name": "p", "annotations": {"a": ""}, "creationTimestamp": "2024-01-01T00:00:00Z"},
                   "spec": {"terminationGracePeriodSeconds": 0,
                        "containers": [{"name": "c", "args": ["", "x"],
                            "resources": {"requests": {"cpu": "500m", "memory": "1024"}}}]},
                   "status": {}})
        );
        let (value, _) = pruned(DEPLOYMENT, json!({"spec": {"replicas": 0}})).unwrap();
        assert_eq!(
            value,
            json!({"metadata": {}, "spec": {"replicas": 0, "strategy": {}, "template": {"metadata": {}, "spec": {}}},
                   "status": {}})
        );
    }

    #[test]
    fn validation_levels_differ_only_in_what_they_do_about_reports() {
        let def = def("io.k8s.api.core.v1.ConfigMap").unwrap();
        let body = json!({"data": {}, "foo": 1});
        let run = |validation| {
            let mut value = body.clone();
            validate_decoded(def, &mut value, &["data".into()], validation).map(|warnings| (value, warnings))
        };
        assert_eq!(run(FieldValidation::Ignore).unwrap(), (json!({"metadata": {}}), vec![]));
        let warnings = vec!["duplicate field \"data\"".to_owned(), "unknown field \"foo\"".to_owned()];
        assert_eq!(run(FieldValidation::Warn).unwrap().1, warnings);
        let status = run(FieldValidation::Strict).unwrap_err();
        assert_eq!((status.code, status.reason.as_str()), (400, "BadRequest"));
        assert_eq!(
            status.message,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \
             \"data\", unknown field \"foo\""
        );
    }

    #[test]
    fn custom_resource_schemas_pass() {
        let schema = json!({"type": "object", "additionalProperties": true, "x-kubernetes-int-or-string": true,
            "properties": {"a": {"items": {"type": "string"}, "default": {"deep": [null]}}}});
        let body = json!({"spec": {"group": "g", "names": {"kind": "K", "plural": "ks"}, "scope": "Cluster",
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
        let name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";
        let (value, reports) = pruned(name, body.clone()).unwrap();
        assert!(reports.is_empty(), "{reports:?}");
        assert_eq!(value["spec"], body["spec"]);
        let bad = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {"additionalProperties": 1}}}]}});
        assert_eq!(pruned(name, bad).unwrap_err(), "boolean or JSON schema expected");
    }
}
