//! Patches: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge patch, and the patches that `kubectl apply` makes out
//! of the last applied, the wanted and the live object. Everything is a pure function of values; what is wrong with a patch
//! comes back as the `Status` an API server answers (apiserver, pkg/endpoints/handlers/patch.go).

mod diff;
mod json;
mod lists;
mod operations;
mod strategic;

use serde_json::Value;

use crate::schema::{self, Def, Form, Type};
use crate::status::{Details, Status};

pub use diff::{create_two_way, three_way};
pub use json::{create_merge_patch, json_patch, merge_patch};
pub use strategic::strategic_merge;

/// What is wrong with a strategic merge patch, in upstream's words (apimachinery, pkg/util/mergepatch/errors.go).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A patch that is not an object.
    #[error("invalid JSON document")]
    BadDocument,
    /// A list within a list.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// `$deleteFromPrimitiveList/…` is not a list of scalars.
    #[error("invalid patch format of primitive list")]
    BadPrimitiveList,
    /// `$retainKeys` is no list, or does not name all fields of the patch.
    #[error("invalid patch format of retainKeys")]
    BadRetainKeys,
    /// `$setElementOrder/…` is no list or contradicts another one.
    #[error("invalid patch format of setElementOrder list")]
    BadSetElementOrder,
    /// The kind has no schema to merge by.
    #[error("strategic merge patch format is not supported")]
    Unsupported,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::ListOfLists => unprocessable(),
            // Upstream answers 500 without a reason to what it has no rule for, such as an element without its merge key.
            Error::Other(message) => Status { code: 500, reason: String::new(), ..Status::bad_request(message) },
            error => Status::bad_request(error.to_string()),
        }
    }
}

/// 422 as upstream's generic client error words it; details are there, but empty.
pub(crate) fn unprocessable() -> Status {
    let message = "the server rejected our request due to an error in our request";
    let status = Status::bad_request(message);
    Status { code: 422, reason: "Invalid".into(), details: Some(Details::default()), ..status }
}

/// What is known of the place a patch is applied to.
#[derive(Clone, Copy)]
enum Shape {
    /// An object with declared fields.
    Of(&'static Def),
    /// A map whose values have this type.
    MapOf(Type),
    /// Nothing is known: everything is replaced.
    Free,
}

/// What is known of one field.
#[derive(Clone, Copy)]
struct Facts {
    /// The shape of the field's value, or of its elements.
    shape: Shape,
    merge: bool,
    replace: bool,
    retain_keys: bool,
    merge_key: &'static str,
}

impl Facts {
    const FREE: Self = Self { shape: Shape::Free, merge: false, replace: false, retain_keys: false, merge_key: "" };
}

impl Shape {
    fn named(name: &str) -> Result<Self, Error> {
        schema::def(name).map(Self::Of).ok_or(Error::Unsupported)
    }

    fn of(ty: Type) -> Self {
        match ty {
            Type::Def(id) if id.get().form == Form::Object => Self::Of(id.get()),
            Type::List(element) => Self::of(*element),
            Type::Map(element) => Self::MapOf(*element),
            _ => Self::Free,
        }
    }

    /// The facts of a field that holds a map or a list.
    fn field(self, name: &str) -> Result<Facts, Error> {
        match self {
            Self::Free => Ok(Facts::FREE),
            Self::MapOf(element) => Ok(Facts { shape: Self::of(element), ..Facts::FREE }),
            Self::Of(def) => {
                let Some(field) = def.field(name) else {
                    let short = def.short;
                    return Err(Error::Other(format!(
                        "unable to find api field in struct {short} for the json field {name:?}"
                    )));
                };
                Ok(Facts {
                    shape: Self::of(field.ty),
                    merge: field.patch.merge,
                    replace: field.patch.replace,
                    retain_keys: field.patch.retain_keys,
                    merge_key: field.merge_key(),
                })
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Of(def) => def.short,
            _ => "object",
        }
    }
}

/// A value as Go's `%v` prints it: `map[a:1 b:[x y]]`.
pub(crate) fn go_text(value: &Value) -> String {
    let join = |items: Vec<String>| items.join(" ");
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", join(items.iter().map(go_text).collect())),
        Value::Object(map) => {
            format!("map[{}]", join(map.iter().map(|(key, value)| format!("{key}:{}", go_text(value))).collect()))
        }
        scalar => scalar.to_string(),
    }
}

/// The Go type that JSON decodes into, for messages.
pub(crate) fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn bad_type(expected: &str, found: &Value) -> Error {
    Error::Other(format!("expected a {expected}, but received a {}", go_kind(found)))
}

#[cfg(test)]
mod tests;
