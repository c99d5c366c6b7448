//! kubectl's dialect of JSONPath (client-go, util/jsonpath): text with actions in braces, `{.items[*].metadata.name}`,
//! `{range .items[*]}…{end}`, filters `[?(@.type=="Ready")]`, unions, slices, `..`, quoted text with escapes. Syntax errors and
//! what cannot be evaluated are reported in upstream's words.

mod eval;
mod parse;

use serde_json::Value;

pub use parse::relaxed;

/// What is wrong with a template or its use, in upstream's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(crate) String);

/// A parsed template.
#[derive(Debug, Clone)]
pub struct JsonPath {
    parts: Vec<Part>,
    missing_keys: bool,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// Text outside of braces.
    Text(String),
    /// `{…}`: each step works on what the one before it found.
    Action(Vec<Step>),
    /// `{range …}` with everything up to its `{end}`.
    Range(Vec<Step>, Vec<Part>),
    /// An `{end}` that ends nothing.
    StrayEnd,
}

/// A step of an action.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Field(String),
    Wildcard,
    Recursive,
    Slice(Slice),
    Union(Vec<Vec<Step>>),
    Filter {
        left: Vec<Step>,
        operator: String,
        right: Vec<Step>,
    },
    /// A word that means nothing; an error when it is evaluated.
    Unknown(String),
}

/// `[start:end:step]` or `[index]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
    /// A single index: the end follows from the start.
    single: bool,
}

impl JsonPath {
    /// Parses a template. Missing keys are allowed, as kubectl's default is.
    pub fn parse(template: &str) -> Result<Self, Error> {
        Ok(Self { parts: parse::template(template)?, missing_keys: true })
    }

    /// Whether a field that does not exist is nothing (true) or an error.
    #[must_use]
    pub fn allow_missing_keys(self, allow: bool) -> Self {
        Self { missing_keys: allow, ..self }
    }

    /// What the actions find, one list per piece of the template.
    pub fn find(&self, value: &Value) -> Result<Vec<Vec<Value>>, Error> {
        eval::parts(&self.parts, value, self.missing_keys)
    }

    /// The text the template makes of a value: what one action finds is separated by spaces, maps and lists are JSON.
    pub fn render(&self, value: &Value) -> Result<String, Error> {
        let found = self.find(value)?;
        let lists = found.iter().map(|list| list.iter().map(eval::text).collect::<Vec<_>>().join(" "));
        Ok(lists.collect())
    }

    /// What each action finds as an indented JSON list (`-o jsonpath-as-json`).
    pub fn render_as_json(&self, value: &Value) -> Result<String, Error> {
        Ok(self.find(value)?.iter().map(|list| eval::indented(list)).collect())
    }
}

#[cfg(test)]
mod tests;
