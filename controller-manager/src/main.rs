//! The controller manager as a program of its own.

use clap::Parser;

#[derive(Parser)]
#[command(name = "mkube-controller-manager", version, about = "Runs the controllers")]
struct Cli {
    #[command(flatten)]
    options: controller_manager::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    base::logging::init("info", base::logging::Format::Text);
    controller_manager::run(cli.options, base::Context::until_signal()?).await
}
