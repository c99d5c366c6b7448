//! Logs: tracing events on stderr. The message is constant, values are fields.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Sends events at or above the level of `MKUBE_LOG` (default `default_filter`, e.g. `"info"`) to stderr.
/// The first call in a process wins; later ones change nothing, so that components can share a process in tests.
pub fn init(default_filter: &str, format: Format) {
    let filter = EnvFilter::try_from_env("MKUBE_LOG").unwrap_or_else(|_| EnvFilter::new(default_filter));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(true).with_ansi(false);
    let _ = match format {
        Format::Text => registry.with(layer).try_init(),
        Format::Json => registry.with(layer.json()).try_init(),
    };
}
