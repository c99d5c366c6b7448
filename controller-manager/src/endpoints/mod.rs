//! Keeps EndpointSlices and Endpoints of each Service equal to its pods.

mod facts;
mod legacy;
mod slices;

use std::sync::Arc;

use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::{Cache, Caches, Client, Error, Key, ListOptions, Object, Patch};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::replicaset::namespace_terminating;
use crate::{Setup, claims, writes};
use facts::Groups;
use slices::{Change, MANAGED_BY, SERVICE_LABEL};

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let ours = ListOptions::labels(format!("{}={}", MANAGED_BY.0, MANAGED_BY.1));
    let controller = EndpointsOfServices {
        client: setup.client.clone(),
        services: setup.caches.of(),
        pods: setup.caches.of(),
        slices: setup.caches.selected("", ours),
        endpoints: setup.caches.of(),
    };
    controller.slices.add_index("service", |slice: &EndpointSlice| {
        service_of(slice).map(|key| key.to_string()).into_iter().collect()
    });
    controller::run(&setup.context, &setup.caches, controller, 8);
    Ok(())
}

struct EndpointsOfServices {
    client: Client,
    services: Cache<Service>,
    pods: Cache<Pod>,
    slices: Cache<EndpointSlice>,
    endpoints: Cache<Endpoints>,
}

impl Reconciler for EndpointsOfServices {
    fn name(&self) -> &'static str {
        "endpoints"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        let services = self.services.clone();
        vec![
            Trigger::each(&self.services),
            Trigger::each(&self.endpoints),
            Trigger::of(&self.slices, |old, new| new.or(old).and_then(service_of).into_iter().collect()),
            Trigger::of(&self.pods, move |old, new| claims::selecting_either(&services, old, new, facts::selector)),
        ]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        let service = self.services.get(key).filter(|service| service.metadata.deletion_timestamp.is_none());
        // Slices and Endpoints of a Service that is gone go with it; those of one without selector are somebody else's.
        let Some(service) = service else { return self.remove(key, pass).await };
        if facts::selector(&service).is_none() {
            return Ok(Action::Done);
        }
        let pods = facts::selected(&service, self.pods.namespace(&key.namespace));
        let groups = facts::groups(&service, &pods);
        let result = async {
            self.write_slices(&service, &groups, pass).await?;
            self.write_endpoints(&service, &groups, pass).await
        };
        match result.await {
            Err(error) if namespace_terminating(&error) => Ok(Action::Done),
            Err(error) => Err(error),
            Ok(()) => Ok(Action::Done),
        }
    }
}

impl EndpointsOfServices {
    async fn write_slices(&self, service: &Service, groups: &Groups, pass: &Pass) -> Result<(), Error> {
        let key = service.key();
        for change in slices::plan(service, groups, &self.slices.by("service", &key.to_string())) {
            match change {
                Change::Create(slice) => {
                    let created = self.client.create(&key.namespace, &*slice).await?;
                    pass.wrote(&self.slices, &created);
                }
                Change::Update { slice, endpoints, labels } => {
                    let name = slice.key().name;
                    let patch = json!({
                        "metadata": {"uid": slice.uid(), "resourceVersion": slice.metadata.resource_version,
                                     "labels": labels_patch(slice.metadata.labels.as_ref(), &labels)},
                        "endpoints": endpoints,
                    });
                    let written = self.client.patch(&key.namespace, &name, &Patch::Merge(patch)).await?;
                    pass.wrote::<EndpointSlice>(&self.slices, &written);
                }
                Change::Delete(slice) => writes::delete(&self.client, &*slice, None, &self.slices, pass).await?,
            }
        }
        Ok(())
    }

    async fn write_endpoints(&self, service: &Service, groups: &Groups, pass: &Pass) -> Result<(), Error> {
        let key = service.key();
        let (subsets, over) = legacy::subsets(groups);
        let labels = legacy::labels(service);
        let over = over.then(|| "truncated".to_string());
        let written = match self.endpoints.get(&key) {
            None => {
                let metadata = ObjectMeta {
                    name: Some(key.name.clone()),
                    labels: Some(labels),
                    annotations: over.map(|over| [(legacy::OVER_CAPACITY.to_string(), over)].into()),
                    ..ObjectMeta::default()
                };
                self.client.create(&key.namespace, &Endpoints { metadata, subsets: Some(subsets) }).await?
            }
            Some(present) => {
                let annotations = present.metadata.annotations.as_ref();
                let same = present.subsets.as_deref().unwrap_or_default() == subsets
                    && present.metadata.labels.as_ref() == Some(&labels)
                    && annotations.and_then(|all| all.get(legacy::OVER_CAPACITY)) == over.as_ref();
                if same {
                    return Ok(());
                }
                let patch = json!({
                    "metadata": {"uid": present.uid(), "resourceVersion": present.metadata.resource_version,
                                 "labels": labels_patch(present.metadata.labels.as_ref(), &labels),
                                 "annotations": {legacy::OVER_CAPACITY: over}},
                    "subsets": subsets,
                });
                self.client.patch::<Endpoints>(&key.namespace, &key.name, &Patch::Merge(patch)).await?
            }
        };
        pass.wrote(&self.endpoints, &written);
        Ok(())
    }

    /// The Service is gone.
    async fn remove(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        for slice in self.slices.by("service", &key.to_string()) {
            writes::delete(&self.client, &*slice, None, &self.slices, pass).await?;
        }
        let ours = |endpoints: &Arc<Endpoints>| {
            let labels = endpoints.metadata.labels.as_ref();
            labels.is_some_and(|labels| labels.contains_key("endpoints.kubernetes.io/managed-by"))
        };
        if let Some(endpoints) = self.endpoints.get(key).filter(ours) {
            writes::delete(&self.client, &*endpoints, None, &self.endpoints, pass).await?;
        }
        Ok(Action::Done)
    }
}

/// The merge patch that turns `present` into `wanted`: what is over becomes null.
fn labels_patch(
    present: Option<&std::collections::BTreeMap<String, String>>,
    wanted: &std::collections::BTreeMap<String, String>,
) -> Value {
    let mut patch = json!(wanted);
    for key in present.into_iter().flatten().map(|(key, _)| key).filter(|key| !wanted.contains_key(*key)) {
        patch[key] = Value::Null;
    }
    patch
}

fn service_of(slice: &EndpointSlice) -> Option<Key> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_LABEL)?;
    Some(Key::new(slice.metadata.namespace.clone().unwrap_or_default(), name))
}
