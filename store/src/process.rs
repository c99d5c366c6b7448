//! The command line of `mkube-store` (`mkube store`): serves, unless it is told to use a tool, or to measure.

use std::io::Write;

use base::Context;
use base::panics::catch_in;
use clap::{Args, Subcommand};

use crate::bench;
use crate::etcd;
use crate::offline::{self, Tool};

/// How the store runs, or what is to be done with its data.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[group(skip)]
pub struct Options {
    #[command(flatten)]
    serve: etcd::Options,
    #[command(subcommand)]
    other: Option<Other>,
}

/// What the program does instead of serving.
#[derive(Debug, Clone, Subcommand)]
enum Other {
    /// Measure this store and an etcd beside each other.
    Bench(bench::Options),
    #[command(flatten)]
    Tool(Tool),
}

/// Why the process ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The store does not run.
    #[error(transparent)]
    Serve(#[from] etcd::ServeError),
    /// The tool has not done its work.
    #[error(transparent)]
    Tool(#[from] offline::ToolError),
    /// There is no measurement.
    #[error(transparent)]
    Bench(#[from] bench::Error),
    /// Told to stop before the tool was done; nothing was changed.
    #[error("interrupted")]
    Interrupted,
    /// A mistake in the tool.
    #[error("panic: {0}")]
    Panicked(String),
    /// Nobody reads what was printed.
    #[error("cannot print")]
    Print(#[source] std::io::Error),
}

/// Serves until the context stops, or does what else it is told to, to its end.
///
/// # Errors
/// When the store does not run, the tool cannot do its work, or a server cannot be measured.
pub async fn run(options: Options, context: Context) -> Result<(), ProcessError> {
    let Some(other) = options.other else { return Ok(etcd::run(options.serve, context).await?) };
    let work = async {
        Ok::<_, ProcessError>(match other {
            Other::Bench(options) => bench::run(options).await?,
            Other::Tool(tool) => offline::run(tool).await?,
        })
    };
    let text = tokio::select! {
        // Unwound: what was half made is removed.
        text = catch_in(work) => text.map_err(ProcessError::Panicked)??,
        () = context.stopped() => return Err(ProcessError::Interrupted),
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(ProcessError::Print)
}
