//! What is special about a kind. The verbs exist once, in `registry`; they call the steps below, every one of which has
//! a default, so that a kind without a row here is served by the generic rules alone.
//!
//! Order of a create: [`Strategy::default`] → mutating admission → [`generic::prepare_create`] →
//! [`Strategy::prepare_create`] → metadata validation → [`Strategy::validate`] → validating admission → storage.
//! Order of an update: the same with `prepare_update`, `validate` *and* `validate_update`; of a status update with
//! `prepare_status_update` and `validate_status_update` (upstream: registry/rest/create.go, update.go).
//! The generic steps run first: a strategy sees the generation counted and the status already isolated.
//!
//! | module | what it holds |
//! |---|---|
//! | `check` | the tools of validation |
//! | `addresses`, `batch`, `claim`, `config`, `endpoints`, `event`, `namespace`, `node`, `pod`, `rbac`, `service`, `small`, `workloads` | the kinds |
//! | [`defaults`] | what fields get when they are missing: rows by kind |
//! | [`generic`] | what holds for every kind: status isolation, generation |
//! | [`meta`] | validation of metadata, in upstream's words |
//! | [`rules`] | one row of yes/no facts per kind that differs from the default |
//! | `required` | the check of kinds that have no rules here |
//! | `schedule` | the schedules of CronJobs |
//! | `semantic` | equality as Go sees it |

mod addresses;
mod batch;
mod check;
mod claim;
mod config;
mod csr;
pub mod defaults;
mod endpoints;
mod event;
pub mod generic;
pub mod meta;
mod namespace;
mod node;
mod pod;
mod rbac;
mod required;
pub mod rules;
mod schedule;
mod semantic;
pub mod service;
mod small;
mod workloads;

use api::FieldError;
use api::kinds::KindRef;
use jiff::Timestamp;
use serde_json::Value;

use crate::request::User;

/// What a step may want to know besides the object.
pub struct Cx<'a> {
    /// The kind of the object.
    pub kind: KindRef,
    /// Who asks.
    pub user: &'a User,
    /// The time of the request.
    pub now: Timestamp,
}

/// What is special about one kind. Steps never fail: what is wrong is said by the validate steps.
pub trait Strategy: Send + Sync {
    /// Fills in defaults (upstream's `SetDefaults_*`). Runs on every write, before admission.
    fn default(&self, _object: &mut Value) {}

    /// Makes an object ready to be stored for the first time.
    fn prepare_create(&self, _cx: &Cx<'_>, _object: &mut Value) {}

    /// What is wrong with the object, be it new or changed. Metadata has been checked by [`meta`].
    fn validate(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// What else is wrong with a new object.
    fn validate_create(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Makes a changed object ready to be stored; `old` is what is stored.
    fn prepare_update(&self, _cx: &Cx<'_>, _new: &mut Value, _old: &Value) {}

    /// What is wrong with the change, e.g. an immutable field. Runs besides [`Strategy::validate`].
    fn validate_update(&self, _new: &Value, _old: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// As [`Strategy::prepare_update`], for writes to `/status`.
    fn prepare_status_update(&self, _cx: &Cx<'_>, _new: &mut Value, _old: &Value) {}

    /// As [`Strategy::validate_update`], for writes to `/status`; [`Strategy::validate`] does not run then.
    fn validate_status_update(&self, _new: &Value, _old: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// What the client should hear in a `Warning` header; `old` is absent on create.
    fn warnings(&self, _object: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// For kinds that are deleted gracefully: the period that this object gets when `requested` was asked for. 0 deletes
    /// at once; `None` = the kind knows no grace.
    fn graceful_deletion_seconds(&self, _object: &Value, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// Whether something besides `metadata.finalizers` keeps a deleted object (a namespace's `spec.finalizers`).
    fn held(&self, _object: &Value) -> bool {
        false
    }

    /// Marks an object that stays for its finalizers as being deleted, besides the metadata (a namespace's phase).
    fn mark_deleting(&self, _object: &mut Value) {}
}

/// A kind without peculiarities.
struct Plain;

impl Strategy for Plain {}

/// Group, plural, strategy: one row per kind that has rules here, in order.
static TABLE: &[(&str, &str, &dyn Strategy)] = &[
    ("", "configmaps", &config::ConfigMap),
    ("", "endpoints", &endpoints::Endpoints),
    ("", "events", &event::Event),
    ("", "limitranges", &small::LimitRange),
    ("", "namespaces", &namespace::Namespace),
    ("", "nodes", &node::Node),
    ("", "persistentvolumeclaims", &claim::Claim),
    ("", "pods", &pod::Pod),
    ("", "podtemplates", &workloads::PodTemplate),
    ("", "replicationcontrollers", &workloads::ReplicationController),
    ("", "resourcequotas", &small::ResourceQuota),
    ("", "secrets", &config::Secret),
    ("", "serviceaccounts", &Plain),
    ("", "services", &service::Service),
    ("apps", "controllerrevisions", &small::ControllerRevision),
    ("apps", "daemonsets", &workloads::DaemonSet),
    ("apps", "deployments", &workloads::Deployment),
    ("apps", "replicasets", &workloads::ReplicaSet),
    ("apps", "statefulsets", &workloads::StatefulSet),
    ("batch", "cronjobs", &batch::CronJob),
    ("batch", "jobs", &batch::Job),
    ("certificates.k8s.io", "certificatesigningrequests", &csr::SigningRequest),
    ("coordination.k8s.io", "leases", &small::Lease),
    ("discovery.k8s.io", "endpointslices", &endpoints::EndpointSlice),
    ("networking.k8s.io", "ipaddresses", &addresses::IpAddress),
    ("networking.k8s.io", "servicecidrs", &addresses::ServiceCidr),
    ("policy", "poddisruptionbudgets", &small::PodDisruptionBudget),
    ("rbac.authorization.k8s.io", "clusterrolebindings", &rbac::Binding { namespaced: false }),
    ("rbac.authorization.k8s.io", "clusterroles", &rbac::Role { namespaced: false }),
    ("rbac.authorization.k8s.io", "rolebindings", &rbac::Binding { namespaced: true }),
    ("rbac.authorization.k8s.io", "roles", &rbac::Role { namespaced: true }),
    ("scheduling.k8s.io", "priorityclasses", &small::PriorityClass),
];

fn row(kind: KindRef) -> Option<&'static dyn Strategy> {
    let found = TABLE.binary_search_by_key(&(kind.group, kind.plural), |(group, plural, _)| (*group, *plural));
    found.ok().and_then(|at| TABLE.get(at)).map(|(_, _, strategy)| *strategy)
}

/// The strategy of a kind.
pub fn of(kind: KindRef) -> &'static dyn Strategy {
    row(kind).unwrap_or(&Plain)
}

/// What is wrong with an object, be it new or changed: by the rules of its kind, or else by its schema.
pub fn validate(kind: KindRef, object: &Value) -> Vec<FieldError> {
    row(kind).map_or_else(|| required::check(kind, object), |strategy| strategy.validate(object))
}

#[cfg(test)]
mod testing {
    //! What tests of strategies share.

    use super::FieldError;

    /// Errors as people read them.
    pub(super) fn texts(errors: &[FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds::KINDS;

    #[test]
    fn every_row_names_a_kind_once_and_is_found() {
        for (group, plural, _) in TABLE {
            let kind = KINDS.iter().find(|kind| kind.group == *group && kind.plural == *plural);
            assert!(kind.is_some_and(|kind| row(kind).is_some()), "{group}/{plural}");
        }
        assert!(TABLE.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)));
        assert!(row(KINDS.iter().find(|kind| kind.plural == "ingresses").unwrap()).is_none());
    }

    #[test]
    fn the_example_manifests_are_valid() {
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/examples");
        let mut count = 0;
        for file in std::fs::read_dir(examples).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            for mut object in api::yaml::read_documents(&std::fs::read_to_string(&path).unwrap()).unwrap() {
                let found = api::kinds::by_api_version(api::object::api_version(&object), api::object::kind(&object));
                let Some((kind, served)) = found else { continue };
                if kind.version != served.version {
                    continue;
                }
                api::object::metadata_mut(&mut object).insert("uid".into(), serde_json::json!("u"));
                defaults::apply(kind, &mut object);
                of(kind).default(&mut object);
                assert_eq!(validate(kind, &object), Vec::new(), "{}: {}", path.display(), kind.kind);
                count += 1;
            }
        }
        assert!(count > 0, "no examples in {examples}");
    }
}
