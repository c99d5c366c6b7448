//! What one store counts and times, under etcd's names (server/etcdserver/metrics.go, server/storage/wal/metrics.go,
//! server/etcdserver/api/rafthttp/metrics.go). In a registry of its own: a process may have several stores.

use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets};

/// See the module's header.
pub(crate) struct Metrics {
    registry: Registry,
    /// Seconds that syncs of the log took.
    pub(crate) wal_fsync: Histogram,
    /// How often this member heard of a leader that was not the one before.
    pub(crate) leader_changes: IntCounter,
    /// Requests that wait to be applied.
    pub(crate) proposals_pending: IntGauge,
    /// Requests of which nobody knows what became, that did not get into the log, or that were given up.
    pub(crate) proposals_failed: IntCounter,
    /// By the member: how often it could not be reached, the connection broke, or it did not keep up and something was not sent.
    pub(crate) peer_failures: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self::register(Registry::new()).expect("constant names in an empty registry")
    }

    fn register(registry: Registry) -> prometheus::Result<Self> {
        // 1 ms to 8 s, as etcd's.
        let fsync = HistogramOpts::new("etcd_disk_wal_fsync_duration_seconds", "Latencies of the log's syncs.")
            .buckets(exponential_buckets(0.001, 2.0, 14)?);
        let metrics = Self {
            wal_fsync: Histogram::with_opts(fsync)?,
            leader_changes: IntCounter::new("etcd_server_leader_changes_seen_total", "Changes of the leader seen.")?,
            proposals_pending: IntGauge::new("etcd_server_proposals_pending", "Requests that wait to be applied.")?,
            proposals_failed: IntCounter::new("etcd_server_proposals_failed_total", "Requests that failed.")?,
            peer_failures: IntCounterVec::new(
                Opts::new("etcd_network_peer_sent_failures_total", "How often a member could not be reached."),
                &["To"],
            )?,
            registry,
        };
        metrics.registry.register(Box::new(metrics.wal_fsync.clone()))?;
        metrics.registry.register(Box::new(metrics.leader_changes.clone()))?;
        metrics.registry.register(Box::new(metrics.proposals_pending.clone()))?;
        metrics.registry.register(Box::new(metrics.proposals_failed.clone()))?;
        metrics.registry.register(Box::new(metrics.peer_failures.clone()))?;
        Ok(metrics)
    }

    /// All of it, as of now.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Counts a request as pending until it is over: as failed, if whoever asked gives it up.
    pub(crate) fn pending(&self) -> Pending<'_> {
        self.proposals_pending.inc();
        Pending { metrics: self, failed: true }
    }
}

/// See [`Metrics::pending`].
pub(crate) struct Pending<'a> {
    metrics: &'a Metrics,
    failed: bool,
}

impl Pending<'_> {
    /// There is an answer.
    pub(crate) fn over(mut self, failed: bool) {
        self.failed = failed;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.metrics.proposals_pending.dec();
        if self.failed {
            self.metrics.proposals_failed.inc();
        }
    }
}
