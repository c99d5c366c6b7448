//! Objects between which no patch can be made, and what is said of them.

use serde_json::{Value, json};

use crate::patch::{Error, create_two_way, three_way};
use crate::status::Status;

const POD: Option<&str> = Some("io.k8s.api.core.v1.Pod");

#[test]
fn no_patch_can_be_made() {
    let pod = |containers: Value| json!({"spec": {"containers": containers}});
    let table = [
        (json!([]), json!({}), "invalid JSON document"),
        (json!({}), json!("x"), "invalid JSON document"),
        (
            pod(json!([{"name": "a"}])),
            pod(json!([{"image": "x"}])),
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (
            pod(json!([{"image": "x"}])),
            pod(json!([{"name": "a"}])),
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (pod(json!([[]])), pod(json!([{"name": "a"}])), "lists of lists are not supported"),
        (pod(json!([{"name": "a"}])), pod(json!(["a"])), "list element types are not identical: [[map[name:a]] [a]]"),
        (
            pod(json!([{"name": "a"}])),
            pod(json!([{"name": "b"}, 5])),
            "list element types are not identical: [[map[name:a]] [map[name:b] 5]]",
        ),
        (
            json!({"spec": {"unheard": {"a": 1}}}),
            json!({"spec": {"unheard": {"a": 2}}}),
            "unable to find api field in struct PodSpec for the json field \"unheard\"",
        ),
    ];
    for (original, modified, complaint) in table {
        let error = create_two_way(&original, &modified, POD).expect_err(complaint);
        assert_eq!(error.to_string(), complaint, "{original} {modified}");
    }
    assert_eq!(create_two_way(&json!({}), &json!({}), Some("io.k8s.api.core.v1.Nothing")), Err(Error::Unsupported));
    assert!(three_way(&json!({}), &json!([]), &json!({}), POD).is_err());
}

/// How the server answers to patches that it cannot apply.
#[test]
fn answers() {
    let table = [
        (Error::BadDocument, 400, "BadRequest", "invalid JSON document"),
        (Error::BadPrimitiveList, 400, "BadRequest", "invalid patch format of primitive list"),
        (Error::BadRetainKeys, 400, "BadRequest", "invalid patch format of retainKeys"),
        (Error::BadSetElementOrder, 400, "BadRequest", "invalid patch format of setElementOrder list"),
        (Error::Unsupported, 400, "BadRequest", "strategic merge patch format is not supported"),
        (Error::ListOfLists, 422, "Invalid", "the server rejected our request due to an error in our request"),
        (Error::Other("what".into()), 500, "", "what"),
    ];
    for (error, code, reason, message) in table {
        let status = Status::from(error);
        assert_eq!((status.code, status.reason.as_str(), status.message.as_str()), (code, reason, message));
    }
}
