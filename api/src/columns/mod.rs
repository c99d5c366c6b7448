//! Printer columns: what `kubectl get` shows of each kind, as the server sends it in a `meta.k8s.io/v1 Table`
//! (names, types, formats and priorities are those of upstream's pkg/printers/internalversion/printers.go; the descriptions are
//! our own). One const table per kind, one function per cell, grouped in files by API group; rows of `kinds::KINDS` point here.

mod cells;
mod core;
mod network;
mod node;
mod pod;
mod rest;
mod workloads;

use std::cell::OnceCell;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::view::Node;

pub use cells::{NAME_AGE, NAME_CREATED_AT};
pub use core::{
    CONFIG_MAP, ENDPOINTS, EVENT, NAMESPACE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, REPLICATION_CONTROLLER,
    RESOURCE_QUOTA, SECRET, SERVICE_ACCOUNT,
};
pub use network::{ENDPOINT_SLICE, INGRESS, INGRESS_CLASS, IP_ADDRESS, NETWORK_POLICY, SERVICE, SERVICE_CIDR};
pub use node::{LEASE, NODE, RUNTIME_CLASS};
pub use pod::{POD, POD_TEMPLATE};
pub use rest::{
    ADMISSION_POLICY_BINDING, API_SERVICE, CERTIFICATE_SIGNING_REQUEST, CLUSTER_TRUST_BUNDLE, CSI_DRIVER, CSI_NODE,
    CSI_STORAGE_CAPACITY, DEVICE_TAINT_RULE, FLOW_SCHEMA, MUTATING_ADMISSION_POLICY, POD_CERTIFICATE_REQUEST,
    PRIORITY_CLASS, PRIORITY_LEVEL_CONFIGURATION, RESOURCE_CLAIM, RESOURCE_SLICE, ROLE_BINDING, STORAGE_CLASS,
    STORAGE_VERSION_MIGRATION, VALIDATING_ADMISSION_POLICY, VOLUME_ATTACHMENT, VOLUME_ATTRIBUTES_CLASS,
    WEBHOOK_CONFIGURATION,
};
pub use workloads::{
    CONTROLLER_REVISION, CRON_JOB, DAEMON_SET, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, JOB, POD_DISRUPTION_BUDGET,
    REPLICA_SET, SCALE, STATEFUL_SET,
};

/// The moment that ages are counted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now(pub Timestamp);

/// The cell of an object in a column.
pub type Cell = for<'a> fn(Node<'a>, &Row<'a>) -> Value;

/// What the cells of one object share.
pub struct Row<'a> {
    now: Timestamp,
    /// What several columns of a pod show parts of.
    pod: OnceCell<pod::Summary<'a>>,
}

impl Row<'_> {
    fn new(now: Now) -> Self {
        Self { now: now.0, pod: OnceCell::new() }
    }
}

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading, e.g. `Nominated Node`; kubectl prints it in capitals.
    pub name: &'static str,
    /// The OpenAPI type of the cells.
    pub r#type: &'static str,
    /// `name` for the column that names the object, otherwise empty.
    pub format: &'static str,
    /// What the column shows.
    pub description: &'static str,
    /// 0 is always shown, others only with `-o wide`.
    pub priority: u8,
    /// The cell of an object.
    pub cell: Cell,
}

impl Column {
    /// A column of text.
    pub const fn text(name: &'static str, description: &'static str, cell: Cell) -> Self {
        Self { name, r#type: "string", format: "", description, priority: 0, cell }
    }

    /// A column of integers.
    pub const fn integer(name: &'static str, description: &'static str, cell: Cell) -> Self {
        Self { r#type: "integer", ..Self::text(name, description, cell) }
    }

    /// A column of booleans.
    pub const fn boolean(name: &'static str, description: &'static str, cell: Cell) -> Self {
        Self { r#type: "boolean", ..Self::text(name, description, cell) }
    }

    /// The same, shown only with `-o wide`.
    #[must_use]
    pub const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }

    fn definition(&self) -> Value {
        json!({"name": self.name, "type": self.r#type, "format": self.format, "description": self.description,
            "priority": self.priority})
    }
}

/// How much of the object each row carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Only the cells.
    None,
    /// A PartialObjectMetadata.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// From the query parameter `includeObject`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "Metadata" => Self::Metadata,
            "None" => Self::None,
            "Object" => Self::Object,
            _ => return None,
        })
    }
}

/// The `columnDefinitions` of a table.
pub fn definitions(columns: &[Column]) -> Value {
    columns.iter().map(Column::definition).collect()
}

/// Appends one row of a table as JSON, up to its `object`: that the caller appends (`null`, what [`write_partial`] writes, or the
/// whole), and the brace that closes the row.
pub fn begin_row(columns: &[Column], item: Node<'_>, now: Now, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"cells\":[");
    let row = Row::new(now);
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write((column.cell)(item, &row), out);
    }
    out.push(b']');
    if let Some(condition) = completed(item) {
        out.extend_from_slice(b",\"conditions\":[");
        write(condition, out);
        out.push(b']');
    }
    out.extend_from_slice(b",\"object\":");
}

/// Writing to memory does not fail.
fn write(value: Value, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, &value);
}

/// Appends the `meta.k8s.io/v1 PartialObjectMetadata` of an object, as JSON.
pub fn write_partial(item: Node<'_>, out: &mut Vec<u8>) {
    let metadata = item.at("/metadata").map_or("{}".into(), Node::json);
    out.extend_from_slice(b"{\"apiVersion\":\"meta.k8s.io/v1\",\"kind\":\"PartialObjectMetadata\",\"metadata\":");
    out.extend_from_slice(metadata.as_bytes());
    out.push(b'}');
}

/// The condition of rows of finished pods: clients may hide them.
fn completed(item: Node<'_>) -> Option<Value> {
    let (reason, message) = match item.text("/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    let is_pod = item.text("/kind") == "Pod" && item.text("/apiVersion") == "v1";
    is_pod.then(|| json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

#[cfg(test)]
mod tests;
