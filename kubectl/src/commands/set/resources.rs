//! `set resources` (kubectl, pkg/cmd/set/set_resources.go).

use serde_json::{Map, Value, json};

use super::{pod_spec, update};
use crate::command::{Call, Command, command, run};
use crate::common::{ALL, DRY, FILES, LABELS, LOCAL, PRINT, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::Text;
use crate::flags::{Flag, flag};

const FLAGS: &[Flag] = &[
    manager("kubectl-set"),
    flag("containers", "c", Text("*"), "Containers whose names match."),
    flag("limits", "", Text(""), "What a container may use at most: cpu=200m,memory=512Mi."),
    flag("requests", "", Text(""), "What a container needs: cpu=200m,memory=512Mi."),
];

/// `set resources`.
pub const COMMAND: Command = command(
    "resources",
    "(-f FILENAME | TYPE NAME)  ([--limits=LIMITS & --requests=REQUESTS]",
    "Update resource requests/limits on objects with pod templates",
    FLAGS,
    &[PRINT, FILES, LABELS, ALL, DRY, LOCAL],
    run!(resources),
);

async fn resources(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let (limits, requests) = (amounts(flags.text("limits"))?, amounts(flags.text("requests"))?);
    if limits.is_empty() && requests.is_empty() {
        return Err(fail!("you must specify an update to requests or limits (in the form of --requests/--limits)"));
    }
    let pattern = flags.text("containers").to_string();
    update(&call, &call.args, "resources", "resource requirements updated", |object| {
        with_resources(object, &pattern, &limits, &requests)
    })
    .await
}

/// `cpu=1,memory=1Gi`.
fn amounts(text: &str) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let Some((name, amount)) = pair.split_once('=').filter(|(_, amount)| !amount.contains('=')) else {
            return Err(fail!("Invalid argument syntax {pair}, expected <resource>=<value>"));
        };
        let quantity = api::quantity::Quantity::parse(amount).map_err(|error| fail!("{error}"))?;
        map.insert(name.into(), json!(quantity.to_string()));
    }
    Ok(map)
}

/// The object with other amounts in the containers that match.
fn with_resources(
    object: &Value,
    pattern: &str,
    limits: &Map<String, Value>,
    requests: &Map<String, Value>,
) -> Result<Value> {
    let mut wanted = object.clone();
    let base = pod_spec(object)?;
    let containers = wanted.pointer_mut(&format!("{base}/containers")).and_then(Value::as_array_mut);
    let mut hit = false;
    for container in containers.into_iter().flatten() {
        if !crate::pairs::matches(pattern, container["name"].as_str().unwrap_or_default()) {
            continue;
        }
        hit = true;
        for (key, amounts) in [("limits", limits), ("requests", requests)] {
            for (name, amount) in amounts {
                container["resources"][key][name] = amount.clone();
            }
        }
    }
    match hit {
        true => Ok(wanted),
        false => Err(fail!("unable to find container named {pattern}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_merged_into_containers() {
        let object = json!({"kind": "Pod", "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}, {"name": "b"}]}});
        let wanted =
            with_resources(&object, "a*", &amounts("memory=1Gi").unwrap(), &amounts("cpu=0.1").unwrap()).unwrap();
        assert_eq!(
            wanted["spec"]["containers"],
            json!([{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}}, {"name": "b"}])
        );
        assert!(with_resources(&object, "x", &Map::new(), &Map::new()).is_err());
        assert_eq!(amounts("cpu").unwrap_err().to_string(), "Invalid argument syntax cpu, expected <resource>=<value>");
    }
}
