//! Nothing is created in a namespace that is missing or being deleted, and the namespaces that the cluster stands on
//! cannot be deleted (upstream: apiserver, pkg/admission/plugin/namespace/lifecycle).

use std::sync::Arc;

use api::status::Cause;
use api::{Status, kinds};
use futures::future::BoxFuture;
use serde_json::Value;

use super::{Admission, Attributes, Operation};
use crate::storage::{Freshness, Storage};

/// Namespaces that stay.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

struct NamespaceLifecycle {
    storage: Arc<Storage>,
}

/// The plugin.
pub fn new(storage: &Arc<Storage>) -> Box<dyn Admission> {
    Box::new(NamespaceLifecycle { storage: storage.clone() })
}

impl Admission for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        match attributes.operation {
            Operation::Delete => attributes.is("", "namespaces"),
            // Access reviews tell nothing about whether the namespace exists.
            Operation::Create => attributes.kind.namespaced && attributes.kind.plural != "localsubjectaccessreviews",
            Operation::Update | Operation::Connect => false,
        }
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a Attributes<'a>,
        _object: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if attributes.operation == Operation::Delete {
                return if IMMORTAL.contains(&attributes.name) {
                    Err(attributes.forbidden("this namespace may not be deleted"))
                } else {
                    Ok(())
                };
            }
            self.check_open(attributes).await
        })
    }
}

impl NamespaceLifecycle {
    async fn check_open(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let Some((kind, _)) = kinds::find("", "v1", "namespaces") else { return Ok(()) };
        let namespace = attributes.namespace;
        let Some(entry) = self.storage.get(kind, "", namespace, Freshness::Latest).await? else {
            return Err(Status::not_found("", "namespaces", namespace));
        };
        // Whoever marks a namespace as deleted sets its phase in the same write; the field is at hand without parsing.
        if entry.field("status.phase") != Some("Terminating") {
            return Ok(());
        }
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut refusal = attributes.forbidden(&why);
        if let Some(details) = &mut refusal.details {
            details.causes.push(Cause {
                reason: "NamespaceTerminating".into(),
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".into(),
            });
        }
        Err(refusal)
    }
}
