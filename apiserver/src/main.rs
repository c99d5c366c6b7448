//! The API server as a program of its own.

use std::process::ExitCode;

use base::process::{self, Program, Threads};

fn main() -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    let program = Program { name: "mkube-apiserver", version, about: "The Kubernetes API server" };
    process::main(program, Threads::Cores, apiserver::run)
}
