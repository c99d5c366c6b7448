//! What a command fails with and how kubectl says it (kubectl, pkg/cmd/util/helpers.go: CheckErr, StandardErrorMessage).

use api::Status;

/// Why a command ends without success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused.
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// Anything else, in words.
    #[error("{0}")]
    Text(String),
    /// The whole line, nothing before it.
    #[error("{0}")]
    Said(String),
    /// Nobody listens at the address.
    #[error("The connection to the server {0} was refused - did you specify the right host or port?")]
    Refused(String),
    /// The request did not get through.
    #[error("Unable to connect to the server: {0}")]
    Unreachable(String),
    /// Several things failed; the others went on.
    #[error("several failures")]
    Many(Vec<Error>),
    /// A command in a container, a comparison, ended with this code.
    #[error("{1}")]
    Exit(i32, String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of words, as `format!`.
macro_rules! fail {
    ($($arg:tt)*) => { $crate::error::Error::Text(format!($($arg)*)) };
}
pub(crate) use fail;

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Text(error.to_string())
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::Status(status) => Self::Status(status),
            other => Self::Text(other.chain()),
        }
    }
}

impl Error {
    /// Whether the server gave this reason.
    pub fn is(&self, reason: &str) -> bool {
        matches!(self, Self::Status(status) if status.is(reason))
    }

    /// With "error when creating "file":" before it.
    #[must_use]
    pub fn when(self, verb: &str, source: &str) -> Self {
        self.before(&format!("error when {verb} {source:?}: "))
    }

    /// With words before the message; a server's answer stays one.
    #[must_use]
    pub fn before(self, words: &str) -> Self {
        match self {
            Self::Status(mut status) => {
                status.message.insert_str(0, words);
                Self::Status(status)
            }
            Self::Text(text) => Self::Text(format!("{words}{text}")),
            other => other,
        }
    }

    /// As plain words before the message: no longer a server's answer.
    #[must_use]
    pub fn plain(self, words: &str) -> Self {
        match self {
            Self::Status(status) => Self::Text(format!("{words}{}", status.message)),
            other => other.before(words),
        }
    }

    /// The exit code.
    pub fn code(&self) -> i32 {
        match self {
            Self::Exit(code, _) => *code,
            _ => 1,
        }
    }

    /// What stderr says; empty if nothing.
    pub fn shown(&self) -> String {
        match self {
            Self::Status(status) if status.is("Invalid") => invalid(status),
            Self::Many(errors) => errors.iter().map(|error| error.standard() + "\n").collect(),
            Self::Text(text) if !text.starts_with("error: ") => format!("error: {text}"),
            other => other.standard(),
        }
    }

    /// Without "error: ".
    fn standard(&self) -> String {
        match self {
            Self::Status(status) if status.reason.is_empty() || status.reason == "Unknown" => {
                format!("Error from server: {}", status.message)
            }
            Self::Status(status) if status.reason == "Unauthorized" && status.message == "Unauthorized" => {
                "error: You must be logged in to the server (Unauthorized)".into()
            }
            Self::Status(status) => format!("Error from server ({}): {}", status.reason, status.message),
            other => other.to_string(),
        }
    }
}

/// `The Deployment "x" is invalid: …`, several causes as a list.
fn invalid(status: &Status) -> String {
    let Some(details) = &status.details else { return "The request is invalid".into() };
    let mut text = "The request is invalid".to_string();
    if !details.kind.is_empty() || !details.name.is_empty() {
        text = format!("The {} {:?} is invalid", details.kind, details.name);
    } else if !status.message.is_empty() && details.causes.is_empty() {
        text = format!("The request is invalid: {}", status.message);
    }
    let mut causes: Vec<String> = Vec::new();
    for cause in &details.causes {
        let line = format!("{}: {}", cause.field, cause.message);
        if !causes.contains(&line) {
            causes.push(line);
        }
    }
    match causes.as_slice() {
        [] => text,
        [one] => format!("{text}: {one}"),
        many => many.iter().fold(format!("{text}: \n"), |text, cause| format!("{text}* {cause}\n")),
    }
}

/// Several failures as one, or none.
pub fn all(mut errors: Vec<Error>) -> Result<()> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(Error::Many(errors)),
    }
}

#[cfg(test)]
mod tests {
    use api::{FieldError, Path};

    use super::*;

    #[test]
    fn errors_are_said_as_kubectl_says_them() {
        let missing = || Error::from(Status::not_found("apps", "deployments", "x"));
        assert_eq!(missing().shown(), "Error from server (NotFound): deployments.apps \"x\" not found");
        assert_eq!(
            missing().when("creating", "f.yaml").shown(),
            "Error from server (NotFound): error when creating \"f.yaml\": deployments.apps \"x\" not found"
        );
        assert_eq!(missing().plain("failed: ").shown(), "error: failed: deployments.apps \"x\" not found");
        assert_eq!(fail!("no").shown(), "error: no");
        let path = Path::new("spec").child("x");
        let one = FieldError::required(&path, "");
        let status = Status::invalid("", "Pod", "p", std::slice::from_ref(&one));
        assert_eq!(Error::from(status).shown(), "The Pod \"p\" is invalid: spec.x: Required value");
        let two = FieldError::required(&path.child("y"), "");
        let status = Status::invalid("", "Pod", "p", &[one, two]);
        assert_eq!(
            Error::from(status).shown(),
            "The Pod \"p\" is invalid: \n* spec.x: Required value\n* spec.x.y: Required value\n"
        );
        let many = Error::Many(vec![missing(), missing()]);
        assert_eq!(many.shown().lines().count(), 2);
    }
}
