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

#[test]
fn terms_are_split_at_commas_that_are_not_escaped() {
    let table: &[(&str, &[&str])] = &[
        ("", &[""]),
        ("a", &["a"]),
        ("a=avalue", &["a=avalue"]),
        ("a=avalue,b==bvalue,c!=cvalue", &["a=avalue", "b==bvalue", "c!=cvalue"]),
        ("a=a,", &["a=a", ""]),
        (",a=a", &["", "a=a"]),
        (r"k=\,,k2=v2", &[r"k=\,", "k2=v2"]),
        (r"k=\\,k2=v2", &[r"k=\\", "k2=v2"]),
        (r"k=\\\,,k2=v2", &[r"k=\\\,", "k2=v2"]),
        (r"k=\a\b\", &[r"k=\a\b\"]),
        (r"k=\", &[r"k=\"]),
        ("함=수,목=록", &["함=수", "목=록"]),
    ];
    for (text, terms) in table {
        assert_eq!(split_terms(text), *terms, "{text}");
    }
}

#[test]
fn a_term_is_split_at_its_first_operator() {
    let table = [
        ("a=value", Some(("a", "=", "value"))),
        ("b==value", Some(("b", "==", "value"))),
        ("c!=value", Some(("c", "!=", "value"))),
        ("c=!=value", Some(("c", "=", "!=value"))),
        ("d===value", Some(("d", "==", "=value"))),
        ("=value", Some(("", "=", "value"))),
        ("a=", Some(("a", "=", ""))),
        ("", None),
        ("a", None),
        ("a!b", None),
        (r"k=\,", Some(("k", "=", r"\,"))),
        (r"k=\=", Some(("k", "=", r"\="))),
        (r"k=\\\a\b\=\,\", Some(("k", "=", r"\\\a\b\=\,\"))),
        // The left side knows no escapes.
        (r"k\=a=b", Some((r"k\", "=", "a=b"))),
        ("함=수", Some(("함", "=", "수"))),
    ];
    for (term, expected) in table {
        assert_eq!(split_term(term), expected, "{term}");
    }
}

#[test]
fn values_are_escaped_and_back() {
    for (plain, escaped) in
        [("", ""), ("a", "a"), ("=", r"\="), (",", r"\,"), ("\\", r"\\"), (r"\=\,\", r"\\\=\\\,\\"), ("é,", r"é\,")]
    {
        assert_eq!(escape(plain), escaped);
        assert_eq!(unescape(escaped).as_deref(), Ok(plain));
    }
    let table = [
        (r"\", r"invalid field selector: invalid escape sequence: \"),
        (r"\\\", r"invalid field selector: invalid escape sequence: \"),
        (r"\a", r"invalid field selector: invalid escape sequence: \a"),
        (r"\é", r"invalid field selector: invalid escape sequence: \é"),
        ("a,b", "invalid field selector: unescaped character in value: 44"),
        ("a=b", "invalid field selector: unescaped character in value: 61"),
    ];
    for (value, error) in table {
        assert_eq!(unescape(value).unwrap_err().0, error);
    }
}

#[test]
fn what_reads_and_what_does_not() {
    for (text, printed) in [
        ("x=a,y=b,z=c", "x=a,y=b,z=c"),
        ("", ""),
        ("x!=a,y=b", "x!=a,y=b"),
        (r"x=a||y\=b", r"x=a||y\=b"),
        (r"x=a\=\=b", r"x=a\=\=b"),
        ("x==a", "x=a"),
        ("x=a,a=x", "a=x,x=a"),
        (",,x=a,,", "x=a"),
        ("x= a b ", "x= a b "),
        ("=a", "=a"),
    ] {
        assert_eq!(FieldSelector::parse(text).unwrap().to_string(), printed, "{text}");
    }
    for text in ["x=a||y=b", "x==a==b", "x=a,b", "x in (a)", "x in (a,b,c)", "x", "!x", "x!a"] {
        assert!(FieldSelector::parse(text).is_err(), "{text}");
    }
}

#[test]
fn fields_that_fit() {
    let table = [
        ("", "x=y", true),
        ("x=y", "x=y", true),
        ("x=y", "x=z", false),
        ("x=y,z=w", "x=y,z=w", true),
        ("x=y,z=w", "x=w,z=w", false),
        ("x!=y,z!=w", "x=z,z=a", true),
        ("x!=y,z!=w", "x=z,z=w", false),
        ("notin=in", "notin=in", true),
        ("x=,y=b", "y=b", true),
        ("x!=", "y=b", false),
        ("x=a,x=b", "x=a", false),
        ("x=a,x!=b", "x=a", true),
    ];
    for (selector, fields, expected) in table {
        let fields: Vec<(&str, &str)> = fields.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let found = FieldSelector::parse(selector).unwrap();
        let value = |name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value);
        assert_eq!(found.matches(value), expected, "{selector} on {fields:?}");
    }
    assert!(FieldSelector::equals("a", "b,c").matches(|_| Some("b,c")));
    assert_eq!(FieldSelector::equals("a", "b,c").to_string(), r"a=b\,c");
}

#[test]
fn fields_are_renamed_or_refused() {
    let rename = |selector: &str| {
        FieldSelector::parse(selector).unwrap().try_map(|term| match term.field.as_str() {
            "name" => Ok(FieldTerm { field: "metadata.name".into(), ..term.clone() }),
            "metadata.name" => Ok(term.clone()),
            other => Err(format!("field label not supported: {other}")),
        })
    };
    assert_eq!(rename("name=a,metadata.name!=b").unwrap().to_string(), "metadata.name!=b,metadata.name=a");
    assert_eq!(rename("name=a,color=red"), Err("field label not supported: color".into()));
    assert!(rename("").unwrap().is_everything());
    let table = [("a=1", "a", Some("1")), ("a!=1", "a", None), ("b=1", "a", None), ("a=", "a", Some(""))];
    for (selector, field, expected) in table {
        assert_eq!(FieldSelector::parse(selector).unwrap().required(field), expected, "{selector}");
    }
    assert_eq!(FieldSelector::everything().terms(), []);
}
