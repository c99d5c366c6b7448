//! The field selectors of each kind: one table of (label, where it lies in the object).
//!
//! Every kind has `metadata.name` and most have `metadata.namespace`; the rest is upstream's: which labels are accepted from
//! `pkg/apis/*/v1/conversion.go` (AddFieldLabelConversionFunc), what they are from the `ToSelectableFields` of the kind's
//! strategy in `pkg/registry`. [`check`] refuses other labels in upstream's words.

use api::Status;
use api::kinds::Kind;
use api::selector::FieldSelector;

/// What a field is when the object does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// This text: the zero value of the Go type.
    Text(&'static str),
    /// The value of another row.
    Row(usize),
}

/// One field that can be selected by.
#[derive(Debug)]
pub struct Row {
    /// Its name in selectors.
    pub label: &'static str,
    /// Where it is: members of objects, or an index of an array. Empty: nowhere, it always has the absent value.
    pub path: &'static [&'static str],
    /// If it is not there.
    pub absent: Absent,
}

/// The fields of one kind.
#[derive(Debug)]
pub struct Table {
    group: &'static str,
    plural: &'static str,
    /// Whether `metadata.namespace` can be selected by.
    namespace: bool,
    /// At most 32.
    pub rows: &'static [Row],
    /// Other names of rows, in other served versions or from older ones.
    aliases: &'static [(&'static str, &'static str)],
    /// The row that watchers of many values select by (one per kubelet): watchers are indexed by it.
    pub index: Option<usize>,
}

const fn row(label: &'static str, path: &'static [&'static str]) -> Row {
    Row { label, path, absent: Absent::Text("") }
}

const fn or(label: &'static str, path: &'static [&'static str], absent: Absent) -> Row {
    Row { label, path, absent }
}

/// Kinds without fields of their own; its refusals are worded differently.
static PLAIN: Table = Table { group: "", plural: "", namespace: true, rows: &[], aliases: &[], index: None };

static TABLES: &[Table] = &[
    Table {
        group: "",
        plural: "pods",
        namespace: true,
        rows: &[
            row("spec.nodeName", &["spec", "nodeName"]),
            row("spec.restartPolicy", &["spec", "restartPolicy"]),
            row("spec.schedulerName", &["spec", "schedulerName"]),
            row("spec.serviceAccountName", &["spec", "serviceAccountName"]),
            or("spec.hostNetwork", &["spec", "hostNetwork"], Absent::Text("false")),
            row("status.phase", &["status", "phase"]),
            row("status.podIP", &["status", "podIPs", "0", "ip"]),
            row("status.podIPs", &[]), // accepted, but upstream never fills it
            row("status.nominatedNodeName", &["status", "nominatedNodeName"]),
        ],
        aliases: &[("spec.host", "spec.nodeName")],
        index: Some(0),
    },
    Table {
        group: "",
        plural: "events",
        namespace: true,
        rows: &[
            row("reportingComponent", &["reportingComponent"]),
            or("source", &["source", "component"], Absent::Row(0)),
            row("reason", &["reason"]),
            row("type", &["type"]),
            row("involvedObject.kind", &["involvedObject", "kind"]),
            row("involvedObject.namespace", &["involvedObject", "namespace"]),
            row("involvedObject.name", &["involvedObject", "name"]),
            row("involvedObject.uid", &["involvedObject", "uid"]),
            row("involvedObject.apiVersion", &["involvedObject", "apiVersion"]),
            row("involvedObject.resourceVersion", &["involvedObject", "resourceVersion"]),
            row("involvedObject.fieldPath", &["involvedObject", "fieldPath"]),
        ],
        aliases: &[
            ("reportingController", "reportingComponent"),
            ("regarding.kind", "involvedObject.kind"),
            ("regarding.namespace", "involvedObject.namespace"),
            ("regarding.name", "involvedObject.name"),
            ("regarding.uid", "involvedObject.uid"),
            ("regarding.apiVersion", "involvedObject.apiVersion"),
            ("regarding.resourceVersion", "involvedObject.resourceVersion"),
            ("regarding.fieldPath", "involvedObject.fieldPath"),
        ],
        index: None,
    },
    Table {
        group: "",
        plural: "nodes",
        namespace: false,
        rows: &[or("spec.unschedulable", &["spec", "unschedulable"], Absent::Text("false"))],
        aliases: &[],
        index: None,
    },
    Table {
        group: "",
        plural: "namespaces",
        namespace: false,
        rows: &[row("status.phase", &["status", "phase"])],
        aliases: &[],
        index: None,
    },
    Table { group: "", plural: "secrets", namespace: true, rows: &[row("type", &["type"])], aliases: &[], index: None },
    Table {
        group: "",
        plural: "services",
        namespace: true,
        rows: &[row("spec.clusterIP", &["spec", "clusterIP"]), row("spec.type", &["spec", "type"])],
        aliases: &[],
        index: None,
    },
    Table {
        group: "",
        plural: "replicationcontrollers",
        namespace: true,
        rows: &[or("status.replicas", &["status", "replicas"], Absent::Text("0"))],
        aliases: &[],
        index: None,
    },
    Table {
        group: "apps",
        plural: "replicasets",
        namespace: true,
        rows: &[or("status.replicas", &["status", "replicas"], Absent::Text("0"))],
        aliases: &[],
        index: None,
    },
    Table {
        group: "batch",
        plural: "jobs",
        namespace: true,
        rows: &[or("status.successful", &["status", "succeeded"], Absent::Text("0"))],
        aliases: &[],
        index: None,
    },
    Table {
        group: "certificates.k8s.io",
        plural: "certificatesigningrequests",
        namespace: false,
        rows: &[row("spec.signerName", &["spec", "signerName"])],
        aliases: &[],
        index: None,
    },
    Table {
        group: "resource.k8s.io",
        plural: "resourceslices",
        namespace: false,
        rows: &[row("spec.nodeName", &["spec", "nodeName"]), row("spec.driver", &["spec", "driver"])],
        aliases: &[],
        index: None,
    },
];

/// The table of a kind.
pub fn table(kind: &Kind) -> &'static Table {
    TABLES.iter().find(|table| table.group == kind.group && table.plural == kind.plural).unwrap_or(&PLAIN)
}

impl Table {
    /// The row of a label or of another name for it.
    pub fn find(&self, label: &str) -> Option<usize> {
        if self.rows.is_empty() {
            return None;
        }
        let label = self.aliases.iter().find(|(alias, _)| *alias == label).map_or(label, |(_, label)| label);
        self.rows.iter().position(|row| row.label == label)
    }

    fn supports(&self, label: &str) -> bool {
        label == "metadata.name" || (label == "metadata.namespace" && self.namespace) || self.find(label).is_some()
    }
}

/// Whether a kind can be selected by these fields.
///
/// # Errors
/// 400, as upstream's server answers. (kubectl puts `Unable to find … that match …:` before it.)
pub fn check(kind: &Kind, selector: &FieldSelector) -> Result<(), Status> {
    let table = table(kind);
    match selector.terms().iter().map(|term| term.field.as_str()).find(|label| !table.supports(label)) {
        None => Ok(()),
        Some(label) if table.rows.is_empty() => Err(Status::bad_request(format!(
            "{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ))),
        Some(label) => Err(Status::bad_request(format!("field label not supported: {label}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(group: &str, plural: &str) -> &'static Kind {
        api::kinds::find(group, "v1", plural).unwrap().0
    }

    #[test]
    fn refuses_unknown_labels_in_upstreams_words() {
        let plain = "\"x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
        let table = [
            ("", "configmaps", "metadata.name=a,metadata.namespace!=b", None),
            ("", "configmaps", "x=y", Some(plain)),
            ("", "pods", "spec.nodeName=n,status.phase!=Running,spec.host=n,status.podIPs=", None),
            ("", "pods", "x=y", Some("field label not supported: x")),
            ("", "pods", "regarding.kind=y", Some("field label not supported: regarding.kind")),
            ("", "nodes", "metadata.namespace=x", Some("field label not supported: metadata.namespace")),
            ("", "nodes", "spec.unschedulable=true", None),
            ("", "events", "involvedObject.name=a,regarding.name=a,reportingController=b,source=c", None),
            (
                "apps",
                "deployments",
                "status.phase=y",
                Some("\"status.phase\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
            ),
        ];
        for (group, plural, selector, wrong) in table {
            let got = check(kind(group, plural), &FieldSelector::parse(selector).unwrap());
            assert_eq!(
                got.err().map(|status| (status.code, status.message)),
                wrong.map(|text| (400, text.to_string()))
            );
        }
    }

    #[test]
    fn every_table_is_of_a_kind_and_fits_the_scanner() {
        for table in TABLES {
            let known = api::kinds::KINDS.iter().any(|kind| kind.group == table.group && kind.plural == table.plural);
            assert!(known, "{}/{}", table.group, table.plural);
            assert!(table.rows.len() <= 32);
            for (_, label) in table.aliases {
                assert!(table.find(label).is_some());
            }
            for (at, row) in table.rows.iter().enumerate() {
                assert!(!matches!(row.absent, Absent::Row(other) if other >= at), "fallbacks point back, so they end");
            }
        }
    }
}
