//! Counters of the watch caches under upstream's names (apiserver, pkg/storage/cacher/metrics and storage/etcd3/metrics).

use std::sync::LazyLock;

use api::kinds::Kind;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

const LABELS: &[&str] = &["group", "resource"];

/// `None` only if the name were taken by something else; then nothing is counted.
fn counter(name: &str, help: &str) -> Option<IntCounterVec> {
    let vector = IntCounterVec::new(Opts::new(name, help), LABELS).ok()?;
    prometheus::register(Box::new(vector.clone())).ok()?;
    Some(vector)
}

fn gauge(name: &str, help: &str) -> Option<IntGaugeVec> {
    let vector = IntGaugeVec::new(Opts::new(name, help), LABELS).ok()?;
    prometheus::register(Box::new(vector.clone())).ok()?;
    Some(vector)
}

static INITIALIZATIONS: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    counter("apiserver_watch_cache_initializations_total", "Watch cache initializations by resource.")
});
static RECEIVED: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    counter("apiserver_watch_cache_events_received_total", "Events received by the watch cache by resource.")
});
static DISPATCHED: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    counter("apiserver_watch_cache_events_dispatched_total", "Events dispatched to watchers by resource.")
});
static TERMINATED: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    counter("apiserver_terminated_watchers_total", "Watchers ended because their events were not known any more.")
});
static OBJECTS: LazyLock<Option<IntGaugeVec>> =
    LazyLock::new(|| gauge("apiserver_storage_objects", "Stored objects by resource."));

/// The counters of one kind.
pub(super) struct Metrics {
    initializations: Option<IntCounter>,
    received: Option<IntCounter>,
    dispatched: Option<IntCounter>,
    terminated: Option<IntCounter>,
    objects: Option<IntGauge>,
}

impl Metrics {
    pub(super) fn of(kind: &Kind) -> Self {
        let labels = [kind.group, kind.plural];
        let counter = |vector: &Option<IntCounterVec>| vector.as_ref().map(|vector| vector.with_label_values(&labels));
        Self {
            initializations: counter(&INITIALIZATIONS),
            received: counter(&RECEIVED),
            dispatched: counter(&DISPATCHED),
            terminated: counter(&TERMINATED),
            objects: OBJECTS.as_ref().map(|vector| vector.with_label_values(&labels)),
        }
    }

    pub(super) fn initialized(&self) {
        add(&self.initializations, 1);
    }

    pub(super) fn received(&self, events: usize, objects: usize) {
        add(&self.received, events);
        self.objects(objects);
    }

    pub(super) fn dispatched(&self, events: usize) {
        add(&self.dispatched, events);
    }

    pub(super) fn terminated(&self) {
        add(&self.terminated, 1);
    }

    pub(super) fn objects(&self, objects: usize) {
        if let Some(gauge) = &self.objects {
            gauge.set(objects as i64);
        }
    }
}

fn add(counter: &Option<IntCounter>, count: usize) {
    if let Some(counter) = counter {
        counter.inc_by(count as u64);
    }
}
