//! An API server that only pretends: keeps pods and ConfigMaps, takes statuses and events, and can be down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Interest, OnChange, Severity, Token, WriteError};
use crate::objects::{Fetched, Reference};
use crate::pod;

/// What it knows.
#[derive(Default)]
pub(super) struct Api {
    pub(super) objects: BTreeMap<String, Pod>,
    pub(super) config_maps: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) events: Vec<String>,
    pub(super) writes: usize,
    pub(super) down: bool,
    pub(super) listeners: Vec<OnChange>,
}

/// The server. Statuses are merged shallowly, which is all that the patches need here.
#[derive(Clone, Default)]
pub(super) struct FakeCluster(pub(super) Arc<Mutex<Api>>);

impl FakeCluster {
    /// The ConfigMap `m` is written with this one key; [`FakeCluster::tell`] is who says so.
    pub(super) fn config_map(&self, key: &str, value: &str) {
        self.0.lock().config_maps.insert("m".into(), [(key.to_string(), value.to_string())].into());
    }

    /// Whoever follows something looks again.
    pub(super) fn tell(&self) {
        let listeners = self.0.lock().listeners.clone();
        listeners.iter().for_each(|changed| changed());
    }
}

struct FakeInterest(FakeCluster, BTreeSet<Reference>);

impl Interest for FakeInterest {
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, String>> {
        let api = self.0.0.lock();
        let mut fetched = Fetched::default();
        for reference in &self.1 {
            let Reference::ConfigMap(name) = reference else { continue };
            let found = api.config_maps.get(name).map(|data| {
                let data = Some(data.clone());
                Arc::new(ConfigMap { data, ..Default::default() })
            });
            fetched.config_maps.insert(name.clone(), found);
        }
        Box::pin(std::future::ready(Ok(fetched)))
    }
}

impl Cluster for FakeCluster {
    fn follow(&self, _: &str, references: BTreeSet<Reference>, changed: OnChange) -> Box<dyn Interest> {
        self.0.lock().listeners.push(changed);
        Box::new(FakeInterest(self.clone(), references))
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<Arc<Service>>, String>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn token<'a>(&'a self, _: &'a Pod, _: &'a str, _: i64) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(std::future::ready(Err("no tokens".into())))
    }

    fn patch_status<'a>(
        &'a self,
        _: &'a str,
        name: &'a str,
        patch: Value,
    ) -> BoxFuture<'a, Result<Arc<Pod>, WriteError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut api = self.0.lock();
            if api.down {
                return Err(WriteError::Retry("connection refused".into()));
            }
            api.writes += 1;
            let object = api.objects.get_mut(name).ok_or(WriteError::Gone)?;
            if patch["metadata"]["uid"] != json!(object.metadata.uid) {
                return Err(WriteError::Gone);
            }
            let mut status = serde_json::to_value(object.status.clone().unwrap_or_default()).unwrap();
            for (key, value) in patch["status"].as_object().unwrap() {
                let target = &mut status[key];
                match (key.as_str(), target.as_array_mut()) {
                    ("conditions", Some(all)) => {
                        for change in value.as_array().unwrap() {
                            all.retain(|c| c["type"] != change["type"]);
                            all.push(change.clone());
                        }
                    }
                    _ => *target = value.clone(),
                }
            }
            object.status = Some(serde_json::from_value(status).unwrap());
            Ok(Arc::new(object.clone()))
        })
    }

    fn delete<'a>(&'a self, _: &'a str, name: &'a str, uid: &'a str) -> BoxFuture<'a, Result<(), WriteError>> {
        let mut api = self.0.lock();
        let result = match api.objects.get(name) {
            _ if api.down => Err(WriteError::Retry("connection refused".into())),
            Some(object) if pod::uid(object) == uid => {
                api.objects.remove(name);
                Ok(())
            }
            _ => Err(WriteError::Gone),
        };
        Box::pin(std::future::ready(result))
    }

    fn event(&self, _: &Pod, field: Option<&str>, severity: Severity, reason: &str, message: &str) {
        let field = field.map(|f| format!("{f}: ")).unwrap_or_default();
        let mark = if severity == Severity::Warning { "!" } else { "" };
        self.0.lock().events.push(format!("{mark}{reason} {field}{message}"));
    }
}
