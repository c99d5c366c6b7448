//! The command line of `mkube-store` (`mkube store`): serves, unless it is told to use a tool.

use std::io::Write;

use base::Context;
use clap::Args;

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
    tool: Option<Tool>,
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
    /// Told to stop before the tool was done; nothing was changed.
    #[error("interrupted")]
    Interrupted,
    /// Nobody reads what was printed.
    #[error("cannot print")]
    Print(#[source] std::io::Error),
}

/// Serves until the context stops, or runs the tool to its end.
///
/// # Errors
/// When the store does not run, or the tool cannot do its work.
pub async fn run(options: Options, context: Context) -> Result<(), ProcessError> {
    let Some(tool) = options.tool else { return Ok(etcd::run(options.serve, context).await?) };
    let text = tokio::select! {
        text = offline::run(tool) => text?,
        () = context.stopped() => return Err(ProcessError::Interrupted),
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(ProcessError::Print)
}
