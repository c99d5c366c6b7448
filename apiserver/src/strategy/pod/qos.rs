//! The quality of service that a pod gets, by what it asks for (upstream: pkg/apis/core/helper/qos).

use api::quantity::Quantity;
use serde_json::Value;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn class(spec: &Value) -> &'static str {
    let containers: Vec<&Value> =
        ["containers", "initContainers"].iter().filter_map(|list| spec[*list].as_array()).flatten().collect();
    // Resources of the whole pod outweigh those of its containers.
    let own =
        spec.get("resources").filter(|resources| amounts(resources, "limits") + amounts(resources, "requests") > 0);
    let sets: Vec<&Value> =
        own.map_or_else(|| containers.iter().map(|container| &container["resources"]).collect(), |own| vec![own]);
    if sets.iter().all(|set| amounts(set, "limits") + amounts(set, "requests") == 0) {
        "BestEffort"
    } else if sets.iter().all(|set| settled(set)) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn amount(resources: &Value, list: &str, name: &str) -> Option<Quantity> {
    let amount = Quantity::from_value(resources.get(list)?.get(name)?).ok()?;
    (amount.sign() > 0).then_some(amount)
}

fn amounts(resources: &Value, list: &str) -> usize {
    ["cpu", "memory"].iter().filter(|name| amount(resources, list, name).is_some()).count()
}

/// Whether requests and limits are both there and equal.
fn settled(resources: &Value) -> bool {
    ["cpu", "memory"].iter().all(|name| {
        let (limit, request) = (amount(resources, "limits", name), amount(resources, "requests", name));
        limit.is_some() && limit == request
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        let table = [
            (json!({"containers": [{}]}), "BestEffort"),
            (json!({"containers": [{"resources": {"requests": {"cpu": "0"}}}]}), "BestEffort"),
            (json!({"containers": [{"resources": {"limits": {"example.com/x": "1"}}}]}), "BestEffort"),
            (json!({"containers": [{"resources": {"requests": {"cpu": "1"}}}]}), "Burstable"),
            (json!({"containers": [{"resources": {"requests": both, "limits": both}}]}), "Guaranteed"),
            (json!({"containers": [{"resources": {"requests": both, "limits": both}}, {}]}), "Burstable"),
            (
                json!({"containers": [{"resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": both}}]}),
                "Guaranteed",
            ),
            (
                json!({"containers": [{"resources": {"requests": both, "limits": both}}],
                       "initContainers": [{"resources": {"limits": {"cpu": "1"}}}]}),
                "Burstable",
            ),
            (json!({"resources": {"requests": both, "limits": both}, "containers": [{}]}), "Guaranteed"),
        ];
        for (spec, expected) in table {
            assert_eq!(class(&spec), expected, "{spec}");
        }
    }
}
