//! The scheduler as a program of its own.

use std::process::ExitCode;

use base::process::{self, Program, Threads};

fn main() -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    let program = Program { name: "mkube-scheduler", version, about: "Assigns pods to nodes" };
    process::main(program, Threads::One, scheduler::run)
}
