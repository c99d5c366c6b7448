//! The priority of a pod comes from its PriorityClass, and there is one default class at most (upstream:
//! plugin/pkg/admission/priority).

use std::sync::Arc;

use api::view::{Node, View};
use api::{Status, kinds, object};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Admission, Attributes, Operation, refuse};
use crate::storage::{Entry, Storage};

const USUAL_PREEMPTION: &str = "PreemptLowerPriority";

struct Priority {
    storage: Arc<Storage>,
}

/// The plugin.
pub fn new(storage: &Arc<Storage>) -> Box<dyn Admission> {
    Box::new(Priority { storage: storage.clone() })
}

impl Admission for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        let pod = attributes.operation == Operation::Create && attributes.is("", "pods");
        let class = matches!(attributes.operation, Operation::Create | Operation::Update)
            && attributes.is("scheduling.k8s.io", "priorityclasses");
        pod || class
    }

    fn admit<'a>(&'a self, attributes: &'a Attributes<'a>, pod: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if attributes.kind.plural != "pods" {
                return Ok(());
            }
            let name = object::text(pod, "/spec/priorityClassName");
            // Most pods name none, and most clusters have no default: what is in question is read in place, little is decoded.
            let classes = if name.is_empty() {
                self.classes(|class, _| class.flag("/globalDefault")).await?
            } else {
                self.classes(|_, entry| entry.name() == name).await?
            };
            resolve(pod, &classes).map_err(|why| refuse(attributes, pod, &why))
        })
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'a>, class: &'a Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if attributes.kind.plural != "priorityclasses" || !object::flag(class, "/globalDefault") {
                return Ok(());
            }
            let name = object::name(class);
            let others = self.classes(|class, entry| entry.name() != name && class.flag("/globalDefault")).await?;
            match others.first() {
                None => Ok(()),
                Some(other) => Err(refuse(
                    attributes,
                    class,
                    &format!(
                        "PriorityClass {} is already marked as default. Only one default can exist",
                        object::name(other)
                    ),
                )),
            }
        })
    }
}

impl Priority {
    /// The classes that are wanted.
    async fn classes(&self, wanted: impl Fn(Node<'_>, &Entry) -> bool) -> Result<Vec<Value>, Status> {
        let (kind, _) = kinds::find("scheduling.k8s.io", "v1", "priorityclasses").ok_or_else(Status::no_such_path)?;
        let (all, mut view) = (self.storage.all(kind).await?, View::default());
        let wanted = |entry: &&Arc<Entry>| view.read(entry.raw()).is_ok_and(|class| wanted(class, entry));
        Ok(all.iter().filter(wanted).map(|entry| entry.value()).collect())
    }
}

/// Fills in priority and preemption policy.
fn resolve(pod: &mut Value, classes: &[Value]) -> Result<(), String> {
    let name = object::text(pod, "/spec/priorityClassName").to_string();
    let class = if name.is_empty() {
        let defaults = classes.iter().filter(|class| object::flag(class, "/globalDefault"));
        defaults.min_by_key(|class| object::integer(class, "/value"))
    } else {
        let found = classes.iter().find(|class| object::name(class) == name);
        Some(found.ok_or_else(|| format!("no PriorityClass with name {name} was found"))?)
    };
    let priority = class.and_then(|class| object::integer(class, "/value")).unwrap_or(0);
    let preemption = class.map(|class| object::text(class, "/preemptionPolicy")).filter(|policy| !policy.is_empty());
    let preemption = preemption.unwrap_or(USUAL_PREEMPTION);
    if let Some(given) = object::integer(pod, "/spec/priority")
        && given != priority
    {
        return Err(format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        ));
    }
    let given = object::text(pod, "/spec/preemptionPolicy");
    if !given.is_empty() && given != preemption {
        return Err(format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {preemption} from the given PriorityClass name"
        ));
    }
    if let Some(class) = class {
        object::set(pod, "/spec/priorityClassName", json!(object::name(class)));
    }
    object::set(pod, "/spec/priority", json!(priority));
    object::set(pod, "/spec/preemptionPolicy", json!(preemption));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_come_from_classes() {
        let class = |name: &str, value: i64, default: bool| json!({"metadata": {"name": name}, "value": value, "globalDefault": default, "preemptionPolicy": "Never"});
        let classes = [class("high", 1000, false), class("usual", 10, true)];
        let table = [
            (json!({"priorityClassName": "high"}), &classes[..], Ok((1000, "Never"))),
            (json!({}), &classes[..], Ok((10, "Never"))),
            (json!({}), &[][..], Ok((0, "PreemptLowerPriority"))),
            (json!({"priority": 0}), &[][..], Ok((0, "PreemptLowerPriority"))),
            (json!({"priorityClassName": "none"}), &classes[..], Err("no PriorityClass with name none was found")),
            (
                json!({"priority": 5, "priorityClassName": "high"}),
                &classes[..],
                Err(
                    "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name",
                ),
            ),
        ];
        for (spec, classes, expected) in table {
            let mut pod = json!({ "spec": spec });
            let got = resolve(&mut pod, classes);
            match expected {
                Ok((priority, preemption)) => {
                    got.unwrap();
                    assert_eq!(
                        (&pod["spec"]["priority"], &pod["spec"]["preemptionPolicy"]),
                        (&json!(priority), &json!(preemption))
                    );
                }
                Err(text) => assert_eq!(got.unwrap_err(), text),
            }
        }
    }
}
