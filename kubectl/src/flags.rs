//! Flags as kubectl's parser (spf13/pflag) reads them, with its error texts: `--name value`, `--name=value`, `-n value`,
//! `-nvalue`, `-it` together, flags and arguments mixed, `--` ends them. A command declares its flags in a table.

use std::collections::BTreeMap;

use api::duration;
use jiff::SignedDuration;

/// What a flag takes, with its default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    /// Nothing, or `=true`, `=false`.
    Bool(bool),
    /// Any text.
    Text(&'static str),
    /// An integer.
    Int(i64),
    /// A Go duration.
    Duration(&'static str),
    /// Texts, separated by commas or given repeatedly.
    List,
    /// Texts, given repeatedly.
    Array,
    /// A text that may be left out: default, and what the bare flag means.
    Optional(&'static str, &'static str),
}

/// One flag of a command.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// One letter, or empty.
    pub short: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// One sentence for the help.
    pub about: &'static str,
    /// Whether it is only known to be refused; `about` says why.
    pub refused: bool,
}

/// Shorthand for a table row.
pub const fn flag(name: &'static str, short: &'static str, takes: Takes, about: &'static str) -> Flag {
    Flag { name, short, takes, about, refused: false }
}

/// A flag that kubectl has and we have not, and why or what to do instead.
pub const fn refused(name: &'static str, short: &'static str, takes: Takes, why: &'static str) -> Flag {
    Flag { name, short, takes, about: why, refused: true }
}

/// The flags given on a command line.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    known: BTreeMap<&'static str, Takes>,
    given: BTreeMap<&'static str, Vec<String>>,
}

/// Flags and arguments of a command line.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The flags.
    pub flags: Flags,
    /// Everything else, in order.
    pub args: Vec<String>,
    /// How many arguments came before `--`, if there was one.
    pub dash: Option<usize>,
}

/// Reads `args` by the table.
///
/// # Errors
/// In pflag's words.
pub fn parse(table: &[Flag], args: &[String]) -> Result<Parsed, String> {
    // A command's own flags come first and hide global ones of the same name.
    let mut known = BTreeMap::new();
    for flag in table {
        known.entry(flag.name).or_insert(flag.takes);
    }
    let mut parsed = Parsed { flags: Flags { known, given: BTreeMap::new() }, ..Parsed::default() };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            parsed.dash = Some(parsed.args.len());
            parsed.args.extend(rest.by_ref().cloned());
        } else if let Some(long) = arg.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let Some(flag) = table.iter().find(|flag| flag.name == name) else {
                return Err(if name == "help" { HELP.into() } else { format!("unknown flag: --{name}") });
            };
            let value = match (value, bare(flag.takes)) {
                (Some(value), _) => value.to_string(),
                (None, Some(bare)) => bare.to_string(),
                (None, None) => rest.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?,
            };
            parsed.flags.give(flag, value)?;
        } else if arg.len() > 1 && arg.starts_with('-') {
            shorthands(table, arg, &mut rest, &mut parsed.flags)?;
        } else {
            parsed.args.push(arg.clone());
        }
    }
    match table.iter().find(|flag| flag.refused && parsed.flags.given(flag.name)) {
        Some(flag) => Err(format!("--{} is not supported by mkubectl: {}", flag.name, flag.about)),
        None => Ok(parsed),
    }
}

/// The error that asks for the command's help.
pub const HELP: &str = "pflag: help requested";

fn shorthands<'a>(
    table: &[Flag],
    arg: &str,
    rest: &mut impl Iterator<Item = &'a String>,
    flags: &mut Flags,
) -> Result<(), String> {
    let mut letters = &arg[1..];
    while let Some(letter) = letters.chars().next() {
        let after = &letters[letter.len_utf8()..];
        let Some(flag) = table.iter().find(|flag| flag.short.starts_with(letter)) else {
            let unknown = format!("unknown shorthand flag: '{letter}' in {arg}");
            return Err(if letter == 'h' { HELP.into() } else { unknown });
        };
        let value = match (after.strip_prefix('='), bare(flag.takes)) {
            (Some(value), _) => value.to_string(),
            (None, Some(bare)) => {
                flags.give(flag, bare.to_string())?;
                letters = after;
                continue;
            }
            (None, None) if !after.is_empty() => after.to_string(),
            (None, None) => {
                rest.next().cloned().ok_or_else(|| format!("flag needs an argument: '{letter}' in {arg}"))?
            }
        };
        return flags.give(flag, value);
    }
    Ok(())
}

/// What the flag without a value means, if it may stand so.
pub fn bare(takes: Takes) -> Option<&'static str> {
    match takes {
        Takes::Bool(_) => Some("true"),
        Takes::Optional(_, bare) => Some(bare),
        _ => None,
    }
}

/// Go's strconv.ParseBool.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl Flags {
    fn give(&mut self, flag: &Flag, value: String) -> Result<(), String> {
        let shown = match flag.short {
            "" => format!("--{}", flag.name),
            short => format!("-{short}, --{}", flag.name),
        };
        let invalid = |why: String| format!("invalid argument {value:?} for {shown:?} flag: {why}");
        match flag.takes {
            Takes::Bool(_) if parse_bool(&value).is_none() => {
                return Err(invalid(format!("strconv.ParseBool: parsing {value:?}: invalid syntax")));
            }
            Takes::Int(_) if value.parse::<i64>().is_err() => {
                return Err(invalid(format!("strconv.ParseInt: parsing {value:?}: invalid syntax")));
            }
            Takes::Duration(_) if duration::parse_go(&value).is_err() => {
                let quoted = format!("time: invalid duration {value:?}");
                return Err(invalid(match value.parse::<f64>() {
                    Ok(_) => format!("time: missing unit in duration {value:?}"),
                    Err(_) => quoted,
                }));
            }
            _ => {}
        }
        let values = self.given.entry(flag.name).or_default();
        match flag.takes {
            Takes::List => values.extend(value.split(',').filter(|part| !part.is_empty()).map(str::to_string)),
            Takes::Array => values.push(value),
            _ => *values = vec![value],
        }
        Ok(())
    }

    /// Whether the flag was given.
    pub fn given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Whether the command has such a flag.
    pub fn knows(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    /// The flag's text, or its default.
    pub fn text(&self, name: &str) -> &str {
        if let Some(value) = self.given.get(name).and_then(|values| values.last()) {
            return value;
        }
        match self.known.get(name) {
            Some(Takes::Text(default) | Takes::Duration(default) | Takes::Optional(default, _)) => default,
            _ => "",
        }
    }

    /// The flag's text if it was given and is not empty.
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// The text of a global flag that no flag of the command hides.
    pub fn global(&self, name: &str) -> Option<&str> {
        self.some(name).filter(|_| matches!(self.known.get(name), Some(Takes::Text(_))))
    }

    /// Whether the flag is set.
    pub fn is(&self, name: &str) -> bool {
        match self.given.get(name).and_then(|values| values.last()) {
            Some(value) => parse_bool(value) == Some(true),
            None => matches!(self.known.get(name), Some(Takes::Bool(true))),
        }
    }

    /// The flag's number, or its default.
    pub fn int(&self, name: &str) -> i64 {
        let given = self.given.get(name).and_then(|values| values.last()).and_then(|value| value.parse().ok());
        given.unwrap_or(match self.known.get(name) {
            Some(Takes::Int(default)) => *default,
            _ => 0,
        })
    }

    /// The flag's duration, or its default.
    pub fn duration(&self, name: &str) -> SignedDuration {
        duration::parse_go(self.text(name)).unwrap_or_default()
    }

    /// The flag's texts.
    pub fn list(&self, name: &str) -> &[String] {
        self.given.get(name).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Flag] = &[
        flag("output", "o", Takes::Text(""), ""),
        flag("stdin", "i", Takes::Bool(false), ""),
        flag("tty", "t", Takes::Bool(false), ""),
        flag("wait", "", Takes::Bool(true), ""),
        flag("replicas", "", Takes::Int(1), ""),
        flag("timeout", "", Takes::Duration("0s"), ""),
        flag("filename", "f", Takes::List, ""),
        flag("from-literal", "", Takes::Array, ""),
        flag("dry-run", "", Takes::Optional("none", "unchanged"), ""),
        refused("kustomize", "k", Takes::Text(""), "there is none"),
    ];

    fn run(line: &str) -> Result<Parsed, String> {
        parse(TABLE, &line.split_whitespace().map(str::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn values_come_in_every_form() {
        for line in
            ["pods -o wide x", "pods -owide x", "-o=wide pods x", "pods x --output wide", "pods --output=wide x"]
        {
            let parsed = run(line).unwrap();
            assert_eq!((parsed.flags.text("output"), parsed.args.join(" ").as_str()), ("wide", "pods x"), "{line}");
        }
        let parsed = run("-it p --wait=false -f a,b -f c --from-literal a=b,c --dry-run -- -x").unwrap();
        assert!(parsed.flags.is("stdin") && parsed.flags.is("tty") && !parsed.flags.is("wait"));
        assert_eq!(parsed.flags.list("filename"), ["a", "b", "c"]);
        assert_eq!(parsed.flags.list("from-literal"), ["a=b,c"]);
        assert_eq!((parsed.flags.text("dry-run"), parsed.dash), ("unchanged", Some(1)));
        assert_eq!(parsed.args, ["p", "-x"]);
        let none = run("").unwrap();
        assert_eq!((none.flags.text("dry-run"), none.flags.int("replicas")), ("none", 1));
        assert!(none.flags.is("wait") && !none.flags.given("wait"));
    }

    #[test]
    fn errors_are_in_the_parser_s_words() {
        for (line, error) in [
            ("--x", "unknown flag: --x"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("-ix", "unknown shorthand flag: 'x' in -ix"),
            ("--output", "flag needs an argument: --output"),
            ("-o", "flag needs an argument: 'o' in -o"),
            (
                "--replicas=x",
                "invalid argument \"x\" for \"--replicas\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
            ),
            (
                "-i=x",
                "invalid argument \"x\" for \"-i, --stdin\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
            ("-k x", "--kustomize is not supported by mkubectl: there is none"),
            ("--timeout=5", "invalid argument \"5\" for \"--timeout\" flag: time: missing unit in duration \"5\""),
        ] {
            assert_eq!(run(line).unwrap_err(), error, "{line}");
        }
    }
}
