//! How a scalar may be written (go-yaml v2, emitterc.go: analysis and styles), and floats as Go prints them.

use super::resolve::{Resolved, is_base_60, resolve};

/// The ways to write a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// The style of a string; `key` for keys on one line, which cannot be literal.
pub(super) fn style(text: &str, key: bool) -> Style {
    let look = Look::at(text);
    if text.contains('\n') && !key {
        return if look.literal { Style::Literal } else { Style::Double };
    }
    // A plain `<<` key would be read as a merge.
    if resolve(text) != Resolved::Text || is_base_60(text) || text.contains('\n') || (key && text == "<<") {
        return Style::Double;
    }
    match (look.plain, look.single) {
        (true, _) => Style::Plain,
        (false, true) => Style::Single,
        (false, false) => Style::Double,
    }
}

/// Which styles the characters of a string allow.
struct Look {
    plain: bool,
    single: bool,
    literal: bool,
}

/// Line breaks of YAML 1.1 besides the newline.
pub(super) fn is_odd_break(c: char) -> bool {
    matches!(c, '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What need not be escaped. As in go-yaml, characters beyond the first plane and tabs count as not printable.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

impl Look {
    fn at(text: &str) -> Self {
        let special = text.chars().any(|c| !is_printable(c) || is_odd_break(c));
        let indicator = starts_like_syntax(text) || contains_syntax(text);
        let edges = text.starts_with([' ', '\n']) || text.ends_with([' ', '\n']);
        let break_space = text.contains("\n ");
        let space_break = text.contains(" \n");
        Self {
            plain: !(special || indicator || edges || break_space || space_break),
            single: !(special || break_space || space_break),
            literal: !(special || space_break || text.ends_with(' ')),
        }
    }
}

fn starts_like_syntax(text: &str) -> bool {
    if text.starts_with("---") || text.starts_with("...") {
        return true;
    }
    let mut chars = text.chars();
    let (first, second) = (chars.next(), chars.next());
    let blank_follows = second.is_none_or(|c| matches!(c, ' ' | '\t' | '\n') || is_odd_break(c));
    match first {
        Some('#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => true,
        Some('?' | ':' | '-') => blank_follows,
        _ => false,
    }
}

fn contains_syntax(text: &str) -> bool {
    text.ends_with(':') || text.contains(": ") || text.contains(":\n") || text.contains(" #") || text.contains("\n#")
}

/// A float as Go's `%g` prints it, with the fewest digits that read back: `1.5`, `1e+06`, `.inf`.
pub(super) fn float_text(number: f64, single: Option<f32>) -> String {
    if number.is_nan() {
        return ".nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf".into() } else { "-.inf".into() };
    }
    let shortest = single.map_or_else(|| format!("{number:e}"), |single| format!("{single:e}"));
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    single.map_or_else(|| number.to_string(), |single| single.to_string())
}

#[cfg(test)]
mod tests {
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
}
