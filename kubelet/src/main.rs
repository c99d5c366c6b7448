//! `mkubelet`: the kubelet as a program of its own. The shim's subcommands come first: they must run before any thread exists.

use std::process::ExitCode;

use base::process::{self, Program, Threads};

fn main() -> ExitCode {
    if let Some(code) = kubelet::shim::dispatch(std::env::args_os()) {
        std::process::exit(code);
    }
    let program = Program { name: "mkubelet", version: kubelet::node::object::VERSION, about: "Runs pods on a node" };
    process::main(program, Threads::Cores, kubelet::run)
}
