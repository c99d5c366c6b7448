//! `Status`: the only error that crosses the wire. One constructor per reason, with upstream's codes and words
//! (apimachinery, pkg/api/errors/errors.go), because clients match on them.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::field::Cause;
use crate::field::{FieldError, aggregate};

/// `meta/v1 Status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Always `v1`.
    #[serde(default = "v1")]
    pub api_version: String,
    /// Always `Status`.
    #[serde(default = "status_kind")]
    pub kind: String,
    /// Empty, but present on the wire as upstream sends it.
    #[serde(default)]
    pub metadata: StatusMeta,
    /// `Success` or `Failure`.
    #[serde(default)]
    pub status: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// For programs, e.g. `NotFound`; empty on success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP status code.
    #[serde(default)]
    pub code: u16,
}

/// List metadata of a `Status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusMeta {
    /// Set on statuses that end a paged list.
    #[serde(rename = "continue", default, skip_serializing_if = "String::is_empty")]
    pub continue_: String,
}

/// `meta/v1 StatusDetails`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// Name of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Resource (errors about a request) or kind (invalid objects), as upstream mixes them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// UID of the object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One per thing that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

fn v1() -> String {
    "v1".into()
}

fn status_kind() -> String {
    "Status".into()
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(seconds: &u32) -> bool {
    *seconds == 0
}

/// `resource` or `resource.group`, as upstream writes a GroupResource in messages.
fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.into() } else { format!("{resource}.{group}") }
}

impl Status {
    fn failure(code: u16, reason: &str, message: String) -> Self {
        Self {
            api_version: v1(),
            kind: status_kind(),
            metadata: StatusMeta::default(),
            status: "Failure".into(),
            message,
            reason: reason.into(),
            details: None,
            code,
        }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let details = self.details.get_or_insert_with(Details::default);
        (details.group, details.kind, details.name) = (group.into(), kind.into(), name.into());
        self
    }

    /// 200 without an object to show, e.g. for a delete; `kind` is the resource.
    pub fn success(group: &str, kind: &str, name: &str, uid: &str) -> Self {
        let mut status = Self::failure(200, "", String::new()).about(group, kind, name);
        status.status = "Success".into();
        if let Some(details) = &mut status.details {
            details.uid = uid.into();
        }
        status
    }

    /// 400: the request itself makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message.into())
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized".into())
    }

    /// 403. `why` follows the colon, e.g. `User "x" cannot list resource …`.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = match (what.is_empty(), name.is_empty()) {
            (true, _) => format!("forbidden: {why}"),
            (false, true) => format!("{what} is forbidden: {why}"),
            (false, false) => format!("{what} \"{name}\" is forbidden: {why}"),
        };
        Self::failure(403, "Forbidden", message).about(group, resource, name)
    }

    /// 404 for one object.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", qualified(group, resource));
        Self::failure(404, "NotFound", message).about(group, resource, name)
    }

    /// 404 for a path that leads nowhere.
    pub fn no_such_path() -> Self {
        let mut status = Self::failure(404, "NotFound", "the server could not find the requested resource".into());
        status.details = Some(Details::default());
        status
    }

    /// 405.
    pub fn method_not_supported(group: &str, resource: &str, action: &str) -> Self {
        let message = format!("{action} is not supported on resources of kind \"{}\"", qualified(group, resource));
        Self::failure(405, "MethodNotAllowed", message).about(group, resource, "")
    }

    /// 406; `accepted` are the media types that would do.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let list = accepted.join(", ");
        let message = format!("only the following media types are accepted: {list}");
        Self::failure(406, "NotAcceptable", message)
    }

    /// 409: the name is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        Self::failure(409, "AlreadyExists", message).about(group, resource, name)
    }

    /// 409: somebody else was faster, or a precondition does not hold.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let what = qualified(group, resource);
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        Self::failure(409, "Conflict", message).about(group, resource, name)
    }

    /// 410: the version that was asked for is gone.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, "Expired", message.into())
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::failure(413, "RequestEntityTooLarge", message.into())
    }

    /// 415; `accepted` are the media types that would do.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let list = accepted.join(", ");
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {list}");
        Self::failure(415, "UnsupportedMediaType", message)
    }

    /// 422: the object breaks rules. `kind` is the kind, not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let message = format!("{} \"{name}\" is invalid: {}", qualified(group, kind), aggregate(errors));
        let mut status = Self::failure(422, "Invalid", message).about(group, kind, name);
        if let Some(details) = &mut status.details {
            details.causes = errors.iter().map(FieldError::cause).collect();
        }
        status
    }

    /// 429: too much at once; the client is told when to come back.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let mut status = Self::failure(429, "TooManyRequests", message.into());
        status.details = Some(Details { retry_after_seconds, ..Details::default() });
        status
    }

    /// 500. `what` went wrong on our side.
    pub fn internal(what: impl fmt::Display) -> Self {
        let mut status = Self::failure(500, "InternalError", format!("Internal error occurred: {what}"));
        let cause = Cause { message: what.to_string(), ..Cause::default() };
        status.details = Some(Details { causes: vec![cause], ..Details::default() });
        status
    }

    /// 501: mkube does not do this; the message says so.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::failure(501, "NotImplemented", message.into())
    }

    /// 503.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, "ServiceUnavailable", message.into())
    }

    /// 504: the server gave up waiting; the outcome may be unknown.
    pub fn timeout(message: impl Into<String>) -> Self {
        let message = format!("Timeout: {}", message.into());
        Self::failure(504, "Timeout", message)
    }

    /// Whether this reports success.
    pub fn is_success(&self) -> bool {
        self.status == "Success"
    }

    /// Whether the reason is `reason`, e.g. `"NotFound"`.
    pub fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[cfg(test)]
mod tests;
