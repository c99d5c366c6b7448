//! Cells that many kinds share: name, age, ages of any time, label selectors, container names and images.

use serde_json::Value;

use super::{Column, Now};
use crate::{duration, object, selector};

/// The name of the object: the first column of almost every kind.
pub(super) const NAME: Column = Column {
    format: "name",
    ..Column::text("Name", "Name of the object, unique for its kind within its namespace", name)
};

/// The time since the object was created.
pub(super) const AGE: Column = Column::text("Age", "Time since the object was created", age);

/// What kinds without columns of their own show.
pub const NAME_AGE: &[Column] = &[NAME, Column { name: "Created At", ..AGE }];

fn name(object: &Value, _: &Now) -> Value {
    object::name(object).into()
}

fn age(object: &Value, now: &Now) -> Value {
    since(object, "/metadata/creationTimestamp", now).into()
}

/// How long ago the time at a pointer was; `<unknown>` if it is not set.
pub(super) fn since(object: &Value, pointer: &str, now: &Now) -> String {
    duration::age(object::text(object, pointer), now.0)
}

/// A text, or `<none>`.
pub(super) fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// A list joined by commas.
pub(super) fn join<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    items.into_iter().collect::<Vec<_>>().join(",")
}

/// One text field of each element of a list, joined by commas.
pub(super) fn join_field(items: &[Value], field: &str) -> String {
    join(items.iter().map(|item| item.get(field).and_then(Value::as_str).unwrap_or_default()))
}

/// A `meta/v1 LabelSelector` in its text form.
pub(super) fn label_selector(object: &Value, pointer: &str) -> Value {
    selector::format(object.pointer(pointer).unwrap_or(&Value::Null)).into()
}

/// A plain map of labels as `a=b,c=d`; `<none>` if there is none.
pub(super) fn label_map(object: &Value, pointer: &str) -> Value {
    let pairs = object::map(object, pointer).into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or_none(&pairs.join(","))
}
