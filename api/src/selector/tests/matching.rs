//! Which labels fit which selector.

use std::collections::BTreeMap;

use serde_json::json;

use crate::selector::{LabelSelector, Operator, Requirement, format};

#[test]
fn selectors_and_labels() {
    // Selector, labels, whether they fit.
    let table = [
        ("", "x=y", true),
        ("", "", true),
        ("x=y", "x=y", true),
        ("x=y", "x=z", false),
        ("x=y", "", false),
        ("x=y,z=w", "x=y,z=w", true),
        ("x=y,z=w", "x=w,z=w", false),
        ("x=y,z=w", "x=y", false),
        ("x!=y,z!=w", "x=z,z=a", true),
        ("x!=y,z!=w", "x=z,z=w", false),
        ("x!=y", "", true),
        ("x!=", "x=", false),
        ("x!=", "x=a", true),
        ("notin=in", "notin=in", true),
        ("x", "x=z", true),
        ("x", "x=", true),
        ("x", "y=z", false),
        ("!x", "y=z", true),
        ("!x", "x=z", false),
        ("!x", "x=", false),
        ("x=", "x=", true),
        ("x=", "", false),
        ("x in ()", "x=", true),
        ("x in ()", "", false),
        ("x in (a,b)", "x=b", true),
        ("x in (a,b)", "x=c", false),
        ("x in (foo),y notin (alpha)", "x=foo,y=baz", true),
        ("x in (foo),y in (alpha)", "x=foo,y=baz", false),
        ("x notin (),y", "y=", true),
        ("!x,y", "y=", true),
        ("x notin (),!y", "y=", false),
        ("x notin (a)", "x=a", false),
        ("x notin (a)", "x=b", true),
        ("x>1", "x=2", true),
        ("x>1", "x=1", false),
        ("x>1", "x=0", false),
        ("x>1", "", false),
        ("x<1", "x=0", true),
        ("x<1", "x=1", false),
        ("x<1", "x=-5", true),
        // What is no integer is neither above nor below.
        ("x>1", "x=v2", false),
        ("x<1", "x=v0", false),
        ("x>1", "x=1.5", false),
        ("x>1", "x=9223372036854775808", false),
        ("x>1", "x=9223372036854775807", true),
        ("foo=bar,baz=blah", "foo=bar,baz=blah", true),
        ("foo=bar,foobar=bar,baz=blah", "foo=bar,baz=blah", false),
        // One key twice: both must hold.
        ("x!=a,x!=b", "x=c", true),
        ("x!=a,x!=b", "x=b", false),
        ("x=a,x=b", "x=a", false),
        // Case and prefix count.
        ("X=a", "x=a", false),
        ("a.b/x=1", "x=1", false),
        ("a.b/x=1", "a.b/x=1", true),
    ];
    for (selector, labels, expected) in table {
        let parsed = LabelSelector::parse(selector).unwrap();
        let labels: BTreeMap<String, String> =
            labels.split(',').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
        assert_eq!(parsed.matches_labels(Some(&labels)), expected, "{selector} on {labels:?}");
        let map = json!(labels);
        assert_eq!(parsed.matches_map(map.as_object()), expected, "{selector} on {map}");
    }
}

#[test]
fn everything_and_nothing() {
    let (all, none) = (LabelSelector::everything(), LabelSelector::nothing());
    assert_eq!((all.is_everything(), all.is_nothing(), all.matches(|_| None)), (true, false, true));
    assert_eq!((none.is_everything(), none.is_nothing(), none.matches(|_| Some("x"))), (false, true, false));
    assert_eq!(LabelSelector::parse("").unwrap(), all);
    assert!(!LabelSelector::parse("x").unwrap().is_everything());
    // No labels at all are like empty ones.
    let absent = LabelSelector::parse("!x,y!=a").unwrap();
    assert!(absent.matches_map(None) && absent.matches_labels(None));
}

#[test]
fn selectors_of_services_are_not_checked() {
    let selector = LabelSelector::from_map([("b", "not a value!"), ("a", "x")]);
    assert_eq!(selector.to_string(), "a=x,b=not a value!");
    assert!(selector.matches(|key| Some(if key == "a" { "x" } else { "not a value!" })));
    assert!(LabelSelector::from_map([]).is_everything());
}

#[test]
fn requirements_fit_their_operators() {
    use Operator::{DoesNotExist, DoubleEquals, Equals, Exists, GreaterThan, In, LessThan, NotEquals, NotIn};
    let set = "for 'in', 'notin' operators, values set can't be empty";
    let one = "exact-match compatibility requires one single value";
    let none = "values set must be empty for exists and does not exist";
    let number = "for 'Gt', 'Lt' operators, exactly one value is required";
    let integer = "for 'Gt', 'Lt' operators, the value must be an integer";
    // Operator, values, what is wrong and with what.
    let table: &[(Operator, &[&str], &str)] = &[
        (In, &[], &format!("values: Invalid value: []: {set}")),
        (NotIn, &[], &format!("values: Invalid value: []: {set}")),
        (In, &["foo"], ""),
        (In, &["foo", "bar"], ""),
        (NotIn, &["foo"], ""),
        (Equals, &["foo", "bar"], &format!("values: Invalid value: [\"foo\",\"bar\"]: {one}")),
        (Equals, &[], &format!("values: Invalid value: []: {one}")),
        (DoubleEquals, &["a", "b"], &format!("values: Invalid value: [\"a\",\"b\"]: {one}")),
        (NotEquals, &[], &format!("values: Invalid value: []: {one}")),
        (Equals, &["foo"], ""),
        (Equals, &[""], ""),
        (Exists, &[], ""),
        (DoesNotExist, &[], ""),
        (Exists, &["foo"], &format!("values: Invalid value: [\"foo\"]: {none}")),
        (DoesNotExist, &[""], &format!("values: Invalid value: [\"\"]: {none}")),
        (GreaterThan, &["1"], ""),
        (LessThan, &["6"], ""),
        (GreaterThan, &[], &format!("values: Invalid value: []: {number}")),
        (LessThan, &["1", "2"], &format!("values: Invalid value: [\"1\",\"2\"]: {number}")),
        (GreaterThan, &["bar"], &format!("values[0]: Invalid value: \"bar\": {integer}")),
        (LessThan, &["1.0"], &format!("values[0]: Invalid value: \"1.0\": {integer}")),
    ];
    for (operator, values, expected) in table {
        let values: Vec<String> = values.iter().map(|value| (*value).into()).collect();
        let error = Requirement::new("x", *operator, values.clone()).err().map(|error| error.0).unwrap_or_default();
        assert_eq!(error, *expected, "{operator:?} {values:?}");
    }
    // A number, too, must be the value of a label: there are none below zero.
    assert!(Requirement::new("x", LessThan, vec!["-6".into()]).is_err());
    // Keys and values must be such of labels; several complaints stand in brackets.
    let long = "a".repeat(64);
    let error = Requirement::new(&long, Exists, Vec::new()).unwrap_err().0;
    assert_eq!(error, format!("key: Invalid value: \"{long}\": name part must be no more than 63 bytes"));
    let error = Requirement::new("x", Equals, vec![long.clone()]).unwrap_err().0;
    assert_eq!(error, format!("values[0][x]: Invalid value: \"{long}\": must be no more than 63 bytes"));
    let error = Requirement::new(&long, In, Vec::new()).unwrap_err().0;
    assert!(error.starts_with("[key: Invalid value: ") && error.ends_with(&format!("{set}]")), "{error}");
}

#[test]
fn the_one_value_a_label_must_have() {
    let table = [
        ("key in (value)", "key", Some("value")),
        ("key in (value,value2)", "key", None),
        ("key=value", "key", Some("value")),
        ("key==value", "key", Some("value")),
        ("key=", "key", Some("")),
        ("key!=value", "key", None),
        ("key notin (value)", "key", None),
        ("key", "key", None),
        ("!key", "key", None),
        ("key>1", "key", None),
        ("key=value", "other", None),
        ("a=1,key=value,z=2", "key", Some("value")),
    ];
    for (selector, key, expected) in table {
        assert_eq!(LabelSelector::parse(selector).unwrap().required(key), expected, "{selector} {key}");
    }
}

#[test]
fn the_form_in_objects_prints() {
    let table = [
        (json!({}), "<none>"),
        (json!({"matchLabels": {}}), "<none>"),
        (json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2"),
        (json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["c", "b"]}]}), "a in (b,c)"),
        (json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}), "a notin (b)"),
        (json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), "a"),
        (json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), "!a"),
        (
            json!({"matchLabels": {"m": "1"}, "matchExpressions": [{"key": "z", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]}),
            "a,m=1,z",
        ),
        (json!({"matchExpressions": [{"key": "a", "operator": "In"}]}), "<error>"),
        (json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}), "<error>"),
        (json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}), "<error>"),
        (json!({"matchLabels": {"a b": "1"}}), "<error>"),
    ];
    for (selector, expected) in table {
        assert_eq!(format(&selector), expected, "{selector}");
    }
}
