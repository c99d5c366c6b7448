//! Writes a pod's status to the API: only when it changed, one write at a time, the latest wins, later when the server is
//! down.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use serde_json::Value;

use crate::backoff::Backoff;
use crate::pod;
use crate::status::{conditions::OWNED, patch};

/// What has been written and what is to be.
pub struct Report {
    last: Option<PodStatus>,
    sent: Option<PodStatus>,
    in_flight: Option<PodStatus>,
    backoff: Backoff,
    retry: Option<Timestamp>,
    /// When the first status was made.
    born: Option<Timestamp>,
    /// The version of the object that was last compared with what was sent, or that the last write built on.
    compared: Option<String>,
}

/// How long the first status of a pod waits while it says no more than Pending: most pods run by then, and one write does.
const FIRST: Duration = Duration::from_millis(50);

/// A write to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// The patch.
    pub patch: Value,
}

impl Default for Report {
    fn default() -> Self {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        Self { last: None, sent: None, in_flight: None, backoff, retry: None, born: None, compared: None }
    }
}

impl Report {
    /// The status to build on: the last one made here, with what others wrote into the API's.
    pub fn previous(&self, object: Option<&Pod>) -> PodStatus {
        static EMPTY: std::sync::LazyLock<PodStatus> = std::sync::LazyLock::new(PodStatus::default);
        let api = object.map_or(&*EMPTY, pod::status);
        let mut base = self.last.clone().unwrap_or_else(|| api.clone());
        let owned = |c: &&PodCondition| OWNED.contains(&c.type_.as_str());
        let mut conditions: Vec<_> = base.conditions.iter().flatten().filter(owned).cloned().collect();
        conditions.extend(api.conditions.iter().flatten().filter(|c| !owned(c)).cloned());
        base.conditions = Some(conditions);
        base.nominated_node_name = api.nominated_node_name.clone();
        base.resource_claim_statuses = api.resource_claim_statuses.clone();
        base
    }

    /// Takes the status as it is now.
    pub fn set(&mut self, status: PodStatus) {
        self.last = Some(status);
    }

    /// The status as it is now.
    pub fn latest(&self) -> Option<&PodStatus> {
        self.last.as_ref()
    }

    /// The write that is due for `object`, the pod or its mirror; marks it as being made. `Err` says when to ask again.
    pub fn next(&mut self, object: Option<&Arc<Pod>>, now: Timestamp) -> Result<Write, Option<Timestamp>> {
        let (Some(object), Some(last), None) = (object, &self.last, &self.in_flight) else { return Err(None) };
        // Somebody else may have changed what is ours to say (the node controller marks pods of silent nodes): each new
        // version of the object is compared once. The version that our own write built on is not news.
        let version = object.metadata.resource_version.as_ref();
        if self.sent.as_ref() == Some(last) && self.compared.as_ref() == version {
            return Err(None);
        }
        self.compared = version.cloned();
        if let Some(retry) = self.retry.filter(|retry| now < *retry) {
            return Err(Some(retry));
        }
        let first = *self.born.get_or_insert(now) + FIRST;
        if self.sent.is_none() && last.phase.as_deref() == Some("Pending") && now < first && !troubled(last) {
            return Err(Some(first));
        }
        let Some(patch) = patch::patch(pod::uid(object), pod::status(object), last) else {
            self.sent = Some(last.clone());
            return Err(None);
        };
        self.in_flight = Some(last.clone());
        Ok(Write { namespace: pod::namespace(object).into(), name: pod::name(object).into(), patch })
    }

    /// The write ended well, or there is nothing to write to any more.
    pub fn written(&mut self) {
        self.sent = self.in_flight.take();
        self.retry = None;
        self.backoff.reset("");
    }

    /// The write failed: again later.
    pub fn failed(&mut self, now: Timestamp) {
        self.in_flight = None;
        self.backoff.next("", now, now);
        self.retry = self.backoff.until_since_update("", now);
    }

    /// The object to write to was replaced by another: all is to be written again.
    pub fn start_over(&mut self) {
        self.sent = None;
    }

    /// Builds on the API's status from now on, not on the last one made here.
    pub fn rebase(&mut self) {
        self.last = None;
    }

    /// Whether a write is under way.
    pub fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }
}

/// Whether a container waits for something else than its turn: that is worth telling at once.
fn troubled(status: &PodStatus) -> bool {
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let mut reasons = all.filter_map(|c| c.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
    reasons.any(|reason| !matches!(reason, "ContainerCreating" | "PodInitializing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(status: Value) -> Arc<Pod> {
        let value = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "status": status});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn status(phase: &str) -> PodStatus {
        PodStatus { phase: Some(phase.into()), ..PodStatus::default() }
    }

    fn versioned(version: &str, ready: &str) -> Arc<Pod> {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        let mut pod = (*object(json!({"phase": "Running", "conditions": conditions}))).clone();
        pod.metadata.resource_version = Some(version.into());
        Arc::new(pod)
    }

    #[test]
    fn what_somebody_else_changed_is_said_again() {
        let now = Timestamp::UNIX_EPOCH;
        let mut report = Report::default();
        report.set(pod::status(&versioned("1", "True")).clone());
        report.next(Some(&versioned("1", "False")), now).unwrap();
        report.written();
        assert_eq!(report.next(Some(&versioned("1", "False")), now), Err(None), "our own write is under way to us");
        assert_eq!(report.next(Some(&versioned("2", "True")), now), Err(None), "it came");
        report.next(Some(&versioned("3", "False")), now).expect("somebody else changed it");
    }

    #[test]
    fn one_write_at_a_time_and_the_latest_wins() {
        let now = Timestamp::UNIX_EPOCH;
        let mut report = Report::default();
        let object = object(json!({}));
        assert_eq!(report.next(Some(&object), now), Err(None), "nothing to say yet");
        report.set(status("Pending"));
        assert_eq!(report.next(None, now), Err(None), "nobody to say it to");
        let soon = report.next(Some(&object), now).unwrap_err().unwrap();
        assert_eq!(soon, now + FIRST, "Running may be true by then");
        let write = report.next(Some(&object), soon).unwrap();
        assert_eq!(write.patch, json!({"metadata": {"uid": "u"}, "status": {"phase": "Pending"}}));
        report.set(status("X"));
        report.set(status("Running"));
        assert_eq!(report.next(Some(&object), now), Err(None), "one is under way");
        report.written();
        assert_eq!(report.next(Some(&object), now).unwrap().patch["status"]["phase"], "Running");
        report.written();
        assert_eq!(report.next(Some(&object), now), Err(None), "said, even if the server kept something else");
    }

    #[test]
    fn failed_writes_wait_longer_each_time() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut report = Report::default();
        let object = object(json!({}));
        report.set(status("Running"));
        for millis in [200, 400, 800] {
            assert!(report.next(Some(&object), now).is_ok());
            report.failed(now);
            let retry = report.next(Some(&object), now).unwrap_err().unwrap();
            assert_eq!(retry.duration_since(now).as_millis(), millis);
            now = retry;
        }
    }

    #[test]
    fn what_is_there_already_is_not_written() {
        let mut report = Report::default();
        let object = object(json!({"phase": "Running"}));
        report.set(status("Running"));
        assert_eq!(report.next(Some(&object), Timestamp::UNIX_EPOCH), Err(None));
    }
}
