//! Label selectors as they are written: what reads, as what, and what does not.

use crate::selector::LabelSelector;

fn printed(text: &str) -> String {
    LabelSelector::parse(text).map_or_else(|error| format!("error: {error}"), |selector| selector.to_string())
}

#[test]
fn what_reads_prints_in_one_form() {
    let table = [
        ("", ""),
        (" \t\r\n", ""),
        ("x", "x"),
        ("\rx", "x"),
        ("a ", "a"),
        ("!x", "!x"),
        ("! x", "!x"),
        ("x=a", "x=a"),
        ("x = a", "x=a"),
        ("x==a", "x==a"),
        ("x!=a", "x!=a"),
        ("x != a", "x!=a"),
        ("x=", "x="),
        ("x= ", "x="),
        ("x==", "x=="),
        ("x!=", "x!="),
        ("x=,z= ", "x=,z="),
        ("x= ,z= ", "x=,z="),
        ("x>1", "x>1"),
        ("x > 1", "x>1"),
        ("x<7", "x<7"),
        ("x>1,z<5", "x>1,z<5"),
        ("x=a,y!=b", "x=a,y!=b"),
        ("x=a,y!=b,z in (h,i,j)", "x=a,y!=b,z in (h,i,j)"),
        // Keys with a prefix, values with dots.
        ("this-is-a-dns.domain.com/key-with-dash", "this-is-a-dns.domain.com/key-with-dash"),
        ("another-dns.domain.com/key in (what,so)", "another-dns.domain.com/key in (so,what)"),
        ("0.1.2.domain/99 notin (10.10.100.1, tick.tack.clock)", "0.1.2.domain/99 notin (10.10.100.1,tick.tack.clock)"),
        // Space of every kind between the words.
        ("foo  in\t (abc)", "foo in (abc)"),
        ("x notin\n (abc)", "x notin (abc)"),
        ("x  notin\t\t(abc,def)", "x notin (abc,def)"),
        ("x in ( abc , def )", "x in (abc,def)"),
        ("x in(abc)", "x in (abc)"),
        // Values are a set: sorted, each once, and empty where nothing stands.
        ("x in (b,a)", "x in (a,b)"),
        ("x in (abc,abc)", "x in (abc)"),
        ("x in ()", "x in ()"),
        ("x notin ( )", "x notin ()"),
        ("x in (abc,)", "x in (,abc)"),
        ("x notin (, a)", "x notin (,a)"),
        ("x in (a,,)", "x in (,a)"),
        ("x in (a,,,,,,)", "x in (,a)"),
        ("x in (a,,a,,a,,a,,)", "x in (,a)"),
        ("x notin (abc,,def),bar,z in (),w", "bar,w,x notin (,abc,def),z in ()"),
        // Requirements are sorted by their keys; those of one key stay as they were given.
        ("x,y in (a)", "x,y in (a)"),
        ("y in (a),x", "x,y in (a)"),
        ("x=a,a=x", "a=x,x=a"),
        ("z!=a,z,a", "a,z!=a,z"),
        ("x in (b,a),x notin (c)", "x in (a,b),x notin (c)"),
        // Operators are words like others where no operator can stand.
        ("a in (x,y,notin, z,in)", "a in (in,notin,x,y,z)"),
        ("in", "in"),
        ("notin=in", "notin=in"),
        ("in in (in)", "in in (in)"),
        ("!in", "!in"),
        ("exists", "exists"),
        ("a=in", "a=in"),
    ];
    for (text, expected) in table {
        assert_eq!(printed(text), expected, "{text:?}");
        assert_eq!(printed(expected), expected, "{text:?}: printed differently the second time");
    }
}

#[test]
fn what_does_not_read() {
    let operators = "in, notin, =, ==, !=, gt, lt";
    let in_requirement = |what: &str| format!("unable to parse requirement: {what}");
    let table: &[(&str, String)] = &[
        // Commas that separate nothing.
        (",", "found ',', expected: !, identifier, or 'end of string'".into()),
        (",x,y", "found ',', expected: !, identifier, or 'end of string'".into()),
        ("x,,y", "found ',', expected: identifier after ','".into()),
        ("x,", "found '', expected: identifier after ','".into()),
        ("a in (xyz),", "found '', expected: identifier after ','".into()),
        ("a=b,(", "found '(', expected: identifier after ','".into()),
        // Something where the end or a comma should be.
        ("x==a==b", "found '==', expected: ',' or 'end of string'".into()),
        ("!x=a", "found '=', expected: ',' or 'end of string'".into()),
        ("!x in (a)", "found 'in', expected: ',' or 'end of string'".into()),
        ("a in (xyz)b notin ()", "found 'b', expected: ',' or 'end of string'".into()),
        ("a=b)", "found ')', expected: ',' or 'end of string'".into()),
        ("x=a b", "found 'b', expected: ',' or 'end of string'".into()),
        // No operator.
        ("x nott in (a)", in_requirement(&format!("found 'nott', expected: {operators}"))),
        ("x gt 1", in_requirement(&format!("found 'gt', expected: {operators}"))),
        ("x exists", in_requirement(&format!("found 'exists', expected: {operators}"))),
        ("a (", in_requirement(&format!("found '(', expected: {operators}"))),
        ("a!", in_requirement(&format!("found '!', expected: {operators}"))),
        ("a )", in_requirement(&format!("found ')', expected: {operators}"))),
        // No key.
        ("(", "found '(', expected: !, identifier, or 'end of string'".into()),
        ("=a", "found '=', expected: !, identifier, or 'end of string'".into()),
        (">1", "found '>', expected: !, identifier, or 'end of string'".into()),
        ("!", in_requirement("found '', expected: identifier")),
        ("!!x", in_requirement("found '!', expected: identifier")),
        ("!=a", "found '!=', expected: !, identifier, or 'end of string'".into()),
        // Lists that are not closed, or not opened.
        ("a notin(", in_requirement("found '', expected: ',', ')' or identifier")),
        ("a in (xyz abc)", in_requirement("found 'abc', expected: ',' or ')'")),
        ("a in (x", in_requirement("found '', expected: ',' or ')'")),
        ("a in x", in_requirement("found 'x' expected: '('")),
        ("a in", in_requirement("found '' expected: '('")),
        ("a notin )", in_requirement("found ')' expected: '('")),
        // No value.
        (
            "x>",
            in_requirement("values[0]: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be an integer"),
        ),
        ("x=!a", in_requirement("found '!', expected: identifier")),
        ("x=(a)", in_requirement("found '(', expected: identifier")),
    ];
    for (text, expected) in table {
        assert_eq!(printed(text), format!("error: {expected}"), "{text:?}");
    }
    // Values and keys that are no labels.
    for text in ["x=a||y=b", "x=a b/", "x in (a/b)", "a/b/c", "-x", "x=-", "x<a", "x>1.5", "x>9223372036854775808"] {
        assert!(LabelSelector::parse(text).is_err(), "{text}");
    }
}
