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
mod tests;
