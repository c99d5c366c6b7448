//! A JSON text read in place: one pass notes where the values are, and accessors give pieces of the text itself. For what
//! looks at many stored objects and keeps nothing of them (Tables, protobuf): a tenth of the time of a tree of
//! `serde_json::Value`, and no memory but one reusable list of positions.
//!
//! Worked example; every value and every key is a mark, and `next` is the mark after all that is inside:
//!
//! ```text
//! {"kind":"Pod","spec":{"hosts":["a","b"]}}
//! mark  0 {    1 "kind"  2 "Pod"  3 "spec"  4 {    5 "hosts"  6 [    7 "a"  8 "b"
//! next  9      2         3        4         9      6          9      8      9
//! ```
//!
//! Accessors never fail: what is absent, or of another type, reads as empty, as in [`crate::object`]. Texts with escapes are kept
//! unescaped beside the text, so that every text is a plain `&str`.

mod scan;

use std::borrow::Cow;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde_json::Value;

use crate::object::steps;

/// What a mark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Null,
    False,
    True,
    Number,
    /// Its content, without the quotes.
    Text,
    /// The same; the content is in [`View::unescaped`].
    Escaped,
    Array,
    Object,
}

/// One value or key.
#[derive(Debug, Clone, Copy)]
struct Mark {
    form: Form,
    /// First and last byte + 1: in the text, or in [`View::unescaped`].
    start: u32,
    end: u32,
    /// The mark after everything inside this one.
    next: u32,
}

/// The positions of a text's values; may be used again for the next text.
#[derive(Debug, Default)]
pub struct View {
    marks: Vec<Mark>,
    unescaped: String,
}

/// Not JSON.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid JSON at byte {at}: expected {expected}")]
pub struct Invalid {
    /// Where.
    pub at: usize,
    /// What should be there.
    pub expected: &'static str,
}

impl View {
    /// Reads a text of less than 4 GiB.
    ///
    /// # Errors
    /// When it is no JSON in UTF-8, or deeper than [`crate::decode::MAX_DEPTH`].
    pub fn read<'a>(&'a mut self, json: &'a [u8]) -> Result<Node<'a>, Invalid> {
        let text = std::str::from_utf8(json).map_err(|error| Invalid { at: error.valid_up_to(), expected: "UTF-8" })?;
        scan::scan(text, &mut self.marks, &mut self.unescaped)?;
        Ok(Node { view: self, text, at: 0 })
    }
}

/// Where a value is in its text; smaller than a [`Node`].
#[derive(Debug, Clone, Copy)]
pub struct Place(NonZeroU32);

/// A value in a text.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    view: &'a View,
    text: &'a str,
    at: u32,
}

impl<'a> Node<'a> {
    fn mark(self) -> Mark {
        self.view.marks[self.at as usize]
    }

    fn node(self, at: u32) -> Self {
        Self { at, ..self }
    }

    /// Where it is, to come back to with [`Node::seek`]; `None` for the outermost value.
    pub fn place(self) -> Option<Place> {
        NonZeroU32::new(self.at).map(Place)
    }

    /// The value at a place in the same text.
    pub fn seek(self, place: Place) -> Self {
        self.node(place.0.get())
    }

    fn content(self) -> &'a str {
        let mark = self.mark();
        let place = if mark.form == Form::Escaped { self.view.unescaped.as_str() } else { self.text };
        place.get(mark.start as usize..mark.end as usize).unwrap_or_default()
    }

    /// Itself as JSON.
    pub fn json(self) -> Cow<'a, str> {
        let Mark { form, start, end, .. } = self.mark();
        match form {
            Form::Text => self.text.get(start as usize - 1..end as usize + 1).unwrap_or_default().into(),
            // Where its escaped form lies is not noted.
            Form::Escaped => self.value().to_string().into(),
            _ => self.content().into(),
        }
    }

    /// As a tree.
    pub fn value(self) -> Value {
        match self.mark().form {
            Form::Null => Value::Null,
            Form::False => Value::Bool(false),
            Form::True => Value::Bool(true),
            Form::Number => serde_json::from_str(self.content()).unwrap_or_default(),
            Form::Text | Form::Escaped => self.content().into(),
            Form::Array => self.elements().map(Self::value).collect(),
            Form::Object => {
                Value::Object(self.members().map(|(key, value)| (key.to_string(), value.value())).collect())
            }
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.mark().form == Form::Null
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.mark().form == Form::Object
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.mark().form == Form::Array
    }

    /// A text.
    pub fn as_str(self) -> Option<&'a str> {
        matches!(self.mark().form, Form::Text | Form::Escaped).then(|| self.content())
    }

    /// A boolean.
    pub fn as_bool(self) -> Option<bool> {
        match self.mark().form {
            Form::True => Some(true),
            Form::False => Some(false),
            _ => None,
        }
    }

    /// A number as it is written.
    pub fn as_number(self) -> Option<&'a str> {
        (self.mark().form == Form::Number).then(|| self.content())
    }

    /// An integer, if it is written as one.
    pub fn as_i64(self) -> Option<i64> {
        self.parsed()
    }

    /// Any number.
    pub fn as_f64(self) -> Option<f64> {
        self.parsed()
    }

    fn parsed<T: FromStr>(self) -> Option<T> {
        self.as_number()?.parse().ok()
    }

    /// The elements of an array.
    pub fn elements(self) -> Elements<'a> {
        let mark = self.mark();
        let (at, end) = if mark.form == Form::Array { (self.at + 1, mark.next) } else { (0, 0) };
        Elements { node: self, at, end }
    }

    /// The members of an object, in their order.
    pub fn members(self) -> impl Iterator<Item = (&'a str, Self)> {
        let mark = self.mark();
        let (at, end) = if mark.form == Form::Object { (self.at + 1, mark.next) } else { (0, 0) };
        let mut all = Elements { node: self, at, end };
        std::iter::from_fn(move || Some((all.next()?.content(), all.next()?)))
    }

    /// How many elements or members it has.
    pub fn len(self) -> usize {
        if self.is_object() { self.members().count() } else { self.elements().count() }
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The member of that name; of several the last, as serde_json has it.
    pub fn get(self, name: &str) -> Option<Self> {
        let mark = self.mark();
        let (mut at, end) = if mark.form == Form::Object { (self.at + 1, mark.next) } else { (0, 0) };
        let mut found = None;
        while at < end {
            let key = self.node(at).mark();
            // Most keys are told apart by their length.
            if (key.end - key.start) as usize == name.len() && self.node(at).content() == name {
                found = Some(self.node(at + 1));
            }
            at = self.node(at + 1).mark().next;
        }
        found
    }

    /// The value at a pointer such as `/spec/replicas` or `/status/podIPs/0/ip`; null counts as absent. Names with `~` or `/`
    /// cannot be given.
    pub fn at(self, pointer: &str) -> Option<Self> {
        let found = steps(pointer).try_fold(self, |node, step| {
            if node.is_array() { node.elements().nth(step.parse().ok()?) } else { node.get(step) }
        });
        found.filter(|node| !node.is_null())
    }

    /// The text at a pointer; empty if there is none.
    pub fn text(self, pointer: &str) -> &'a str {
        self.at(pointer).and_then(Self::as_str).unwrap_or_default()
    }

    /// The integer at a pointer.
    pub fn integer(self, pointer: &str) -> Option<i64> {
        self.at(pointer).and_then(Self::as_i64)
    }

    /// The boolean at a pointer; false if there is none.
    pub fn flag(self, pointer: &str) -> bool {
        self.at(pointer).and_then(Self::as_bool).unwrap_or_default()
    }

    /// The elements of the array at a pointer; none if there is no array.
    pub fn list(self, pointer: &str) -> Elements<'a> {
        self.at(pointer).map_or(Elements { node: self, at: 0, end: 0 }, Self::elements)
    }

    /// The members of the object at a pointer; none if there is no object.
    pub fn map(self, pointer: &str) -> impl Iterator<Item = (&'a str, Self)> {
        self.at(pointer).into_iter().flat_map(Self::members)
    }
}

/// The elements of an array.
#[derive(Clone)]
pub struct Elements<'a> {
    node: Node<'a>,
    at: u32,
    end: u32,
}

impl Elements<'_> {
    /// How many there still are.
    pub fn len(&self) -> usize {
        self.clone().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.at >= self.end
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        if self.at >= self.end {
            return None;
        }
        let found = self.node.node(self.at);
        self.at = found.mark().next;
        Some(found)
    }
}

#[cfg(test)]
mod tests;
