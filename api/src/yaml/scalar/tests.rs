//! In which style strings are written, and how floats are.

use super::*;

#[test]
fn styles() {
    let table = [
        ("abc", Style::Plain),
        ("a b", Style::Plain),
        ("a:b", Style::Plain),
        ("a#b", Style::Plain),
        ("-a", Style::Plain),
        (":a", Style::Plain),
        ("a,b]", Style::Plain),
        ("ümläut", Style::Plain),
        ("12:61", Style::Plain),
        ("", Style::Double),
        ("yes", Style::Double),
        ("NO", Style::Double),
        ("y", Style::Double),
        ("null", Style::Double),
        ("~", Style::Double),
        ("1", Style::Double),
        ("1_000", Style::Double),
        ("0644", Style::Double),
        ("1e3", Style::Double),
        ("12:30", Style::Double),
        ("2026-01-01T00:00:00Z", Style::Double),
        (".5", Style::Double),
        (" a", Style::Single),
        ("a ", Style::Single),
        ("- a", Style::Single),
        ("-", Style::Single),
        ("?", Style::Single),
        ("a: b", Style::Single),
        ("a:", Style::Single),
        ("a #b", Style::Single),
        ("#a", Style::Single),
        ("{a}", Style::Single),
        ("'a'", Style::Single),
        ("@a", Style::Single),
        ("---", Style::Single),
        ("a\tb", Style::Double),
        ("a\u{1f600}", Style::Double),
        ("a\rb", Style::Double),
        ("\u{2028}", Style::Double),
        ("a\nb", Style::Literal),
        ("a\nb\n", Style::Literal),
        ("  a\nb", Style::Literal),
        ("a \nb", Style::Double),
        ("a\nb ", Style::Double),
        ("a\n\tb", Style::Double),
    ];
    for (text, expected) in table {
        assert_eq!(style(text, false), expected, "{text:?}");
    }
    assert_eq!(
        (style("<<", true), style("<<", false), style("a\nb", true)),
        (Style::Double, Style::Plain, Style::Double)
    );
}

#[test]
fn floats_read_like_gos() {
    let table = [
        (1.5, "1.5"),
        (0.1, "0.1"),
        (100_000.0, "100000"),
        (1_000_000.0, "1e+06"),
        (1_234_567.5, "1.2345675e+06"),
        (0.0001, "0.0001"),
        (0.000_01, "1e-05"),
        (1e21, "1e+21"),
        (-2.5e-7, "-2.5e-07"),
        (f64::INFINITY, ".inf"),
    ];
    for (number, text) in table {
        assert_eq!(float_text(number, None), text);
    }
}
