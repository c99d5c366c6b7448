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

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::object;

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
    pub cell: fn(&Value, &Now) -> Value,
}

impl Column {
    /// A column of text.
    pub const fn text(name: &'static str, description: &'static str, cell: fn(&Value, &Now) -> Value) -> Self {
        Self { name, r#type: "string", format: "", description, priority: 0, cell }
    }

    /// A column of integers.
    pub const fn integer(name: &'static str, description: &'static str, cell: fn(&Value, &Now) -> Value) -> Self {
        Self { r#type: "integer", ..Self::text(name, description, cell) }
    }

    /// A column of booleans.
    pub const fn boolean(name: &'static str, description: &'static str, cell: fn(&Value, &Now) -> Value) -> Self {
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

/// One row of a table.
pub fn row(columns: &[Column], item: &Value, now: Now, include: IncludeObject) -> Value {
    let cells: Vec<Value> = columns.iter().map(|column| (column.cell)(item, &now)).collect();
    let mut row = Map::from_iter([("cells".to_string(), Value::Array(cells))]);
    if let Some(condition) = completed(item) {
        row.insert("conditions".into(), Value::Array(vec![condition]));
    }
    let object = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Object => item.clone(),
        IncludeObject::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": item.get("metadata").cloned().unwrap_or_default()}),
    };
    row.insert("object".into(), object);
    Value::Object(row)
}

/// A `meta.k8s.io/v1 Table` of the items; the caller fills in `metadata` of a list.
pub fn table<'a>(
    columns: &[Column],
    items: impl IntoIterator<Item = &'a Value>,
    now: Now,
    include: IncludeObject,
) -> Value {
    let rows: Vec<Value> = items.into_iter().map(|item| row(columns, item, now, include)).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "columnDefinitions": definitions(columns),
        "rows": rows})
}

/// The condition of rows of finished pods: clients may hide them.
fn completed(item: &Value) -> Option<Value> {
    if object::kind(item) != "Pod" || object::api_version(item) != "v1" {
        return None;
    }
    let (reason, message) = match object::text(item, "/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

#[cfg(test)]
mod tests;
