//! Tables for the scanner, and damage of every kind.

use serde_json::{Value, json};

use super::super::fields;
use super::*;

fn rows(plural: &str) -> &'static [Row] {
    fields::table(api::kinds::find("", "v1", plural).unwrap().0).rows
}

fn text(json: &[u8], scan: &Scan, span: Span) -> String {
    let all = [json, scan.unescaped.as_bytes()].concat();
    if span == Span::ABSENT {
        "-".into()
    } else {
        String::from_utf8(all[span.start as usize..][..span.len as usize].to_vec()).unwrap()
    }
}

#[test]
fn finds_rows_and_labels() {
    let table = [
        (
            "pods",
            r#"{"metadata":{"labels":{"app":"x","b":"y\"z"},"name":"a"},"spec":{"nodeName":"n1","hostNetwork":true,"x":[{"nodeName":"no"}]},
               "status":{"podIPs":[{"ip":"1.2.3.4"},{"ip":"::1"}],"phase":"Running"}}"#,
            vec!["n1", "-", "-", "-", "true", "Running", "1.2.3.4", "-", "-", "app", "x", "b", "y\"z"],
        ),
        ("pods", r#"{ "spec" : { "nodeName" : null } , "metadata" : { } }"#, vec!["-"; 9]),
        ("nodes", r#"{"metadata":{"labels":null},"spec":{"unschedulable":true}}"#, vec!["true"]),
        ("nodes", r#"{"metadata":{},"spec":{"unschedulable":{"x":1}}}"#, vec!["-"]),
        ("replicationcontrollers", r#"{"metadata":{},"status":{"replicas":-3}}"#, vec!["-3"]),
        (
            "configmaps",
            r#"{"data":{"metadata":"{\"labels\":{}}"},"metadata":{"labels":{"é":"\u00e9"}}}"#,
            vec!["é", "é"],
        ),
    ];
    for (plural, json, want) in table {
        let scan = scan(json.as_bytes(), rows(plural)).unwrap();
        let got: Vec<String> = scan.spans.iter().map(|span| text(json.as_bytes(), &scan, *span)).collect();
        assert_eq!(got, want, "{json}");
    }
}

#[test]
fn the_splice_keeps_members_sorted() {
    let table = [
        (r#"{"metadata":{"name":"a","uid":"1"}}"#, r#"{"metadata":{"name":"a",^"uid":"1"}}"#, Form::Before),
        (r#"{"metadata":{"name":"a"}}"#, r#"{"metadata":{"name":"a"^}}"#, Form::After),
        (r#"{"metadata":{}}"#, r#"{"metadata":{^}}"#, Form::Alone),
        (
            r#"{"metadata":{"resourceVersion":"7","uid":"1"}}"#,
            r#"{"metadata":{"resourceVersion":^,"uid":"1"}}"#,
            Form::Value,
        ),
    ];
    for (json, want, form) in table {
        let scan = scan(json.as_bytes(), &[]).unwrap();
        let (from, until) = (scan.splice.from as usize, scan.splice.until as usize);
        assert_eq!((format!("{}^{}", &json[..from], &json[until..]), scan.splice.form), (want.to_string(), form));
        assert_eq!(&json[scan.metadata.start as usize..scan.metadata.end as usize], &json[12..json.len() - 1]);
    }
}

#[test]
fn the_resource_version_is_taken_out() {
    let table = [
        r#"{"metadata":{"resourceVersion":"7"}}"#,
        r#"{"metadata":{"name":"a","resourceVersion":"7"}}"#,
        r#"{"metadata":{"name":"a","resourceVersion":"7","uid":"1"},"spec":{"resourceVersion":"stays"}}"#,
        r#"{ "metadata" : { "resourceVersion" : "7" , "uid" : "1" } }"#,
        r#"{ "metadata" : { "name" : "a" , "resourceVersion" : "7" } }"#,
        r#"{"metadata":{"name":"a"}}"#,
    ];
    for json in table {
        let mut bytes = json.as_bytes().to_vec();
        strip_resource_version(&mut bytes).unwrap();
        let mut want: Value = serde_json::from_str(json).unwrap();
        want["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), want, "{json}");
    }
}

#[test]
fn damage_is_said_and_never_panics() {
    for json in [
        "",
        "[]",
        "{}",
        "null",
        "{\"metadata\":[]}",
        "{\"metadata\":{}",
        "{\"metadata\":{}} x",
        "{\"metadata\":{\"a\":1,}}",
    ] {
        assert!(scan(json.as_bytes(), rows("pods")).is_err(), "{json}");
    }
    let whole = json!({"metadata": {"labels": {"a\\": "b\""}, "uid": "1"}, "spec": {"nodeName": "n\n"}, "status": {"podIPs": [{"ip": "1"}]}});
    let whole = whole.to_string().into_bytes();
    for cut in 0..whole.len() {
        assert!(scan(&whole[..cut], rows("pods")).is_err());
        for byte in [b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', 0, 0xff] {
            let mut changed = whole.clone();
            changed[cut] = byte;
            let _ = scan(&changed, rows("pods"));
            let _ = strip_resource_version(&mut changed);
        }
    }
}
