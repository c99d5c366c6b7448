//! Tables for the reading of query parameters.

use super::*;

fn query(text: &str) -> Query {
    Query::parse(text)
}

#[test]
fn write_options_are_checked() {
    let table = [
        ("", Ok((false, FieldValidation::Warn))),
        ("dryRun=All&fieldValidation=Strict&fieldManager=me", Ok((true, FieldValidation::Strict))),
        ("dryRun=Some", Err("dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"")),
        (
            "fieldValidation=x",
            Err("fieldValidation: Unsupported value: \"x\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""),
        ),
        (
            "fieldManager=a%0Ab",
            Err("fieldManager: Invalid value: \"a\\nb\": invalid character \"\\n\" (at position 1)"),
        ),
        ("force=true", Err("force: Forbidden: may not be specified for non-apply patch")),
    ];
    for (text, expected) in table {
        let got = write_options(&query(text), "PatchOptions").map(|options| (options.dry_run, options.validation));
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
            (Err(got), Err(expected)) => {
                assert_eq!(
                    (got.code, got.message),
                    (422, format!("PatchOptions.meta.k8s.io \"\" is invalid: {expected}"))
                );
            }
            (got, expected) => panic!("{text}: {got:?} instead of {expected:?}"),
        }
    }
    assert!(write_options(&query(&format!("fieldManager={}", "x".repeat(129))), "CreateOptions").is_err());
}

#[test]
fn list_options_are_checked() {
    let table = [
        (
            "resourceVersionMatch=Exact",
            false,
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            false,
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        (
            "resourceVersionMatch=x&resourceVersion=1",
            false,
            "resourceVersionMatch: Unsupported value: \"x\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=1",
            true,
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (
            "sendInitialEvents=true",
            true,
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        ("sendInitialEvents=true", false, "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
    ];
    for (text, watch, expected) in table {
        let status = list_options(&query(text), watch).unwrap_err();
        assert_eq!(status.message, format!("ListOptions.meta.k8s.io \"\" is invalid: {expected}"));
    }
    for text in ["limit=x", "limit=-1", "timeoutSeconds=x", "labelSelector=a=b=c", "fieldSelector=a"] {
        assert_eq!(list_options(&query(text), false).unwrap_err().code, 400, "{text}");
    }
}

#[test]
fn lists_stand_where_upstream_puts_them() {
    use Freshness::{Any, AtLeast, Exact, Latest};
    let table = [
        ("", Latest, 0),
        ("limit=5", Latest, 5),
        ("resourceVersion=0&limit=5", Any, 0),
        ("resourceVersion=7", AtLeast(7), 0),
        ("resourceVersion=7&limit=5", Exact(7), 5),
        ("resourceVersion=7&resourceVersionMatch=Exact", Exact(7), 0),
        ("resourceVersion=7&limit=5&resourceVersionMatch=NotOlderThan", AtLeast(7), 5),
    ];
    for (text, freshness, limit) in table {
        let place = place(&list_options(&query(text), false).unwrap()).unwrap();
        assert_eq!((place.freshness, place.limit), (freshness, limit), "{text}");
    }
    let token = token::encode(Some(9), "a\0");
    let goes_on = place(&list_options(&query(&format!("continue={token}&limit=2")), false).unwrap()).unwrap();
    assert_eq!(goes_on, Place { freshness: Exact(9), limit: 2, after_key: Some("a\0".into()) });
    let with_version = list_options(&query(&format!("continue={token}&resourceVersion=3")), false).unwrap();
    assert!(place(&with_version).unwrap_err().message.contains("not allowed when using continue"));
    assert_eq!(revision("abc").unwrap_err().code, 400);
}

#[test]
fn watches_begin_where_upstream_begins_them() {
    let from = |text: &str| watch_from(&list_options(&query(text), true).unwrap()).unwrap();
    assert_eq!(from(""), WatchFrom::State(Freshness::Latest));
    assert_eq!(from("resourceVersion=0"), WatchFrom::State(Freshness::Any));
    assert_eq!(from("resourceVersion=7"), WatchFrom::Revision(7));
    let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    assert_eq!(from(initial), WatchFrom::State(Freshness::Latest));
    assert_eq!(from(&format!("{initial}&resourceVersion=7")), WatchFrom::State(Freshness::AtLeast(7)));
    let none = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    assert_eq!(from(none), WatchFrom::Now);
    assert_eq!(from(&format!("{none}&resourceVersion=7")), WatchFrom::Revision(7));
}

#[test]
fn delete_options_come_from_body_or_query() {
    let body = json!({"gracePeriodSeconds": 5, "propagationPolicy": "Foreground", "preconditions": {"uid": "u"}, "dryRun": ["All"]});
    let (options, dry_run) = delete_options(&query("gracePeriodSeconds=9"), Some(&body)).unwrap();
    assert_eq!(
        (options.grace_period_seconds, options.propagation, dry_run),
        (Some(5), Some(Propagation::Foreground), true)
    );
    assert_eq!(options.preconditions.uid.as_deref(), Some("u"));
    let (options, dry_run) = delete_options(&query("gracePeriodSeconds=9&orphanDependents=true"), None).unwrap();
    assert_eq!((options.grace_period_seconds, options.orphan_dependents, dry_run), (Some(9), Some(true), false));
    for bad in ["propagationPolicy=x", "propagationPolicy=Orphan&orphanDependents=true", "dryRun=x"] {
        assert_eq!(delete_options(&query(bad), None).unwrap_err().code, 422, "{bad}");
    }
    assert_eq!(delete_options(&query("gracePeriodSeconds=x"), None).unwrap_err().code, 400);
}
