//! What Go's decoder does with a body, done by the schema table: unknown fields are dropped and reported, wrong types are
//! errors with a path, and the object comes out as Go would write it again (nulls and empty `omitempty` values gone,
//! what has no `omitempty` and structs that are no pointers there, quantities and times canonical). That is the form in which objects are stored.
//!
//! Texts are those of sigs.k8s.io/json and of `transformDecodeError` (apiserver, pkg/endpoints/handlers), because people
//! and `kubectl --validate` read them.

mod scalars;

use serde_json::{Map, Value};

use crate::quantity;
use crate::schema::{Def, Field, Form, Type, go_type};
use crate::status::Status;
use scalars::{base64, int_or_string, looks_like_rfc3339, time_error};

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
        let mut failed = Ok(());
        object.retain(|name, inner| {
            if failed.is_err() {
                return true;
            }
            let Some(field) = def.field(name) else {
                self.report_unknown(name);
                return false;
            };
            if !inner.is_null() {
                self.steps.push(Step::Field(field.name));
                failed = self.typed(field.ty, inner, || field.go_type());
                self.steps.pop();
            }
            !is_omitted(field, inner)
        });
        failed?;
        complete(def, object);
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
                    // Labels, annotations, data: nothing to say of a text in a map of texts.
                    if *element == Type::String && item.is_string() {
                        continue;
                    }
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
            // The zero time, e.g. as a value of a map.
            Value::Null => return Ok(()),
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

/// Adds what Go writes even when it is empty.
fn complete(def: &'static Def, object: &mut Map<String, Value>) {
    for field in def.always_written() {
        if object.contains_key(field.name) {
            continue;
        }
        let mut value = zero(field.ty);
        if let (Type::Def(id), Value::Object(inner)) = (field.ty, &mut value) {
            complete(id.get(), inner);
        }
        object.insert(field.name.into(), value);
    }
    def.inline.iter().filter_map(|inline| inline.ty.def()).for_each(|inline| complete(inline, object));
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

#[cfg(test)]
mod tests;
