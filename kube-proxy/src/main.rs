//! The proxy as a program of its own.

use std::process::ExitCode;

use base::process::{self, Program, Threads};

fn main() -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    let program = Program { name: "mkube-proxy", version, about: "Programs Services and routes on a node" };
    process::main(program, Threads::One, kube_proxy::run)
}
