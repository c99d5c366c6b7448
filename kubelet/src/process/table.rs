//! The sandboxes that the runtime knows, found by their own ID, by the UID of their pod, or by a container of theirs: an event
//! of one pod costs nothing of the others. Pure bookkeeping over [`Pod`]s.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::pods::Pod;

/// See the module.
#[derive(Default)]
pub(super) struct Table {
    by_id: BTreeMap<String, Arc<Pod>>,
    /// UID of the pod → IDs of its sandboxes, of which there is mostly one.
    by_uid: HashMap<String, Vec<String>>,
    /// Container → sandbox.
    by_container: HashMap<String, String>,
}

impl Table {
    /// Takes a sandbox, with the containers that it has.
    pub(super) fn insert(&mut self, pod: Arc<Pod>) {
        let id = pod.config.id.clone();
        self.remove(&id);
        self.by_uid.entry(pod.config.spec.uid.clone()).or_default().push(id.clone());
        let containers: Vec<String> = pod.containers.lock().keys().cloned().collect();
        self.by_container.extend(containers.into_iter().map(|container| (container, id.clone())));
        self.by_id.insert(id, pod);
    }

    /// Forgets a sandbox and its containers.
    pub(super) fn remove(&mut self, id: &str) {
        let Some(pod) = self.by_id.remove(id) else { return };
        let uid = &pod.config.spec.uid;
        if let Some(ids) = self.by_uid.get_mut(uid) {
            ids.retain(|known| known != id);
            if ids.is_empty() {
                self.by_uid.remove(uid);
            }
        }
        for container in pod.containers.lock().keys() {
            self.by_container.remove(container);
        }
    }

    /// A sandbox got a container.
    pub(super) fn add_container(&mut self, container: &str, sandbox: &str) {
        self.by_container.insert(container.to_owned(), sandbox.to_owned());
    }

    /// A container is no more.
    pub(super) fn remove_container(&mut self, container: &str) {
        self.by_container.remove(container);
    }

    /// A sandbox by its ID.
    pub(super) fn get(&self, id: &str) -> Option<&Arc<Pod>> {
        self.by_id.get(id)
    }

    /// The sandbox of a container.
    pub(super) fn owner(&self, container: &str) -> Option<&Arc<Pod>> {
        self.by_id.get(self.by_container.get(container)?)
    }

    /// The sandboxes of a pod.
    pub(super) fn of_uid(&self, uid: &str) -> impl Iterator<Item = &Arc<Pod>> {
        self.by_uid.get(uid).into_iter().flatten().filter_map(|id| self.by_id.get(id))
    }

    /// All sandboxes.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.by_id.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shim::wire::SandboxConfig;
    use serde_json::json;

    fn pod(id: &str, uid: &str) -> Arc<Pod> {
        let spec = json!({
            "namespace": "ns", "name": "p", "uid": uid, "attempt": 0, "hostname": "p", "host_network": true, "labels": {},
            "log_directory": "/l", "resolv_conf": null, "cgroup_parent": "x",
            "resources": {"cpu_shares": null, "cpu_quota": null, "memory_limit": null, "oom_score_adj": null},
        });
        let config: SandboxConfig = serde_json::from_value(json!({
            "id": id, "spec": spec, "created_at": 0, "network": null, "hide": [],
            "cgroup": serde_json::to_value(crate::cgroup::Group::root("none")).unwrap(),
        }))
        .unwrap();
        Arc::new(Pod::new("/none".into(), config))
    }

    fn ids<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>) -> Vec<&'a str> {
        pods.map(|pod| pod.config.id.as_str()).collect()
    }

    #[test]
    fn sandboxes_are_found_by_each_of_their_names_and_leave_no_trace() {
        let mut table = Table::default();
        for (id, uid) in [("s1", "u1"), ("s2", "u1"), ("s3", "u2")] {
            table.insert(pod(id, uid));
        }
        table.add_container("c1", "s1");
        table.add_container("c3", "s3");
        assert_eq!((ids(table.of_uid("u1")), ids(table.of_uid("u2"))), (vec!["s1", "s2"], vec!["s3"]));
        assert_eq!(table.owner("c3").map(|pod| pod.config.id.as_str()), Some("s3"));
        assert!(table.owner("none").is_none() && ids(table.of_uid("none")).is_empty());
        table.remove("s1");
        table.remove("s1");
        assert_eq!((ids(table.of_uid("u1")), ids(table.all())), (vec!["s2"], vec!["s2", "s3"]));
        assert!(table.owner("c1").is_none(), "its sandbox is gone");
        table.remove_container("c3");
        assert!(table.owner("c3").is_none());
        table.remove("s2");
        table.remove("s3");
        assert!(table.by_uid.is_empty() && table.by_id.is_empty());
    }
}
