//! What can go wrong between a component and the API server.

use api::Status;

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered, and said no.
    #[error("{0}")]
    Status(Box<Status>),
    /// No answer: connection, TLS, protocol. For a write the outcome is unknown.
    #[error("{context}")]
    Transport {
        /// What was being done, e.g. `connecting to 127.0.0.1:6443`.
        context: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer cannot be read as what it should be.
    #[error("decoding {what}")]
    Decode {
        /// What it should be.
        what: String,
        /// What went wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The configuration is unusable.
    #[error("{0}")]
    Config(String),
    /// A mistake in who asked.
    #[error("panic: {0}")]
    Panicked(String),
    /// No answer in time.
    #[error("timed out waiting for {0}")]
    Timeout(String),
}

/// Result of a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn transport(
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Transport { context: context.into(), source: source.into() }
    }

    pub(crate) fn decode(what: impl Into<String>, source: serde_json::Error) -> Self {
        Self::Decode { what: what.into(), source }
    }

    /// The server's `Status`, if it sent one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the server gave this reason, e.g. `"Conflict"`.
    pub fn is(&self, reason: &str) -> bool {
        self.status().is_some_and(|status| status.is(reason))
    }

    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.is("NotFound")
    }

    /// Somebody else changed the object first, or a precondition does not hold.
    pub fn is_conflict(&self) -> bool {
        self.is("Conflict")
    }

    /// The name is taken.
    pub fn is_already_exists(&self) -> bool {
        self.is("AlreadyExists")
    }

    /// The version asked for is gone: list again.
    pub fn is_expired(&self) -> bool {
        self.is("Expired") || self.is("Gone")
    }

    /// The whole chain of causes in one line, for logs and messages.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}
