//! Columns of the remaining groups: storage, scheduling, rbac, certificates, flow control, resource, admission registration,
//! API registration and storage migration.

use serde_json::Value;

use super::cells::{
    AGE, NAME, annotation, condition, flag, is_deleted, join, join_field, number, scalar, since, size, text, text_or,
};
use super::{Column, Row};
use crate::duration;
use crate::view::Node;

/// Storage classes.
pub const STORAGE_CLASS: &[Column] = &[
    Column {
        cell: |o, _| {
            let marked = |key| annotation(o, key) == Some("true");
            let default = marked("storageclass.kubernetes.io/is-default-class")
                || marked("storageclass.beta.kubernetes.io/is-default-class");
            format!("{}{}", o.text("/metadata/name"), if default { " (default)" } else { "" }).into()
        },
        ..NAME
    },
    Column::text("Provisioner", "Who makes the volumes", |o, _| text(o, "/provisioner")),
    Column::text("ReclaimPolicy", "What happens to volumes when their claim is gone", |o, _| {
        text_or(o, "/reclaimPolicy", "Delete")
    }),
    Column::text("VolumeBindingMode", "When claims are bound", |o, _| text_or(o, "/volumeBindingMode", "Immediate")),
    Column::text("AllowVolumeExpansion", "Whether volumes may grow", |o, _| flag(o, "/allowVolumeExpansion", false)),
    AGE,
];

/// Volume attributes classes.
pub const VOLUME_ATTRIBUTES_CLASS: &[Column] =
    &[NAME, Column::text("DriverName", "CSI driver that applies the attributes", |o, _| text(o, "/driverName")), AGE];

/// Volume attachments.
pub const VOLUME_ATTACHMENT: &[Column] = &[
    NAME,
    Column {
        format: "name",
        ..Column::text("Attacher", "Driver that attaches the volume", |o, _| text(o, "/spec/attacher"))
    },
    Column::text("PV", "Volume", |o, _| text(o, "/spec/source/persistentVolumeName")),
    Column::text("Node", "Node that it is attached to", |o, _| text(o, "/spec/nodeName")),
    Column::boolean("Attached", "Whether it is attached", |o, _| flag(o, "/status/attached", false)),
    AGE,
];

/// CSI drivers on a node.
pub const CSI_NODE: &[Column] =
    &[NAME, Column::integer("Drivers", "Number of drivers on the node", |o, _| size(o, "/spec/drivers").into()), AGE];

/// CSI drivers.
pub const CSI_DRIVER: &[Column] = &[
    NAME,
    Column::boolean("AttachRequired", "Whether volumes must be attached", |o, _| flag(o, "/spec/attachRequired", true)),
    Column::boolean("PodInfoOnMount", "Whether the driver is told about the pod", |o, _| {
        flag(o, "/spec/podInfoOnMount", false)
    }),
    Column::boolean("StorageCapacity", "Whether the scheduler asks for capacity", |o, _| {
        flag(o, "/spec/storageCapacity", false)
    }),
    Column::text("TokenRequests", "Audiences of tokens that the driver gets", |o, _| {
        match o.at("/spec/tokenRequests") {
            None => "<unset>".into(),
            Some(_) => join_field(o.list("/spec/tokenRequests"), "audience").into(),
        }
    }),
    Column::boolean("RequiresRepublish", "Whether mounted volumes are renewed", |o, _| {
        flag(o, "/spec/requiresRepublish", false)
    }),
    Column::text("Modes", "Life cycles of its volumes", |o, _| {
        let modes = join(o.list("/spec/volumeLifecycleModes").filter_map(Node::as_str));
        if modes.is_empty() { "<none>".into() } else { modes.into() }
    }),
    AGE,
];

/// CSI storage capacities.
pub const CSI_STORAGE_CAPACITY: &[Column] = &[
    NAME,
    Column::text("StorageClassName", "Storage class", |o, _| text(o, "/storageClassName")),
    Column::text("Capacity", "What is left", |o, _| scalar(o, "/capacity", "<unset>").into()),
];

/// Priority classes.
pub const PRIORITY_CLASS: &[Column] = &[
    NAME,
    Column::integer("Value", "Priority of pods of the class", |o, _| number(o, "/value")),
    Column::boolean("Global-Default", "Whether it applies to pods that name no class", |o, _| {
        flag(o, "/globalDefault", false)
    }),
    AGE,
    Column::text("PreemptionPolicy", "Whether its pods may evict others", |o, _| text(o, "/preemptionPolicy")),
];

/// Role bindings and cluster role bindings.
pub const ROLE_BINDING: &[Column] = &[
    NAME,
    Column::text("Role", "Role that is granted", |o, _| {
        format!("{}/{}", o.text("/roleRef/kind"), o.text("/roleRef/name")).into()
    }),
    AGE,
    Column::text("Users", "Users that have the role", |o, _| subjects(o, "User").into()).wide(),
    Column::text("Groups", "Groups that have the role", |o, _| subjects(o, "Group").into()).wide(),
    Column::text("ServiceAccounts", "Service accounts that have the role", |o, _| subjects(o, "ServiceAccount").into())
        .wide(),
];

fn subjects(o: Node<'_>, kind: &str) -> String {
    let subjects = o.list("/subjects").filter(|subject| subject.text("/kind") == kind);
    let name = |subject: Node<'_>| match (kind, subject.text("/namespace")) {
        ("ServiceAccount", namespace) if !namespace.is_empty() => {
            format!("{namespace}/{}", subject.text("/name"))
        }
        _ => subject.text("/name").into(),
    };
    subjects.map(name).collect::<Vec<_>>().join(", ")
}

/// Certificate signing requests.
pub const CERTIFICATE_SIGNING_REQUEST: &[Column] = &[
    NAME,
    AGE,
    Column::text("SignerName", "Who is asked to sign", |o, _| text_or(o, "/spec/signerName", "<none>")),
    Column::text("Requestor", "Who asks", |o, _| text(o, "/spec/username")),
    Column::text("RequestedDuration", "For how long the certificate should be valid", |o, _| {
        match o.integer("/spec/expirationSeconds") {
            Some(seconds) => duration::human(jiff::SignedDuration::from_secs(seconds)).into(),
            None => "<none>".into(),
        }
    }),
    Column::text("Condition", "What became of the request", |o, _| signing_condition(o).into()),
];

fn signing_condition(o: Node<'_>) -> String {
    let has = |kind: &str| condition(o, kind).is_some();
    let mut state = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied".to_string(),
        (false, true) => "Approved".into(),
        (false, false) => "Pending".into(),
    };
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !o.text("/status/certificate").is_empty() {
        state.push_str(",Issued");
    }
    state
}

/// Bundles of trusted certificates.
pub const CLUSTER_TRUST_BUNDLE: &[Column] =
    &[NAME, Column::text("SignerName", "Signer that it belongs to", |o, _| text(o, "/spec/signerName"))];

/// Certificate requests of pods.
pub const POD_CERTIFICATE_REQUEST: &[Column] = &[
    NAME,
    Column::text("PodName", "Pod that asks", |o, _| text(o, "/spec/podName")),
    Column::text("ServiceAccountName", "Service account of the pod", |o, _| text(o, "/spec/serviceAccountName")),
    Column::text("NodeName", "Node of the pod", |o, _| text(o, "/spec/nodeName")),
    Column::text("SignerName", "Who is asked to sign", |o, _| text(o, "/spec/signerName")),
    Column::text("State", "What became of the request", |o, _| {
        let states = ["Denied", "Failed", "Issued"];
        states.into_iter().find(|state| super::cells::is_true(o, state)).unwrap_or("Pending").into()
    }),
];

/// Flow schemas.
pub const FLOW_SCHEMA: &[Column] = &[
    NAME,
    Column::text("PriorityLevel", "Level that its requests get", |o, _| {
        text(o, "/spec/priorityLevelConfiguration/name")
    }),
    Column::text("MatchingPrecedence", "Lower is tried first", |o, _| number(o, "/spec/matchingPrecedence")),
    Column::text("DistinguisherMethod", "How its requests are told apart", |o, _| {
        text_or(o, "/spec/distinguisherMethod/type", "<none>")
    }),
    AGE,
    Column::text("MissingPL", "Whether the level does not exist", |o, _| {
        condition(o, "Dangling").map_or("?", |dangling| dangling.text("/status")).into()
    }),
];

/// Priority levels.
pub const PRIORITY_LEVEL_CONFIGURATION: &[Column] = &[
    NAME,
    Column::text("Type", "Whether the level is limited", |o, _| text(o, "/spec/type")),
    Column::text("NominalConcurrencyShares", "Share of the server", |o, _| {
        let limited = o.at("/spec/limited").is_some();
        if limited { number(o, "/spec/limited/nominalConcurrencyShares") } else { "<none>".into() }
    }),
    Column::text("Queues", "Number of queues", |o, _| queuing(o, "queues")),
    Column::text("HandSize", "Queues that one flow may use", |o, _| queuing(o, "handSize")),
    Column::text("QueueLengthLimit", "Requests that one queue may hold", |o, _| queuing(o, "queueLengthLimit")),
    AGE,
];

fn queuing(o: Node<'_>, field: &str) -> Value {
    match o.at("/spec/limited/limitResponse/queuing") {
        Some(queuing) => number(queuing, &format!("/{field}")),
        None => "<none>".into(),
    }
}

/// Resource claims.
pub const RESOURCE_CLAIM: &[Column] = &[
    NAME,
    Column::text("State", "Whether the claim is allocated and used", |o, _| {
        let deleted = is_deleted(o);
        let allocated = o.at("/status/allocation").is_some();
        let reserved = allocated && size(o, "/status/reservedFor") > 0;
        let states = [
            (deleted, "deleted"),
            (!deleted && !allocated, "pending"),
            (allocated, "allocated"),
            (reserved, "reserved"),
        ];
        join(states.into_iter().filter(|(holds, _)| *holds).map(|(_, state)| state)).into()
    }),
    AGE,
];

/// Resource slices.
pub const RESOURCE_SLICE: &[Column] = &[
    NAME,
    Column::text("Node", "Node that has the devices", |o, _| text(o, "/spec/nodeName")),
    Column::text("Driver", "Driver of the devices", |o, _| text(o, "/spec/driver")),
    Column::text("Pool", "Pool that the slice belongs to", |o, _| text(o, "/spec/pool/name")),
    AGE,
];

/// Taints of devices.
pub const DEVICE_TAINT_RULE: &[Column] = &[
    NAME,
    Column::text("Key", "Key of the taint", |o, _| text(o, "/spec/taint/key")),
    Column::text("Value", "Value of the taint", |o, _| text(o, "/spec/taint/value")),
    Column::text("Effect", "Effect of the taint", |o, _| text(o, "/spec/taint/effect")),
    Column::text("TimeAdded", "Time since the taint was added", |o, row| match o.at("/spec/taint/timeAdded") {
        Some(_) => since(o, "/spec/taint/timeAdded", row).into(),
        None => "".into(),
    }),
    AGE,
];

/// Webhook configurations.
pub const WEBHOOK_CONFIGURATION: &[Column] =
    &[NAME, Column::integer("Webhooks", "Number of webhooks", |o, _| size(o, "/webhooks").into()), AGE];

/// Validating admission policies.
pub const VALIDATING_ADMISSION_POLICY: &[Column] = &[
    NAME,
    Column::integer("Validations", "Number of rules", |o, _| size(o, "/spec/validations").into()),
    PARAM_KIND,
    AGE,
];

/// Mutating admission policies.
pub const MUTATING_ADMISSION_POLICY: &[Column] =
    &[NAME, Column::integer("Mutations", "Number of rules", |o, _| size(o, "/spec/mutations").into()), PARAM_KIND, AGE];

const PARAM_KIND: Column =
    Column::text("ParamKind", "Kind of the policy's parameters", |o, _| match o.at("/spec/paramKind") {
        Some(kind) => format!("{}/{}", kind.text("/apiVersion"), kind.text("/kind")).into(),
        None => "<unset>".into(),
    });

/// Bindings of admission policies.
pub const ADMISSION_POLICY_BINDING: &[Column] = &[
    NAME,
    Column::text("PolicyName", "Policy that is bound", |o, _| text(o, "/spec/policyName")),
    Column::text("ParamRef", "Parameters of the policy", |o, _| match o.at("/spec/paramRef") {
        None => "<unset>".into(),
        Some(param) => match param.text("/namespace") {
            "" => text(param, "/name"),
            namespace => format!("{namespace}/{}", param.text("/name")).into(),
        },
    }),
    AGE,
];

/// API services.
pub const API_SERVICE: &[Column] = &[
    NAME,
    Column::text("Service", "Service that serves the version", |o, _| match o.at("/spec/service") {
        None => "Local".into(),
        Some(service) => format!("{}/{}", service.text("/namespace"), service.text("/name")).into(),
    }),
    Column::text("Available", "Whether the version is served", available),
    AGE,
];

fn available(o: Node<'_>, _: &Row<'_>) -> Value {
    let Some(available) = condition(o, "Available") else { return "Unknown".into() };
    match (available.text("/status"), available.text("/reason")) {
        (status @ "True", _) | (status, "") => status.into(),
        (status, reason) => format!("{status} ({reason})").into(),
    }
}

/// Storage version migrations.
pub const STORAGE_VERSION_MIGRATION: &[Column] = &[
    Column { format: "", ..NAME },
    Column::text("Resource", "Resource whose objects are rewritten", |o, _| {
        format!("{}.{}", o.text("/spec/resource/resource"), o.text("/spec/resource/group")).into()
    }),
];
