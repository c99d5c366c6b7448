//! Paths and complaints about fields, one by one.

use serde_json::json;

use crate::field::{FieldError, Path, aggregate};

#[test]
fn paths() {
    let spec = Path::new("spec");
    let table = [
        (Path::root(), "<nil>"),
        (Path::root().child("a"), "a"),
        (Path::root().index(1), "[1]"),
        (Path::root().key("k"), "[k]"),
        (spec.clone(), "spec"),
        (spec.child("a"), "spec.a"),
        (spec.child("a").child("b"), "spec.a.b"),
        (spec.child("a").index(0), "spec.a[0]"),
        (spec.child("a").index(0).child("b"), "spec.a[0].b"),
        (spec.child("a").key("x/y"), "spec.a[x/y]"),
        (spec.child("a").key("x").index(2).child("b"), "spec.a[x][2].b"),
        (spec.child(String::from("made")), "spec.made"),
    ];
    for (path, text) in table {
        assert_eq!(path.to_string(), text);
    }
    // Siblings share their beginning, and nothing else.
    let (a, b) = (spec.child("a"), spec.child("b"));
    assert_eq!(
        (a.index(1).to_string(), b.index(2).to_string(), a.to_string()),
        ("spec.a[1]".into(), "spec.b[2]".into(), "spec.a".into())
    );
}

#[test]
fn complaints() {
    let path = Path::new("f");
    // Error, text, reason.
    let table = [
        (FieldError::invalid(&path, &json!("x"), ""), "f: Invalid value: \"x\"", "FieldValueInvalid"),
        (FieldError::invalid(&path, &json!("x"), "why"), "f: Invalid value: \"x\": why", "FieldValueInvalid"),
        (FieldError::invalid(&path, &json!(null), "why"), "f: Invalid value: null: why", "FieldValueInvalid"),
        (FieldError::invalid(&path, &json!(true), "why"), "f: Invalid value: true: why", "FieldValueInvalid"),
        (FieldError::invalid(&path, &json!(1.5), "why"), "f: Invalid value: 1.5: why", "FieldValueInvalid"),
        (FieldError::invalid(&path, &json!(["a", 1]), "why"), "f: Invalid value: [\"a\",1]: why", "FieldValueInvalid"),
        (FieldError::invalid(&path, &json!({"a": 1}), "why"), "f: Invalid value: {\"a\":1}: why", "FieldValueInvalid"),
        (
            FieldError::invalid(&path, &json!("a\"b\n"), "why"),
            "f: Invalid value: \"a\\\"b\\n\": why",
            "FieldValueInvalid",
        ),
        (FieldError::required(&path, ""), "f: Required value", "FieldValueRequired"),
        (FieldError::required(&path, "must be there"), "f: Required value: must be there", "FieldValueRequired"),
        (FieldError::duplicate(&path, &json!(5)), "f: Duplicate value: 5", "FieldValueDuplicate"),
        (FieldError::forbidden(&path, ""), "f: Forbidden", "FieldValueForbidden"),
        (FieldError::forbidden(&path, "may not be set"), "f: Forbidden: may not be set", "FieldValueForbidden"),
        (FieldError::not_found(&path, &json!("v")), "f: Not found: \"v\"", "FieldValueNotFound"),
        (
            FieldError::not_supported(&path, &json!("x"), &["A", "B"]),
            "f: Unsupported value: \"x\": supported values: \"A\", \"B\"",
            "FieldValueNotSupported",
        ),
        (
            FieldError::not_supported(&path, &json!(""), &["Only"]),
            "f: Unsupported value: \"\": supported values: \"Only\"",
            "FieldValueNotSupported",
        ),
        (FieldError::too_long(&path, 63), "f: Too long: may not be more than 63 bytes", "FieldValueTooLong"),
        (FieldError::too_many(&path, 5, 3), "f: Too many: 5: must have at most 3 items", "FieldValueTooMany"),
        (FieldError::internal(&path, "oops"), "f: Internal error: oops", "InternalError"),
    ];
    for (error, text, reason) in table {
        assert_eq!((error.to_string().as_str(), error.reason), (text, reason));
        let cause = error.cause();
        assert_eq!((cause.field.as_str(), format!("{}: {}", cause.field, cause.message)), ("f", text.into()));
        assert_eq!(cause.reason, reason);
    }
}

#[test]
fn several() {
    let error = |name: &'static str| FieldError::required(&Path::new(name), "");
    let table: &[(&[FieldError], &str)] = &[
        (&[error("a")], "a: Required value"),
        (&[error("a"), error("a")], "a: Required value"),
        (&[error("a"), error("b")], "[a: Required value, b: Required value]"),
        (&[error("b"), error("a"), error("b")], "[b: Required value, a: Required value]"),
    ];
    for (errors, text) in table {
        assert_eq!(aggregate(errors), *text);
    }
}
