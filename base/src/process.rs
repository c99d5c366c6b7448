//! A component as a process: the flags that all have, logs, threads, the stop signal, what a panic ends, the exit code.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::process::ExitCode;

use clap::{Args, Command, FromArgMatches};
use tokio::runtime::Builder;

use crate::Context;
use crate::logging::{self, Format};

/// The exit code of who was called with arguments that mean nothing (sysexits.h: EX_USAGE).
pub const MISUSE: u8 = 64;

/// Flags that every component has beside its own.
#[derive(Args, Debug, Clone, Copy, Default)]
#[group(skip)]
pub struct Options {
    /// How lines of the log look
    #[arg(long, value_enum, default_value_t)]
    pub logging_format: Format,
}

/// A program's name for itself.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// As it is called.
    pub name: &'static str,
    /// Its own, not the workspace's: a kubelet says which Kubernetes it is.
    pub version: &'static str,
    /// One line.
    pub about: &'static str,
}

/// A command with a component's flags and those of all. Whatever it is about must be said afterwards: clap takes it from the
/// flags otherwise.
pub fn with_flags<O: Args>(command: Command) -> Command {
    Options::augment_args(O::augment_args(command))
}

/// What a component runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One: less memory, for who mostly waits.
    One,
    /// As many as there are cores.
    Cores,
}

/// Runs a component until its end, or until SIGTERM or SIGINT stops its context. A panic in it that nobody catches ends this
/// process ([`crate::panics`]).
///
/// # Errors
/// Those of the component, and when its threads or signal handlers cannot be had.
pub fn run<F, E>(options: Options, threads: Threads, component: impl FnOnce(Context) -> F) -> Result<(), E>
where
    F: Future<Output = Result<(), E>>,
    E: From<io::Error>,
{
    logging::init("info", options.logging_format);
    crate::panics::end_the_process();
    let mut builder = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::Cores => Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| io::Error::new(error.kind(), format!("starting the runtime: {error}")))?;
    runtime.block_on(async { component(Context::until_signal()?).await })
}

/// The whole `main` of a component that is a program of its own: parses its flags `O`, then [`run`]s it. Returns 0, 1 if it
/// failed, [`MISUSE`].
pub fn main<O, F, E>(program: Program, threads: Threads, component: impl FnOnce(O, Context) -> F) -> ExitCode
where
    O: Args,
    F: Future<Output = Result<(), E>>,
    E: From<io::Error> + Display,
{
    let command = Command::new(program.name).version(program.version);
    let parsed = with_flags::<O>(command).about(program.about).try_get_matches().and_then(|matches| {
        let shared = Options::from_arg_matches(&matches)?;
        Ok((O::from_arg_matches(&matches)?, shared))
    });
    match parsed {
        Ok((options, shared)) => code(run(shared, threads, |context| component(options, context))),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { MISUSE } else { 0 })
        }
    }
}

/// The exit code of what has ended so; says on standard error why it failed.
pub fn code(result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
