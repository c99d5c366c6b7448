//! Rolls Deployments out: a ReplicaSet per template, sized step by step.

mod conditions;
mod plan;
mod progress;
mod sets;
mod status;

use std::sync::Arc;

use api::selector::LabelSelector;
use base::Clock;
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::events::{Recorder, Type};
use client::{Cache, Caches, Client, Error, Key, Object, Patch};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::replicaset::namespace_terminating;
use crate::{Setup, claims, pods, writes};
use plan::Sizes;
use progress::News;
use sets::{REVISION, Sets};

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let controller = Deployments {
        client: setup.client.clone(),
        clock: setup.clock.clone(),
        recorder: setup.recorder("deployment-controller"),
        deployments: setup.caches.of(),
        sets: setup.caches.of(),
        pods: setup.caches.of(),
    };
    controller.sets.add_index("controller", pods::index_by_controller);
    controller.sets.add_index("orphans", pods::index_orphans);
    controller.pods.add_index("controller", pods::index_by_controller);
    controller::run(&setup.context, &setup.caches, controller, 8);
    Ok(())
}

struct Deployments {
    client: Client,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    deployments: Cache<Deployment>,
    sets: Cache<ReplicaSet>,
    pods: Cache<Pod>,
}

impl Reconciler for Deployments {
    fn name(&self) -> &'static str {
        "deployment"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        let (deployments, sets) = (self.deployments.clone(), self.sets.clone());
        vec![
            Trigger::each(&self.deployments),
            Trigger::owned(&self.sets, "Deployment"),
            Trigger::of(&self.sets, move |_, new| new.map(|set| wanting(&deployments, set)).unwrap_or_default()),
            // Replacement at one blow waits for the last old pod to go.
            Trigger::of(&self.pods, move |old, new| match (old, new) {
                (Some(pod), None) => owner_of_owner(&sets, pod).into_iter().collect(),
                _ => Vec::new(),
            }),
        ]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        let Some(deployment) = self.deployments.get(key) else { return Ok(Action::Done) };
        let Ok(selector) = LabelSelector::from_typed(Some(&deployment.spec.selector)) else { return Ok(Action::Done) };
        if selector.is_everything() {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.about(&*deployment, Type::Warning, "SelectingAll", message);
            return Ok(Action::Done);
        }
        let mut candidates = self.sets.by("controller", deployment.uid());
        candidates.extend(self.sets.by("orphans", &key.namespace));
        let own = claims::settle(&self.client, &*deployment, &selector, candidates).await?;
        let sets = Sets::of(&deployment, own);
        let mut news = News::None;
        if deployment.metadata.deletion_timestamp.is_none() {
            match self.step(&deployment, &sets, &mut news, pass).await {
                Err(error) if namespace_terminating(&error) => return Ok(Action::Done),
                Err(error) => {
                    self.write_status(&deployment, &sets, &News::FailedCreate(error.chain()), pass).await?;
                    return Err(error);
                }
                Ok(()) => {}
            }
        }
        self.write_status(&deployment, &sets, &news, pass).await
    }
}

impl Deployments {
    /// One step towards what the Deployment wants.
    async fn step(&self, deployment: &Deployment, sets: &Sets, news: &mut News, pass: &Pass) -> Result<(), Error> {
        if deployment.spec.paused.unwrap_or(false) || plan::is_scaling(deployment, sets) {
            self.resize(deployment, sets, &plan::rescale(deployment, sets), pass).await?;
            return self.tell_size(deployment, sets, pass).await;
        }
        let old_pods_run = self.pods_run(&sets.old);
        match &sets.new {
            None if sets::is_rolling(deployment)
                || !old_pods_run && sets.old.iter().all(|set| sets::replicas(set) == 0) =>
            {
                return self.create(deployment, sets, news, pass).await;
            }
            None => {}
            Some(new) => self.keep_new(deployment, sets, new, pass).await?,
        }
        let sizes = match sets::is_rolling(deployment) {
            true => plan::roll(deployment, sets),
            false => plan::recreate(deployment, sets, old_pods_run),
        };
        self.resize(deployment, sets, &sizes, pass).await?;
        // Until the rollout has ended well, each old set may be wanted back.
        let complete = deployment.status.as_ref().is_some_and(|status| progress::is_complete(deployment, status));
        for set in plan::expired(deployment, sets).into_iter().filter(|_| complete) {
            writes::delete(&self.client, &*set, None, &self.sets, pass).await?;
        }
        Ok(())
    }

    fn pods_run(&self, sets: &[Arc<ReplicaSet>]) -> bool {
        let ended = |pod: &Arc<Pod>| matches!(pods::phase(pod), "Succeeded" | "Failed");
        sets.iter().flat_map(|set| self.pods.by("controller", set.uid())).any(|pod| !ended(&pod))
    }

    async fn create(&self, deployment: &Deployment, sets: &Sets, news: &mut News, pass: &Pass) -> Result<(), Error> {
        let size = plan::first_size(deployment, sets);
        let revision = sets::next_revision(&sets.old);
        let set = sets::build(deployment, size, revision);
        let key = set.key();
        match self.client.create(&key.namespace, &set).await {
            Ok(created) => {
                pass.wrote(&self.sets, &created);
                self.tell_scaled(deployment, &key.name, 0, size);
                *news = News::Created(key.name);
                self.keep_revision(deployment, revision, pass).await
            }
            // Our own of a moment ago (the cache is behind), or another template with the same hash.
            Err(error) if error.is_already_exists() => {
                let present = self.client.get::<ReplicaSet>(&key.namespace, &key.name).await?;
                let ours = pods::is_controlled_by(&present.metadata, deployment.uid());
                if ours && Sets::of(deployment, vec![Arc::new(present.clone())]).new.is_some() {
                    pass.wrote(&self.sets, &present);
                    return Ok(());
                }
                let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
                let patch = json!({"status": {"collisionCount": collisions + 1}});
                self.patch_deployment(deployment, patch, true, pass).await
            }
            Err(error) => {
                let message = format!("Failed to create new replica set \"{}\": {}", key.name, error.chain());
                self.recorder.about(deployment, Type::Warning, "ReplicaSetCreateError", message);
                Err(error)
            }
        }
    }

    /// Revision, inherited annotations and readiness of the new set.
    async fn keep_new(&self, deployment: &Deployment, sets: &Sets, new: &ReplicaSet, pass: &Pass) -> Result<(), Error> {
        let wanted = sets::annotations(deployment, Some(new), sets::next_revision(&sets.old));
        let present = new.metadata.annotations.clone().unwrap_or_default();
        let same = wanted.iter().all(|(key, value)| present.get(key) == Some(value));
        let min_ready = |seconds: Option<i32>| seconds.unwrap_or(0);
        if !same || min_ready(new.spec.min_ready_seconds) != min_ready(deployment.spec.min_ready_seconds) {
            let patch = json!({
                "metadata": {"annotations": wanted},
                "spec": {"minReadySeconds": min_ready(deployment.spec.min_ready_seconds)},
            });
            self.patch_set(new, patch, pass).await?;
        }
        let revision = wanted.get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(1);
        self.keep_revision(deployment, revision, pass).await
    }

    async fn keep_revision(&self, deployment: &Deployment, revision: i64, pass: &Pass) -> Result<(), Error> {
        if sets::number(&deployment.metadata, REVISION) == Some(revision) {
            return Ok(());
        }
        let patch = json!({"metadata": {"annotations": {REVISION: revision.to_string()}}});
        self.patch_deployment(deployment, patch, false, pass).await
    }

    async fn resize(&self, deployment: &Deployment, sets: &Sets, sizes: &Sizes, pass: &Pass) -> Result<(), Error> {
        for set in sets.all() {
            let Some(size) = sizes.get(set.uid()) else { continue };
            let before = sets::replicas(set);
            let annotations: std::collections::BTreeMap<_, _> = sets::scale_annotations(deployment).into();
            let patch = json!({"metadata": {"annotations": annotations}, "spec": {"replicas": size}});
            self.patch_set(set, patch, pass).await?;
            if *size != before {
                self.tell_scaled(deployment, &set.key().name, before, *size);
            }
        }
        Ok(())
    }

    /// Sets that a change of size left alone learn of the new total all the same.
    async fn tell_size(&self, deployment: &Deployment, sets: &Sets, pass: &Pass) -> Result<(), Error> {
        let sizes = plan::rescale(deployment, sets);
        let annotations: std::collections::BTreeMap<_, _> = sets::scale_annotations(deployment).into();
        for set in sets.active().iter().filter(|set| !sizes.contains_key(set.uid())) {
            let present = set.metadata.annotations.clone().unwrap_or_default();
            if annotations.iter().any(|(key, value)| present.get(key) != Some(value)) {
                self.patch_set(set, json!({"metadata": {"annotations": annotations}}), pass).await?;
            }
        }
        Ok(())
    }

    fn tell_scaled(&self, deployment: &Deployment, set: &str, from: i32, to: i32) {
        let direction = if to > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
        self.recorder.about(deployment, Type::Normal, "ScalingReplicaSet", message);
    }

    async fn patch_set(&self, set: &ReplicaSet, mut patch: Value, pass: &Pass) -> Result<(), Error> {
        let key = set.key();
        // Named by UID alone: annotations and size may be patched one after the other in one pass, and the next pass waits
        // for both, so no decision rests on a size that we changed ourselves.
        patch["metadata"]["uid"] = json!(set.uid());
        let written = self.client.patch::<ReplicaSet>(&key.namespace, &key.name, &Patch::Merge(patch)).await?;
        pass.wrote(&self.sets, &written);
        Ok(())
    }

    async fn patch_deployment(
        &self,
        deployment: &Deployment,
        mut patch: Value,
        status: bool,
        pass: &Pass,
    ) -> Result<(), Error> {
        let key = deployment.key();
        patch["metadata"]["uid"] = json!(deployment.uid());
        let patch = Patch::Merge(patch);
        let written = match status {
            true => self.client.patch_status::<Deployment>(&key.namespace, &key.name, &patch).await,
            false => self.client.patch::<Deployment>(&key.namespace, &key.name, &patch).await,
        };
        writes::note(written, &self.deployments, pass)
    }

    async fn write_status(
        &self,
        deployment: &Deployment,
        sets: &Sets,
        news: &News,
        pass: &Pass,
    ) -> Result<Action, Error> {
        let (status, again) = status::status(deployment, sets, news, self.clock.now());
        if deployment.status.as_ref() != Some(&status) {
            self.patch_deployment(deployment, json!({"status": status}), true, pass).await?;
        }
        Ok(again.map_or(Action::Done, Action::After))
    }
}

/// The Deployments that may adopt an orphaned set.
fn wanting(deployments: &Cache<Deployment>, set: &ReplicaSet) -> Vec<Key> {
    if pods::controller_of(&set.metadata).is_some() {
        return Vec::new();
    }
    let selector = |deployment: &Deployment| LabelSelector::from_typed(Some(&deployment.spec.selector)).ok();
    claims::selecting(deployments, &set.metadata, selector)
}

/// The Deployment behind a pod.
fn owner_of_owner(sets: &Cache<ReplicaSet>, pod: &Pod) -> Option<Key> {
    let namespace = pod.metadata.namespace.clone()?;
    let set = sets.get(&Key::new(&namespace, &pods::controller_of(&pod.metadata)?.name))?;
    Some(Key::new(namespace, &pods::controller_of(&set.metadata)?.name))
}
