//! [`Cluster`] over the real API server. Config maps and secrets are followed one by one, only those that pods refer to
//! and a minute longer, so that a pod that follows another need not ask again: that is all that the node authorizer lets a
//! kubelet see.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::Context;
use client::cache::{Cache, Caches};
use client::events::{Recorder, Type, reference};
use client::rest::{DeleteOptions, ListOptions, Patch};
use client::{Client, Key};
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Interest, OnChange, Severity, Token, WriteError};
use crate::objects::{Fetched, Reference};
use crate::pod;

/// How long a start waits for an object to be read for the first time.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an object is followed after the last pod that refers to it.
const LINGER: Duration = Duration::from_secs(60);

/// The API server.
pub struct ApiCluster {
    client: Client,
    context: Context,
    services: Cache<Service>,
    recorder: Recorder,
    followed: Arc<Followed>,
}

/// Objects being followed, by namespace and reference.
#[derive(Default)]
struct Followed {
    objects: Mutex<HashMap<(String, Reference), Weak<Follower>>>,
}

enum Source {
    ConfigMap(Cache<ConfigMap>),
    Secret(Cache<Secret>),
}

/// One followed object; the reflector stops when the last pod that refers to it is gone.
struct Follower {
    key: Key,
    source: Source,
    context: Context,
    listeners: Mutex<Vec<Weak<dyn Fn() + Send + Sync>>>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.context.stop();
    }
}

impl Follower {
    fn new(client: &Client, context: &Context, namespace: &str, object: &Reference) -> Arc<Self> {
        let context = context.child();
        let caches = Caches::new(client.clone(), context.clone());
        let options = |name: &str| ListOptions::fields(format!("metadata.name={name}"));
        let (key, source) = match object {
            Reference::ConfigMap(name) => {
                (Key::new(namespace, name), Source::ConfigMap(caches.selected(namespace, options(name))))
            }
            Reference::Secret(name) => {
                (Key::new(namespace, name), Source::Secret(caches.selected(namespace, options(name))))
            }
        };
        let follower = Arc::new(Self { key, source, context, listeners: Mutex::default() });
        let weak = Arc::downgrade(&follower);
        let tell = move || weak.upgrade().into_iter().for_each(|follower| follower.tell());
        match &follower.source {
            Source::ConfigMap(cache) => cache.observe(move |_| tell()),
            Source::Secret(cache) => cache.observe(move |_| tell()),
        }
        follower
    }

    fn tell(&self) {
        let synced = match &self.source {
            Source::ConfigMap(cache) => cache.is_synced(),
            Source::Secret(cache) => cache.is_synced(),
        };
        // The first list is no change: whoever needs it waits for it.
        if !synced {
            return;
        }
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        let told: Vec<_> = listeners.iter().filter_map(Weak::upgrade).collect();
        drop(listeners);
        told.iter().for_each(|listener| listener());
    }

    async fn read(&self, into: &mut Fetched) -> Result<(), String> {
        let (synced, what) = match &self.source {
            Source::ConfigMap(cache) => (cache.synced().boxed(), "configmap"),
            Source::Secret(cache) => (cache.synced().boxed(), "secret"),
        };
        let late = |_| format!("failed to sync {what} cache: timed out waiting for the condition");
        tokio::time::timeout(PATIENCE, synced).await.map_err(late)?;
        match &self.source {
            Source::ConfigMap(cache) => into.config_maps.insert(self.key.name.clone(), cache.get(&self.key)).map(drop),
            Source::Secret(cache) => into.secrets.insert(self.key.name.clone(), cache.get(&self.key)).map(drop),
        };
        Ok(())
    }
}

struct PodInterest {
    followers: Vec<Arc<Follower>>,
    context: Context,
    /// Kept alive here: followers hold it weakly.
    _changed: OnChange,
}

impl Drop for PodInterest {
    fn drop(&mut self) {
        // One sleeping task per pod that went within the last minute.
        let followers = std::mem::take(&mut self.followers);
        if !followers.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            self.context.spawn("linger", async move {
                tokio::time::sleep(LINGER).await;
                drop(followers);
            });
        }
    }
}

impl Interest for PodInterest {
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, String>> {
        async {
            let mut fetched = Fetched::default();
            for follower in &self.followers {
                follower.read(&mut fetched).await?;
            }
            Ok(fetched)
        }
        .boxed()
    }
}

impl ApiCluster {
    /// Over `client`; `services` is the process's cache of them.
    pub fn new(client: Client, context: Context, services: Cache<Service>, recorder: Recorder) -> Self {
        Self { client, context, services, recorder, followed: Arc::default() }
    }
}

fn write_error(error: &client::Error) -> WriteError {
    // A precondition that does not hold: another object has the name now.
    let other_uid = error.is_conflict() && error.to_string().to_lowercase().contains("uid");
    if error.is_not_found() || other_uid { WriteError::Gone } else { WriteError::Retry(error.chain()) }
}

impl Cluster for ApiCluster {
    fn follow(&self, namespace: &str, references: BTreeSet<Reference>, changed: OnChange) -> Box<dyn Interest> {
        let mut objects = self.followed.objects.lock();
        objects.retain(|_, follower| follower.strong_count() > 0);
        let followers = references.into_iter().map(|object| {
            let key = (namespace.to_string(), object.clone());
            let follower = objects.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
                let follower = Follower::new(&self.client, &self.context, namespace, &object);
                objects.insert(key, Arc::downgrade(&follower));
                follower
            });
            let mut listeners = follower.listeners.lock();
            listeners.retain(|listener| listener.strong_count() > 0);
            listeners.push(Arc::downgrade(&changed));
            drop(listeners);
            follower
        });
        Box::new(PodInterest { followers: followers.collect(), context: self.context.clone(), _changed: changed })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<Arc<Service>>, String>> {
        async {
            let late = |_| "services have not yet been read at least once, cannot construct envvars".to_string();
            tokio::time::timeout(PATIENCE, self.services.synced()).await.map_err(late)?;
            Ok(self.services.list())
        }
        .boxed()
    }

    fn token<'a>(&'a self, pod: &'a Pod, audience: &'a str, seconds: i64) -> BoxFuture<'a, Result<Token, String>> {
        async move {
            let account = pod::spec(pod).service_account_name.as_deref().filter(|n| !n.is_empty()).unwrap_or("default");
            let namespace = pod::namespace(pod);
            let audiences: Vec<&str> = Some(audience).filter(|a| !a.is_empty()).into_iter().collect();
            let body = json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "metadata": {"name": account, "namespace": namespace},
                "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef":
                    {"apiVersion": "v1", "kind": "Pod", "name": pod::name(pod), "uid": pod::uid(pod)}},
            });
            let answer = self.client.post_subresource::<ServiceAccount>(namespace, account, "token", &body).await;
            let answer = answer.map_err(|error| format!("failed to fetch token: {}", error.chain()))?;
            let token = answer["status"]["token"].as_str();
            let expires = answer["status"]["expirationTimestamp"].as_str().and_then(|t| t.parse().ok());
            match (token, expires) {
                (Some(token), Some(expires)) => Ok(Token { token: token.into(), expires }),
                _ => Err("failed to fetch token: the server sent none".into()),
            }
        }
        .boxed()
    }

    fn patch_status<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        patch: Value,
    ) -> BoxFuture<'a, Result<Arc<Pod>, WriteError>> {
        async move {
            let result = self.client.patch_status::<Pod>(namespace, name, &Patch::Strategic(patch)).await;
            result.map(Arc::new).map_err(|error| write_error(&error))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, namespace: &'a str, name: &'a str, uid: &'a str) -> BoxFuture<'a, Result<(), WriteError>> {
        async move {
            let options = DeleteOptions::uid(uid).grace(0);
            let result = self.client.delete::<Pod>(namespace, name, &options).await;
            result.map(drop).map_err(|error| write_error(&error))
        }
        .boxed()
    }

    fn event(&self, pod: &Pod, field: Option<&str>, severity: Severity, reason: &str, message: &str) {
        let mut object = reference(pod);
        object.field_path = field.map(ToString::to_string);
        let kind = match severity {
            Severity::Normal => Type::Normal,
            Severity::Warning => Type::Warning,
        };
        self.recorder.event(&object, kind, reason, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the object is still followed.
    fn followed(cluster: &ApiCluster) -> bool {
        cluster.followed.objects.lock().values().any(|follower| follower.strong_count() > 0)
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_is_followed_a_minute_longer() {
        // Nobody listens there: what matters is who is asked for, not the answer.
        let config = client::Config { server: "http://127.0.0.1:9".into(), ..client::Config::default() };
        let (context, client) = (Context::new(), Client::new(&config).unwrap());
        let services = Caches::new(client.clone(), context.child()).of::<Service>();
        let cluster = ApiCluster::new(client, context.clone(), services, Recorder::discard());
        let references = BTreeSet::from([Reference::ConfigMap("c".into())]);
        let follow = || cluster.follow("ns", references.clone(), Arc::new(|| ()));
        let (one, two) = (follow(), follow());
        assert_eq!(cluster.followed.objects.lock().len(), 1, "shared");
        drop(one);
        drop(two);
        tokio::time::sleep(LINGER / 2).await;
        assert!(followed(&cluster));
        let three = follow();
        tokio::time::sleep(LINGER * 2).await;
        assert!(followed(&cluster), "taken up again before its time was over");
        drop(three);
        tokio::time::sleep(LINGER + Duration::from_secs(1)).await;
        assert!(!followed(&cluster));
        context.stop();
    }
}
