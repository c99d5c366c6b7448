//! The store as its own binary.

use base::logging::{self, Format};
use clap::Parser;
use store::process::Options;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The store of mkube: etcd's v3 API.
#[derive(Parser)]
#[command(name = "mkube-store", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// `text` or `json`.
    #[arg(long, default_value = "text")]
    logging_format: String,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let format = if cli.logging_format == "json" { Format::Json } else { Format::Text };
    logging::init("info", format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let context = base::Context::until_signal()?;
        Ok(store::process::run(cli.options, context).await?)
    })
}
