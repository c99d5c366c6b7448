//! Errors of fields read like upstream's.

use super::*;
use serde_json::json;

mod table;

#[test]
fn errors_read_like_upstreams() {
    let path = Path::new("spec").child("containers").index(0).child("name");
    let table = [
        (FieldError::required(&path, ""), "spec.containers[0].name: Required value"),
        (FieldError::required(&path, "why"), "spec.containers[0].name: Required value: why"),
        (FieldError::invalid(&path, &json!("A_b"), "bad"), "spec.containers[0].name: Invalid value: \"A_b\": bad"),
        (FieldError::invalid(&path, &json!(-1), "bad"), "spec.containers[0].name: Invalid value: -1: bad"),
        (FieldError::duplicate(&path, &json!("a")), "spec.containers[0].name: Duplicate value: \"a\""),
        (
            FieldError::not_supported(&path, &json!("x"), &["TCP", "UDP"]),
            "spec.containers[0].name: Unsupported value: \"x\": supported values: \"TCP\", \"UDP\"",
        ),
        (FieldError::too_long(&path, 63), "spec.containers[0].name: Too long: may not be more than 63 bytes"),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn several_errors_stand_in_brackets_once_each() {
    let one = FieldError::required(&Path::new("a"), "");
    let two = FieldError::required(&Path::new("b"), "");
    assert_eq!(aggregate(std::slice::from_ref(&one)), "a: Required value");
    assert_eq!(aggregate(&[one.clone(), one.clone()]), "a: Required value");
    assert_eq!(aggregate(&[one, two]), "[a: Required value, b: Required value]");
}
