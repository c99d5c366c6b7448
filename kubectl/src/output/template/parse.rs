//! A template's text as a tree.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Text as it is.
    Text(String),
    /// `{{pipeline}}`.
    Print(Pipeline),
    /// `{{if}}`: condition, then, else.
    If(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{with}}`: the same with the value as dot.
    With(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{range}}`: what, for each, for none.
    Range(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{break}}`.
    Break,
    /// `{{continue}}`.
    Continue,
}

/// Commands that each get the value of the one before, and the variables that get the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Names with their `$`.
    pub variables: Vec<String>,
    /// `:=` makes them, `=` only changes them.
    pub declares: bool,
    /// At least one.
    pub commands: Vec<Vec<Operand>>,
    /// As it was written, for errors.
    pub text: String,
}

/// Something in a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// `.a.b`; empty for `.`.
    Dot(Vec<String>),
    /// `$x.a.b`.
    Variable(String, Vec<String>),
    /// `(pipeline).a.b`.
    Nested(Box<Pipeline>, Vec<String>),
    /// A number, text or truth.
    Literal(serde_json::Value),
    /// `index`.
    Function(String),
}

/// Functions that a template may call.
pub const FUNCTIONS: [&str; 19] = [
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "index",
    "len",
    "print",
    "printf",
    "println",
    "slice",
    "html",
    "exists",
    "base64decode",
    "urlquery",
];

/// Parentheses and blocks may not be nested deeper.
const MOST_DEPTH: usize = 100;

/// Reads a template.
pub fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { rest: text, line: 1, trim: false, variables: vec!["$".into()], depth: 0, loops: 0 };
    let (nodes, end) = parser.block()?;
    match end {
        End::File => Ok(nodes),
        End::Word(word) => Err(parser.wrong(&format!("unexpected {{{{{word}}}}}"))),
        End::Else(_) => Err(parser.wrong("unexpected {{else}}")),
    }
}

enum End {
    File,
    Word(&'static str),
    Else(String),
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    trim: bool,
    variables: Vec<String>,
    depth: usize,
    loops: usize,
}

impl<'a> Parser<'a> {
    fn wrong(&self, what: &str) -> String {
        format!("template: output:{}: {what}", self.line)
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// The text up to the next action, and the action; `None` at the end.
    fn action(&mut self, nodes: &mut Vec<Node>) -> Result<Option<String>, String> {
        let start = self.rest.find("{{");
        let mut text = self.take(start.unwrap_or(self.rest.len()));
        if self.trim {
            text = text.trim_start();
        }
        self.trim = false;
        let trims = start.is_some() && self.rest[2..].starts_with("- ");
        let text = if trims { text.trim_end() } else { text };
        if !text.is_empty() {
            nodes.push(Node::Text(text.to_string()));
        }
        if start.is_none() {
            return Ok(None);
        }
        self.take(if trims { 3 } else { 2 });
        let Some(end) = end_of(self.rest) else { return Err(self.wrong("unclosed action")) };
        let inside = self.take(end);
        self.take(2);
        let inside = match inside.strip_suffix('-').filter(|before| before.ends_with(char::is_whitespace)) {
            Some(before) => {
                self.trim = true;
                before
            }
            None => inside,
        };
        Ok(Some(inside.trim().to_string()))
    }

    fn block(&mut self) -> Result<(Vec<Node>, End), String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.wrong("nested too deep"));
        }
        let known = self.variables.len();
        let mut nodes = Vec::new();
        let end = loop {
            let Some(action) = self.action(&mut nodes)? else { break End::File };
            let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
            match word {
                "end" => break End::Word("end"),
                "else" => break End::Else(rest.trim().to_string()),
                "if" | "with" | "range" => nodes.push(self.control(word, rest)?),
                "break" | "continue" if self.loops == 0 => {
                    return Err(self.wrong(&format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "template" | "block" => {
                    return Err(self.wrong(&format!("{{{{{word}}}}} is not supported by mkubectl")));
                }
                _ if action.starts_with("/*") => {}
                _ => nodes.push(Node::Print(self.pipeline(&action)?)),
            }
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn control(&mut self, word: &str, condition: &str) -> Result<Node, String> {
        let known = self.variables.len();
        let pipeline = self.pipeline(condition)?;
        self.loops += usize::from(word == "range");
        let (then, end) = self.block()?;
        self.loops -= usize::from(word == "range");
        let otherwise = match end {
            End::File => return Err(self.wrong("unexpected EOF")),
            End::Word(_) => Vec::new(),
            End::Else(rest) if rest.is_empty() => match self.block()? {
                (nodes, End::Word(_)) => nodes,
                (_, End::File) => return Err(self.wrong("unexpected EOF")),
                (_, End::Else(_)) => return Err(self.wrong("expected end; found {{else}}")),
            },
            // `{{else if}}` ends with the same `{{end}}`.
            End::Else(rest) => {
                let (next, rest) = rest.split_once(char::is_whitespace).unwrap_or((&rest, ""));
                if !["if", "with"].contains(&next) {
                    return Err(self.wrong(&format!("unexpected {next:?} in else")));
                }
                self.depth += 1;
                if self.depth > MOST_DEPTH {
                    return Err(self.wrong("nested too deep"));
                }
                let node = self.control(next, rest)?;
                self.depth -= 1;
                vec![node]
            }
        };
        self.variables.truncate(known);
        Ok(match word {
            "if" => Node::If(pipeline, then, otherwise),
            "with" => Node::With(pipeline, then, otherwise),
            _ => Node::Range(pipeline, then, otherwise),
        })
    }

    fn pipeline(&mut self, text: &str) -> Result<Pipeline, String> {
        let mut words = Words { rest: text };
        let pipeline = self.commands(&mut words, text)?;
        match words.rest.trim_start().is_empty() {
            true => Ok(pipeline),
            false => Err(self.wrong(&format!("unexpected {:?} in operand", words.rest.trim_start()))),
        }
    }

    fn commands(&mut self, words: &mut Words<'_>, text: &str) -> Result<Pipeline, String> {
        let mut pipeline =
            Pipeline { variables: Vec::new(), declares: false, commands: Vec::new(), text: text.trim().into() };
        self.declared(words, &mut pipeline);
        let mut command = Vec::new();
        loop {
            words.rest = words.rest.trim_start();
            let Some(next) = words.rest.chars().next() else { break };
            match next {
                ')' => break,
                '|' => {
                    words.rest = &words.rest[1..];
                    self.complete(&mut pipeline, &mut command)?;
                }
                _ => command.push(self.operand(words)?),
            }
        }
        self.complete(&mut pipeline, &mut command)?;
        if pipeline.declares {
            self.variables.extend(pipeline.variables.iter().cloned());
        }
        Ok(pipeline)
    }

    fn complete(&self, pipeline: &mut Pipeline, command: &mut Vec<Operand>) -> Result<(), String> {
        if command.is_empty() {
            return Err(self.wrong("missing value for command"));
        }
        pipeline.commands.push(std::mem::take(command));
        Ok(())
    }

    /// `$x :=`, `$i, $x :=`, `$x =`.
    fn declared(&self, words: &mut Words<'_>, pipeline: &mut Pipeline) {
        let Some((before, after)) = words.rest.split_once('=') else { return };
        let declares = before.ends_with(':');
        let names: Vec<String> = before.trim_end_matches(':').split(',').map(|name| name.trim().to_string()).collect();
        let legal =
            |name: &String| name.strip_prefix('$').is_some_and(|name| !name.is_empty() && name.chars().all(in_name));
        if names.iter().all(legal) && names.len() <= 2 {
            (pipeline.variables, pipeline.declares) = (names, declares);
            words.rest = after;
        }
    }

    fn operand(&mut self, words: &mut Words<'_>) -> Result<Operand, String> {
        let rest = words.rest;
        let first = rest.chars().next().unwrap_or_default();
        match first {
            '(' => {
                self.depth += 1;
                if self.depth > MOST_DEPTH {
                    return Err(self.wrong("nested too deep"));
                }
                words.rest = &rest[1..];
                let inner = self.commands(words, rest)?;
                let Some(after) = words.rest.strip_prefix(')') else { return Err(self.wrong("unclosed left paren")) };
                self.depth -= 1;
                words.rest = after;
                Ok(Operand::Nested(Box::new(inner), words.fields()))
            }
            '"' | '`' | '\'' => {
                words.quoted(first).map(Operand::Literal).ok_or_else(|| self.wrong("unterminated quoted string"))
            }
            '.' if !rest[1..].starts_with(|next: char| next.is_ascii_digit()) => {
                if !rest[1..].starts_with(in_name) {
                    words.rest = &rest[1..];
                    return Ok(Operand::Dot(Vec::new()));
                }
                Ok(Operand::Dot(words.fields()))
            }
            '$' => {
                words.rest = &rest[1..];
                let name = format!("${}", words.name());
                if !self.variables.contains(&name) {
                    return Err(self.wrong(&format!("undefined variable {name:?}")));
                }
                Ok(Operand::Variable(name, words.fields()))
            }
            _ if first.is_ascii_digit() || "+-.".contains(first) => {
                let end =
                    rest.find(|next: char| next.is_whitespace() || next == ')' || next == '|').unwrap_or(rest.len());
                let (number, after) = rest.split_at(end);
                words.rest = after;
                let read = number.parse::<i64>().map(Into::into).or_else(|_| number.parse::<f64>().map(Into::into));
                read.map(Operand::Literal).map_err(|_| self.wrong(&format!("bad number syntax: {number:?}")))
            }
            _ if in_name(first) => self.word(words),
            other => Err(self.wrong(&format!("unexpected {other:?} in command"))),
        }
    }

    fn word(&self, words: &mut Words<'_>) -> Result<Operand, String> {
        Ok(match words.name() {
            "true" => Operand::Literal(true.into()),
            "false" => Operand::Literal(false.into()),
            "nil" => Operand::Literal(serde_json::Value::Null),
            name if FUNCTIONS.contains(&name) => Operand::Function(name.to_string()),
            name => return Err(self.wrong(&format!("function {name:?} not defined"))),
        })
    }
}

fn in_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Where the `}}` of an action is that stands in no quotes.
fn end_of(text: &str) -> Option<usize> {
    if text.trim_start().starts_with("/*") {
        let comment = text.find("*/")?;
        return text[comment..].find("}}").map(|end| comment + end);
    }
    let (mut quote, mut escaped) = (None, false);
    for (index, char) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(open) if open != '`' && char == '\\' => escaped = true,
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if "\"`'".contains(char) => quote = Some(char),
            None if text[index..].starts_with("}}") => return Some(index),
            None => {}
        }
    }
    None
}

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn name(&mut self) -> &'a str {
        let end = self.rest.find(|char| !in_name(char)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name
    }

    /// `.a.b`.
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while self.rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(in_name)) {
            self.rest = &self.rest[1..];
            fields.push(self.name().to_string());
        }
        fields
    }

    /// A quoted text, or the number of a quoted character.
    fn quoted(&mut self, open: char) -> Option<serde_json::Value> {
        let mut chars = self.rest.char_indices().skip(1);
        let mut text = String::new();
        while let Some((index, char)) = chars.next() {
            match char {
                '\\' if open != '`' => text.push(match chars.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                }),
                _ if char == open => {
                    self.rest = &self.rest[index + open.len_utf8()..];
                    let number = || text.chars().next().map(|char| u32::from(char).into());
                    return if open == '\'' { number() } else { Some(text.into()) };
                }
                other => text.push(other),
            }
        }
        None
    }
}
