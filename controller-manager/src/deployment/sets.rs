//! What the controller reads off a Deployment and its ReplicaSets. Pure (kube-controller-manager,
//! deployment/util/deployment_util.go for rules and annotation names).

use std::collections::BTreeMap;
use std::sync::Arc;

use client::Object;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pods::{self, scaled};

pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(crate) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(crate) const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HASH_LABEL: &str = "pod-template-hash";
/// Annotations of a Deployment that its ReplicaSets do not inherit.
const NOT_INHERITED: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// The ReplicaSets of a Deployment, told apart.
#[derive(Debug, Clone)]
pub(crate) struct Sets {
    /// The one whose template is the Deployment's, if it exists.
    pub(crate) new: Option<Arc<ReplicaSet>>,
    /// The others, oldest first.
    pub(crate) old: Vec<Arc<ReplicaSet>>,
}

impl Sets {
    /// Tells them apart; among several with the present template the oldest is the new one.
    pub(crate) fn of(deployment: &Deployment, mut own: Vec<Arc<ReplicaSet>>) -> Self {
        own.sort_by(|a, b| {
            let created = |set: &ReplicaSet| set.metadata.creation_timestamp.as_ref().map(|time| time.0);
            created(a).cmp(&created(b)).then_with(|| a.key().cmp(&b.key()))
        });
        let wanted = without_hash(&deployment.spec.template);
        let place = own.iter().position(|set| set.spec.template.as_ref().is_some_and(|t| without_hash(t) == wanted));
        let new = place.map(|place| own.remove(place));
        Self { new, old: own }
    }

    /// New and old ones.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    /// Those that want pods.
    pub(crate) fn active(&self) -> Vec<Arc<ReplicaSet>> {
        self.all().filter(|set| replicas(set) > 0).cloned().collect()
    }

    /// How many pods they want together.
    pub(crate) fn wanted(&self) -> i32 {
        self.all().map(|set| replicas(set)).sum()
    }

    /// How many of their pods are available.
    pub(crate) fn available(&self) -> i32 {
        self.all().map(|set| available(set)).sum()
    }
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
        labels.remove(HASH_LABEL);
    }
    template
}

/// `spec.replicas`.
pub(crate) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

/// `status.availableReplicas`.
pub(crate) fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

/// `spec.replicas` of the Deployment.
pub(crate) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

/// An annotation of a ReplicaSet as a number.
pub(crate) fn number(meta: &ObjectMeta, annotation: &str) -> Option<i64> {
    meta.annotations.as_ref()?.get(annotation)?.parse().ok()
}

/// Whether pods are replaced gradually.
pub(crate) fn is_rolling(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    strategy.unwrap_or("RollingUpdate") == "RollingUpdate"
}

/// How many pods may be too many, and how many may be missing, during a rolling update. Surge rounds up, missing rounds
/// down; both zero would stand still, so one may then be missing (ResolveFenceposts).
pub(crate) fn slack(deployment: &Deployment) -> (i32, i32) {
    if !is_rolling(deployment) {
        return (0, 0);
    }
    let rolling = deployment.spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    let default = IntOrString::String("25%".into());
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref()).unwrap_or(&default);
    let missing = rolling.and_then(|rolling| rolling.max_unavailable.as_ref()).unwrap_or(&default);
    let total = wanted(deployment);
    let (surge, missing) = (scaled(surge, total, true), scaled(missing, total, false));
    if surge == 0 && missing == 0 { (0, 1) } else { (surge, missing.min(total)) }
}

/// The revision that a new template gets: one more than the highest of the old ones.
pub(crate) fn next_revision(old: &[Arc<ReplicaSet>]) -> i64 {
    old.iter().filter_map(|set| number(&set.metadata, REVISION)).max().unwrap_or(0) + 1
}

/// Annotations that the new ReplicaSet should have, beside what others put there.
pub(crate) fn annotations(
    deployment: &Deployment,
    set: Option<&ReplicaSet>,
    revision: i64,
) -> BTreeMap<String, String> {
    let own = deployment.metadata.annotations.iter().flatten();
    let mut wanted: BTreeMap<String, String> =
        own.filter(|(key, _)| !NOT_INHERITED.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
    let before = set.and_then(|set| number(&set.metadata, REVISION));
    // A set that comes back by a rollback gets a new number and remembers the ones it had.
    let current = before.filter(|before| *before >= revision).unwrap_or(revision);
    wanted.insert(REVISION.into(), current.to_string());
    if let (Some(set), Some(before)) = (set, before.filter(|before| *before < revision)) {
        let history = set.metadata.annotations.as_ref().and_then(|all| all.get(REVISION_HISTORY));
        let history = history.map_or_else(|| before.to_string(), |history| format!("{history},{before}"));
        wanted.insert(REVISION_HISTORY.into(), history);
    }
    wanted.extend(scale_annotations(deployment));
    wanted
}

/// What a ReplicaSet is told about the size of the whole.
pub(crate) fn scale_annotations(deployment: &Deployment) -> [(String, String); 2] {
    let (total, (surge, _)) = (wanted(deployment), slack(deployment));
    [(DESIRED.into(), total.to_string()), (MAX.into(), (total + surge).to_string())]
}

/// The ReplicaSet for the Deployment's present template.
pub(crate) fn build(deployment: &Deployment, replicas: i32, revision: i64) -> ReplicaSet {
    let hash = template_hash(&deployment.spec.template, deployment.status.as_ref().and_then(|s| s.collision_count));
    let labeled = |labels: &mut Option<BTreeMap<String, String>>| {
        labels.get_or_insert_default().insert(HASH_LABEL.into(), hash.clone());
    };
    let mut template = deployment.spec.template.clone();
    let meta = template.metadata.get_or_insert_default();
    labeled(&mut meta.labels);
    let labels = meta.labels.clone();
    let mut selector = deployment.spec.selector.clone();
    labeled(&mut selector.match_labels);
    let key = deployment.key();
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", key.name)),
            namespace: Some(key.namespace),
            labels,
            annotations: Some(annotations(deployment, None, revision)),
            owner_references: Some(vec![pods::controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(replicas),
            min_ready_seconds: deployment.spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    }
}

/// A short name for a template: FNV-1a over its JSON (keys sorted) and the collision count, in letters that spell no words
/// (apimachinery, rand.SafeEncodeString).
fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut text = serde_json::to_value(template).unwrap_or_default().to_string();
    text.extend(collisions.map(|count| count.to_string()));
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.to_string().bytes().map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()])).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use serde_json::{Value, from_value, json};

    pub(crate) fn deployment(replicas: i32, image: &str, rolling: Value) -> Deployment {
        from_value(json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                     "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
                     "template": {"metadata": {"labels": {"app": "web"}},
                                  "spec": {"containers": [{"name": "c", "image": image}]}}},
        }))
        .unwrap()
    }

    /// A set of `deployment`'s template with so many replicas, available ones, and a revision.
    pub(crate) fn set(deployment: &Deployment, replicas: i32, available: i32, revision: i64) -> Arc<ReplicaSet> {
        let mut set = build(deployment, replicas, revision);
        set.metadata.uid = Some(format!("rs-{revision}"));
        set.metadata.creation_timestamp = from_value(json!(format!("2026-01-01T00:00:{revision:02}Z"))).unwrap();
        set.status =
            from_value(json!({"replicas": replicas, "availableReplicas": available, "readyReplicas": available}))
                .unwrap();
        Arc::new(set)
    }

    /// So many seconds after all began.
    pub(crate) fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_800_000_000 + second).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;
    use serde_json::json;

    #[test]
    fn slack_rounds_in_the_safe_direction() {
        let table = [
            (10, json!({"maxSurge": "25%", "maxUnavailable": "25%"}), (3, 2)),
            (3, json!({"maxSurge": 1, "maxUnavailable": 0}), (1, 0)),
            (1, json!({"maxSurge": 0, "maxUnavailable": "25%"}), (0, 1)),
            (2, json!({"maxSurge": 0, "maxUnavailable": 5}), (0, 2)),
            (4, json!(null), (1, 1)),
        ];
        for (replicas, rolling, expected) in table {
            assert_eq!(slack(&deployment(replicas, "a", rolling.clone())), expected, "{replicas} {rolling}");
        }
    }

    #[test]
    fn the_set_of_the_present_template_is_the_new_one() {
        let (one, two) = (deployment(3, "one", json!(null)), deployment(3, "two", json!(null)));
        let own = vec![set(&two, 1, 1, 2), set(&one, 2, 2, 1)];
        let sets = Sets::of(&two, own.clone());
        assert_eq!(sets.new.as_ref().unwrap().uid(), "rs-2");
        assert_eq!(sets.old.len(), 1);
        assert!(Sets::of(&deployment(3, "three", json!(null)), own).new.is_none());
    }

    #[test]
    fn a_rolled_back_set_remembers_its_revisions() {
        let one = deployment(3, "one", json!(null));
        let set = set(&one, 3, 3, 1);
        let changed = annotations(&one, Some(&set), 3);
        assert_eq!((changed[REVISION].as_str(), changed[REVISION_HISTORY].as_str()), ("3", "1"));
        let kept = annotations(&one, Some(&set), 1);
        assert_eq!((kept[REVISION].as_str(), kept.get(REVISION_HISTORY)), ("1", None));
    }

    #[test]
    fn names_differ_by_template_and_collision() {
        let name = |image: &str, collisions: Option<i32>| {
            template_hash(&deployment(1, image, json!(null)).spec.template, collisions)
        };
        assert_eq!(name("a", None), name("a", None));
        assert_ne!(name("a", None), name("b", None));
        assert_ne!(name("a", None), name("a", Some(1)));
    }

    #[test]
    fn among_sets_of_one_template_the_oldest_is_the_new_one() {
        let one = deployment(3, "one", json!(null));
        let twins = |created: [u8; 2]| {
            let made = created.map(|second| {
                let mut set = (*set(&one, 1, 1, i64::from(second))).clone();
                set.metadata.name = Some(format!("web-{second}"));
                Arc::new(set)
            });
            Sets::of(&one, made.to_vec())
        };
        for created in [[1, 2], [2, 1]] {
            let sets = twins(created);
            assert_eq!((sets.new.as_ref().unwrap().uid(), sets.old[0].uid()), ("rs-1", "rs-2"));
        }
        // Created within the same second: the name decides, so that all decide alike.
        assert_eq!(twins([5, 5]).old.len(), 1);
    }

    #[test]
    fn the_hash_of_the_template_alone_makes_no_other_template() {
        let one = deployment(3, "one", json!(null));
        let set = set(&one, 3, 3, 1);
        let labels = set.spec.template.as_ref().unwrap().metadata.as_ref().unwrap().labels.as_ref().unwrap();
        assert!(labels.contains_key(HASH_LABEL));
        let mut bare = one.clone();
        bare.spec.template.metadata = None;
        for (deployment, is_new) in [(&one, true), (&bare, false)] {
            assert_eq!(Sets::of(deployment, vec![set.clone()]).new.is_some(), is_new);
        }
    }

    #[test]
    fn sums_count_every_set_and_what_is_not_said_is_a_default() {
        let one = deployment(3, "one", json!(null));
        let silent = Arc::new(ReplicaSet::default());
        let sets = Sets { new: Some(set(&one, 2, 1, 2)), old: vec![set(&one, 3, 2, 1), silent, set(&one, 0, 0, 3)] };
        // A set that does not say how many wants one, and has none yet.
        assert_eq!((sets.wanted(), sets.available(), sets.active().len(), sets.all().count()), (6, 3, 3, 4));
        assert_eq!(wanted(&Deployment::default()), 1);
    }

    #[test]
    fn annotations_are_inherited_but_for_those_that_are_somebodys_own() {
        let mut web = deployment(4, "one", json!({"maxSurge": "50%"}));
        let own = json!({"team": "a", REVISION: "9", DESIRED: "9", MAX: "9", REVISION_HISTORY: "1,2",
            "kubectl.kubernetes.io/last-applied-configuration": "{}", "deprecated.deployment.rollback.to": "1"});
        web.metadata.annotations = serde_json::from_value(own).unwrap();
        let wanted = annotations(&web, None, 2);
        let told: Vec<(&str, &str)> = wanted.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(told, [(DESIRED, "4"), (MAX, "6"), (REVISION, "2"), ("team", "a")]);
    }

    #[test]
    fn a_set_that_comes_back_more_than_once_remembers_all_its_numbers() {
        let one = deployment(3, "one", json!(null));
        let mut back = (*set(&one, 3, 3, 3)).clone();
        back.metadata.annotations.as_mut().unwrap().insert(REVISION_HISTORY.into(), "1".into());
        let again = annotations(&one, Some(&back), 5);
        assert_eq!((again[REVISION].as_str(), again[REVISION_HISTORY].as_str()), ("5", "1,3"));
        // What is no number counts as none.
        back.metadata.annotations.as_mut().unwrap().insert(REVISION.into(), "third".into());
        let odd = annotations(&one, Some(&back), 5);
        assert_eq!((odd[REVISION].as_str(), odd.get(REVISION_HISTORY)), ("5", None));
        assert_eq!(next_revision(&[Arc::new(back), set(&one, 1, 1, 7)]), 8);
        assert_eq!(next_revision(&[]), 1);
    }

    #[test]
    fn a_set_is_built_to_find_its_own_pods_only() {
        let mut web = deployment(4, "one", json!(null));
        web.spec.min_ready_seconds = Some(5);
        web.status = serde_json::from_value(json!({"collisionCount": 1})).unwrap();
        let set = build(&web, 2, 3);
        let hash = template_hash(&web.spec.template, Some(1));
        assert_eq!(set.metadata.name.as_deref(), Some(format!("web-{hash}").as_str()));
        let labels = BTreeMap::from([("app".to_string(), "web".to_string()), (HASH_LABEL.to_string(), hash)]);
        let of_template = set.spec.template.as_ref().unwrap().metadata.as_ref().unwrap().labels.as_ref();
        for found in [set.metadata.labels.as_ref(), of_template, set.spec.selector.match_labels.as_ref()] {
            assert_eq!(found, Some(&labels));
        }
        assert_eq!((set.spec.replicas, set.spec.min_ready_seconds), (Some(2), Some(5)));
        let owner = &set.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!((owner.uid.as_str(), owner.controller, owner.block_owner_deletion), ("d", Some(true), Some(true)));
        assert!(Sets::of(&web, vec![Arc::new(set)]).new.is_some(), "it is found again as the new one");
    }

    #[test]
    fn a_strategy_that_is_not_said_is_a_rolling_update_by_quarters() {
        let mut web = deployment(8, "one", json!(null));
        web.spec.strategy = None;
        assert_eq!((is_rolling(&web), slack(&web)), (true, (2, 2)));
        web.spec.strategy = serde_json::from_value(json!({"type": "Recreate"})).unwrap();
        assert_eq!((is_rolling(&web), slack(&web)), (false, (0, 0)));
    }
}
