//! Columns of nodes and of what belongs to them: leases, runtime classes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cells::{AGE, NAME, condition, join, text, text_or};
use super::{Column, Row};
use crate::view::Node;

/// Nodes.
pub const NODE: &[Column] = &[
    NAME,
    Column::text("Status", "Whether the node is ready, and whether pods may be bound to it", status),
    Column::text("Roles", "Roles of the node, from its labels", roles),
    AGE,
    Column::text("Version", "Version of the kubelet", |o, _| text(o, "/status/nodeInfo/kubeletVersion")),
    Column::text("Internal-IP", "Address within the cluster", |o, _| address(o, "InternalIP")).wide(),
    Column::text("External-IP", "Address from outside", |o, _| address(o, "ExternalIP")).wide(),
    Column::text("OS-Image", "Operating system", |o, _| text_or(o, "/status/nodeInfo/osImage", "<unknown>")).wide(),
    Column::text("Kernel-Version", "Version of the kernel", |o, _| {
        text_or(o, "/status/nodeInfo/kernelVersion", "<unknown>")
    })
    .wide(),
    Column::text("Container-Runtime", "Container runtime and its version", |o, _| {
        text_or(o, "/status/nodeInfo/containerRuntimeVersion", "<unknown>")
    })
    .wide(),
];

/// Leases.
pub const LEASE: &[Column] =
    &[NAME, Column::text("Holder", "Who holds the lease", |o, _| text(o, "/spec/holderIdentity")), AGE];

/// Runtime classes.
pub const RUNTIME_CLASS: &[Column] =
    &[NAME, Column::text("Handler", "Handler that the runtime knows it by", |o, _| text(o, "/handler")), AGE];

fn status(node: Node<'_>, _: &Row<'_>) -> Value {
    let ready = match condition(node, "Ready") {
        None => "Unknown",
        Some(ready) if ready.text("/status") == "True" => "Ready",
        Some(_) => "NotReady",
    };
    if node.flag("/spec/unschedulable") { format!("{ready},SchedulingDisabled").into() } else { ready.into() }
}

fn roles(node: Node<'_>, _: &Row<'_>) -> Value {
    let mut roles = BTreeSet::new();
    for (key, value) in node.map("/metadata/labels") {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => roles.insert(role),
            None if key == "kubernetes.io/role" => roles.insert(value.as_str().unwrap_or_default()),
            None => false,
        };
    }
    roles.remove("");
    if roles.is_empty() { "<none>".into() } else { join(roles).into() }
}

fn address(node: Node<'_>, kind: &str) -> Value {
    let mut addresses = node.list("/status/addresses");
    let found = addresses.find(|address| address.text("/type") == kind);
    found.map_or("<none>", |address| address.text("/address")).into()
}
