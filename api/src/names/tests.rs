//! Which names are valid, and what is said of the others.

use super::*;
use serde_json::json;

mod forms;
mod messages;

type Check = fn(&str) -> Vec<String>;

#[test]
fn forms() {
    let long64 = "a".repeat(64);
    let table: &[(Check, &[&str], &[&str])] = &[
        (dns1123_label, &["a", "a-b", "0a", "9"], &["", "-a", "a-", "A", "a.b", "a_b", &long64]),
        (dns1123_subdomain, &["a", "a.b", "a-b.c9"], &["", ".", "a..b", "-a.b", "a.b-", "A.b", "*.a"]),
        (dns1035_label, &["a", "a-9"], &["", "9a", "a-", "a.b"]),
        (wildcard_dns1123_subdomain, &["*.a", "*.a.b"], &["*", "a.b", "*.*.a", "*a"]),
        (qualified_name, &["a", "A_b.c-9", "a.b/C"], &["", "/a", "a/", "a/b/c", "-a", "A.b/c", "a b", &long64]),
        (label_value, &["", "a", "A_b.c"], &["-", "a b", "a/b", &long64]),
        (config_map_key, &["a", ".a", "a..b", "A_-"], &["", ".", "..", "..a", "a b", "a/b"]),
        (env_var_name, &["A", "a b", "9", "a.b-c"], &["", "a=b", "é", "a\n"]),
        (c_identifier, &["a", "_9"], &["", "9", "a-b"]),
        (port_name, &["http", "a-1"], &["", "80", "-a", "a-", "a--b", "Http", "abcdefghijklmnop"]),
        (percent, &["1%", "100%"], &["", "%", "1", "a%", "-1%"]),
        (http_header_name, &["X-Y"], &["", "a b", "a_b"]),
        (path_segment, &["system:node", "a b"], &[".", "..", "a/b", "a%"]),
    ];
    for (row, (check, good, bad)) in table.iter().enumerate() {
        for value in *good {
            assert_eq!(check(value), Vec::<String>::new(), "row {row}: {value:?}");
        }
        for value in *bad {
            assert!(!check(value).is_empty(), "row {row}: {value:?} was accepted");
        }
    }
}

#[test]
fn messages_are_upstreams() {
    assert_eq!(
        dns1123_subdomain("A_b"),
        [
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ]
    );
    assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
    assert_eq!(
        dns1035_label("9"),
        [
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        ]
    );
    assert_eq!(
        label_value("a b"),
        [
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        ]
    );
    assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
    assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    assert_eq!(qualified_name(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
}

#[test]
fn trailing_dash_of_generate_name() {
    for (given, masked) in [("a-", "a"), ("ab-", "aa"), ("-", "-"), ("", ""), ("abc", "abc"), ("é-", "a")] {
        assert_eq!(mask_trailing_dash(given), masked);
    }
}

#[test]
fn labels_and_annotations() {
    let labels = json!({"a": "b", "x y": "-"});
    let errors = validate_labels(labels.as_object(), &Path::new("metadata").child("labels"));
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0].field, "metadata.labels");
    let fine = json!({"Example.COM/Key": "any thing"});
    assert!(validate_annotations(fine.as_object(), &Path::new("a")).is_empty());
    let heavy = json!({"a": "x".repeat(ANNOTATIONS_LIMIT)});
    let errors = validate_annotations(heavy.as_object(), &Path::new("a"));
    assert_eq!(errors[0].to_string(), "a: Too long: may not be more than 262144 bytes");
}
