//! Shows static pods in the API as mirror pods (pkg/kubelet/pod/mirror_client.go): one per static pod, made anew when
//! somebody deletes it or the file changes, deleted when the file is gone. Only the planning is clever, and pure.

use std::sync::Arc;
use std::time::Duration;

use client::rest::DeleteOptions;
use client::{Cache, Client, Key};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use tokio::sync::{Notify, watch};

use super::directory::StaticPods;
use crate::pod;

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make a mirror of this static pod.
    Create(Arc<Pod>),
    /// Remove a mirror.
    Delete {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its own UID.
        uid: String,
    },
}

/// What is to be done, given the static pods and the API's pods of this node.
pub fn plan(statics: &StaticPods, api: &[Arc<Pod>]) -> Vec<Action> {
    let delete = |mirror: &Pod| Action::Delete {
        namespace: pod::namespace(mirror).into(),
        name: pod::name(mirror).into(),
        uid: pod::uid(mirror).into(),
    };
    let mirrors: Vec<_> = api.iter().filter(|p| pod::is_mirror(p)).collect();
    let shows = |mirror: &Pod| pod::annotation(mirror, pod::MIRROR).and_then(|hash| statics.get(hash));
    let stale = |mirror: &&&Arc<Pod>| mirror.metadata.deletion_timestamp.is_some() || shows(mirror).is_none();
    let mut actions: Vec<_> = mirrors.iter().filter(stale).map(|mirror| delete(mirror)).collect();
    for wanted in statics.values() {
        let same_name = |other: &&Arc<Pod>| {
            pod::name(other) == pod::name(wanted) && pod::namespace(other) == pod::namespace(wanted)
        };
        // A stale mirror of this name must be gone first; then this is planned again.
        if !api.iter().any(|p| same_name(&p)) {
            actions.push(Action::Create(wanted.clone()));
        }
    }
    actions
}

/// The mirror of a static pod.
pub fn mirror_of(wanted: &Pod, node: Option<&Node>) -> Pod {
    let mut annotations = wanted.metadata.annotations.clone().unwrap_or_default();
    annotations.insert(pod::MIRROR.into(), pod::uid(wanted).into());
    let owner = node.map(|node| OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: node.metadata.name.clone().unwrap_or_default(),
        uid: node.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    });
    Pod {
        metadata: ObjectMeta {
            name: wanted.metadata.name.clone(),
            namespace: wanted.metadata.namespace.clone(),
            labels: wanted.metadata.labels.clone(),
            annotations: Some(annotations),
            owner_references: owner.map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: wanted.spec.clone(),
        status: None,
    }
}

/// Keeps mirrors true forever.
pub async fn run(
    client: Client,
    pods: Cache<Pod>,
    node: Cache<Node>,
    node_name: String,
    mut statics: watch::Receiver<Option<StaticPods>>,
) {
    let changed = Arc::new(Notify::new());
    let notify = changed.clone();
    pods.observe(move |_| notify.notify_one());
    pods.synced().await;
    node.synced().await;
    let mut wait = FIRST_WAIT;
    loop {
        let wanted = statics.borrow_and_update().clone();
        let mut failed = false;
        if let Some(wanted) = wanted {
            let owner = node.get(&Key::new("", &node_name));
            for action in plan(&wanted, &pods.list()) {
                if let Err(error) = act(&client, &action, owner.as_deref()).await {
                    tracing::warn!(error = %error.chain(), "mirror pod not brought up to date");
                    failed = true;
                }
            }
        }
        wait = if failed { (wait * 2).min(LONGEST_WAIT) } else { FIRST_WAIT };
        tokio::select! {
            () = tokio::time::sleep(wait), if failed => {}
            () = changed.notified() => {}
            gone = statics.changed() => if gone.is_err() { return },
        }
    }
}

async fn act(client: &Client, action: &Action, node: Option<&Node>) -> client::Result<()> {
    let result = match action {
        Action::Create(wanted) => {
            client.create::<Pod>(pod::namespace(wanted), &mirror_of(wanted, node)).await.map(drop)
        }
        Action::Delete { namespace, name, uid } => {
            client.delete::<Pod>(namespace, name, &DeleteOptions::uid(uid).grace(0)).await.map(drop)
        }
    };
    match result {
        // The cache will say so soon.
        Err(error) if error.is_already_exists() || error.is_not_found() || error.is_conflict() => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest;
    use super::*;
    use jiff::Timestamp;

    fn wanted(name: &str, image: &str) -> Arc<Pod> {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c, image: \"{image}\"}}]}}}}"
        );
        Arc::new(manifest::read(&text, "/m", "n", Timestamp::UNIX_EPOCH).unwrap())
    }

    fn shown(of: &Pod) -> Arc<Pod> {
        let mut mirror = mirror_of(of, None);
        mirror.metadata.uid = Some("mirror".into());
        Arc::new(mirror)
    }

    #[test]
    fn mirrors_follow_static_pods() {
        let (one, two) = (wanted("a", "1"), wanted("a", "2"));
        let statics = |pods: &[&Arc<Pod>]| -> StaticPods {
            pods.iter().map(|p| (pod::uid(p).to_string(), Arc::clone(p))).collect()
        };
        let delete = Action::Delete { namespace: "default".into(), name: "a-n".into(), uid: "mirror".into() };
        assert_eq!(plan(&statics(&[&one]), &[]), [Action::Create(one.clone())]);
        assert_eq!(plan(&statics(&[&one]), &[shown(&one)]), []);
        assert_eq!(
            plan(&statics(&[&two]), &[shown(&one)]),
            std::slice::from_ref(&delete),
            "first away with the old one"
        );
        assert_eq!(plan(&statics(&[]), &[shown(&one)]), std::slice::from_ref(&delete));
        let mut deleted = (*shown(&one)).clone();
        deleted.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
        assert_eq!(plan(&statics(&[&one]), &[Arc::new(deleted)]), [delete]);
        let mut ordinary = (*shown(&one)).clone();
        ordinary.metadata.annotations = None;
        assert_eq!(plan(&statics(&[]), &[Arc::new(ordinary)]), [], "pods of others are left alone");
        assert!(pod::is_mirror(&shown(&one)) && !pod::is_static(&shown(&one)));
    }
}
