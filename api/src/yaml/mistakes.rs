//! What is said of text that is no YAML: the complaints of the scanner in the words, and with the lines, of go-yaml.

use saphyr_parser::ScanError;

use super::read::{Error, yaml_error};

/// A tab before the first token, where saphyr does not mind one.
pub(super) fn leading_tab(text: &str) -> Option<Error> {
    let mut lines = text.lines().enumerate();
    let (number, line) = lines.find(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))?;
    let space = &line[..line.len() - line.trim_start().len()];
    let place = if number == 0 { String::new() } else { format!("line {}: ", number + 1) };
    space.contains('\t').then(|| yaml_error(format!("{place}found character that cannot start any token")))
}

/// The name behind the first `*` of a line.
pub(super) fn alias_at(text: &str, line: usize) -> String {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let name = line.split_once('*').map_or("", |(_, name)| name);
    name.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).collect()
}

/// A syntax error in go-yaml's words. It counts lines from 1 in its scanner but from 0 in its parser, and leaves line 0 out.
pub(super) fn scan_error(text: &str, error: &ScanError) -> Error {
    let mut line = error.marker().line();
    let info = error.info();
    if info.contains("unexpected end of stream") {
        line = text.matches('\n').count() + 1; // where the scalar should have ended, not where it began
    }
    if info.contains("found unknown anchor") {
        return yaml_error(format!("unknown anchor '{}' referenced", alias_at(text, line)));
    }
    if info == "invalid indentation in quoted scalar" {
        return unclosed_quote(text, line, error.marker().col());
    }
    let problem = info.rsplit_once(", ").filter(|(context, _)| context.starts_with("while ")).map_or(info, |s| s.1);
    let (problem, in_parser) = match problem {
        "expected ',' or ']'" | "did not find expected ',' or ']'" => ("did not find expected ',' or ']'", true),
        _ if info.contains("',' or '}'") => ("did not find expected ',' or '}'", true),
        _ if info.starts_with("while parsing a flow sequence") => ("did not find expected ',' or ']'", true),
        _ if info.starts_with("while parsing a block") || info.starts_with("while parsing a node") => (problem, true),
        _ if problem.starts_with("did not find expected <document start") => (problem, true),
        "misplaced bracket" => (misplaced_bracket(text, line, error.marker().col()), true),
        _ if problem.starts_with("unexpected character") || problem.contains("tab") => {
            ("found character that cannot start any token", false)
        }
        "simple key expected" | "simple key expect ':'" => ("could not find expected ':'", false),
        _ => (problem, false),
    };
    match if in_parser { line - 1 } else { line } {
        0 => yaml_error(problem),
        line => yaml_error(format!("line {line}: {problem}")),
    }
}

/// A quoted scalar that runs on into less indented lines: go-yaml reads to the end of it, then finds no key there.
fn unclosed_quote(text: &str, line: usize, column: usize) -> Error {
    let mut lines = text.split_inclusive('\n').enumerate().skip(line.saturating_sub(1));
    let opening = lines.next().map_or("", |(_, text)| text);
    let start = opening.char_indices().nth(column).map_or(opening.len(), |(at, _)| at);
    let quote = opening[start..].chars().find(|c| matches!(c, '"' | '\'')).unwrap_or('"');
    match lines.find(|(_, text)| text.contains(quote)) {
        Some((closing, _)) => yaml_error(format!("line {closing}: did not find expected key")),
        None => {
            let end = text.matches('\n').count() + 1;
            yaml_error(format!("line {end}: found unexpected end of stream"))
        }
    }
}

/// A closing bracket that closes nothing, where a value or where a key could have stood.
fn misplaced_bracket(text: &str, line: usize, column: usize) -> &'static str {
    let text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let before: String = text.chars().take(column).collect();
    if before.trim_end().ends_with([':', '-']) {
        "did not find expected node content"
    } else {
        "did not find expected key"
    }
}
