//! The scheduler as a program of its own.

use clap::Parser;

#[derive(Parser)]
#[command(name = "mkube-scheduler", version, about = "Assigns pods to nodes")]
struct Cli {
    #[command(flatten)]
    options: scheduler::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    base::logging::init("info", base::logging::Format::Text);
    scheduler::run(cli.options, base::Context::until_signal()?).await
}
