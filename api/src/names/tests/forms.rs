//! What each form of a name takes and what it refuses, form by form.

use super::super::*;

type Check = fn(&str) -> Vec<String>;

fn check(check: Check, good: &[&str], bad: &[&str]) {
    for value in good {
        assert_eq!(check(value), Vec::<String>::new(), "{value:?} was refused");
    }
    for value in bad {
        assert!(!check(value).is_empty(), "{value:?} was accepted");
    }
}

/// `length` letters.
fn letters(length: usize) -> String {
    "a".repeat(length)
}

#[test]
fn labels_of_rfc_1123() {
    check(
        dns1123_label,
        &["a", "ab", "a1", "a-1", "a--1--2--b", "0", "01", "1a", "1-a", "1--a--b--2", &letters(63)],
        &["", &letters(64)],
    );
    // Upper case, anywhere.
    check(dns1123_label, &[], &["A", "ABC", "aBc", "A1", "A-1", "1-A"]);
    // Dashes at an end.
    check(dns1123_label, &[], &["-", "a-", "-a", "1-", "-1"]);
    // Underlines, dots and space, alone, at an end, within.
    check(dns1123_label, &[], &["_", "a_", "_a", "a_b", "1_", "_1", "1_2"]);
    check(dns1123_label, &[], &[".", "a.", ".a", "a.b", "1.", ".1", "1.2"]);
    check(dns1123_label, &[], &[" ", "a ", " a", "a b", "1 ", " 1", "1 2", "a\n", "\ta"]);
    // Letters that are none of ASCII.
    check(dns1123_label, &[], &["ä", "añb", "Ａ"]);
}

#[test]
fn subdomains_of_rfc_1123() {
    check(dns1123_subdomain, &["a", "a-1", "a--1--2--b", "0", "012", "1--a--b--2"], &["", "A", "aBc", "A-1", "1-A"]);
    check(
        dns1123_subdomain,
        &["a.a", "a1.a", "a-1.a", "a--1--2--b.a", "a.1", "0.a", "1-a.a", "0.1", "1--a--b--2.1"],
        &["A.a", "aB.a", "ab.A", "A1.1", "0.A", "1A.a", "A.B.C.D.E", "a.B.c.d.e"],
    );
    check(
        dns1123_subdomain,
        &["a.b.c.d.e", "aa.bb.cc.dd.ee", "1.2.3.4.5", "11.22.33.44.55", &letters(253)],
        &[&letters(254), &format!("{}.b", letters(252))],
    );
    // One label may be longer than a label: only the whole counts.
    check(dns1123_subdomain, &[&format!("{}.b", letters(100))], &[]);
    check(dns1123_subdomain, &[], &["-", "a-", "-a", "a.-b", "a-.b", "_", "a_b", "."]);
    check(dns1123_subdomain, &[], &["a.", ".a", "a..b", "1..2", " ", "a b", "a@b", "a,b", "a;b", "a:b", "a%b", "a?b"]);
    check(dns1123_subdomain, &[], &["a$b", "*.a", "a/b", "é.com"]);
}

#[test]
fn labels_of_rfc_1035() {
    check(dns1035_label, &["a", "ab", "a1", "a-1", "a--1--2--b", &letters(63)], &["", &letters(64)]);
    // Digits in front are the difference.
    check(dns1035_label, &[], &["0", "01", "1a", "1-a", "1--a--b--2"]);
    check(dns1035_label, &[], &["A", "aBc", "A-1", "-", "a-", "-a", "_", "a_b", ".", "a.b", " ", "a b"]);
}

#[test]
fn wildcards() {
    check(
        wildcard_dns1123_subdomain,
        &["*.example.com", "*.bar.com", "*.foo.bar.com", "*.a"],
        &["", "*", "*.", "*bar.com", "f*.bar.com", "*.*.bar.com", "*.foo.*.com", "a.b", "*.A", "*.-a"],
    );
    check(wildcard_dns1123_subdomain, &[&format!("*.{}", letters(251))], &[&format!("*.{}", letters(252))]);
}

#[test]
fn qualified_names() {
    check(
        qualified_name,
        &["simple", "now-with-dashes", "1-starts-with-num", "1234", "Uppercase_Is_OK_123", "requests.storage-foo"],
        &["", "nospecialchars%^=@", "cantendwithadash-", "-cantstartwithadash-", "_a", "a.", "a b"],
    );
    check(
        qualified_name,
        &["simple/simple", "with-dashes/simple", "dots.in.it/simple", "1-num.2-num/3-num", "1234/5678", "1.2.3.4/5"],
        &["only/one/slash", "Example.com/abc", "example_com/abc", "example.com/", "/simple", "/", "a/-", "-/a"],
    );
    let long = |prefix: usize, name: usize| format!("{}/{}", letters(prefix), letters(name));
    check(qualified_name, &[&letters(63), &long(253, 63)], &[&letters(64), &long(254, 3), &long(3, 64)]);
    check(qualified_name, &["example.com/Uppercase_Is_OK_123"], &["Tama-nui-te-rā"]);
}

#[test]
fn values_of_labels() {
    check(
        label_value,
        &["", "simple", "now-with-dashes", "1-starts-with-num", "end-with-num-1", "1234", "A_b.C", &letters(63)],
        &["nospecialchars%^=@", "Tama-nui-te-rā.is.Māori.sun", "\\backslashes\\are\\bad", &letters(64)],
    );
    check(label_value, &[], &["-starts-with-dash", "ends-with-dash-", ".starts", "ends.", "_", "a/b", " ", "a b"]);
}

#[test]
fn keys_of_config_maps() {
    check(
        config_map_key,
        &["a", "good", "good-good", "still.good", ".so.is.this", "THIS_IS_GOOD", "so_is_this_17", "-", "a..b"],
        &["", ".", "..", "..bad", "...", "b*d", "bad!&bad", "a b", "a/b", "ä"],
    );
    check(config_map_key, &[&letters(253)], &[&letters(254)]);
}

#[test]
fn names_of_environment_variables() {
    check(env_var_name, &["-", ":", "_", "+a", ">a", "<a", "a.", "a..", "*a", "%a", "?a", "a:a", "a_a", "aAz"], &[]);
    check(env_var_name, &["~a", "|a", "a0a", "a9", "/a", "a ", "#a", "0a", "0 a", "'a", "(a", "@a", "\"", "{}"], &[]);
    check(env_var_name, &[], &["", "=", "a=", "1=a", "a=b", "#%=&&", "\u{1}abc", "\u{82}abc", "Ç ç", "Ä ä", "a\tb"]);
    check(env_var_name, &[], &["a\u{7f}", "a\nb", "Ñ ñ", "Ø ø"]);
}

#[test]
fn names_and_numbers_of_ports() {
    check(
        port_name,
        &["telnet", "re-mail-ck", "pop3", "a", "a-1", "1-a", "a-1-b-2-c", "1-a-2-b-3", &letters(15)],
        &["longerthan15characters", "", &letters(16), "12345", "1-2-3-4", "-begin", "end-", "two--hyphens", "whois++"],
    );
    check(port_name, &[], &["Http", "a_b", "a.b", "-", "a b"]);
    for good in [1, 2, 1000, 16384, 32768, 65535] {
        assert!(port_number(good).is_empty(), "{good}");
    }
    for bad in [0, -1, 65536, 100_000, i64::MIN, i64::MAX] {
        assert_eq!(port_number(bad), ["must be between 1 and 65535, inclusive"], "{bad}");
    }
}

#[test]
fn percentages() {
    check(
        percent,
        &["0%", "00000%", "1%", "01%", "99%", "100%", "101%", "99999999999999999999%"],
        &["", "0", "100", "0.0%", "99.9%", "hundred", " 1%", "1% ", "-0%", "-1%", "+1%", "%", "1%%", "%1"],
    );
}

#[test]
fn names_of_headers() {
    check(
        http_header_name,
        &["Accept-Encoding", "Host", "If-Modified-Since", "X-Forwarded-For"],
        &["Host:", "X-@Home"],
    );
    check(
        http_header_name,
        &["a", "a1", "-a", "a-", "a-b", "a--1--2--b", "--abc-123", "A", "AbC", "-A", "--123-ABC"],
        &["", "_", "a_", "_a", "1_2", ".", "a.", ".a", "a.b", "1.2", " ", "a ", " a", "a b", "#a#", "^", ",", ";", "="],
    );
    check(http_header_name, &[], &["<", "?", "@", "{", "é"]);
}

#[test]
fn identifiers_of_c() {
    check(
        c_identifier,
        &["a", "ab", "_a", "_", "a1", "A", "AbC", "my_name", "__1"],
        &["", "1", "1a", "a-b", "a.b", "a b", "ä"],
    );
}

#[test]
fn segments_of_paths() {
    check(path_segment, &["a", "system:node", "a b", "a.b", "...", "A_*", "é"], &[".", "..", "a/b", "/", "a%20b", "%"]);
    check(path_segment_prefix, &["", ".", "..", "a:"], &["a/", "%"]);
    assert_eq!(path_segment("a/b%"), ["may not contain '/'", "may not contain '%'"]);
    assert_eq!(path_segment(".."), ["may not be '..'"]);
}
