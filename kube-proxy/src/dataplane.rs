//! Makes a rule set real. Applying the whole set twice changes nothing; the first apply of a process replaces what an
//! earlier one left.

use std::future::Future;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::conntrack;
use crate::nft;
use crate::rules::RuleSet;

/// Why the kernel did not take the rules.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `nft` cannot be run.
    #[error("nft cannot be run (package nftables)")]
    NoNft(#[source] std::io::Error),
    /// `nft` refused.
    #[error("nft: {0}")]
    Refused(String),
}

/// A way to program the kernel.
pub trait DataPlane: Send {
    /// Makes `rules` the whole truth.
    fn apply(&mut self, rules: &RuleSet) -> impl Future<Output = Result<(), Error>> + Send;
}

/// nftables through `nft -f -`: one atomic transaction per apply, of what differs from the last one.
pub struct Nftables {
    applied: Option<RuleSet>,
}

impl Nftables {
    /// Ready to program this network namespace.
    ///
    /// # Errors
    /// When `nft` is missing or may not be used.
    pub async fn new() -> Result<Self, Error> {
        run_nft("list tables\n").await?;
        Ok(Self { applied: None })
    }
}

impl DataPlane for Nftables {
    async fn apply(&mut self, rules: &RuleSet) -> Result<(), Error> {
        let before = self.applied.take();
        let delta = before.as_ref().and_then(|before| nft::delta(before, rules));
        let result = match &delta {
            Some(text) if text.is_empty() => Ok(()),
            Some(text) => run_nft(text).await,
            None => run_nft(&nft::whole(rules)).await,
        };
        // Somebody else may have touched the table: a failed delta is followed by everything anew.
        if let (Err(error), true) = (&result, delta.is_some()) {
            tracing::warn!(%error, "programming the whole table anew");
            run_nft(&nft::whole(rules)).await?;
        } else {
            result?;
        }
        conntrack::forget_stale(before.as_ref(), rules).await;
        self.applied = Some(rules.clone());
        Ok(())
    }
}

async fn run_nft(script: &str) -> Result<(), Error> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::NoNft)?;
    if let Some(mut stdin) = child.stdin.take() {
        // An early exit of nft shows up as its error message below.
        let _ = stdin.write_all(script.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(Error::NoNft)?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(Error::Refused(message.lines().take(5).collect::<Vec<_>>().join("; ")))
}
