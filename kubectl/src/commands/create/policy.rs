//! `create quota`, `priorityclass` and `poddisruptionbudget`.

use serde_json::{Map, Value, json};

use super::{MADE, bare, metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::error::{Result, fail};
use crate::flags::Takes::{Bool, Int, Text};
use crate::flags::{Flags, flag};

/// `create quota`.
pub const QUOTA: Command = command(
    "quota",
    "NAME [--hard=key1=value1,key2=value2] [--scopes=Scope1,Scope2]",
    "Create a quota with the specified name",
    &[
        flag("hard", "", Text(""), "Most of each resource: pods=10,cpu=2."),
        flag("scopes", "", Text(""), "Which objects count: BestEffort,NotTerminating."),
    ],
    MADE,
    run!(quota),
)
.also(&["resourcequota"]);
/// `create priorityclass`.
pub const PRIORITY_CLASS: Command = command(
    "priorityclass",
    "NAME --value=VALUE --global-default=BOOL",
    "Create a priority class with the specified name",
    &[
        flag("description", "", Text(""), "When to use it."),
        flag("global-default", "", Bool(false), "The class of pods that name none."),
        flag("preemption-policy", "", Text("PreemptLowerPriority"), "PreemptLowerPriority or Never."),
        flag("value", "", Int(0), "The priority."),
    ],
    MADE,
    run!(priority_class),
)
.also(&["pc"]);
/// `create poddisruptionbudget`.
pub const DISRUPTION_BUDGET: Command = command(
    "poddisruptionbudget",
    "NAME --selector=SELECTOR --min-available=N",
    "Create a pod disruption budget with the specified name",
    &[
        flag("max-unavailable", "", Text(""), "How many, or what share, may be missing."),
        flag("min-available", "", Text(""), "How many, or what share, must be there."),
        flag("selector", "", Text(""), "Which pods are meant."),
    ],
    MADE,
    run!(disruption_budget),
)
.also(&["pdb"]);

async fn quota(call: Call) -> Result<()> {
    let object = make_quota(metadata(&call, call.exactly_one_name()?)?, &call.session.flags)?;
    submit(&call, object, "quota", "created").await
}

fn make_quota(metadata: Value, flags: &Flags) -> Result<Value> {
    let (mut hard, mut spec) = (Map::new(), json!({}));
    for pair in flags.text("hard").split(',').filter(|pair| !pair.is_empty()) {
        let Some((name, amount)) = pair.split_once('=').filter(|(_, amount)| !amount.contains('=')) else {
            return Err(fail!("Invalid argument syntax {pair}, expected <resource>=<value>"));
        };
        let amount = api::quantity::Quantity::parse(amount).map_err(|error| fail!("{error}"))?;
        hard.insert(name.into(), json!(amount.to_string()));
    }
    if !hard.is_empty() {
        spec["hard"] = Value::Object(hard);
    }
    let scopes: Vec<&str> = flags.text("scopes").split(',').filter(|scope| !scope.is_empty()).collect();
    if !scopes.is_empty() {
        spec["scopes"] = json!(scopes);
    }
    Ok(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec, "status": {}}))
}

async fn priority_class(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let mut object = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
        "metadata": bare(call.exactly_one_name()?), "value": flags.int("value"),
        "preemptionPolicy": flags.text("preemption-policy")});
    if flags.is("global-default") {
        object["globalDefault"] = json!(true);
    }
    if let Some(text) = flags.some("description") {
        object["description"] = json!(text);
    }
    submit(&call, object, "priorityclass", "created").await
}

async fn disruption_budget(call: Call) -> Result<()> {
    let object = make_budget(metadata(&call, call.exactly_one_name()?)?, &call.session.flags)?;
    submit(&call, object, "poddisruptionbudgets", "created").await
}

fn make_budget(metadata: Value, flags: &Flags) -> Result<Value> {
    let (least, most) = (flags.text("min-available"), flags.text("max-unavailable"));
    if flags.text("selector").is_empty() {
        return Err(fail!("a selector must be specified"));
    }
    if least.is_empty() && most.is_empty() {
        return Err(fail!("one of min-available or max-unavailable must be specified"));
    }
    if !least.is_empty() && !most.is_empty() {
        return Err(fail!("min-available and max-unavailable cannot be both specified"));
    }
    let selector = api::selector::LabelSelector::parse(flags.text("selector")).map_err(|error| fail!("{error}"))?;
    let number = |text: &str| text.parse::<i32>().map_or_else(|_| json!(text), |number| json!(number));
    let mut spec = json!({"selector": of_requirements(&selector)});
    match least.is_empty() {
        false => spec["minAvailable"] = number(least),
        true => spec["maxUnavailable"] = number(most),
    }
    Ok(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec,
        "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}}))
}

/// A selector in words as the object's form.
fn of_requirements(selector: &api::selector::LabelSelector) -> Value {
    use api::selector::Operator;
    let (mut labels, mut expressions) = (Map::new(), Vec::new());
    for one in selector.requirements() {
        let word = match one.operator() {
            Operator::In if one.values().len() > 1 => "In",
            Operator::In | Operator::Equals => {
                labels.insert(one.key().into(), json!(one.values().first()));
                continue;
            }
            Operator::NotIn | Operator::NotEquals => "NotIn",
            Operator::Exists => "Exists",
            _ => "DoesNotExist",
        };
        let mut expression = json!({"key": one.key(), "operator": word});
        if !one.values().is_empty() {
            expression["values"] = json!(one.values());
        }
        expressions.push(expression);
    }
    let mut object = json!({});
    if !labels.is_empty() {
        object["matchLabels"] = Value::Object(labels);
    }
    if !expressions.is_empty() {
        object["matchExpressions"] = json!(expressions);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn given(command: &Command, line: &str) -> Flags {
        parse(command.flags, &line.split_whitespace().map(str::to_string).collect::<Vec<_>>()).unwrap().flags
    }

    #[test]
    fn quotas_hold_quantities() {
        let made = make_quota(json!({}), &given(&QUOTA, "--hard=pods=2,cpu=0.5 --scopes=BestEffort")).unwrap();
        assert_eq!(made["spec"], json!({"hard": {"pods": "2", "cpu": "500m"}, "scopes": ["BestEffort"]}));
        assert!(make_quota(json!({}), &given(&QUOTA, "--hard=pods")).is_err());
    }

    #[test]
    fn budgets_say_one_of_two_numbers() {
        let made = make_budget(json!({}), &given(&DISRUPTION_BUDGET, "--selector=a=b,c --min-available=50%")).unwrap();
        assert_eq!(
            made["spec"],
            json!({"minAvailable": "50%", "selector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}})
        );
        for line in ["", "--selector=a=b", "--selector=a=b --min-available=1 --max-unavailable=1"] {
            assert!(make_budget(json!({}), &given(&DISRUPTION_BUDGET, line)).is_err(), "{line}");
        }
    }
}
