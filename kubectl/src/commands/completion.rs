//! Commands about the command line itself: `completion`, `options`, `help`.

use crate::command::{Call, Command, command, run};
use crate::common::GLOBAL;
use crate::error::Result;
use crate::flags::{Flag, bare};
use crate::help;
use crate::session::say;

/// `completion`.
pub const COMMAND: Command = command(
    "completion",
    "SHELL",
    "Output shell completion code for the specified shell (bash, zsh, fish, or powershell)",
    &[],
    &[],
    run!(completion),
);
/// `options`; the overview does not list it.
pub const OPTIONS: Command = command("options", "", "", &[], &[], run!(options));
/// `help`; the overview does not list it.
pub const HELP: Command = command("help", "[command]", "", &[], &[], run!(help));

/// Says what a command is for.
async fn help(call: Call) -> Result<()> {
    let mut level: Vec<&'static Command> = call.table.iter().flat_map(|group| group.commands).collect();
    let (mut found, mut path) = (None, "kubectl".to_string());
    for word in &call.args {
        let Some(command) = level.iter().find(|command| command.is(word)).copied() else {
            say(&format!("Unknown help topic [`{}`]\n\n\n{}", call.args.join(" "), help::usage(call.table)));
            return Ok(());
        };
        path = format!("{path} {}", command.name);
        level = command.sub.iter().collect();
        found = Some(command);
    }
    say(&found.map_or_else(|| help::overview(call.table), |command| help::command(command, &path)));
    Ok(())
}

async fn options(_call: Call) -> Result<()> {
    let text: String = GLOBAL.iter().map(help::option).collect();
    say(&format!("The following options can be passed to any command:\n\n{text}"));
    Ok(())
}

async fn completion(call: Call) -> Result<()> {
    let [shell] = call.args.as_slice() else { return Err(call.usage("Shell not specified.")) };
    let Ok(shell) = shell.parse::<clap_complete::Shell>() else {
        return Err(call.usage(&format!("Unsupported shell type {shell:?}.")));
    };
    let mut root = clap::Command::new("kubectl").args(GLOBAL.iter().map(|flag| argument(flag).global(true)));
    root = call
        .table
        .iter()
        .flat_map(|group| group.commands)
        .fold(root, |root, command| root.subcommand(described(command)));
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut root, "mkubectl", &mut text);
    say(&String::from_utf8_lossy(&text));
    Ok(())
}

/// The table's command as the completion generator wants it.
fn described(command: &Command) -> clap::Command {
    let own = command.all_flags().filter(|flag| !flag.refused).map(argument);
    let described = clap::Command::new(command.name).about(command.about).disable_help_flag(true).args(own);
    command.sub.iter().fold(described, |described, sub| described.subcommand(self::described(sub)))
}

fn argument(flag: &Flag) -> clap::Arg {
    let mut argument = clap::Arg::new(flag.name).long(flag.name).help(flag.about);
    if let Some(short) = flag.short.chars().next() {
        argument = argument.short(short);
    }
    match bare(flag.takes) {
        Some(_) => argument.action(clap::ArgAction::SetTrue),
        None => argument.action(clap::ArgAction::Append),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_commands_makes_completions() {
        for command in crate::commands::TABLE.iter().flat_map(|group| group.commands) {
            described(command).build();
        }
    }
}
