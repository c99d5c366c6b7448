//! Autoscalers, as `kubectl get` shows them: every form of a metric.

use super::table;
use crate::columns::HORIZONTAL_POD_AUTOSCALER;

/// One autoscaler per form of a metric. Columns: name, reference, targets, fewest, most, now, age.
#[test]
fn autoscalers() {
    let row = |name: &str, targets: &str, metrics: &str, current: &str| {
        format!(
            "---\ncells: [{name}, Deployment/web, \"{targets}\", \"2\", 10, 4, 60m]\n\
             metadata: {{name: {name}, creationTimestamp: 2026-01-01T00:00:00Z}}\n\
             spec: {{scaleTargetRef: {{kind: Deployment, name: web}}, minReplicas: 2, maxReplicas: 10, metrics: {metrics}}}\n\
             status: {{currentReplicas: 4, currentMetrics: {current}}}\n"
        )
    };
    let rows = [
        ("none", "<none>", "[]", "[]"),
        // External: an average, or a total.
        (
            "external-average",
            "50m/100m (avg)",
            "[{type: External, external: {target: {type: AverageValue, averageValue: 100m}}}]",
            "[{type: External, external: {current: {averageValue: 50m}}}]",
        ),
        (
            "external-average-unknown",
            "<unknown>/100m (avg)",
            "[{type: External, external: {target: {type: AverageValue, averageValue: 100m}}}]",
            "[]",
        ),
        (
            "external-value",
            "50m/100m",
            "[{type: External, external: {target: {type: Value, value: 100m}}}]",
            "[{type: External, external: {current: {value: 50m}}}]",
        ),
        (
            "external-value-unknown",
            "<unknown>/100m",
            "[{type: External, external: {target: {type: Value, value: 100m}}}]",
            "[]",
        ),
        (
            "pods",
            "50m/100m",
            "[{type: Pods, pods: {metric: {name: x}, target: {type: AverageValue, averageValue: 100m}}}]",
            "[{type: Pods, pods: {current: {averageValue: 50m}}}]",
        ),
        (
            "pods-unknown",
            "<unknown>/100m",
            "[{type: Pods, pods: {metric: {name: x}, target: {type: AverageValue, averageValue: 100m}}}]",
            "[]",
        ),
        (
            "object-average",
            "50m/100m (avg)",
            "[{type: Object, object: {target: {type: AverageValue, averageValue: 100m}}}]",
            "[{type: Object, object: {current: {averageValue: 50m}}}]",
        ),
        (
            "object-value",
            "50m/100m",
            "[{type: Object, object: {target: {type: Value, value: 100m}}}]",
            "[{type: Object, object: {current: {value: 50m}}}]",
        ),
        (
            "resource-value",
            "cpu: 50m/100m",
            "[{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 100m}}}]",
            "[{type: Resource, resource: {name: cpu, current: {averageValue: 50m}}}]",
        ),
        (
            "resource-utilization",
            "cpu: 50%/80%",
            "[{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]",
            "[{type: Resource, resource: {name: cpu, current: {averageUtilization: 50, averageValue: 40m}}}]",
        ),
        // A value alone tells nothing of a utilization.
        (
            "resource-utilization-unknown",
            "cpu: <unknown>/80%",
            "[{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]",
            "[{type: Resource, resource: {name: cpu, current: {averageValue: 40m}}}]",
        ),
        (
            "resource-auto",
            "cpu: <unknown>/<auto>",
            "[{type: Resource, resource: {name: cpu, target: {type: Utilization}}}]",
            "[]",
        ),
        (
            "container-utilization",
            "cpu: 50%/80%",
            "[{type: ContainerResource, containerResource: {name: cpu, container: c, target: {averageUtilization: 80}}}]",
            "[{type: ContainerResource, containerResource: {name: cpu, current: {averageUtilization: 50}}}]",
        ),
        (
            "container-value",
            "memory: 50Mi/1Gi",
            "[{type: ContainerResource, containerResource: {name: memory, container: c, target: {averageValue: 1Gi}}}]",
            "[{type: ContainerResource, containerResource: {name: memory, current: {averageValue: 50Mi}}}]",
        ),
        // The current value is looked for at the same place, not by name.
        (
            "two",
            "<unknown>/100m, cpu: 50%/80%",
            "[{type: Pods, pods: {target: {averageValue: 100m}}}, {type: Resource, resource: {name: cpu, target: {averageUtilization: 80}}}]",
            "[{type: Resource, resource: {current: {averageUtilization: 1}}}, {type: Resource, resource: {current: {averageUtilization: 50}}}]",
        ),
        (
            "four",
            "<unknown>/1, <unknown>/2 + 2 more...",
            "[{type: Pods, pods: {target: {averageValue: 1}}}, {type: Pods, pods: {target: {averageValue: 2}}}, {type: Pods}, {type: Pods}]",
            "[]",
        ),
        ("unheard-of", "<unknown type>", "[{type: Stars}]", "[]"),
    ];
    for (name, targets, metrics, current) in rows {
        table(HORIZONTAL_POD_AUTOSCALER, &row(name, targets, metrics, current));
    }
    table(
        HORIZONTAL_POD_AUTOSCALER,
        r#"
---
# The first version of the API has one field for one metric.
cells: [v1, ReplicaSet/r, "cpu: 40%/70%", <unset>, 3, 0, <unknown>]
metadata: {name: v1}
spec: {scaleTargetRef: {kind: ReplicaSet, name: r}, maxReplicas: 3, targetCPUUtilizationPercentage: 70}
status: {currentCPUUtilizationPercentage: 40}
---
cells: [v1, ReplicaSet/r, "cpu: <unknown>/70%", <unset>, 3, 0, <unknown>]
metadata: {name: v1}
spec: {scaleTargetRef: {kind: ReplicaSet, name: r}, maxReplicas: 3, targetCPUUtilizationPercentage: 70}
"#,
    );
}
