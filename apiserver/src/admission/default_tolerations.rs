//! A pod bears a node that is not ready, or not reachable, for five minutes, unless it says otherwise (upstream:
//! plugin/pkg/admission/defaulttolerationseconds).

use std::sync::Arc;

use api::{Status, object};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Admission, Attributes, Operation};
use crate::storage::Storage;

const TAINTS: &[&str] = &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const SECONDS: i64 = 300;

struct DefaultTolerationSeconds;

/// The plugin.
pub fn new(_: &Arc<Storage>) -> Box<dyn Admission> {
    Box::new(DefaultTolerationSeconds)
}

impl Admission for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update) && attributes.is("", "pods")
    }

    fn admit<'a>(&'a self, _: &'a Attributes<'a>, pod: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            tolerate(pod);
            Ok(())
        })
    }
}

fn tolerate(pod: &mut Value) {
    let mut tolerations = object::list(pod, "/spec/tolerations").to_vec();
    let before = tolerations.len();
    for taint in TAINTS {
        let borne = tolerations[..before].iter().any(|toleration| {
            matches!(object::text(toleration, "/key"), key if key == *taint || key.is_empty())
                && matches!(object::text(toleration, "/effect"), "NoExecute" | "")
        });
        if !borne {
            tolerations
                .push(json!({"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}));
        }
    }
    if tolerations.len() > before {
        object::set(pod, "/spec/tolerations", Value::Array(tolerations));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_tolerated_is_for_five_minutes() {
        let table = [
            (json!([]), 2),
            (json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}]), 2),
            (json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoSchedule"}]), 3),
            (json!([{"operator": "Exists"}]), 1),
            (json!([{"operator": "Exists", "effect": "NoExecute"}]), 1),
        ];
        for (tolerations, count) in table {
            let mut pod = json!({"spec": {"tolerations": tolerations}});
            tolerate(&mut pod);
            assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), count, "{tolerations}");
            let once = pod.clone();
            tolerate(&mut pod);
            assert_eq!(pod, once);
        }
    }
}
