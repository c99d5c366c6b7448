//! From words to a command: finds it in the table, reads its flags, runs it, says what went wrong (cobra's rules and words).

use crate::commands::{COMMANDS, Command, GLOBAL};
use crate::error::{Error, fail};
use crate::flags::{self, Flag, HELP, Takes};
use crate::session::{Session, say};

/// A command with everything it was given.
pub struct Call {
    /// Flags and connection.
    pub session: Session,
    /// The words.
    pub args: Vec<String>,
    /// How many words came before `--`.
    pub dash: Option<usize>,
    /// `kubectl create deployment`.
    pub path: String,
}

impl Call {
    /// A wrong use of the command.
    pub fn usage(&self, message: &str) -> Error {
        fail!("{message}\nSee '{} -h' for help and examples", self.path)
    }

    /// The only word, or kubectl's complaint.
    pub fn exactly_one_name(&self) -> Result<&str, Error> {
        match self.args.as_slice() {
            [name] => Ok(name),
            other => Err(self.usage(&format!("exactly one NAME is required, got {}", other.len()))),
        }
    }
}

/// Runs a command line without the program's name; returns the exit code.
pub async fn run(words: &[String]) -> i32 {
    let (chain, rest) = find(words);
    let Some(command) = chain.last() else {
        return root(&rest);
    };
    let path = chain.iter().fold("kubectl".to_string(), |path, command| path + " " + command.name);
    let mut table: Vec<Flag> = command.flags.iter().flat_map(|group| group.iter().copied()).collect();
    table.extend(GLOBAL);
    let parsed = match flags::parse(&table, &rest) {
        Ok(parsed) => parsed,
        Err(error) if error == HELP => {
            say(&help(command, &path));
            return 0;
        }
        Err(error) => {
            eprintln!("error: {error}\nSee '{path} --help' for usage.");
            return 1;
        }
    };
    let Some(run) = command.run else {
        if let Some(word) = parsed.args.first() {
            eprintln!("error: unknown command {word:?}\nSee '{path} -h' for help and examples");
            return 1;
        }
        say(&help(command, &path));
        return 0;
    };
    let call = Call { session: Session::new(parsed.flags), args: parsed.args, dash: parsed.dash, path };
    match run(call).await {
        Ok(()) => 0,
        Err(error) => {
            let text = error.shown();
            if !text.is_empty() {
                eprint!("{text}{}", if text.ends_with('\n') { "" } else { "\n" });
            }
            error.code()
        }
    }
}

/// Without a known command.
fn root(rest: &[String]) -> i32 {
    match rest.iter().find(|word| !word.starts_with('-') || word.as_str() == "-") {
        Some(word) => {
            eprintln!("error: unknown command {word:?} for \"kubectl\"{}", suggestions(word));
            1
        }
        None => match rest.iter().find(|word| !["-h", "--help"].contains(&word.as_str())) {
            Some(flag) if flags::parse(GLOBAL, std::slice::from_ref(flag)).is_err() => {
                eprintln!("error: unknown flag: {flag}\nSee 'kubectl --help' for usage.");
                1
            }
            _ => {
                say(&overview());
                0
            }
        },
    }
}

/// cobra's "Did you mean this?".
fn suggestions(word: &str) -> String {
    let near = |name: &str| distance(word, name) <= 2 || name.to_lowercase().starts_with(&word.to_lowercase());
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).filter(|name| near(name)).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("\n\nDid you mean this?\n\t{}", names.join("\n\t")),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The commands that the first words name, and all other words.
fn find(words: &[String]) -> (Vec<&'static Command>, Vec<String>) {
    let mut chain: Vec<&'static Command> = Vec::new();
    let mut rest = Vec::new();
    let mut level = COMMANDS;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.push(word.clone());
            break;
        }
        if word.starts_with('-') && word.len() > 1 {
            rest.push(word.clone());
            if takes_next(word, chain.last().copied())
                && let Some(value) = words.next()
            {
                rest.push(value.clone());
            }
            continue;
        }
        match level.iter().find(|command| command.name == word || command.aliases.contains(&word.as_str())) {
            Some(command) => {
                chain.push(command);
                level = command.sub;
            }
            None => {
                rest.push(word.clone());
                break;
            }
        }
    }
    rest.extend(words.cloned());
    (chain, rest)
}

/// Whether the word after a flag is its value.
fn takes_next(word: &str, command: Option<&Command>) -> bool {
    let own = command.into_iter().flat_map(|command| command.flags.iter().flat_map(|group| group.iter()));
    let find = |wanted: &dyn Fn(&Flag) -> bool| own.clone().chain(GLOBAL).find(|flag| wanted(flag)).copied();
    let flag = match word.strip_prefix("--") {
        Some(long) if long.contains('=') => return false,
        Some(long) => find(&|flag| flag.name == long),
        None if word.len() == 2 => find(&|flag| flag.short == &word[1..]),
        None => None,
    };
    flag.is_some_and(|flag| flags::bare(flag.takes).is_none())
}

/// The help of one command.
fn help(command: &Command, path: &str) -> String {
    let mut text = format!("{}\n", command.about);
    if !command.sub.is_empty() {
        text.push_str("\nAvailable Commands:\n");
        for sub in command.sub {
            text.push_str(&format!("  {:<15} {}\n", sub.name, sub.about));
        }
    }
    let rows: Vec<&Flag> = command.flags.iter().flat_map(|group| group.iter()).collect();
    if !rows.is_empty() {
        text.push_str("\nOptions:\n");
        for flag in rows {
            text.push_str(&option(flag));
        }
    }
    text.push_str(&format!("\nUsage:\n  {path} {}\n\n", command.usage));
    text.push_str("Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n");
    text
}

/// One flag in a help text.
pub fn option(flag: &Flag) -> String {
    let short = if flag.short.is_empty() { "    ".to_string() } else { format!("-{}, ", flag.short) };
    let default = match flag.takes {
        Takes::Bool(default) => default.to_string(),
        Takes::Text(default) | Takes::Optional(default, _) => format!("'{default}'"),
        Takes::Int(default) => default.to_string(),
        Takes::Duration(default) => default.to_string(),
        Takes::List | Takes::Array => "[]".into(),
    };
    format!("    {short}--{}={default}:\n        {}\n\n", flag.name, flag.about)
}

fn overview() -> String {
    let mut text = "kubectl controls the Kubernetes cluster manager.\n\nCommands:\n".to_string();
    for command in COMMANDS {
        text.push_str(&format!("  {:<15} {}\n", command.name, command.about));
    }
    text.push_str("\nUsage:\n  kubectl [flags] [options]\n\nUse \"kubectl <command> --help\" for more information about a given command.\nUse \"kubectl options\" for a list of global command-line options (applies to all commands).\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> (String, String) {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        let (chain, rest) = find(&words);
        (chain.iter().map(|command| command.name).collect::<Vec<_>>().join(" "), rest.join(" "))
    }

    #[test]
    fn commands_are_found_among_flags() {
        for (line, command, rest) in [
            ("get pods", "get", "pods"),
            ("-n get get pods", "get", "-n get pods"),
            ("--namespace=x get -o wide pods", "get", "--namespace=x -o wide pods"),
            ("rollout status deploy/x", "rollout status", "deploy/x"),
            ("-v 6 config view", "config view", "-v 6"),
            ("foo bar", "", "foo bar"),
            ("exec p -- get pods", "exec", "p -- get pods"),
        ] {
            assert_eq!(split(line), (command.to_string(), rest.to_string()), "{line}");
        }
    }

    #[test]
    fn near_words_are_suggested() {
        assert_eq!(suggestions("gett"), "\n\nDid you mean this?\n\tset\n\tget");
        assert_eq!(suggestions("foobar"), "");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
