//! What a command is: a row with its words, its flags and what runs it. `commands` is the table of all rows; `line` finds the
//! row that a command line means and calls it with everything it was given.

use std::rc::Rc;

use futures::future::LocalBoxFuture;

use crate::error::{Error, Result, fail};
use crate::flags::Flag;
use crate::session::Session;

/// What runs a command.
pub type Run = fn(Call) -> LocalBoxFuture<'static, Result<()>>;

/// One command.
#[derive(Clone, Copy)]
pub struct Command {
    /// Its word.
    pub name: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// What follows, for the help.
    pub usage: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Flags of its own.
    pub flags: &'static [Flag],
    /// Flags that it shares with others (`common`).
    pub shared: &'static [&'static [Flag]],
    /// What runs; `None` if it only has commands below it.
    pub run: Option<Run>,
    /// Commands below it.
    pub sub: &'static [Command],
    /// Whether it takes any flag, because it only says why it does nothing.
    pub lenient: bool,
}

/// Commands under one heading of the overview.
pub struct Group {
    /// `Basic Commands (Beginner):`.
    pub title: &'static str,
    /// Its commands.
    pub commands: &'static [Command],
}

/// A row of the table.
pub const fn command(
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    flags: &'static [Flag],
    shared: &'static [&'static [Flag]],
    run: Run,
) -> Command {
    Command { name, aliases: &[], usage, about, flags, shared, run: Some(run), sub: &[], lenient: false }
}

/// A row that only has commands below it.
pub const fn parent(name: &'static str, about: &'static str, sub: &'static [Command]) -> Command {
    Command { name, aliases: &[], usage: "SUBCOMMAND", about, flags: &[], shared: &[], run: None, sub, lenient: false }
}

impl Command {
    /// The same with other words for it.
    pub const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same with commands below it.
    pub const fn with(mut self, sub: &'static [Command]) -> Self {
        self.sub = sub;
        self
    }

    /// The same, with any flag taken.
    pub const fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Its flags without the global ones; of two with one name its own.
    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + Clone {
        let (own, shared) = (self.flags, self.shared);
        let hidden = move |flag: &&Flag| !own.iter().any(|mine| mine.name == flag.name);
        own.iter().chain(shared.iter().flat_map(|group| group.iter()).filter(hidden))
    }

    /// Whether a word means it.
    pub fn is(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }
}

/// An async function as a row's `run`.
macro_rules! run {
    ($path:path) => {
        |call| Box::pin($path(call))
    };
}
pub(crate) use run;

/// A command with everything it was given.
pub struct Call {
    /// Flags and connection.
    pub session: Rc<Session>,
    /// The words.
    pub args: Vec<String>,
    /// How many words came before `--`.
    pub dash: Option<usize>,
    /// `kubectl create deployment`.
    pub path: String,
    /// Its row.
    pub row: &'static Command,
    /// All commands, for those that are about commands.
    pub table: &'static [Group],
}

impl Call {
    /// A wrong use of the command.
    pub fn usage(&self, message: &str) -> Error {
        fail!("{message}\nSee '{} -h' for help and examples", self.path)
    }

    /// Words where none belong.
    pub fn no_args(&self) -> Result<()> {
        match self.args.is_empty() {
            true => Ok(()),
            false => Err(self.usage(&format!("Unexpected args: [{}]", self.args.join(" ")))),
        }
    }

    /// The only word, or kubectl's complaint.
    pub fn exactly_one_name(&self) -> Result<&str> {
        match self.args.as_slice() {
            [name] => Ok(name),
            other => Err(self.usage(&format!("exactly one NAME is required, got {}", other.len()))),
        }
    }

    /// `NAME -- COMMAND…`: the name, and the words of the command.
    pub fn name_and_command(&self) -> Result<(&str, &[String])> {
        let before = self.dash.unwrap_or(self.args.len()).min(self.args.len());
        match self.args.split_at(before) {
            ([name], command) => Ok((name, command)),
            (names, _) => Err(self.usage(&format!("exactly one NAME is required, got {}", names.len()))),
        }
    }

    /// The last word of its path: `deployment`.
    pub fn word(&self) -> &str {
        self.path.rsplit(' ').next().unwrap_or_default()
    }
}
