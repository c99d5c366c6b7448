//! Where pods may run: tolerations, affinity, spreading.

use super::*;

#[test]
fn placement() {
    let term = |more: Value| json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [more]}});
    let node = |more: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": more}});
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    check(&[
        (
            "/spec/tolerations",
            json!([{"operator": "Equal"}]),
            &[
                "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ],
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "operator": "Exists", "value": "b"}]),
            &["spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'"],
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "operator": "In"}]),
            &["spec.tolerations[0].operator: Unsupported value: \"In\": supported values: \"Equal\", \"Exists\""],
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "effect": "x"}]),
            &[
                "spec.tolerations[0].effect: Unsupported value: \"x\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
            ],
        ),
        (
            "/spec/tolerations",
            json!([{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]),
            &[
                "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            ],
        ),
        (
            "/spec/affinity",
            node(json!({})),
            &[&format!(
                "spec.affinity.nodeAffinity.{required}.nodeSelectorTerms: Required value: must have at least one node selector term"
            )],
        ),
        (
            "/spec/affinity",
            node(json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]})),
            &[&format!(
                "spec.affinity.nodeAffinity.{required}.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
            )],
        ),
        (
            "/spec/affinity",
            node(json!({"nodeSelectorTerms": [{"matchFields": [{"key": "a", "operator": "In", "values": ["b"]}]}]})),
            &[&format!(
                "spec.affinity.nodeAffinity.{required}.nodeSelectorTerms[0].matchFields[0].key: Invalid value: \"a\": not a valid field selector key"
            )],
        ),
        (
            "/spec/affinity",
            json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 101, "preference": {}}]}}),
            &[
                "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: must be in the range 1-100",
            ],
        ),
        (
            "/spec/affinity",
            term(json!({"labelSelector": {}, "topologyKey": "a b"})),
            &[&format!(
                "spec.affinity.podAffinity.{required}[0].topologyKey: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            )],
        ),
        (
            "/spec/topologySpreadConstraints",
            json!([{"maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "Never"}]),
            &[
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
                "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Never\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
            ],
        ),
    ]);
}
