//! Compares servers of etcd's v3 API: see `store::bench`. `cargo run --release -p store --example compare -- --help`

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: store::bench::Options,
}

#[tokio::main]
async fn main() -> Result<(), store::bench::Error> {
    store::bench::run(Cli::parse().options).await
}
