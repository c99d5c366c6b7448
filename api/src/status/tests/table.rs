//! Every constructor: code, reason, message, details, as api/errors of apimachinery makes them.

use serde_json::{Value, json};

use crate::field::{FieldError, Path};
use crate::status::Status;

#[test]
fn constructors() {
    let name = Path::new("metadata").child("name");
    // Status, code, reason, message, details.
    let table = [
        (Status::bad_request("no"), 400, "BadRequest", "no", json!(null)),
        (Status::unauthorized(), 401, "Unauthorized", "Unauthorized", json!(null)),
        (
            Status::forbidden("apps", "deployments", "a", "User \"u\" cannot get resource"),
            403,
            "Forbidden",
            "deployments.apps \"a\" is forbidden: User \"u\" cannot get resource",
            json!({"group": "apps", "kind": "deployments", "name": "a"}),
        ),
        (
            Status::forbidden("", "nodes", "", "no"),
            403,
            "Forbidden",
            "nodes is forbidden: no",
            json!({"kind": "nodes"}),
        ),
        (Status::forbidden("", "", "", "no"), 403, "Forbidden", "forbidden: no", json!({})),
        (
            Status::not_found("", "pods", "a"),
            404,
            "NotFound",
            "pods \"a\" not found",
            json!({"kind": "pods", "name": "a"}),
        ),
        (Status::no_such_path(), 404, "NotFound", "the server could not find the requested resource", json!({})),
        (
            Status::method_not_supported("apps", "deployments", "delete"),
            405,
            "MethodNotAllowed",
            "delete is not supported on resources of kind \"deployments.apps\"",
            json!({"group": "apps", "kind": "deployments"}),
        ),
        (
            Status::not_acceptable(&["application/json", "application/yaml"]),
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json, application/yaml",
            json!(null),
        ),
        (
            Status::already_exists("", "pods", "a"),
            409,
            "AlreadyExists",
            "pods \"a\" already exists",
            json!({"kind": "pods", "name": "a"}),
        ),
        (
            Status::conflict("apps", "deployments", "a", "the object has been modified"),
            409,
            "Conflict",
            "Operation cannot be fulfilled on deployments.apps \"a\": the object has been modified",
            json!({"group": "apps", "kind": "deployments", "name": "a"}),
        ),
        (Status::expired("too old resource version"), 410, "Expired", "too old resource version", json!(null)),
        (Status::too_large("limit is 3145728"), 413, "RequestEntityTooLarge", "limit is 3145728", json!(null)),
        (
            Status::unsupported_media_type(&["application/json"]),
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json",
            json!(null),
        ),
        (
            Status::invalid("", "Pod", "a", &[FieldError::required(&name, "")]),
            422,
            "Invalid",
            "Pod \"a\" is invalid: metadata.name: Required value",
            json!({"kind": "Pod", "name": "a",
                "causes": [{"reason": "FieldValueRequired", "message": "Required value", "field": "metadata.name"}]}),
        ),
        (
            Status::too_many_requests("slow down", 3),
            429,
            "TooManyRequests",
            "slow down",
            json!({"retryAfterSeconds": 3}),
        ),
        (
            Status::internal("disk on fire"),
            500,
            "InternalError",
            "Internal error occurred: disk on fire",
            json!({"causes": [{"message": "disk on fire"}]}),
        ),
        (Status::not_implemented("not here"), 501, "NotImplemented", "not here", json!(null)),
        (Status::service_unavailable("later"), 503, "ServiceUnavailable", "later", json!(null)),
        (Status::timeout("took too long"), 504, "Timeout", "Timeout: took too long", json!(null)),
    ];
    for (status, code, reason, message, details) in table {
        let found = serde_json::to_value(&status).unwrap();
        let mut expected = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "code": code, "reason": reason, "message": message});
        if !details.is_null() {
            expected["details"] = details;
        }
        assert_eq!(found, expected);
        assert!(status.is(reason) && !status.is("Other") && !status.is_success());
        assert_eq!(status.to_string(), message);
        assert_eq!(serde_json::from_value::<Status>(found).unwrap(), status);
    }
}

#[test]
fn success() {
    let status = Status::success("apps", "deployments", "a", "u-1");
    assert_eq!(
        serde_json::to_value(&status).unwrap(),
        json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "code": 200,
            "details": {"group": "apps", "kind": "deployments", "name": "a", "uid": "u-1"}})
    );
    assert!(status.is_success());
}

#[test]
fn several_causes() {
    let path = Path::new("spec");
    let errors = [
        FieldError::required(&path.child("a"), ""),
        FieldError::invalid(&path.child("b"), &json!(-1), "must be positive"),
        FieldError::required(&path.child("a"), ""),
    ];
    let status = Status::invalid("apps", "Deployment", "d", &errors);
    assert_eq!(
        status.message,
        "Deployment.apps \"d\" is invalid: [spec.a: Required value, spec.b: Invalid value: -1: must be positive]"
    );
    // In the message each once, as causes all of them.
    assert_eq!(status.details.unwrap().causes.len(), 3);
}

/// What other servers send: absent parts read as empty.
#[test]
fn foreign_ones_read() {
    let table = [
        json!({}),
        json!({"kind": "Status", "code": 404}),
        json!({"metadata": {"continue": "x", "resourceVersion": "5"}, "status": "Failure", "unheard": 1}),
        json!({"details": {"causes": [{}], "retryAfterSeconds": 0}}),
    ];
    for value in table {
        let status: Status = serde_json::from_value(value.clone()).unwrap();
        assert_eq!((status.kind.as_str(), status.api_version.as_str()), ("Status", "v1"), "{value}");
        assert_eq!(u64::from(status.code), value.get("code").and_then(Value::as_u64).unwrap_or_default());
    }
    let paged: Status = serde_json::from_value(json!({"metadata": {"continue": "token"}})).unwrap();
    assert_eq!(serde_json::to_value(paged).unwrap()["metadata"], json!({"continue": "token"}));
}
