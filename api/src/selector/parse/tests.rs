//! The grammar of label selectors, and what is said of what breaks it.

use super::*;

#[test]
fn errors_are_upstreams() {
    let key_form = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let value_form = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
    let table = [
        ("a,", "found '', expected: identifier after ','".to_string()),
        (",a", "found ',', expected: !, identifier, or 'end of string'".into()),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt".into()),
        ("!", "unable to parse requirement: found '', expected: identifier".into()),
        ("a in b", "unable to parse requirement: found 'b' expected: '('".into()),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'".into()),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier".into()),
        ("a in (b=", "unable to parse requirement: found '=', expected: ',' or ')'".into()),
        ("a=b c", "found 'c', expected: ',' or 'end of string'".into()),
        ("!a=b", "found '=', expected: ',' or 'end of string'".into()),
        ("a=!", "unable to parse requirement: found '!', expected: identifier".into()),
        ("x y=1", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt".into()),
        ("-a=1", format!("unable to parse requirement: <nil>: Invalid value: \"-a\": {key_form}")),
        ("a=-1", format!("unable to parse requirement: values[0][a]: Invalid value: \"-1\": {value_form}")),
        (
            "a>b",
            "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer"
                .into(),
        ),
    ];
    for (text, message) in table {
        assert_eq!(requirements(text).unwrap_err().0, message, "{text}");
    }
}

#[test]
fn words_that_are_operators_can_be_keys_and_values() {
    for text in ["in", "notin in (in,notin)", "in=in", "x in (in)"] {
        assert_eq!(requirements(text).map(|found| found.len()), Ok(1), "{text}");
    }
}

#[test]
fn nothing_panics() {
    for text in ["\0", "a\0b", "é=ü", "((((", "a in (,,,)", "a in (,", "=!=!", "!!a", "a notin", "a in ,", "a==="] {
        let _ = requirements(text);
    }
}
