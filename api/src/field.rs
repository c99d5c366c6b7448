//! Paths into objects and what can be wrong with a field, in upstream's words (apimachinery,
//! pkg/util/validation/field/errors.go): they reach people and programs through `Status.details.causes`.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `meta/v1 StatusCause`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// For programs, e.g. `FieldValueInvalid`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path of the field, e.g. `spec.containers[0].name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// The path of a field, e.g. `spec.containers[0].ports[name]`. A path is made for every field that is looked at, and almost none is
/// ever shown: so it is a chain of steps, whose beginning is shared between the children of one field, and text only when asked for.
#[derive(Debug, Clone)]
pub struct Path {
    parent: Option<Rc<Path>>,
    step: Step,
    /// Itself as the parent of others, once it has children.
    shared: OnceCell<Rc<Path>>,
}

#[derive(Debug, Clone)]
enum Step {
    Root,
    Name(Cow<'static, str>),
    Index(usize),
    Key(Rc<str>),
}

impl Path {
    fn of(parent: Option<Rc<Self>>, step: Step) -> Self {
        Self { parent, step, shared: OnceCell::new() }
    }

    fn step(&self, step: Step) -> Self {
        let shared = self.shared.get_or_init(|| Rc::new(Self::of(self.parent.clone(), self.step.clone())));
        Self::of(Some(shared.clone()), step)
    }

    /// A path of one field.
    pub fn new(root: &'static str) -> Self {
        Self::of(None, Step::Name(root.into()))
    }

    /// The path of the object itself: children start without a dot.
    pub fn root() -> Self {
        Self::of(None, Step::Root)
    }

    /// `self.name`.
    #[must_use]
    pub fn child(&self, name: impl Into<Cow<'static, str>>) -> Self {
        self.step(Step::Name(name.into()))
    }

    /// `self[index]`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    /// `self[key]`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.into()))
    }

    /// The path as text; empty for the root.
    fn text(&self) -> String {
        let mut text = self.parent.as_deref().map(Self::text).unwrap_or_default();
        match &self.step {
            Step::Root => {}
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text.extend([".", name]),
            Step::Index(index) => text.extend(["[", &index.to_string(), "]"]),
            Step::Key(key) => text.extend(["[", key, "]"]),
        }
        text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        f.write_str(if text.is_empty() { "<nil>" } else { &text })
    }
}

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where.
    pub field: String,
    /// The reason of the cause, e.g. `FieldValueRequired`.
    pub reason: &'static str,
    /// The message without the path, e.g. `Required value: must name a node`.
    pub message: String,
}

impl FieldError {
    fn new(path: &Path, reason: &'static str, message: String) -> Self {
        Self { field: path.to_string(), reason, message }
    }

    /// `Invalid value: <value>: <detail>`.
    pub fn invalid(path: &Path, value: &Value, detail: impl fmt::Display) -> Self {
        Self::new(path, "FieldValueInvalid", with_detail(format!("Invalid value: {}", shown(value)), detail))
    }

    /// `Required value: <detail>`.
    pub fn required(path: &Path, detail: impl fmt::Display) -> Self {
        Self::new(path, "FieldValueRequired", with_detail("Required value".into(), detail))
    }

    /// `Duplicate value: <value>`.
    pub fn duplicate(path: &Path, value: &Value) -> Self {
        Self::new(path, "FieldValueDuplicate", format!("Duplicate value: {}", shown(value)))
    }

    /// `Forbidden: <detail>`.
    pub fn forbidden(path: &Path, detail: impl fmt::Display) -> Self {
        Self::new(path, "FieldValueForbidden", with_detail("Forbidden".into(), detail))
    }

    /// `Not found: <value>`.
    pub fn not_found(path: &Path, value: &Value) -> Self {
        Self::new(path, "FieldValueNotFound", format!("Not found: {}", shown(value)))
    }

    /// `Unsupported value: <value>: supported values: "A", "B"`, in the order given: upstream sorts the lists that it
    /// keeps as sets only.
    pub fn not_supported(path: &Path, value: &Value, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        Self::new(path, "FieldValueNotSupported", with_detail(format!("Unsupported value: {}", shown(value)), detail))
    }

    /// `Too long: may not be more than <most> bytes`.
    pub fn too_long(path: &Path, most: usize) -> Self {
        Self::new(path, "FieldValueTooLong", format!("Too long: may not be more than {most} bytes"))
    }

    /// `Too many: <count>: must have at most <most> items`.
    pub fn too_many(path: &Path, count: usize, most: usize) -> Self {
        Self::new(path, "FieldValueTooMany", format!("Too many: {count}: must have at most {most} items"))
    }

    /// `Internal error: <detail>`.
    pub fn internal(path: &Path, detail: impl fmt::Display) -> Self {
        Self::new(path, "InternalError", with_detail("Internal error".into(), detail))
    }

    /// The same as a cause of a `Status`.
    pub fn cause(&self) -> Cause {
        Cause { reason: self.reason.into(), message: self.message.clone(), field: self.field.clone() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

fn with_detail(head: String, detail: impl fmt::Display) -> String {
    let detail = detail.to_string();
    if detail.is_empty() { head } else { format!("{head}: {detail}") }
}

/// A value as upstream prints it in messages: strings quoted, scalars bare, composites as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        other => other.to_string(),
    }
}

/// Several errors in one line: one as it is, more in brackets, equal ones once (apimachinery's Aggregate).
pub fn aggregate(errors: &[FieldError]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for error in errors {
        let line = error.to_string();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    match lines.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests;
