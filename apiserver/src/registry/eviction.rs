//! Eviction: a delete that disruption budgets may refuse (upstream: pkg/registry/core/pod/storage/eviction.go).

use std::sync::Arc;

use api::kinds::{self, KindRef};
use api::selector::LabelSelector;
use api::status::Cause;
use api::{Status, object};
use serde_json::{Value, json};

use super::binding::set_condition;
use super::delete_plan::DeleteOptions;
use super::update::{Change, Target};
use super::{Call, Registry, timestamp};
use crate::storage::{Entry, Freshness, ListQuery};

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";
/// While the budget has not been counted yet, come back after so many seconds.
const UNCOUNTED_RETRY: u32 = 10;

impl Registry {
    /// Evicts the pod `name`. `kind` is that of pods.
    ///
    /// # Errors
    /// 429 while a disruption budget forbids it.
    pub async fn evict(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        name: &str,
        eviction: &Value,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        let own = object::name(eviction);
        if !own.is_empty() && own != name {
            return Err(Status::bad_request("name in URL does not match name in Eviction object"));
        }
        let pod = self.get(kind, namespace, name, Freshness::Latest).await?.value();
        if !ignores_budgets(&pod) {
            self.spend_budget(call, namespace, &pod).await?;
            self.announce(call, kind, namespace, name).await?;
        }
        self.delete_admitted(call, kind, namespace, name, options).await.map(drop)
    }

    /// Takes one disruption from the budget that the pod falls under, if there is one.
    async fn spend_budget(&self, call: &Call, namespace: &str, pod: &Value) -> Result<(), Status> {
        let Some((kind, _)) = kinds::find("policy", "v1", "poddisruptionbudgets") else { return Ok(()) };
        let query = ListQuery { namespace: Some(namespace), freshness: Freshness::Latest, ..ListQuery::default() };
        let listing = self.storage().list(kind, query).await?;
        let budgets: Vec<&Arc<Entry>> = listing.entries.iter().filter(|entry| covers(&entry.value(), pod)).collect();
        let budget = match budgets.as_slice() {
            [] => return Ok(()),
            [one] => *one,
            _ => {
                let mut status = Status::internal("");
                status.message =
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
                        .into();
                (status.reason, status.details) = (String::new(), None);
                return Err(status);
            }
        };
        if unhealthy_and_free(&budget.value(), pod) {
            return Ok(());
        }
        let now = timestamp(self.now());
        let change = Change::of(kind, namespace, budget.name()).target(Target::Internal);
        let mut edit = |budget: &Value| spend(budget, object::name(pod), &now);
        self.modify(call, &change, &mut edit).await.map(drop)
    }

    /// Tells by a condition of the pod why it goes.
    async fn announce(&self, call: &Call, kind: KindRef, namespace: &str, name: &str) -> Result<(), Status> {
        let now = timestamp(self.now());
        let change = Change::of(kind, namespace, name).target(Target::Internal);
        let mut edit = |pod: &Value| {
            let mut new = pod.clone();
            let condition = json!({"type": "DisruptionTarget", "status": "True", "lastProbeTime": null,
                "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"});
            set_condition(&mut new, condition, &now);
            Ok(new)
        };
        self.modify(call, &change, &mut edit).await.map(drop)
    }
}

/// A pod that does not run, or is on its way out, disrupts nothing.
fn ignores_budgets(pod: &Value) -> bool {
    matches!(object::text(pod, "/status/phase"), "Succeeded" | "Failed" | "Pending")
        || object::deletion_timestamp(pod).is_some()
}

fn covers(budget: &Value, pod: &Value) -> bool {
    let Some(selector) = object::at(budget, "/spec/selector") else { return false };
    LabelSelector::from_value(selector).is_ok_and(|selector| selector.matches_map(object::labels(pod)))
}

/// A pod that is not ready may go without spending anything: always, or while enough others are healthy.
fn unhealthy_and_free(budget: &Value, pod: &Value) -> bool {
    let ready = object::list(pod, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    let healthy = object::integer(budget, "/status/currentHealthy").unwrap_or(0);
    let desired = object::integer(budget, "/status/desiredHealthy").unwrap_or(0);
    let always = object::text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow";
    !ready && (always || (healthy >= desired && desired > 0))
}

/// The budget after one more disruption.
fn spend(budget: &Value, pod: &str, now: &str) -> Result<Value, Status> {
    let name = object::name(budget);
    let number = |pointer: &str| object::integer(budget, pointer).unwrap_or(0);
    if number("/status/observedGeneration") < object::generation(budget) {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(refusal(&why, UNCOUNTED_RETRY));
    }
    let allowed = number("/status/disruptionsAllowed");
    if allowed < 0 {
        return Err(Status::forbidden("policy", "poddisruptionbudgets", name, "pdb disruptions allowed is negative"));
    }
    if allowed == 0 {
        let (desired, healthy) = (number("/status/desiredHealthy"), number("/status/currentHealthy"));
        let why = format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently");
        return Err(refusal(&why, 0));
    }
    let mut new = budget.clone();
    object::set(&mut new, "/status/disruptionsAllowed", json!(allowed - 1));
    let pod = pod.replace('~', "~0").replace('/', "~1");
    object::set(&mut new, &format!("/status/disruptedPods/{pod}"), json!(now));
    if allowed == 1 {
        let condition = json!({"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods",
            "message": "", "observedGeneration": number("/status/observedGeneration")});
        set_condition(&mut new, condition, now);
    }
    Ok(new)
}

fn refusal(why: &str, retry_after: u32) -> Status {
    let mut status = Status::too_many_requests(REFUSED, retry_after);
    if let Some(details) = &mut status.details {
        details.causes.push(Cause { reason: "DisruptionBudget".into(), message: why.into(), field: String::new() });
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(allowed: i64) -> Value {
        json!({"metadata": {"name": "b", "generation": 1}, "spec": {"selector": {"matchLabels": {"a": "b"}}},
            "status": {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2}})
    }

    #[test]
    fn a_budget_is_spent_down_to_nothing() {
        let spent = spend(&budget(1), "p", "now").unwrap();
        assert_eq!(spent["status"]["disruptionsAllowed"], 0);
        assert_eq!(spent["status"]["disruptedPods"], json!({"p": "now"}));
        let refused = spend(&spent, "q", "now").unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (429, REFUSED));
        assert_eq!(
            refused.details.unwrap().causes[0].message,
            "The disruption budget b needs 2 healthy pods and has 2 currently"
        );
    }

    #[test]
    fn an_uncounted_budget_asks_to_come_back() {
        let mut fresh = budget(1);
        fresh["metadata"]["generation"] = json!(2);
        assert_eq!(spend(&fresh, "p", "now").unwrap_err().details.unwrap().retry_after_seconds, 10);
    }

    #[test]
    fn who_falls_under_a_budget() {
        let pod = json!({"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Running"}});
        assert!(covers(&budget(1), &pod));
        assert!(!covers(&budget(1), &json!({"metadata": {}})));
        assert!(!ignores_budgets(&pod));
        assert!(ignores_budgets(&json!({"status": {"phase": "Pending"}})));
        assert!(unhealthy_and_free(&budget(0), &pod));
        let mut short = budget(0);
        short["status"]["currentHealthy"] = json!(1);
        assert!(!unhealthy_and_free(&short, &pod));
        short["spec"]["unhealthyPodEvictionPolicy"] = json!("AlwaysAllow");
        assert!(unhealthy_and_free(&short, &pod));
    }
}
