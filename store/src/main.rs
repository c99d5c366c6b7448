//! The store as a program of its own.

use std::process::ExitCode;

use base::process::{self, Program, Threads};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    let program = Program { name: "mkube-store", version, about: "The store: etcd's v3 API" };
    process::main(program, Threads::Cores, async |options, context| {
        store::process::run(options, context).await.map_err(anyhow::Error::from)
    })
}
