//! Columns of the core group, but for pods, nodes and services, which have files of their own.

use serde_json::Value;

use super::cells::{AGE, NAME, annotation, count, first_three, is_deleted, label_map, scalar, size, text, text_or};
use super::{Column, Row};
use crate::view::{Elements, Node};

/// Namespaces.
pub const NAMESPACE: &[Column] = &[
    NAME,
    Column::text("Status", "Whether the namespace is active or being deleted", |o, _| text(o, "/status/phase")),
    AGE,
];

/// ConfigMaps.
pub const CONFIG_MAP: &[Column] =
    &[NAME, Column::text("Data", "Number of keys", |o, _| (size(o, "/data") + size(o, "/binaryData")).into()), AGE];

/// Secrets.
pub const SECRET: &[Column] = &[
    NAME,
    Column::text("Type", "What the secret is for", |o, _| text(o, "/type")),
    Column::text("Data", "Number of keys", |o, _| size(o, "/data").into()),
    AGE,
];

/// Service accounts.
pub const SERVICE_ACCOUNT: &[Column] = &[NAME, AGE];

/// Endpoints.
pub const ENDPOINTS: &[Column] =
    &[NAME, Column::text("Endpoints", "Ready addresses with their ports", |o, _| endpoints(o).into()), AGE];

/// Replication controllers.
pub const REPLICATION_CONTROLLER: &[Column] = &[
    NAME,
    Column::integer("Desired", "Wanted pods", |o, _| count(o, "/spec/replicas").into()),
    Column::integer("Current", "Existing pods", |o, _| count(o, "/status/replicas").into()),
    Column::integer("Ready", "Ready pods", |o, _| count(o, "/status/readyReplicas").into()),
    AGE,
    super::cells::CONTAINERS,
    super::cells::IMAGES,
    Column::text("Selector", "Labels of the pods that belong to the object", |o, _| label_map(o, "/spec/selector"))
        .wide(),
];

/// Resource quotas.
pub const RESOURCE_QUOTA: &[Column] = &[
    NAME,
    Column::text("Request", "Used and allowed amounts of what is requested or counted", |o, _| quota(o, false).into()),
    Column::text("Limit", "Used and allowed amounts of limits", |o, _| quota(o, true).into()),
    AGE,
];

/// Persistent volumes.
pub const PERSISTENT_VOLUME: &[Column] = &[
    NAME,
    Column::text("Capacity", "Size of the volume", |o, _| scalar(o, "/spec/capacity/storage", "0").into()),
    Column::text("Access Modes", "Ways in which it can be mounted", |o, _| {
        access_modes(o.list("/spec/accessModes")).into()
    }),
    Column::text("Reclaim Policy", "What happens when the claim is gone", |o, _| {
        text(o, "/spec/persistentVolumeReclaimPolicy")
    }),
    Column::text("Status", "Phase of the volume", |o, _| phase(o)),
    Column::text("Claim", "Claim that it is bound to", |o, _| match o.at("/spec/claimRef") {
        Some(claim) => format!("{}/{}", claim.text("/namespace"), claim.text("/name")).into(),
        None => "".into(),
    }),
    Column::text("StorageClass", "Storage class of the volume", |o, _| storage_class(o)),
    Column::text("VolumeAttributesClass", "Volume attributes class of the volume", |o, _| {
        text_or(o, "/spec/volumeAttributesClassName", "<unset>")
    }),
    Column::text("Reason", "Why the volume failed", |o, _| text(o, "/status/reason")),
    AGE,
    VOLUME_MODE,
];

/// Claims of persistent volumes.
pub const PERSISTENT_VOLUME_CLAIM: &[Column] = &[
    NAME,
    Column::text("Status", "Phase of the claim", |o, _| phase(o)),
    Column::text("Volume", "Volume that it is bound to", |o, _| text(o, "/spec/volumeName")),
    Column::text("Capacity", "Size of the volume", |o, _| {
        if bound(o) { scalar(o, "/status/capacity/storage", "0").into() } else { "".into() }
    }),
    Column::text("Access Modes", "Ways in which the volume can be mounted", |o, _| {
        if bound(o) { access_modes(o.list("/status/accessModes")).into() } else { "".into() }
    }),
    Column::text("StorageClass", "Storage class of the claim", |o, _| storage_class(o)),
    Column::text("VolumeAttributesClass", "Volume attributes class of the claim", |o, _| {
        text_or(o, "/spec/volumeAttributesClassName", "<unset>")
    }),
    AGE,
    VOLUME_MODE,
];

const VOLUME_MODE: Column = Column::text("VolumeMode", "Whether it is a file system or a block device", |o, _| {
    text_or(o, "/spec/volumeMode", "<unset>")
})
.wide();

fn bound(claim: Node<'_>) -> bool {
    !claim.text("/spec/volumeName").is_empty()
}

fn phase(o: Node<'_>) -> Value {
    if is_deleted(o) { "Terminating".into() } else { text(o, "/status/phase") }
}

fn storage_class(o: Node<'_>) -> Value {
    match annotation(o, "volume.beta.kubernetes.io/storage-class") {
        Some(class) => class.into(),
        None => text(o, "/spec/storageClassName"),
    }
}

/// The abbreviations of the modes in their fixed order.
fn access_modes(modes: Elements<'_>) -> String {
    let table =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let present = table.iter().filter(|(mode, _)| modes.clone().any(|given| given.as_str() == Some(mode)));
    present.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn quota(o: Node<'_>, limits: bool) -> String {
    let hard = o.map("/status/hard");
    let lines = hard.filter(|(resource, _)| resource.starts_with("limits.") == limits).map(|(resource, _)| {
        let amount = |of: &str| {
            let found = o.at(of).and_then(|amounts| amounts.get(resource)).filter(|amount| !amount.is_null());
            found.map_or("0".into(), |amount| scalar(amount, "", "0"))
        };
        format!("{resource}: {}/{}", amount("/status/used"), amount("/status/hard"))
    });
    lines.collect::<Vec<_>>().join(", ")
}

/// `address:port` as Go's JoinHostPort writes it.
fn host_port(address: &str, port: i64) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

fn endpoints(o: Node<'_>) -> String {
    let subsets = o.list("/subsets");
    if subsets.is_empty() {
        return "<none>".into();
    }
    let mut all = Vec::new();
    for subset in subsets {
        let addresses = || subset.list("/addresses").map(|address| address.text("/ip"));
        let ports = subset.list("/ports");
        if ports.is_empty() {
            all.extend(addresses().map(String::from));
        }
        for port in ports {
            all.extend(addresses().map(|address| host_port(address, count(port, "/port"))));
        }
    }
    if all.is_empty() { String::new() } else { first_three(&all) }
}

/// Events, in the core and in the events.k8s.io shape.
pub const EVENT: &[Column] = &[
    Column::text("Last Seen", "Time since the event was last seen", |o, row| last_seen(o, row).into()),
    Column::text("Type", "Normal or Warning", |o, _| text(o, "/type")),
    Column::text("Reason", "Why it happened, for programs", |o, _| text(o, "/reason")),
    Column::text("Object", "What it is about", |o, _| {
        let kind = o.text(&about(o, "kind")).to_lowercase();
        match o.text(&about(o, "name")) {
            "" => kind.into(),
            name => format!("{kind}/{name}").into(),
        }
    }),
    Column::text("Subobject", "Part of the object that it is about", |o, _| text(o, &about(o, "fieldPath"))).wide(),
    Column::text("Source", "Who reported it", |o, _| source(o).into()).wide(),
    Column::text("Message", "What happened, for people", |o, _| either(o, "/message", "/note").trim().into()),
    Column::text("First Seen", "Time since the event was first seen", |o, row| first_seen(o, row).into()).wide(),
    Column::text("Count", "How often it was seen", |o, _| match o.integer("/series/count") {
        Some(count) => count.into(),
        None => count(o, "/count").max(count(o, "/deprecatedCount")).max(1).into(),
    })
    .wide(),
    Column { priority: 1, ..NAME },
];

fn about(o: Node<'_>, field: &str) -> String {
    let object = if o.at("/involvedObject").is_some() { "involvedObject" } else { "regarding" };
    format!("/{object}/{field}")
}

fn either<'a>(o: Node<'a>, first: &str, second: &str) -> &'a str {
    match o.text(first) {
        "" => o.text(second),
        text => text,
    }
}

fn source(o: Node<'_>) -> String {
    let component = match either(o, "/source/component", "/deprecatedSource/component") {
        "" => either(o, "/reportingComponent", "/reportingController"),
        component => component,
    };
    let host = match either(o, "/source/host", "/deprecatedSource/host") {
        "" => o.text("/reportingInstance"),
        host => host,
    };
    if host.is_empty() { component.into() } else { format!("{component}, {host}") }
}

fn first_seen(o: Node<'_>, row: &Row<'_>) -> String {
    let first = match either(o, "/firstTimestamp", "/deprecatedFirstTimestamp") {
        "" => o.text("/eventTime"),
        first => first,
    };
    crate::duration::age(first, row.now)
}

fn last_seen(o: Node<'_>, row: &Row<'_>) -> String {
    if o.at("/series").is_some() {
        return super::cells::since(o, "/series/lastObservedTime", row);
    }
    match either(o, "/lastTimestamp", "/deprecatedLastTimestamp") {
        "" => first_seen(o, row),
        last => crate::duration::age(last, row.now),
    }
}
