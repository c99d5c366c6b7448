//! `mkubelet`: the kubelet as a program of its own. The shim's subcommands come first: they must run before any thread exists.

use std::process::ExitCode;

use base::logging;
use clap::Parser;

#[derive(Parser)]
#[command(name = "mkubelet", version = kubelet::node::object::VERSION, about = "Runs pods on a node.")]
struct Arguments {
    #[command(flatten)]
    options: kubelet::Options,
}

fn main() -> ExitCode {
    if let Some(code) = kubelet::shim::dispatch(std::env::args_os()) {
        std::process::exit(code);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    logging::init("info", logging::Format::Text);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mkubelet: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let context = base::Context::until_signal()?;
        kubelet::run(arguments.options, context).await
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mkubelet: {error:#}");
            ExitCode::FAILURE
        }
    }
}
