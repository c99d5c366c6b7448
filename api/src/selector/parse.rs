//! The grammar of label selectors (apimachinery, pkg/labels/selector.go): `KEY`, `!KEY`, `KEY = VALUE`, `KEY in (V, W)`, joined by
//! commas. Errors say what was found and what could have stood there, in upstream's words.

use super::{Error, Operator, Requirement};
use crate::field::{FieldError, Path};
use crate::names;

const BINARY_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Symbol(&'static str),
    Word(String),
    /// Symbols that mean nothing, e.g. `=!`; the text is already the complaint.
    Error(String),
    End,
}

impl Token {
    fn literal(&self) -> &str {
        match self {
            Self::Symbol(text) => text,
            Self::Word(text) | Self::Error(text) => text,
            Self::End => "",
        }
    }
}

const SYMBOLS: [&str; 8] = [")", ",", "!", "==", "=", ">", "<", "!="];

fn symbol(text: &str) -> Option<&'static str> {
    SYMBOLS.into_iter().chain(["("]).find(|symbol| *symbol == text)
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn tokens(text: &str) -> Vec<Token> {
    let mut rest = text;
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.bytes().next().filter(|byte| *byte != 0) else {
            tokens.push(Token::End);
            return tokens;
        };
        let (token, length) = if is_special(first) { special(rest) } else { word(rest) };
        tokens.push(token);
        rest = &rest[length..];
    }
}

fn word(text: &str) -> (Token, usize) {
    let length = text.bytes().position(|b| b == 0 || is_special(b) || is_space(b)).unwrap_or(text.len());
    (Token::Word(text[..length].into()), length)
}

/// The longest known symbol at the start; if there is none, the whole run of symbol characters is an error.
fn special(text: &str) -> (Token, usize) {
    let run = text.bytes().position(|b| !is_special(b)).unwrap_or(text.len());
    let mut last = None;
    for length in 1..=run {
        match symbol(&text[..length]) {
            Some(known) => last = Some((Token::Symbol(known), length)),
            None if last.is_some() => break,
            None => {}
        }
    }
    last.unwrap_or_else(|| (Token::Error(format!("error expected: keyword found '{}'", &text[..run])), run))
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.position).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.position += 1;
        token
    }

    fn at(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(found) if *found == symbol)
    }
}

fn found(token: &Token, expected: &str) -> Error {
    Error(format!("found '{}', expected: {expected}", token.literal()))
}

/// The requirements in the order of the text.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, Error> {
    let mut parser = Parser { tokens: tokens(text), position: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            Token::Word(_) | Token::Symbol("!") => {}
            Token::End => return Ok(requirements),
            other => return Err(found(other, "!, identifier, or 'end of string'")),
        }
        let one = requirement(&mut parser).map_err(|error| Error(format!("unable to parse requirement: {error}")))?;
        requirements.push(one);
        match parser.next() {
            Token::End => return Ok(requirements),
            Token::Symbol(",") if matches!(parser.peek(), Token::Word(_) | Token::Symbol("!")) => {}
            Token::Symbol(",") => return Err(found(parser.peek(), "identifier after ','")),
            other => return Err(found(&other, "',' or 'end of string'")),
        }
    }
}

fn requirement(parser: &mut Parser) -> Result<Requirement, Error> {
    let negated = parser.at("!");
    if negated {
        parser.next();
    }
    let key = match parser.next() {
        Token::Word(key) => key,
        other => return Err(found(&other, "identifier")),
    };
    let complaints = names::qualified_name(&key);
    if !complaints.is_empty() {
        let error = FieldError::invalid(&Path::root(), &key.as_str().into(), complaints.join("; "));
        return Err(Error(error.to_string()));
    }
    // After `!key` an operator is left for the caller to complain about.
    if negated {
        return Requirement::new(&key, Operator::DoesNotExist, Vec::new());
    }
    if matches!(parser.peek(), Token::End) || parser.at(",") {
        return Requirement::new(&key, Operator::Exists, Vec::new());
    }
    let operator = operator(parser)?;
    let mut values = match operator {
        Operator::In | Operator::NotIn => values(parser)?,
        _ => vec![exact_value(parser)?],
    };
    values.sort();
    values.dedup();
    Requirement::new(&key, operator, values)
}

fn operator(parser: &mut Parser) -> Result<Operator, Error> {
    let token = parser.next();
    Ok(match &token {
        Token::Word(word) if word == "in" => Operator::In,
        Token::Word(word) if word == "notin" => Operator::NotIn,
        Token::Symbol("=") => Operator::Equals,
        Token::Symbol("==") => Operator::DoubleEquals,
        Token::Symbol("!=") => Operator::NotEquals,
        Token::Symbol(">") => Operator::GreaterThan,
        Token::Symbol("<") => Operator::LessThan,
        other => return Err(found(other, BINARY_OPERATORS)),
    })
}

fn exact_value(parser: &mut Parser) -> Result<String, Error> {
    if matches!(parser.peek(), Token::End) || parser.at(",") {
        return Ok(String::new());
    }
    match parser.next() {
        Token::Word(value) => Ok(value),
        other => Err(found(&other, "identifier")),
    }
}

/// `(a, b)`; between commas, before the first and after the last there may be nothing: the empty value.
fn values(parser: &mut Parser) -> Result<Vec<String>, Error> {
    let open = parser.next();
    if open != Token::Symbol("(") {
        return Err(Error(format!("found '{}' expected: '('", open.literal())));
    }
    match parser.peek() {
        Token::Symbol(")") => {
            parser.next();
            return Ok(vec![String::new()]);
        }
        Token::Word(_) | Token::Symbol(",") => {}
        other => return Err(found(other, "',', ')' or identifier")),
    }
    let mut values = Vec::new();
    loop {
        match parser.next() {
            Token::Word(value) => {
                values.push(value);
                match parser.peek() {
                    Token::Symbol(",") => {}
                    Token::Symbol(")") => break,
                    other => return Err(found(other, "',' or ')'")),
                }
            }
            Token::Symbol(",") => {
                if values.is_empty() || parser.at(",") || parser.at(")") {
                    values.push(String::new());
                }
                if parser.at(")") {
                    break;
                }
            }
            other => return Err(found(&other, "',', or identifier")),
        }
    }
    parser.next();
    Ok(values)
}

#[cfg(test)]
mod tests;
