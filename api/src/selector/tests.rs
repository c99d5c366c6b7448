//! Label selectors: matching, printing, the form in objects.

use super::*;
use serde_json::json;

mod grammar;
mod matching;
mod validation;

fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
    let selector = LabelSelector::parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}"));
    selector.matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v))
}

#[test]
fn matching() {
    let labels = [("app", "web"), ("tier", ""), ("n", "5"), ("a.b/c", "d")];
    let table = [
        ("", true),
        ("app=web", true),
        ("app==web", true),
        ("app=db", false),
        ("app!=web", false),
        ("app!=db", true),
        ("none!=x", true),
        ("app", true),
        ("none", false),
        ("!none", true),
        ("! app", false),
        ("app in (web, db)", true),
        ("app in (db)", false),
        ("app notin (db)", true),
        ("none notin (db)", true),
        ("app notin (web)", false),
        ("tier=", true),
        ("tier in ()", true),
        ("tier in (a,)", true),
        ("app=", false),
        ("n>4", true),
        ("n>5", false),
        ("n<6,app=web", true),
        ("app>1", false),
        ("none<1", false),
        ("a.b/c=d, app in (web)", true),
        ("in in (x)", false),
    ];
    for (selector, expected) in table {
        assert_eq!(matches(selector, &labels), expected, "{selector}");
    }
}

#[test]
fn printing_is_canonical() {
    let table = [
        ("b=1,a in (y,x)", "a in (x,y),b=1"),
        ("x==1", "x==1"),
        ("!x , y", "!x,y"),
        ("x notin (a)", "x notin (a)"),
        ("x>1,z<2", "x>1,z<2"),
        ("x in ()", "x in ()"),
    ];
    for (given, printed) in table {
        assert_eq!(LabelSelector::parse(given).unwrap().to_string(), printed);
    }
}

#[test]
fn from_the_api_form() {
    let labels = json!({"app": "web", "env": "prod"});
    let table = [
        (json!(null), false),
        (json!({}), true),
        (json!({"matchLabels": {"app": "web"}}), true),
        (json!({"matchLabels": {"app": "db"}}), false),
        (json!({"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod", "dev"]}]}), true),
        (json!({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}), false),
    ];
    for (selector, expected) in table {
        let parsed = LabelSelector::from_value(&selector).unwrap();
        assert_eq!(parsed.matches_map(labels.as_object()), expected, "{selector}");
        let typed: Option<meta::LabelSelector> = serde_json::from_value(selector).unwrap();
        assert_eq!(LabelSelector::from_typed(typed.as_ref()).unwrap(), parsed);
    }
    let bad = json!({"matchExpressions": [{"key": "a", "operator": "Like"}]});
    assert_eq!(LabelSelector::from_value(&bad).unwrap_err().0, "\"Like\" is not a valid label selector operator");
    assert_eq!(format(&json!({"matchLabels": {"a": "b"}})), "a=b");
    assert_eq!(format(&json!(null)), "<none>");
}

#[test]
fn required_value() {
    let selector = LabelSelector::parse("a=1,b in (2),c in (3,4),d").unwrap();
    assert_eq!((selector.required("a"), selector.required("b")), (Some("1"), Some("2")));
    assert_eq!((selector.required("c"), selector.required("d"), selector.required("e")), (None, None, None));
}

#[test]
fn validation_of_the_api_form() {
    let path = Path::new("spec").child("selector");
    let selector = json!({"matchLabels": {"a b": "c"}, "matchExpressions": [
        {"key": "a", "operator": "In"},
        {"key": "a", "operator": "Exists", "values": ["x"]},
        {"key": "a", "operator": "Foo"},
        {"key": "a", "operator": "NotIn", "values": ["-"]}]});
    let fields: Vec<String> = validate(&selector, &path).into_iter().map(|error| error.field).collect();
    assert_eq!(
        fields,
        [
            "spec.selector.matchLabels",
            "spec.selector.matchExpressions[0].values",
            "spec.selector.matchExpressions[1].values",
            "spec.selector.matchExpressions[2].operator",
            "spec.selector.matchExpressions[3].values[0]",
        ]
    );
    assert!(validate(&json!({}), &path).is_empty());
}
