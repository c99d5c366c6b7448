//! Scenarios on real clusters, one after the other: each needs the machine's two cores for itself. They need root, and say
//! so loudly where they have to skip something.
//!
//! `MKUBE_E2E_STORE=etcd` runs them on a real etcd instead of the embedded store (`e2e::backing`).
//! `MKUBE_FAULT_ROUNDS=20` makes the long proof of the faults; `MKUBE_E2E_KEEP=1` keeps the directories.

mod accounts;
mod clusters;
mod faults;
mod kubectl;
mod masters;
mod pods;
mod static_pods;
mod tour;
mod versions;

use std::time::Duration;

use e2e::{Cluster, Options, program};
use tokio::sync::Mutex;

/// How long anything may take on a busy machine. Far longer than it does.
pub const PATIENCE: Duration = Duration::from_secs(90);

static TURN: Mutex<()> = Mutex::const_new(());

/// Runs `work` against a cluster of its own, when it is its turn; shows the logs when it fails.
pub async fn scenario(name: &str, options: Options, work: impl AsyncFnOnce(&mut Cluster) -> anyhow::Result<()>) {
    if !program::can_run(name) {
        return;
    }
    let _turn = TURN.lock().await;
    let failure = match Cluster::start(options) {
        Err(error) => Some(error),
        Ok(mut cluster) => {
            let failure = work(&mut cluster).await.err();
            if let Some(error) = &failure {
                program::say(&format!("{name}: {error:#}\n{}", cluster.logs()));
            }
            failure
        }
    };
    if let Some(error) = failure {
        panic!("{name}: {error:#}");
    }
}

/// Options for a number of nodes.
pub fn nodes(nodes: u8) -> Options {
    Options { nodes, ..Options::default() }
}
