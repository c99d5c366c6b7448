//! Counters under upstream's names (apiserver, pkg/endpoints/metrics/metrics.go), in the process's default registry.
//!
//! Label values come from the table of kinds only, so that nonsense in paths makes no new time series.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, register_histogram_vec,
    register_int_counter_vec, register_int_gauge_vec,
};

use crate::request::RequestInfo;

const LABELS: &[&str] = &["verb", "group", "version", "resource", "subresource", "scope", "component"];
const COUNTED: &[&str] =
    &["verb", "group", "version", "resource", "subresource", "scope", "component", "code", "dry_run"];
const BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

struct Metrics {
    total: IntCounterVec,
    duration: HistogramVec,
    inflight: IntGaugeVec,
    long_running: IntGaugeVec,
    terminated: IntCounterVec,
}

// A name registered twice is a programming error that every test would show; the metrics then stand alone.
static METRICS: LazyLock<Option<Metrics>> = LazyLock::new(|| {
    let made = || -> prometheus::Result<Metrics> {
        let duration = HistogramOpts::new(
            "apiserver_request_duration_seconds",
            "Response latency by verb, group, version, resource, subresource, scope and component.",
        );
        Ok(Metrics {
            total: register_int_counter_vec!(
                Opts::new("apiserver_request_total", "Requests by verb, resource, code and dry run."),
                COUNTED
            )?,
            duration: register_histogram_vec!(duration.buckets(BUCKETS.to_vec()), LABELS)?,
            inflight: register_int_gauge_vec!(
                Opts::new("apiserver_current_inflight_requests", "Requests being served, by kind."),
                &["request_kind"]
            )?,
            long_running: register_int_gauge_vec!(
                Opts::new("apiserver_longrunning_requests", "Watches and streams being served."),
                LABELS
            )?,
            terminated: register_int_counter_vec!(
                Opts::new("apiserver_request_terminations_total", "Requests refused in self-defence."),
                &["verb", "code"]
            )?,
        })
    };
    made().inspect_err(|error| tracing::error!(%error, "metrics cannot be registered")).ok()
});

/// What a request counts as.
#[derive(Debug, Clone)]
pub struct Labels {
    verb: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    scope: &'static str,
    dry_run: bool,
}

impl Labels {
    /// Of a request.
    pub fn of(info: &RequestInfo, dry_run: bool) -> Self {
        let subresource = info
            .resource
            .and_then(|kind| kind.subresources.iter().find(|s| s.name() == info.subresource))
            .map_or("", |subresource| subresource.name());
        Self {
            verb: verb(info),
            group: info.served.map_or("", |served| served.group),
            version: info.served.map_or("", |served| served.version),
            resource: info.resource.map_or("", |kind| kind.plural),
            subresource,
            scope: info.scope(),
            dry_run,
        }
    }

    fn values(&self) -> [&'static str; 7] {
        [self.verb, self.group, self.version, self.resource, self.subresource, self.scope, "apiserver"]
    }

    /// A request is done.
    pub fn done(&self, code: u16, took: Duration) {
        let Some(metrics) = &*METRICS else { return };
        let [verb, group, version, resource, subresource, scope, component] = self.values();
        let (mut digits, dry_run) = ([0; 3], if self.dry_run { "All" } else { "" });
        let code = three_digits(code, &mut digits);
        metrics
            .total
            .with_label_values(&[verb, group, version, resource, subresource, scope, component, code, dry_run])
            .inc();
        metrics.duration.with_label_values(&self.values()).observe(took.as_secs_f64());
    }

    /// A request was refused to protect the server.
    pub fn terminated(&self, code: &str) {
        if let Some(metrics) = &*METRICS {
            metrics.terminated.with_label_values(&[self.verb, code]).inc();
        }
    }

    /// A watch or stream begins; it ends when the guard is dropped.
    pub fn long_running(&self) -> Option<Running> {
        METRICS.as_ref().map(|metrics| Running::new(metrics.long_running.with_label_values(&self.values())))
    }
}

/// A request is being served until this is dropped; `kind` is `readOnly` or `mutating`.
pub fn inflight(kind: &str) -> Option<Running> {
    METRICS.as_ref().map(|metrics| Running::new(metrics.inflight.with_label_values(&[kind])))
}

/// Counts one while it lives.
pub struct Running(IntGauge);

impl Running {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn verb(info: &RequestInfo) -> &'static str {
    if matches!(info.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy") && info.is_resource {
        return "CONNECT";
    }
    match info.verb.as_str() {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        "head" => "HEAD",
        _ => "other",
    }
}

fn three_digits(code: u16, out: &mut [u8; 3]) -> &str {
    *out = [b'0' + (code / 100 % 10) as u8, b'0' + (code / 10 % 10) as u8, b'0' + (code % 10) as u8];
    std::str::from_utf8(out).unwrap_or("000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn requests_are_counted_under_upstreams_names() {
        let info = RequestInfo::parse(&Method::GET, "/api/v1/namespaces/a/pods/p/log", None);
        let labels = Labels::of(&info, false);
        labels.done(200, Duration::from_millis(3));
        let running = labels.long_running();
        let text = String::from_utf8(base::health::render_metrics()).unwrap();
        let series = "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"resource\",subresource=\"log\",verb=\"GET\",version=\"v1\"}";
        assert!(text.contains(series), "{text}");
        assert!(text.contains("apiserver_longrunning_requests{"));
        drop(running);
    }

    #[test]
    fn nonsense_makes_no_series() {
        let info = RequestInfo::parse(&Method::GET, "/apis/evil/v9/things/x/sub", None);
        assert_eq!(Labels::of(&info, false).values()[1..5], ["", "", "", ""]);
    }
}
