//! What is said of names that are refused: people read it, and tools match it.

use super::super::*;
use serde_json::json;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                     and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                         must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation \
                         is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                   alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                   '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const ANY_KEY: &str = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                       with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                       validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and \
                       '/' (e.g. 'example.com/MyName')";

#[test]
fn of_names() {
    let long = "A".repeat(300);
    let table: &[(Vec<String>, &[&str])] = &[
        (dns1123_label(""), &[LABEL]),
        (dns1123_label("A"), &[LABEL]),
        // Whoever writes dots is told of dots.
        (dns1123_label("a.b"), &["must not contain dots"]),
        (dns1123_label("a.B"), &[LABEL]),
        (dns1123_label(&long), &["must be no more than 63 characters", LABEL]),
        (dns1123_label(&"a".repeat(64)), &["must be no more than 63 characters"]),
        (dns1123_subdomain("_"), &[SUBDOMAIN]),
        (dns1123_subdomain(&long), &["must be no more than 253 characters", SUBDOMAIN]),
        (
            wildcard_dns1123_subdomain("a"),
            &[
                "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ],
        ),
        (
            c_identifier("1"),
            &[
                "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')",
            ],
        ),
        (
            percent("1"),
            &[
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
            ],
        ),
        (
            http_header_name("_"),
            &[
                "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
            ],
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn of_keys() {
    let table: &[(&str, &[&str])] = &[
        ("", &["name part must be non-empty", KEY]),
        ("-", &[KEY]),
        ("/", &["prefix part must be non-empty", "name part must be non-empty", KEY]),
        ("/a", &["prefix part must be non-empty"]),
        ("a/", &["name part must be non-empty", KEY]),
        ("a/b/c", &[ANY_KEY]),
        ("//", &[ANY_KEY]),
    ];
    for (key, expected) in table {
        assert_eq!(qualified_name(key), *expected, "{key}");
    }
    assert_eq!(qualified_name("A/b"), [format!("prefix part {SUBDOMAIN}")]);
    // Newer checks count bytes and say so.
    let long = format!("{}/{}", "a".repeat(254), "b".repeat(64));
    assert_eq!(
        qualified_name(&long),
        ["prefix part must be no more than 253 bytes", "name part must be no more than 63 bytes"]
    );
    assert_eq!(label_value(&"b".repeat(64)), ["must be no more than 63 bytes"]);
}

#[test]
fn of_keys_in_config_maps() {
    let form = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    let table: &[(&str, &[&str])] = &[
        ("", &[form]),
        ("a b", &[form]),
        (".", &["must not be '.'"]),
        ("..", &["must not be '..'"]),
        ("..a", &["must not start with '..'"]),
        ("../a", &[form, "must not start with '..'"]),
    ];
    for (key, expected) in table {
        assert_eq!(config_map_key(key), *expected, "{key}");
    }
}

#[test]
fn of_ports() {
    let letters = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
    let one = "must contain at least one letter (a-z)";
    let ends = "must not begin or end with a hyphen";
    let table: &[(&str, &[&str])] = &[
        ("", &[letters, one]),
        ("80", &[one]),
        ("HTTP", &[letters, one]),
        ("a_b", &[letters]),
        ("a--b", &["must not contain consecutive hyphens"]),
        ("-a", &[ends]),
        ("a-", &[ends]),
        ("--", &[one, "must not contain consecutive hyphens", ends]),
        ("abcdefghijklmnop", &["must be no more than 15 characters"]),
    ];
    for (name, expected) in table {
        assert_eq!(port_name(name), *expected, "{name}");
    }
}

#[test]
fn of_environment_variables() {
    let form = "a valid environment variable name must consist only of printable ASCII characters other than '='";
    assert_eq!(env_var_name(""), ["environment variable name must be non-empty"]);
    assert_eq!(env_var_name("a=b"), [form]);
    assert_eq!(env_var_name("\n"), [form]);
}

#[test]
fn of_maps_of_labels() {
    let labels = json!({"": "", "a": "-", "b": "fine", "c d": "e f"});
    let errors = validate_labels(labels.as_object(), &Path::new("spec").child("labels"));
    let found: Vec<(&str, &str)> =
        errors.iter().map(|e| (e.field.as_str(), e.message.split(": ").nth(1).unwrap_or_default())).collect();
    // One complaint each, key before value, map in the order of its keys.
    assert_eq!(
        found,
        [
            ("spec.labels", "\"\""),
            ("spec.labels", "\"\""),
            ("spec.labels", "\"-\""),
            ("spec.labels", "\"c d\""),
            ("spec.labels", "\"e f\""),
        ]
    );
    assert!(validate_labels(None, &Path::root()).is_empty());
}

#[test]
fn of_annotations() {
    let path = Path::new("metadata").child("annotations");
    let found = |value: serde_json::Value| -> Vec<String> {
        validate_annotations(value.as_object(), &path).into_iter().map(|e| e.field + ": " + &e.message).collect()
    };
    // Keys in any case, values of any form.
    assert!(found(json!({"Example.COM/Key": "any thing\n", "UPPER": ""})).is_empty());
    assert_eq!(found(json!({"a/b/c": ""})).len(), 1);
    // Keys weigh, too.
    let fits = "x".repeat(ANNOTATIONS_LIMIT - 1);
    assert!(found(json!({"k": fits})).is_empty());
    assert_eq!(found(json!({"kk": fits})), ["metadata.annotations: Too long: may not be more than 262144 bytes"]);
}
