//! Yes/no facts per kind that the verbs ask for (upstream: the `AllowCreateOnUpdate`, `AllowUnconditionalUpdate`,
//! `DefaultGarbageCollectionPolicy` methods of the strategies and `ReturnDeletedObject` of the stores). A kind without a
//! row has [`Rules::DEFAULT`].

use api::kinds::KindRef;

/// How names of a kind look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// DNS-1123 subdomain: most kinds.
    Subdomain,
    /// DNS-1123 label: namespaces.
    Label,
    /// DNS-1035 label: services.
    Label1035,
    /// Anything that can stand in a path: RBAC.
    PathSegment,
    /// An IP address in its canonical form: IPAddresses.
    Address,
}

/// What happens to the dependents of a deleted object when the request does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependents {
    /// The garbage collector deletes them in the background.
    Delete,
    /// They are orphaned (kinds older than garbage collection).
    Orphan,
    /// The kind takes no part in garbage collection.
    Unsupported,
}

/// The facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Form of the name.
    pub name: NameRule,
    /// PUT creates what is not there.
    pub create_on_update: bool,
    /// An update without resourceVersion is accepted.
    pub unconditional_update: bool,
    /// `metadata.generation` counts changes of the spec.
    pub generation: bool,
    /// A new object keeps the status it came with.
    pub keeps_status: bool,
    /// Default for dependents.
    pub dependents: Dependents,
    /// A delete answers with the object and not with a Status.
    pub returns_deleted: bool,
}

impl Rules {
    /// Most kinds.
    pub const DEFAULT: Self = Self {
        name: NameRule::Subdomain,
        create_on_update: false,
        unconditional_update: true,
        generation: false,
        keeps_status: false,
        dependents: Dependents::Delete,
        returns_deleted: false,
    };
    const COUNTED: Self = Self { generation: true, ..Self::DEFAULT };
    const UPSERT: Self = Self { create_on_update: true, ..Self::DEFAULT };
    const CONDITIONAL: Self = Self { unconditional_update: false, ..Self::DEFAULT };
    const COUNTED_CONDITIONAL: Self = Self { generation: true, ..Self::CONDITIONAL };
    const RETURNED: Self = Self { returns_deleted: true, ..Self::DEFAULT };
    const RBAC: Self = Self { name: NameRule::PathSegment, ..Self::UPSERT };
    const EVENT: Self = Self { dependents: Dependents::Unsupported, ..Self::UPSERT };
}

/// Group, plural, facts.
static TABLE: &[(&str, &str, Rules)] = &[
    ("", "endpoints", Rules::UPSERT),
    ("", "events", Rules::EVENT),
    ("", "limitranges", Rules { create_on_update: true, ..Rules::RETURNED }),
    ("", "namespaces", Rules { name: NameRule::Label, returns_deleted: true, ..Rules::DEFAULT }),
    ("", "nodes", Rules { keeps_status: true, ..Rules::DEFAULT }),
    ("", "persistentvolumeclaims", Rules::RETURNED),
    ("", "persistentvolumes", Rules::RETURNED),
    ("", "pods", Rules { returns_deleted: true, ..Rules::COUNTED }),
    ("", "podtemplates", Rules { generation: true, ..Rules::RETURNED }),
    ("", "replicationcontrollers", Rules { dependents: Dependents::Orphan, ..Rules::COUNTED }),
    ("", "resourcequotas", Rules::RETURNED),
    ("", "serviceaccounts", Rules { returns_deleted: true, ..Rules::CONDITIONAL }),
    ("", "services", Rules { name: NameRule::Label1035, create_on_update: true, ..Rules::RETURNED }),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies", Rules::COUNTED_CONDITIONAL),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings", Rules::COUNTED_CONDITIONAL),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", Rules::COUNTED_CONDITIONAL),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", Rules::COUNTED_CONDITIONAL),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", Rules::COUNTED_CONDITIONAL),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", Rules::COUNTED_CONDITIONAL),
    ("apiextensions.k8s.io", "customresourcedefinitions", Rules::COUNTED_CONDITIONAL),
    ("apiregistration.k8s.io", "apiservices", Rules::CONDITIONAL),
    ("apps", "daemonsets", Rules::COUNTED),
    ("apps", "deployments", Rules::COUNTED),
    ("apps", "replicasets", Rules::COUNTED),
    ("apps", "statefulsets", Rules::COUNTED),
    ("batch", "cronjobs", Rules::COUNTED),
    ("batch", "jobs", Rules { dependents: Dependents::Orphan, ..Rules::COUNTED }),
    ("coordination.k8s.io", "leases", Rules { create_on_update: true, ..Rules::CONDITIONAL }),
    ("discovery.k8s.io", "endpointslices", Rules::COUNTED),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", Rules { name: NameRule::PathSegment, ..Rules::COUNTED }),
    (
        "flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations",
        Rules { name: NameRule::PathSegment, ..Rules::COUNTED },
    ),
    ("networking.k8s.io", "ingresses", Rules::COUNTED),
    ("networking.k8s.io", "ipaddresses", Rules { name: NameRule::Address, ..Rules::DEFAULT }),
    ("networking.k8s.io", "networkpolicies", Rules::COUNTED),
    ("node.k8s.io", "runtimeclasses", Rules::CONDITIONAL),
    ("policy", "poddisruptionbudgets", Rules::COUNTED_CONDITIONAL),
    ("rbac.authorization.k8s.io", "clusterrolebindings", Rules::RBAC),
    ("rbac.authorization.k8s.io", "clusterroles", Rules::RBAC),
    ("rbac.authorization.k8s.io", "rolebindings", Rules::RBAC),
    ("rbac.authorization.k8s.io", "roles", Rules::RBAC),
    ("storage.k8s.io", "csidrivers", Rules { generation: true, ..Rules::CONDITIONAL }),
    ("storage.k8s.io", "csinodes", Rules::CONDITIONAL),
    ("storage.k8s.io", "volumeattachments", Rules::CONDITIONAL),
    ("storagemigration.k8s.io", "storageversionmigrations", Rules::CONDITIONAL),
];

/// The facts of a kind.
pub fn of(kind: KindRef) -> &'static Rules {
    TABLE
        .iter()
        .find(|(group, plural, _)| *plural == kind.plural && *group == kind.group)
        .map_or(&Rules::DEFAULT, |(_, _, rules)| rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds::{self, KINDS};

    #[test]
    fn every_row_names_a_kind() {
        for (group, plural, _) in TABLE {
            assert!(KINDS.iter().any(|kind| kind.group == *group && kind.plural == *plural), "{group}/{plural}");
        }
    }

    #[test]
    fn kinds_without_a_row_are_plain() {
        let (kind, _) = kinds::find("", "v1", "configmaps").unwrap();
        assert_eq!(of(kind), &Rules::DEFAULT);
    }
}
