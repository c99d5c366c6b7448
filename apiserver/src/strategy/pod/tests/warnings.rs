//! What is valid but worth a word.

use super::*;

#[test]
fn told_although_valid() {
    let table: Vec<(&str, Value, Vec<&str>)> = vec![
        (
            "/spec/containers",
            container(json!({"env": [{"name": "A"}, {"name": "A"}, {"name": "B"}, {"name": "B", "value": "$(B)x"}]})),
            vec![
                "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            ],
        ),
        (
            "/spec/nodeSelector",
            json!({"beta.kubernetes.io/os": "linux"}),
            vec!["spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead"],
        ),
        (
            "/spec/terminationGracePeriodSeconds",
            json!(-1),
            vec![
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            ],
        ),
        (
            "/spec/containers",
            container(json!({"ports": [{"containerPort": 1}, {"containerPort": 1}]})),
            vec!["spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"],
        ),
        (
            "/spec/containers",
            container(json!({"resources": {"requests": {"memory": "100m"}}})),
            vec![
                "spec.containers[0].resources.requests[memory]: fractional byte value \"100m\" is invalid, must be an integer",
            ],
        ),
        (
            "/metadata/name",
            json!("a.b"),
            vec![
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            ],
        ),
    ];
    for (pointer, value, expected) in table {
        assert_eq!(Pod.warnings(&with(pointer, &value), None), expected, "{pointer} = {value}");
    }
}
