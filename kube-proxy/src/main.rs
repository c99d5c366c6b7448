//! The proxy as a program of its own.

use clap::Parser;

#[derive(Parser)]
#[command(name = "mkube-proxy", version, about = "Programs Services and routes on a node")]
struct Cli {
    #[command(flatten)]
    options: kube_proxy::Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    base::logging::init("info", base::logging::Format::Text);
    kube_proxy::run(cli.options, base::Context::until_signal()?).await
}
