//! Statuses in upstream's words.

use super::*;
use crate::field::Path;

mod table;

#[test]
fn messages_are_those_of_upstream() {
    let table = [
        (Status::not_found("", "pods", "a"), 404, "pods \"a\" not found"),
        (Status::not_found("apps", "deployments", "a"), 404, "deployments.apps \"a\" not found"),
        (Status::already_exists("", "configmaps", "a"), 409, "configmaps \"a\" already exists"),
        (
            Status::conflict(
                "",
                "pods",
                "a",
                "the object has been modified; please apply your changes to the latest version and try again",
            ),
            409,
            "Operation cannot be fulfilled on pods \"a\": the object has been modified; please apply your changes to the latest version and try again",
        ),
        (Status::forbidden("", "pods", "", "no"), 403, "pods is forbidden: no"),
        (Status::forbidden("apps", "deployments", "x", "no"), 403, "deployments.apps \"x\" is forbidden: no"),
        (
            Status::invalid("", "Pod", "a", &[FieldError::required(&Path::new("spec").child("containers"), "")]),
            422,
            "Pod \"a\" is invalid: spec.containers: Required value",
        ),
        (
            Status::method_not_supported("", "pods", "create"),
            405,
            "create is not supported on resources of kind \"pods\"",
        ),
    ];
    for (status, code, message) in table {
        assert_eq!((status.code, status.message.as_str()), (code, message));
    }
}

#[test]
fn round_trips_through_json() {
    let status = Status::too_many_requests("slow down", 1);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["details"]["retryAfterSeconds"], 1);
    assert_eq!(json["metadata"], serde_json::json!({}));
    assert_eq!(serde_json::from_value::<Status>(json).unwrap(), status);
}
