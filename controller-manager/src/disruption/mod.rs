//! Keeps the status of PodDisruptionBudgets: how many pods an eviction may take just now (kube-controller-manager,
//! disruption). The server spends the budget when it evicts; here it is counted anew when pods change.

mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::selector::LabelSelector;
use base::Clock;
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::events::{Recorder, Type};
use client::{Cache, Caches, Client, Error, Key, Object, Patch};
use http::Method;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::{Setup, claims, pods, resources, writes};

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let controller = Disruption {
        client: setup.client.clone(),
        clock: setup.clock.clone(),
        recorder: setup.recorder("controllermanager"),
        budgets: setup.caches.of(),
        pods: setup.caches.of(),
        sets: setup.caches.of(),
        deployments: setup.caches.of(),
    };
    controller::run(&setup.context, &setup.caches, controller, 4);
    Ok(())
}

struct Disruption {
    client: Client,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    budgets: Cache<PodDisruptionBudget>,
    pods: Cache<Pod>,
    sets: Cache<ReplicaSet>,
    deployments: Cache<Deployment>,
}

impl Reconciler for Disruption {
    fn name(&self) -> &'static str {
        "disruption"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        let budgets = self.budgets.clone();
        vec![
            Trigger::each(&self.budgets),
            Trigger::of(&self.pods, move |old, new| claims::selecting_either(&budgets, old, new, selector)),
            scaled(&self.sets, &self.budgets, |set| set.spec.replicas),
            scaled(&self.deployments, &self.budgets, |deployment| deployment.spec.replicas),
        ]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        let Some(budget) = self.budgets.get(key) else { return Ok(Action::Done) };
        let selector = selector(&budget);
        let mut pods = self.pods.namespace(&key.namespace);
        pods.retain(|pod| selector.as_ref().is_some_and(|s| s.matches_labels(pod.metadata.labels.as_ref())));
        if pods.is_empty() {
            self.recorder.about(&*budget, Type::Normal, "NoPods", "No matching pods found");
        }
        let scale = match budget.spec.as_ref().is_some_and(plan::needs_scale) {
            true => self.scale(&budget, &pods).await?,
            false => Ok(0),
        };
        let (status, again) = match scale {
            Ok(scale) => plan::status(&budget, &pods, scale, self.clock.now()),
            Err(reason) => {
                let message = format!("Failed to calculate the number of expected pods: {reason}");
                self.recorder.about(&*budget, Type::Warning, "CalculateExpectedPodCountFailed", message);
                (plan::failed(&budget, &reason, self.clock.now()), None)
            }
        };
        self.write(&budget, &status, pass).await?;
        Ok(again.map_or(Action::Done, Action::After))
    }
}

impl Disruption {
    /// How many pods the controllers of `pods` want together; or why nobody can say.
    async fn scale(&self, budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> Result<Result<i32, String>, Error> {
        let mut scales: BTreeMap<String, i32> = BTreeMap::new();
        let mut unmanaged = Vec::new();
        for pod in pods {
            let Some(owner) = pods::controller_of(&pod.metadata) else {
                unmanaged.push(pod.key().name);
                continue;
            };
            if scales.contains_key(&owner.uid) {
                continue;
            }
            let Key { namespace, name } = pod.key();
            match self.scale_of(&namespace, owner).await? {
                Some((uid, scale)) => scales.insert(uid, scale),
                None => return Ok(Err(format!("found no controllers for pod \"{name}\""))),
            };
        }
        if !unmanaged.is_empty() {
            let message = format!(
                "Pods selected by this PodDisruptionBudget were found to be unmanaged: {}. The status cannot be calculated \
                 correctly. To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
                unmanaged.join(", ")
            );
            self.recorder.about(budget, Type::Warning, "UnmanagedPods", message);
        }
        Ok(Ok(scales.values().sum()))
    }

    /// UID and wanted number of a pod's controller: of a ReplicaSet's Deployment, of the set itself, or of whatever has a
    /// scale.
    async fn scale_of(&self, namespace: &str, owner: &OwnerReference) -> Result<Option<(String, i32)>, Error> {
        if owner.kind == "ReplicaSet" && owner.api_version.starts_with("apps/") {
            let set = self.sets.get(&Key::new(namespace, &owner.name)).filter(|set| set.uid() == owner.uid);
            let Some(set) = set else { return Ok(None) };
            let deployment = pods::controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment");
            let Some(owner) = deployment else {
                return Ok(Some((set.uid().into(), set.spec.replicas.unwrap_or(1))));
            };
            let deployment = self.deployments.get(&Key::new(namespace, &owner.name));
            let deployment = deployment.filter(|deployment| deployment.uid() == owner.uid);
            return Ok(deployment.map(|found| (found.uid().into(), found.spec.replicas.unwrap_or(1))));
        }
        let all = resources::discover(&self.client).await?;
        let Some(resource) = all.iter().find(|resource| resource.is(&owner.api_version, &owner.kind)) else {
            return Ok(None);
        };
        let path = format!("{}/scale", resource.object(namespace, &owner.name));
        match self.client.json::<Value>(Method::GET, &path, None).await {
            Ok(scale) if scale["metadata"]["uid"] == owner.uid.as_str() => {
                let replicas = scale["spec"]["replicas"].as_i64().and_then(|count| i32::try_from(count).ok());
                Ok(Some((owner.uid.clone(), replicas.unwrap_or(0))))
            }
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(
        &self,
        budget: &PodDisruptionBudget,
        status: &PodDisruptionBudgetStatus,
        pass: &Pass,
    ) -> Result<(), Error> {
        let before = budget.status.clone().unwrap_or_default();
        if plan::same(&before, status) {
            return Ok(());
        }
        let body = plan::change(&before, status);
        let meta = &budget.metadata;
        // With the version: an eviction may have spent from the budget meanwhile.
        let patch = json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "status": body});
        let key = budget.key();
        let patch = Patch::Merge(patch);
        let written = self.client.patch_status::<PodDisruptionBudget>(&key.namespace, &key.name, &patch).await;
        writes::note(written, &self.budgets, pass)
    }
}

/// A controller that appears, goes or is scaled may matter to every budget of its namespace.
fn scaled<K: Object>(
    cache: &Cache<K>,
    budgets: &Cache<PodDisruptionBudget>,
    replicas: fn(&K) -> Option<i32>,
) -> Trigger {
    let budgets = budgets.clone();
    Trigger::of(cache, move |old, new| match new.or(old) {
        Some(object) if old.map(replicas) != new.map(replicas) => {
            budgets.namespace(&object.key().namespace).iter().map(|budget| budget.key()).collect()
        }
        _ => Vec::new(),
    })
}

fn selector(budget: &PodDisruptionBudget) -> Option<LabelSelector> {
    LabelSelector::from_typed(budget.spec.as_ref()?.selector.as_ref()).ok()
}
