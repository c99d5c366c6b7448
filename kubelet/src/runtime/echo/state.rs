//! Who the echo server is, how it was told to behave, and where it is in its life.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Its life after SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// As usual.
    Serving,
    /// Answers as usual, but tells clients to open a new connection next time, which leads elsewhere.
    Draining,
    /// Connections end at once if they are between requests.
    Stopping,
}

/// Who it is, and how it is told to behave.
pub(super) struct State {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) failing_until: Mutex<Option<Instant>>,
    pub(super) phase: watch::Sender<Phase>,
}

impl State {
    pub(super) fn variable(&self, names: &[&str]) -> String {
        names.iter().find_map(|name| self.environment.get(*name)).cloned().unwrap_or_default()
    }

    pub(super) fn pod(&self) -> String {
        self.variable(&["POD_NAME", "MKUBE_POD_NAME", "HOSTNAME"])
    }

    pub(super) fn node(&self) -> String {
        self.variable(&["NODE_NAME", "MKUBE_NODE_NAME"])
    }

    /// One line, for TCP and UDP.
    pub(super) fn line(&self, local: SocketAddr, client: SocketAddr) -> String {
        format!("pod {} node {} address {local} client {client}\n", self.pod(), self.node())
    }
}
