//! The controller manager as a program of its own.

use std::process::ExitCode;

use base::process::{self, Program, Threads};

fn main() -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    let program = Program { name: "mkube-controller-manager", version, about: "Runs the controllers" };
    process::main(program, Threads::One, controller_manager::run)
}
