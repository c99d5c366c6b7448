//! Who asks, in which manner, and what comes back: the values that every verb takes and gives.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

use crate::request::User;
use crate::storage::Entry;

/// One call of a verb.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Who asks.
    pub user: User,
    /// Do everything but write.
    pub dry_run: bool,
    /// The subresource that the request names, for admission; empty if none.
    pub subresource: String,
    /// Shared by clones: what any of them says is said to the same client.
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Call {
    /// A call by `user`.
    pub fn new(user: User) -> Self {
        Self { user, ..Self::default() }
    }

    /// The same call to a subresource.
    #[must_use]
    pub fn subresource(mut self, name: &str) -> Self {
        self.subresource = name.into();
        self
    }

    /// The same call as a dry run, or not.
    #[must_use]
    pub fn dry(&self, dry_run: bool) -> Self {
        Self { dry_run, ..self.clone() }
    }

    /// A call by the server itself.
    pub fn internal() -> Self {
        Self::new(User::loopback())
    }

    /// Something the client should hear in a `Warning` header; said once.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock();
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// What there was to say.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock())
    }
}

/// An object that a verb gives back: as stored (its bytes are shared, not copied), or only made (dry run, views).
#[derive(Debug, Clone)]
pub enum Object {
    /// What the storage holds, or held last.
    Stored(Arc<Entry>),
    /// A value that is stored nowhere.
    Made(Value),
}

impl Object {
    /// As a tree.
    pub fn value(&self) -> Value {
        match self {
            Self::Stored(entry) => entry.value(),
            Self::Made(value) => value.clone(),
        }
    }

    /// As JSON in the storage version.
    pub fn json(&self) -> Bytes {
        match self {
            Self::Stored(entry) => entry.json(),
            Self::Made(value) => Bytes::from(value.to_string()),
        }
    }
}

/// Outcome of a write.
#[derive(Debug, Clone)]
pub struct Written {
    /// The object as it is now.
    pub object: Object,
    /// Whether the write brought it to life.
    pub created: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_said_once() {
        let call = Call::internal();
        call.warn("a");
        call.warn("b");
        call.warn("a");
        assert_eq!(call.take_warnings(), ["a", "b"]);
        assert!(call.take_warnings().is_empty());
    }
}
