//! Cells that many kinds share: name, age, ages of any time, label selectors, container names and images.

use serde_json::Value;

use super::{Column, Row};
use crate::view::{Elements, Node};
use crate::{duration, selector};

/// The name of the object: the first column of almost every kind.
pub(super) const NAME: Column = Column {
    format: "name",
    ..Column::text("Name", "Name of the object, unique for its kind within its namespace", |o, _| {
        o.text("/metadata/name").into()
    })
};

/// The time since the object was created.
pub(super) const AGE: Column = Column::text("Age", "Time since the object was created", |o, row| {
    since(o, "/metadata/creationTimestamp", row).into()
});

/// Name and age, for kinds that have nothing else to show.
pub const NAME_AGE: &[Column] = &[NAME, AGE];

/// What kinds without columns of their own show (apiserver, pkg/registry/rest/table.go): the creation time as it is.
pub const NAME_CREATED_AT: &[Column] = &[
    NAME,
    Column {
        r#type: "date",
        ..Column::text("Created At", "Time at which the object was created", |o, _| {
            o.text("/metadata/creationTimestamp").into()
        })
    },
];

/// Columns of everything that runs pods, shown with `-o wide`.
pub(super) const CONTAINERS: Column = Column::text("Containers", "Names of the containers", |o, _| {
    join_field(o.list("/spec/template/spec/containers"), "name").into()
})
.wide();
pub(super) const IMAGES: Column = Column::text("Images", "Images of the containers", |o, _| {
    join_field(o.list("/spec/template/spec/containers"), "image").into()
})
.wide();
pub(super) const SELECTOR: Column = Column::text("Selector", "Labels of the pods that belong to the object", |o, _| {
    label_selector(o, "/spec/selector")
})
.wide();

/// How long ago the time at a pointer was; `<unknown>` if it is not set.
pub(super) fn since(object: Node<'_>, pointer: &str, row: &Row<'_>) -> String {
    duration::age(object.text(pointer), row.now)
}

/// The text at a pointer.
pub(super) fn text(object: Node<'_>, pointer: &str) -> Value {
    object.text(pointer).into()
}

/// The text at a pointer, or something else if there is none.
pub(super) fn text_or(object: Node<'_>, pointer: &str, otherwise: &str) -> Value {
    match object.text(pointer) {
        "" => otherwise.into(),
        text => text.into(),
    }
}

/// The integer at a pointer; 0 if there is none.
pub(super) fn number(object: Node<'_>, pointer: &str) -> Value {
    count(object, pointer).into()
}

/// The same as a number.
pub(super) fn count(object: Node<'_>, pointer: &str) -> i64 {
    object.integer(pointer).unwrap_or_default()
}

/// How many elements the list or map at a pointer has.
pub(super) fn size(object: Node<'_>, pointer: &str) -> i64 {
    object.at(pointer).map_or(0, |found| i64::try_from(found.len()).unwrap_or(i64::MAX))
}

/// A scalar (number, text or quantity) as text; `otherwise` if there is none.
pub(super) fn scalar(object: Node<'_>, pointer: &str, otherwise: &str) -> String {
    match object.at(pointer) {
        None => otherwise.into(),
        Some(found) => found.as_str().map_or_else(|| found.json().into_owned(), String::from),
    }
}

/// A boolean with a default.
pub(super) fn flag(object: Node<'_>, pointer: &str, default: bool) -> Value {
    object.at(pointer).and_then(Node::as_bool).unwrap_or(default).into()
}

/// A list joined by commas.
pub(super) fn join<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    items.into_iter().collect::<Vec<_>>().join(",")
}

/// One text field of each element of a list, joined by commas.
pub(super) fn join_field(items: Elements<'_>, field: &str) -> String {
    join(items.map(|item| item.get(field).and_then(Node::as_str).unwrap_or_default()))
}

/// The first three of a list and how many more there are; `<unset>` if there are none.
pub(super) fn first_three(items: &[String]) -> String {
    match items {
        [] => "<unset>".into(),
        [first @ .., _] if first.len() >= 3 => format!("{} + {} more...", items[..3].join(","), items.len() - 3),
        [only] if only.is_empty() => "<unset>".into(),
        all => all.join(","),
    }
}

/// A `meta/v1 LabelSelector` in its text form.
pub(super) fn label_selector(object: Node<'_>, pointer: &str) -> Value {
    selector::format(&tree(object, pointer)).into()
}

/// What is at a pointer as a tree, for what works on trees; null if there is nothing.
pub(super) fn tree(object: Node<'_>, pointer: &str) -> Value {
    object.at(pointer).map(Node::value).unwrap_or_default()
}

/// A plain map of labels as `a=b,c=d`; `<none>` if there is none.
pub(super) fn label_map(object: Node<'_>, pointer: &str) -> Value {
    let pairs = object.map(pointer);
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",").into() }
}

/// One annotation.
pub(super) fn annotation<'a>(object: Node<'a>, key: &str) -> Option<&'a str> {
    object.map("/metadata/annotations").find(|(name, _)| *name == key)?.1.as_str()
}

/// Whether the object is on its way out.
pub(super) fn is_deleted(object: Node<'_>) -> bool {
    !object.text("/metadata/deletionTimestamp").is_empty()
}

/// The condition of that type in `status.conditions`.
pub(super) fn condition<'a>(object: Node<'a>, kind: &str) -> Option<Node<'a>> {
    object.list("/status/conditions").find(|condition| condition.text("/type") == kind)
}

/// Whether the condition of that type is true.
pub(super) fn is_true(object: Node<'_>, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition.text("/status") == "True")
}
