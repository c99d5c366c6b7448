//! The command line: kubectl's commands, flags and output.
//!
//! | layer | modules |
//! |---|---|
//! | all commands | `commands`: **THE TABLE**; a command is a row and at most one file |
//! | words | `line` (which command), `help`, `command` (what a row is), `common` (flags that rows share), `flags` (pflag's rules) |
//! | doing | `write` (dry runs, reports), `removal`, `watch`, `remote` (exec, attach), `edit`, `pods` (from a word to a pod), `pairs` (`a=b c-`) |
//! | meaning | `locate` (which objects), `files` (`-f`), `resources` (discovery), `session` (connection, requests), `kubeconfigs` |
//! | saying | `output` (tables, YAML, JSON, templates), `describe`, `applied` (the last applied configuration), `error` |

mod applied;
mod command;
mod commands;
mod common;
mod describe;
mod edit;
mod error;
mod files;
mod flags;
mod help;
mod kubeconfigs;
mod line;
mod locate;
mod output;
mod overrides;
mod pairs;
mod pods;
mod remote;
mod removal;
mod resources;
mod session;
mod watch;
mod write;

/// Runs the command line; `arguments[0]` is the program's name. Returns the exit code.
pub fn main(arguments: Vec<String>) -> i32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return 1;
        }
    };
    let code = runtime.block_on(line::run(arguments.get(1..).unwrap_or_default(), commands::TABLE));
    // A blocking read of a terminal must not hold up the end.
    runtime.shutdown_background();
    code
}
