//! Acts on decisions: binds pods, tells people about the ones that found no node. In the background, a bounded number at a
//! time; how each ended comes back to the scheduler's task, so that no two tries of one pod overlap.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use base::Context;
use client::events::{Recorder, Type};
use client::{Client, Key, Object, Patch};

use crate::machine::{Decision, End};

/// Most actions under way.
const MOST: usize = 256;

/// How the try of a pod ended.
pub(crate) struct Outcome {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) end: End,
}

/// Acts in the background.
pub(crate) struct Binder {
    context: Context,
    hands: Hands,
    outcomes: mpsc::Sender<Outcome>,
    under_way: usize,
}

/// What each action takes along.
#[derive(Clone)]
struct Hands {
    client: Client,
    recorder: Recorder,
}

impl Binder {
    pub(crate) fn new(context: Context, client: Client, recorder: Recorder) -> (Self, mpsc::Receiver<Outcome>) {
        let (outcomes, receiver) = mpsc::channel(MOST);
        (Self { context, hands: Hands { client, recorder }, outcomes, under_way: 0 }, receiver)
    }

    /// Whether another action may start.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way < MOST
    }

    /// An outcome has been received.
    pub(crate) fn finished(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    pub(crate) fn act(&mut self, decision: Decision) {
        self.under_way += 1;
        let (hands, outcomes) = (self.hands.clone(), self.outcomes.clone());
        self.context.spawn("act", async move {
            let (pod, end) = match decision {
                Decision::Bind(pod, node) => (pod.clone(), hands.bind(&pod, &node).await),
                Decision::Refuse(pod, why) => {
                    hands.say_unschedulable(&pod, &why.message()).await;
                    (pod, End::Refused(why.wakes_on))
                }
            };
            let _ = outcomes.send(Outcome { key: pod.key(), uid: pod.uid().to_string(), end }).await;
        });
    }
}

impl Hands {
    async fn bind(&self, pod: &Pod, node: &str) -> End {
        let key = pod.key();
        match self.client.bind(&key.namespace, &key.name, pod.uid(), node).await {
            Ok(()) => {
                let message = format!("Successfully assigned {key} to {node}");
                self.recorder.about(pod, Type::Normal, "Scheduled", message);
                End::Bound
            }
            // Gone: its event says so, or will.
            Err(error) if error.is_not_found() => End::Bound,
            Err(error) => {
                tracing::warn!(pod = %key, node, error = error.chain(), "binding failed");
                let message = format!("binding rejected: {}", error.chain());
                self.recorder.about(pod, Type::Warning, "FailedScheduling", message.clone());
                // Only of the pod as it was: if somebody else has bound it, it is scheduled.
                self.say(pod, "SchedulerError", &message, pod.metadata.resource_version.as_deref()).await;
                End::Failed
            }
        }
    }

    async fn say_unschedulable(&self, pod: &Pod, message: &str) {
        self.recorder.about(pod, Type::Warning, "FailedScheduling", message.to_string());
        self.say(pod, "Unschedulable", message, None).await;
    }

    /// Writes into the PodScheduled condition why the pod has no node, if it does not say so.
    async fn say(&self, pod: &Pod, reason: &str, message: &str, version: Option<&str>) {
        let Some(condition) = not_scheduled(pod, reason, message, Timestamp::now()) else { return };
        let key = pod.key();
        let metadata = json!({"uid": pod.uid(), "resourceVersion": version});
        let patch = Patch::Strategic(json!({"metadata": metadata, "status": {"conditions": [condition]}}));
        if let Err(error) = self.client.patch_status::<Pod>(&key.namespace, &key.name, &patch).await
            && !error.is_not_found()
        {
            tracing::debug!(pod = %key, error = error.chain(), "condition not written");
        }
    }
}

/// The condition to write, if it is another one than the pod has. It is in transition only when its status changes
/// (podutil.UpdatePodCondition).
fn not_scheduled(pod: &Pod, reason: &str, message: &str, now: Timestamp) -> Option<Value> {
    let is_it = |condition: &&PodCondition| condition.type_ == "PodScheduled";
    let before = pod.status.iter().flat_map(|status| status.conditions.iter().flatten()).find(is_it);
    let unscheduled = before.filter(|condition| condition.status == "False");
    let says = |condition: &PodCondition| {
        condition.reason.as_deref() == Some(reason) && condition.message.as_deref() == Some(message)
    };
    if unscheduled.is_some_and(says) {
        return None;
    }
    let since = unscheduled.and_then(|condition| condition.last_transition_time.as_ref()).map_or(now, |time| time.0);
    Some(json!({
        "type": "PodScheduled", "status": "False", "reason": reason, "message": message,
        "lastProbeTime": null, "lastTransitionTime": since, "observedGeneration": pod.metadata.generation,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;

    #[test]
    fn the_condition_is_written_when_it_says_something_else_and_keeps_its_time() {
        let (then, now) = ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
        let has = |status: &str, reason: &str, message: &str| {
            json!([{"type": "Ready", "status": "False"},
                {"type": "PodScheduled", "status": status, "reason": reason, "message": message, "lastTransitionTime": then}])
        };
        // What the pod says → since when it will say "Unschedulable: none fits", if that is news.
        let table = [
            (json!(null), Some(now)),
            (json!([]), Some(now)),
            (has("False", "Unschedulable", "none fits"), None),
            (has("False", "Unschedulable", "0/1"), Some(then)),
            (has("False", "SchedulingGated", "none fits"), Some(then)),
            (has("True", "", ""), Some(now)),
            (has("Unknown", "Unschedulable", "none fits"), Some(now)),
        ];
        for (conditions, since) in table {
            let pod: Pod =
                from_value(json!({"metadata": {"generation": 3}, "status": {"conditions": conditions}})).unwrap();
            let written = not_scheduled(&pod, "Unschedulable", "none fits", now.parse().unwrap());
            assert_eq!(written.as_ref().map(|c| c["lastTransitionTime"].as_str().unwrap()), since, "{conditions}");
            if let Some(condition) = written {
                let said = (&condition["status"], &condition["reason"], &condition["observedGeneration"]);
                assert_eq!(said, (&json!("False"), &json!("Unschedulable"), &json!(3)));
            }
        }
    }
}
