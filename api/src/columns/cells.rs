//! Cells that many kinds share: name, age, ages of any time, label selectors, container names and images.

use serde_json::Value;

use super::{Column, Now};
use crate::{duration, object, selector};

/// The name of the object: the first column of almost every kind.
pub(super) const NAME: Column = Column {
    format: "name",
    ..Column::text("Name", "Name of the object, unique for its kind within its namespace", |o, _| {
        object::name(o).into()
    })
};

/// The time since the object was created.
pub(super) const AGE: Column = Column::text("Age", "Time since the object was created", |o, now| {
    since(o, "/metadata/creationTimestamp", now).into()
});

/// Name and age, for kinds that have nothing else to show.
pub const NAME_AGE: &[Column] = &[NAME, AGE];

/// What kinds without columns of their own show (apiserver, pkg/registry/rest/table.go): the creation time as it is.
pub const NAME_CREATED_AT: &[Column] = &[
    NAME,
    Column {
        r#type: "date",
        ..Column::text("Created At", "Time at which the object was created", |o, _| {
            object::text(o, "/metadata/creationTimestamp").into()
        })
    },
];

/// Columns of everything that runs pods, shown with `-o wide`.
pub(super) const CONTAINERS: Column = Column::text("Containers", "Names of the containers", |o, _| {
    join_field(object::list(o, "/spec/template/spec/containers"), "name").into()
})
.wide();
pub(super) const IMAGES: Column = Column::text("Images", "Images of the containers", |o, _| {
    join_field(object::list(o, "/spec/template/spec/containers"), "image").into()
})
.wide();
pub(super) const SELECTOR: Column = Column::text("Selector", "Labels of the pods that belong to the object", |o, _| {
    label_selector(o, "/spec/selector")
})
.wide();

/// How long ago the time at a pointer was; `<unknown>` if it is not set.
pub(super) fn since(object: &Value, pointer: &str, now: &Now) -> String {
    duration::age(object::text(object, pointer), now.0)
}

/// The text at a pointer.
pub(super) fn text(object: &Value, pointer: &str) -> Value {
    object::text(object, pointer).into()
}

/// The text at a pointer, or something else if there is none.
pub(super) fn text_or(object: &Value, pointer: &str, otherwise: &str) -> Value {
    match object::text(object, pointer) {
        "" => otherwise.into(),
        text => text.into(),
    }
}

/// The integer at a pointer; 0 if there is none.
pub(super) fn number(object: &Value, pointer: &str) -> Value {
    count(object, pointer).into()
}

/// The same as a number.
pub(super) fn count(object: &Value, pointer: &str) -> i64 {
    object::integer(object, pointer).unwrap_or_default()
}

/// How many elements the list or map at a pointer has.
pub(super) fn size(object: &Value, pointer: &str) -> i64 {
    let size = match object.pointer(pointer) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    };
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A scalar (number, text or quantity) as text; `otherwise` if there is none.
pub(super) fn scalar(object: &Value, pointer: &str, otherwise: &str) -> String {
    match object.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => otherwise.into(),
        Some(other) => other.to_string(),
    }
}

/// A boolean with a default.
pub(super) fn flag(object: &Value, pointer: &str, default: bool) -> Value {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(default).into()
}

/// A list joined by commas.
pub(super) fn join<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    items.into_iter().collect::<Vec<_>>().join(",")
}

/// One text field of each element of a list, joined by commas.
pub(super) fn join_field(items: &[Value], field: &str) -> String {
    join(items.iter().map(|item| item.get(field).and_then(Value::as_str).unwrap_or_default()))
}

/// The first three of a list and how many more there are; `<unset>` if there are none.
pub(super) fn first_three(items: &[String]) -> String {
    match items {
        [] => "<unset>".into(),
        [first @ .., _] if first.len() >= 3 => format!("{} + {} more...", items[..3].join(","), items.len() - 3),
        all if all.iter().all(String::is_empty) => "<unset>".into(),
        all => all.join(","),
    }
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
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",").into() }
}

/// The condition of that type in `status.conditions`.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object::list(object, "/status/conditions").iter().find(|condition| object::text(condition, "/type") == kind)
}

/// Whether the condition of that type is true.
pub(super) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| object::text(condition, "/status") == "True")
}
