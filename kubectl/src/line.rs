//! From words to a command: finds it in the table, reads its flags, runs it, says what went wrong (cobra's rules and words).

use std::rc::Rc;

use crate::command::{Call, Command, Group};
use crate::common::GLOBAL;
use crate::error::fail;
use crate::flags::{self, Flag, HELP, Parsed};
use crate::help;
use crate::session::{Session, say};

/// Runs a command line without the program's name; returns the exit code.
pub async fn run(words: &[String], table: &'static [Group]) -> i32 {
    let (chain, rest) = find(words, table);
    let Some(command) = chain.last().copied() else {
        return root(&rest, table);
    };
    let path = chain.iter().fold("kubectl".to_string(), |path, command| path + " " + command.name);
    let known: Vec<Flag> = command.all_flags().chain(GLOBAL).copied().collect();
    let parsed = match flags::parse(&known, &rest) {
        Ok(parsed) => parsed,
        Err(error) if command.lenient && error != HELP => Parsed::default(),
        Err(error) if error == HELP => {
            say(&help::command(command, &path));
            return 0;
        }
        Err(error) => {
            eprintln!("error: {error}\nSee '{path} --help' for usage.");
            return 1;
        }
    };
    let Some(run) = command.run else {
        if !parsed.args.is_empty() {
            eprintln!("error: unknown command {:?}\nSee '{path} -h' for help and examples", parsed.args.join(" "));
            return 1;
        }
        say(&help::command(command, &path));
        return 1;
    };
    let session = Rc::new(Session::new(parsed.flags));
    let call = Call { session: session.clone(), args: parsed.args, dash: parsed.dash, path, row: command, table };
    let mut result = run(call).await;
    if session.flags.is("warnings-as-errors") && result.is_ok() {
        result = match session.warnings() {
            0 => Ok(()),
            1 => Err(fail!("1 warning received")),
            count => Err(fail!("{count} warnings received")),
        };
    }
    match result {
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
fn root(rest: &[String], table: &'static [Group]) -> i32 {
    match rest.iter().find(|word| !word.starts_with('-') || word.as_str() == "-") {
        Some(word) => {
            eprintln!("error: unknown command {word:?} for \"kubectl\"{}", suggestions(word, table));
            1
        }
        None => match rest.iter().find(|word| !["-h", "--help"].contains(&word.as_str())) {
            Some(flag) if flags::parse(GLOBAL, std::slice::from_ref(flag)).is_err() => {
                eprintln!("error: unknown flag: {flag}\nSee 'kubectl --help' for usage.");
                1
            }
            _ => {
                say(&help::overview(table));
                0
            }
        },
    }
}

/// cobra's "Did you mean this?".
fn suggestions(word: &str, table: &'static [Group]) -> String {
    let near = |name: &str| distance(word, name) <= 2 || name.to_lowercase().starts_with(&word.to_lowercase());
    let names: Vec<&str> = all(table).map(|command| command.name).filter(|name| near(name)).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("\n\nDid you mean this?\n\t{}", names.join("\n\t")),
    }
}

fn all(table: &'static [Group]) -> impl Iterator<Item = &'static Command> {
    table.iter().flat_map(|group| group.commands)
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
fn find(words: &[String], table: &'static [Group]) -> (Vec<&'static Command>, Vec<String>) {
    let mut chain: Vec<&'static Command> = Vec::new();
    let mut rest = Vec::new();
    let mut level: Vec<&'static Command> = all(table).collect();
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
        match level.iter().find(|command| command.is(word)) {
            Some(command) => {
                chain.push(command);
                level = command.sub.iter().collect();
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
    let own = command.into_iter().flat_map(Command::all_flags);
    let find = |wanted: &dyn Fn(&Flag) -> bool| own.clone().chain(GLOBAL).find(|flag| wanted(flag)).copied();
    let flag = match word.strip_prefix("--") {
        Some(long) if long.contains('=') => return false,
        Some(long) => find(&|flag| flag.name == long),
        None if word.len() == 2 => find(&|flag| flag.short == &word[1..]),
        None => None,
    };
    flag.is_some_and(|flag| flags::bare(flag.takes).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::TABLE;

    fn split(line: &str) -> (String, String) {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        let (chain, rest) = find(&words, TABLE);
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
        assert_eq!(suggestions("gett", TABLE), "\n\nDid you mean this?\n\tset\n\tget");
        assert_eq!(suggestions("foobar", TABLE), "");
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
