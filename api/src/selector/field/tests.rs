//! Field selectors.

use super::*;

#[test]
fn matching() {
    let pod = |field: &str| match field {
        "metadata.name" => Some("a"),
        "spec.nodeName" => Some("n=1,2"),
        _ => None,
    };
    let table = [
        ("", true),
        (",", true),
        ("metadata.name=a", true),
        ("metadata.name==a", true),
        ("metadata.name!=a", false),
        ("metadata.name=b", false),
        ("spec.nodeName=n\\=1\\,2", true),
        ("status.phase=", true),
        ("status.phase!=", false),
        ("status.phase!=Running,metadata.name=a", true),
    ];
    for (text, expected) in table {
        assert_eq!(FieldSelector::parse(text).unwrap().matches(pod), expected, "{text}");
    }
}

#[test]
fn errors_are_upstreams() {
    let table = [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
        ("a=\\", "invalid field selector: invalid escape sequence: \\"),
    ];
    for (text, message) in table {
        assert_eq!(FieldSelector::parse(text).unwrap_err().0, message);
    }
}

#[test]
fn printing_and_use_of_indexes() {
    let selector = FieldSelector::parse("b!=x\\,y,a==1").unwrap();
    assert_eq!(selector.to_string(), "a=1,b!=x\\,y");
    assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
    assert_eq!((selector.required("a"), selector.required("b")), (Some("1"), None));
}
