//! The command line: kubectl's commands, flags and output.
//!
//! | layer | modules |
//! |---|---|
//! | words | `flags` (pflag's rules), `commands` (the table of commands), `line` (which command, help, errors) |
//! | meaning | `kubeconfigs`, `session` (connection, requests), `resources` (discovery), `files` (`-f`), `locate` (which objects) |
//! | doing | `cmd`: one file per group of commands |
//! | saying | `output` (tables, YAML, JSON, templates), `describe`, `error` |

mod cmd;
mod commands;
mod describe;
mod error;
mod files;
mod flags;
mod kubeconfigs;
mod line;
mod locate;
mod output;
mod resources;
mod session;

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
    let code = runtime.block_on(line::run(arguments.get(1..).unwrap_or_default()));
    // A blocking read of a terminal must not hold up the end.
    runtime.shutdown_background();
    code
}
