//! Keeps the wanted number of pods of each ReplicaSet.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use api::selector::LabelSelector;
use base::Clock;
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::events::{Recorder, Type};
use client::{Cache, Caches, Client, DeleteOptions, Error, Key, Object, Patch};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::claims::{self, Claim};
use crate::{Setup, pods, writes};
use plan::Scale;

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let controller = ReplicaSets {
        client: setup.client.clone(),
        clock: setup.clock.clone(),
        recorder: setup.recorder("replicaset-controller"),
        sets: setup.caches.of(),
        pods: setup.caches.of(),
    };
    controller.sets.add_index("controller", pods::index_by_controller);
    controller.pods.add_index("controller", pods::index_by_controller);
    controller.pods.add_index("orphans", pods::index_orphans);
    controller::run(&setup.context, &setup.caches, controller, 8);
    Ok(())
}

struct ReplicaSets {
    client: Client,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
}

/// Why pods could not be created or deleted: the condition's reason, and the error.
type Failure = (&'static str, Error);

impl Reconciler for ReplicaSets {
    fn name(&self) -> &'static str {
        "replicaset"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        let sets = self.sets.clone();
        vec![
            Trigger::each(&self.sets),
            Trigger::owned(&self.pods, "ReplicaSet"),
            Trigger::of(&self.pods, move |_, new| new.map(|pod| wanting(&sets, pod)).unwrap_or_default()),
        ]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        let Some(set) = self.sets.get(key) else { return Ok(Action::Done) };
        let Some(selector) = selector(&set) else { return Ok(Action::Done) };
        let mut candidates = self.pods.by("controller", set.uid());
        candidates.extend(self.pods.by("orphans", &key.namespace));
        // Pods that have ended or are ending are nobody's to take or to let go; those that are ours count as ending.
        let (active, over): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|pod| pods::is_active(pod));
        let mut own = claims::settle(&self.client, &*set, &selector, active).await?;
        own.extend(over.into_iter().filter(|pod| claims::claim(&**pod, set.uid(), true, &selector) == Claim::Own));

        let mut failure = None;
        if set.metadata.deletion_timestamp.is_none() {
            let active: Vec<Arc<Pod>> = own.iter().filter(|pod| pods::is_active(pod)).cloned().collect();
            let wanted = set.spec.replicas.unwrap_or(1);
            failure = match plan::scale(wanted, &active, &self.related(&set), self.clock.now()) {
                Scale::Right => None,
                Scale::Create(count) => self.create(&set, count, pass).await.err().map(|e| ("FailedCreate", e)),
                Scale::Delete(pods) => self.delete(&set, &pods, pass).await.err().map(|e| ("FailedDelete", e)),
            };
        }
        let again = self.write_status(&set, &own, failure.as_ref(), pass).await?;
        match failure {
            Some((_, error)) => Err(error),
            None => Ok(again.map_or(Action::Done, |seconds| {
                Action::After(Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1)))
            })),
        }
    }
}

impl ReplicaSets {
    /// The pods of all sets that share this one's controller, its own included.
    fn related(&self, set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let mut uids = vec![set.uid().to_string()];
        if let Some(owner) = pods::controller_of(&set.metadata) {
            let sisters = self.sets.by("controller", &owner.uid);
            uids.extend(sisters.iter().map(|sister| sister.uid().to_string()).filter(|uid| uid != set.uid()));
        }
        uids.iter().flat_map(|uid| self.pods.by("controller", uid)).collect()
    }

    /// Creates `count` pods in batches that double while all goes well: a template that is refused costs one request, not
    /// hundreds (upstream's slowStartBatch).
    async fn create(&self, set: &ReplicaSet, count: usize, pass: &Pass) -> Result<(), Error> {
        let Some(template) = &set.spec.template else { return Ok(()) };
        let pod = pods::from_template(template, set);
        let namespace = set.key().namespace;
        let (mut left, mut batch) = (count, 1);
        while left > 0 {
            let now = batch.min(left);
            let created = join_all((0..now).map(|_| self.client.create(&namespace, &pod))).await;
            // All of a batch count, also beside one that failed: the next pass must wait until they show.
            let mut failed = None;
            for result in created {
                match result {
                    Ok(pod) => {
                        let name = pod.key().name;
                        self.recorder.about(set, Type::Normal, "SuccessfulCreate", format!("Created pod: {name}"));
                        pass.wrote(&self.pods, &pod);
                    }
                    // The namespace is on its way out: nothing more to do here.
                    Err(error) if namespace_terminating(&error) => return Ok(()),
                    Err(error) => {
                        let message = format!("Error creating: {}", error.chain());
                        self.recorder.about(set, Type::Warning, "FailedCreate", message);
                        failed.get_or_insert(error);
                    }
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
            left -= now;
            batch *= 2;
        }
        Ok(())
    }

    async fn delete(&self, set: &ReplicaSet, pods: &[Arc<Pod>], pass: &Pass) -> Result<(), Error> {
        let deletions = pods.iter().map(|pod| async move {
            let key = pod.key();
            (pod, self.client.delete::<Pod>(&key.namespace, &key.name, &DeleteOptions::uid(pod.uid())).await)
        });
        let mut failed = None;
        for (pod, result) in join_all(deletions).await {
            let name = pod.key().name;
            match result {
                Ok(_) => {
                    self.recorder.about(set, Type::Normal, "SuccessfulDelete", format!("Deleted pod: {name}"));
                    pass.deleted(&self.pods, &**pod);
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    let message = format!("Error deleting: {}", error.chain());
                    self.recorder.about(set, Type::Warning, "FailedDelete", message);
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Writes the status if it differs; says after how many seconds it will change by itself.
    async fn write_status(
        &self,
        set: &ReplicaSet,
        own: &[Arc<Pod>],
        failure: Option<&Failure>,
        pass: &Pass,
    ) -> Result<Option<i64>, Error> {
        let failure = failure.map(|(reason, error)| (*reason, error.chain()));
        let (status, again) = plan::status(set, own, failure, self.clock.now());
        if set.status.as_ref().is_some_and(|before| same(before, &status)) {
            return Ok(again);
        }
        let key = set.key();
        let mut body = json!(status);
        if status.conditions.is_none() {
            body["conditions"] = json!(null);
        }
        let patch = json!({"metadata": {"uid": set.uid()}, "status": body});
        let written = self.client.patch_status::<ReplicaSet>(&key.namespace, &key.name, &Patch::Merge(patch)).await;
        writes::note(written, &self.sets, pass)?;
        Ok(again)
    }
}

/// Equal but for the difference between zero and absent.
fn same(a: &ReplicaSetStatus, b: &ReplicaSetStatus) -> bool {
    let number = |value: Option<i32>| value.unwrap_or(0);
    a.replicas == b.replicas
        && number(a.fully_labeled_replicas) == number(b.fully_labeled_replicas)
        && number(a.ready_replicas) == number(b.ready_replicas)
        && number(a.available_replicas) == number(b.available_replicas)
        && number(a.terminating_replicas) == number(b.terminating_replicas)
        && a.observed_generation == b.observed_generation
        && a.conditions.as_deref().unwrap_or_default() == b.conditions.as_deref().unwrap_or_default()
}

/// The sets that may adopt an orphaned pod.
fn wanting(sets: &Cache<ReplicaSet>, pod: &Pod) -> Vec<Key> {
    if pods::controller_of(&pod.metadata).is_some() {
        return Vec::new();
    }
    claims::selecting(sets, &pod.metadata, selector)
}

fn selector(set: &ReplicaSet) -> Option<LabelSelector> {
    LabelSelector::from_typed(Some(&set.spec.selector)).ok()
}

/// Whether creating failed because the namespace is going.
pub(crate) fn namespace_terminating(error: &Error) -> bool {
    let causes = error.status().and_then(|status| status.details.as_ref()).map(|details| details.causes.as_slice());
    causes.unwrap_or_default().iter().any(|cause| cause.reason == "NamespaceTerminating")
}
