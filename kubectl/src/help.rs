//! Help texts, made from the table of commands.

use crate::command::{Command, Group};
use crate::flags::{Flag, Takes};

/// What is said about one command.
pub fn command(command: &Command, path: &str) -> String {
    let mut text = format!("{}\n", command.about);
    if !command.sub.is_empty() {
        text.push_str("\nAvailable Commands:\n");
        rows(command.sub, &mut text);
    }
    if command.all_flags().next().is_some() {
        text.push_str("\nOptions:\n");
        let mut flags: Vec<&Flag> = command.all_flags().collect();
        flags.sort_by_key(|flag| flag.name);
        flags.into_iter().for_each(|flag| text.push_str(&option(flag)));
    }
    text.push_str(&format!("\nUsage:\n  {path} {} [options]\n\n", command.usage));
    if !command.sub.is_empty() {
        text.push_str(&format!("Use \"{path} <command> --help\" for more information about a given command.\n"));
    }
    text.push_str("Use \"kubectl options\" for a list of global command-line options (applies to all commands).\n");
    text
}

/// One flag in a help text.
pub fn option(flag: &Flag) -> String {
    let short = if flag.short.is_empty() { "    ".to_string() } else { format!("    -{}, ", flag.short) };
    let default = match flag.takes {
        Takes::Bool(default) => default.to_string(),
        Takes::Text(default) | Takes::Optional(default, _) => format!("'{default}'"),
        Takes::Int(default) => default.to_string(),
        Takes::Duration(default) => default.to_string(),
        Takes::List | Takes::Array => "[]".into(),
    };
    let about = if flag.refused { format!("Not supported: {}.", flag.about) } else { flag.about.to_string() };
    format!("{short}--{}={default}:\n        {about}\n\n", flag.name)
}

/// What is said about all commands, in kubectl's words.
pub fn overview(table: &[Group]) -> String {
    let head = "kubectl controls the Kubernetes cluster manager.\n\n Find more information at: https://kubernetes.io/docs/reference/kubectl/\n\n";
    format!("{head}{}", usage(table))
}

/// The same without the greeting.
pub fn usage(table: &[Group]) -> String {
    let mut text = String::new();
    for group in table {
        text.push_str(group.title);
        text.push('\n');
        rows(group.commands, &mut text);
        text.push('\n');
    }
    text.push_str("Usage:\n  kubectl [flags] [options]\n\nUse \"kubectl <command> --help\" for more information about a given command.\nUse \"kubectl options\" for a list of global command-line options (applies to all commands).\n");
    text
}

fn rows(commands: &[Command], text: &mut String) {
    let longest = commands.iter().map(|command| command.name.len()).max().unwrap_or_default().max(13);
    for command in commands.iter().filter(|command| !command.about.is_empty()) {
        text.push_str(&format!("  {:<longest$}   {}\n", command.name, command.about));
    }
}
