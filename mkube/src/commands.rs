//! The table of commands: the components, which also answer to their own program names (a hard link named
//! mkube-apiserver is the API server), and the ones for a local cluster.

use std::future::Future;
use std::pin::Pin;

use anyhow::Context as _;
use base::Context;
use base::process::{self, Threads};
use clap::{ArgMatches, Args, Command, FromArgMatches};
use store::process as store_process;

use crate::{down, status, up};

/// A way to run a command once its arguments are parsed.
enum Run {
    /// A daemon: until a signal.
    Component(fn(&ArgMatches) -> anyhow::Result<Component>),
    /// To its end.
    Local(fn(&ArgMatches) -> anyhow::Result<()>),
}

type Component = Box<dyn FnOnce(Context) -> Pin<Box<dyn Future<Output = anyhow::Result<()>>>>>;

/// One row of the table.
struct Row {
    name: &'static str,
    /// Program name under which it also runs.
    alias: &'static str,
    about: &'static str,
    arguments: fn(Command) -> Command,
    run: Run,
}

macro_rules! component {
    ($name:literal, $alias:literal, $about:literal, $library:ident) => {
        Row {
            name: $name,
            alias: $alias,
            about: $about,
            arguments: process::with_flags::<$library::Options>,
            run: Run::Component(|matches| {
                let options = $library::Options::from_arg_matches(matches)?;
                Ok(Box::new(move |context| {
                    Box::pin(async move { $library::run(options, context).await.map_err(anyhow::Error::from) })
                }))
            }),
        }
    };
}

macro_rules! local {
    ($name:ident, $about:literal) => {
        Row {
            name: stringify!($name),
            alias: "",
            about: $about,
            arguments: $name::Options::augment_args,
            run: Run::Local(|matches| $name::run(&$name::Options::from_arg_matches(matches)?)),
        }
    };
}

const TABLE: &[Row] = &[
    local!(up, "Start a local cluster of separate processes"),
    local!(down, "End a local cluster; its objects are kept"),
    local!(status, "Show what runs and whether it is ready"),
    component!(
        "store",
        "mkube-store",
        "Run the store as a process of its own: etcd's API; back up, restore",
        store_process
    ),
    component!("apiserver", "mkube-apiserver", "Run the API server", apiserver),
    component!("scheduler", "mkube-scheduler", "Run the scheduler", scheduler),
    component!("controller-manager", "mkube-controller-manager", "Run the controllers", controller_manager),
    component!("kubelet", "mkubelet", "Run the node agent", kubelet),
    component!("kube-proxy", "mkube-proxy", "Run the node's data plane", kube_proxy),
];

/// The whole command line.
pub fn command() -> Command {
    let mut command = Command::new("mkube")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Kubernetes in miniature: every component in one file, and a local cluster of them")
        .subcommand_required(true)
        .arg_required_else_help(true);
    for row in TABLE {
        command = command.subcommand((row.arguments)(Command::new(row.name)).about(row.about));
    }
    command.subcommand(Command::new("kubectl").about("Talk to a cluster").disable_help_flag(true))
}

/// The subcommand that a program name stands for.
pub fn by_program(name: &str) -> Option<&'static str> {
    if name == "mkubectl" {
        return Some("kubectl");
    }
    TABLE.iter().find(|row| row.alias == name && !row.alias.is_empty()).map(|row| row.name)
}

/// Runs what the matched arguments ask for.
///
/// # Errors
/// Those of the command.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let (name, matches) = matches.subcommand().context("no command given")?;
    let row = TABLE.iter().find(|row| row.name == name).with_context(|| format!("unknown command \"{name}\""))?;
    match &row.run {
        Run::Local(run) => run(matches),
        Run::Component(prepare) => {
            let component = prepare(matches)?;
            process::run(process::Options::from_arg_matches(matches)?, threads(name), component)
        }
    }
}

/// The API server and the store use all cores; the others mostly wait, and one thread costs less memory.
fn threads(name: &str) -> Threads {
    match name {
        "apiserver" | "store" => Threads::Cores,
        _ => Threads::One,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_about() {
        let command = command();
        for row in TABLE {
            let about = command.find_subcommand(row.name).and_then(Command::get_about).map(ToString::to_string);
            assert_eq!(about.as_deref(), Some(row.about));
        }
    }

    #[test]
    fn every_component_answers_to_its_own_name() {
        let table = [
            ("mkube-apiserver", "apiserver"),
            ("mkube-store", "store"),
            ("mkubelet", "kubelet"),
            ("mkubectl", "kubectl"),
        ];
        for (program, command) in table {
            assert_eq!(by_program(program), Some(command));
        }
        assert_eq!(by_program("mkube"), None);
    }
}
