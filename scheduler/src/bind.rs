//! Acts on decisions: binds pods, tells people about the ones that found no node. In the background, a bounded number at a
//! time; outcomes come back to the scheduler's task.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::sync::mpsc;

use base::Context;
use client::events::{Recorder, Type};
use client::{Client, Key, Object, Patch};

/// Most bindings under way.
const MOST: usize = 256;

/// How a binding ended.
pub(crate) struct Outcome {
    /// The pod.
    pub(crate) key: Key,
    /// Whether it is bound (or needs no binding any more).
    pub(crate) done: bool,
}

/// Binds pods in the background.
pub(crate) struct Binder {
    context: Context,
    client: Client,
    recorder: Recorder,
    outcomes: mpsc::Sender<Outcome>,
    under_way: usize,
}

impl Binder {
    pub(crate) fn new(context: Context, client: Client, recorder: Recorder) -> (Self, mpsc::Receiver<Outcome>) {
        let (outcomes, receiver) = mpsc::channel(MOST);
        (Self { context, client, recorder, outcomes, under_way: 0 }, receiver)
    }

    /// Whether another binding may start.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way < MOST
    }

    /// An outcome has been received.
    pub(crate) fn finished(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    pub(crate) fn bind(&mut self, pod: Arc<Pod>, node: String) {
        self.under_way += 1;
        let (client, recorder, outcomes) = (self.client.clone(), self.recorder.clone(), self.outcomes.clone());
        self.context.spawn("bind", async move {
            let key = pod.key();
            let result = client.bind(&key.namespace, &key.name, pod.uid(), &node).await;
            let done = match result {
                Ok(()) => {
                    let message = format!("Successfully assigned {key} to {node}");
                    recorder.about(&*pod, Type::Normal, "Scheduled", message);
                    true
                }
                // Gone, or bound by somebody else: its event says so, or will.
                Err(error) if error.is_not_found() => true,
                Err(error) => {
                    tracing::warn!(pod = %key, node, error = error.chain(), "binding failed");
                    let message = format!("binding rejected: {}", error.chain());
                    recorder.about(&*pod, Type::Warning, "FailedScheduling", message);
                    false
                }
            };
            let _ = outcomes.send(Outcome { key, done }).await;
        });
    }

    /// Records why `pod` found no node, as an event and in its PodScheduled condition.
    pub(crate) fn report_no_fit(&self, pod: Arc<Pod>, message: String) {
        self.recorder.about(&*pod, Type::Warning, "FailedScheduling", message.clone());
        if already_says(&pod, &message) {
            return;
        }
        let client = self.client.clone();
        self.context.spawn("condition", async move {
            let key = pod.key();
            let condition = json!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastProbeTime": null, "lastTransitionTime": Timestamp::now(),
                "observedGeneration": pod.metadata.generation,
            });
            let patch = json!({"metadata": {"uid": pod.uid()}, "status": {"conditions": [condition]}});
            let patched = client.patch_status::<Pod>(&key.namespace, &key.name, &Patch::Strategic(patch)).await;
            if let Err(error) = patched
                && !error.is_not_found()
            {
                tracing::debug!(pod = %key, error = error.chain(), "condition not written");
            }
        });
    }
}

fn already_says(pod: &Pod, message: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.message.as_deref() == Some(message)
    })
}
