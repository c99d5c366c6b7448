//! Access, certificates, flow control, devices and the extension of the API, as `kubectl get -o wide` shows them.

use super::table;
use crate::columns::{
    ADMISSION_POLICY_BINDING, API_SERVICE, CERTIFICATE_SIGNING_REQUEST, CLUSTER_TRUST_BUNDLE, DEVICE_TAINT_RULE,
    FLOW_SCHEMA, MUTATING_ADMISSION_POLICY, POD_CERTIFICATE_REQUEST, PRIORITY_CLASS, PRIORITY_LEVEL_CONFIGURATION,
    RESOURCE_CLAIM, RESOURCE_SLICE, ROLE_BINDING, STORAGE_VERSION_MIGRATION, VALIDATING_ADMISSION_POLICY,
    WEBHOOK_CONFIGURATION,
};

#[test]
fn bindings_of_roles() {
    table(
        ROLE_BINDING,
        r#"
---
cells: [all, ClusterRole/view, 60m, "alice, bob", "system:masters, devs", "default/robot, ci"]
metadata: {name: all, creationTimestamp: 2026-01-01T00:00:00Z}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
- {kind: User, name: alice}
- {kind: Group, name: "system:masters"}
- {kind: ServiceAccount, namespace: default, name: robot}
- {kind: User, name: bob}
- {kind: Group, name: devs}
- {kind: ServiceAccount, name: ci}
---
cells: [nobody, Role/r, <unknown>, "", "", ""]
metadata: {name: nobody}
roleRef: {kind: Role, name: r}
"#,
    );
}

#[test]
fn signing_requests() {
    table(
        CERTIFICATE_SIGNING_REQUEST,
        r#"
---
cells: [new, 60m, example.com/s, alice, <none>, Pending]
metadata: {name: new, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {signerName: example.com/s, username: alice}
---
cells: [approved, <unknown>, example.com/s, alice, 10m, Approved]
metadata: {name: approved}
spec: {signerName: example.com/s, username: alice, expirationSeconds: 600}
status: {conditions: [{type: Approved, status: "True"}]}
---
cells: [issued, <unknown>, example.com/s, alice, 365d, "Approved,Issued"]
metadata: {name: issued}
spec: {signerName: example.com/s, username: alice, expirationSeconds: 31536000}
status: {certificate: AA==, conditions: [{type: Approved, status: "True"}]}
---
cells: [failed, <unknown>, example.com/s, alice, <none>, "Approved,Failed"]
metadata: {name: failed}
spec: {signerName: example.com/s, username: alice}
status: {conditions: [{type: Approved, status: "True"}, {type: Failed, status: "True"}]}
---
# Who has denied it has the last word.
cells: [denied, <unknown>, <none>, bob, <none>, Denied]
metadata: {name: denied}
spec: {username: bob}
status: {conditions: [{type: Approved, status: "True"}, {type: Denied, status: "True"}]}
---
# Not what kubectl does, but nobody forbids it.
cells: [unapproved, <unknown>, s/s, bob, <none>, "Pending,Failed,Issued"]
metadata: {name: unapproved}
spec: {signerName: s/s, username: bob}
status: {certificate: AA==, conditions: [{type: Failed, status: "True"}]}
"#,
    );
    table(
        CLUSTER_TRUST_BUNDLE,
        r#"
---
cells: ["example.com:s:live", example.com/s]
metadata: {name: "example.com:s:live"}
spec: {signerName: example.com/s, trustBundle: x}
"#,
    );
    table(
        POD_CERTIFICATE_REQUEST,
        r#"
---
cells: [new, web, robot, node-1, example.com/s, Pending]
metadata: {name: new}
spec: {podName: web, serviceAccountName: robot, nodeName: node-1, signerName: example.com/s}
---
cells: [issued, web, robot, node-1, example.com/s, Issued]
metadata: {name: issued}
spec: {podName: web, serviceAccountName: robot, nodeName: node-1, signerName: example.com/s}
status: {conditions: [{type: Issued, status: "True"}]}
---
cells: [denied, web, robot, node-1, example.com/s, Denied]
metadata: {name: denied}
spec: {podName: web, serviceAccountName: robot, nodeName: node-1, signerName: example.com/s}
status: {conditions: [{type: Denied, status: "True"}]}
---
cells: [failed, "", "", "", "", Failed]
metadata: {name: failed}
status: {conditions: [{type: Issued, status: "False"}, {type: Failed, status: "True"}]}
"#,
    );
}

#[test]
fn flow_control() {
    table(
        FLOW_SCHEMA,
        r#"
---
cells: [exempt, exempt, 1, <none>, 60m, "False"]
metadata: {name: exempt, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {priorityLevelConfiguration: {name: exempt}, matchingPrecedence: 1}
status: {conditions: [{type: Dangling, status: "False"}]}
---
cells: [mine, no-such, 500, ByUser, <unknown>, "True"]
metadata: {name: mine}
spec: {priorityLevelConfiguration: {name: no-such}, matchingPrecedence: 500, distinguisherMethod: {type: ByUser}}
status: {conditions: [{type: Other, status: "False"}, {type: Dangling, status: "True"}]}
---
cells: [new, p, 0, ByNamespace, <unknown>, "?"]
metadata: {name: new}
spec: {priorityLevelConfiguration: {name: p}, distinguisherMethod: {type: ByNamespace}}
"#,
    );
    table(
        PRIORITY_LEVEL_CONFIGURATION,
        r#"
---
cells: [exempt, Exempt, <none>, <none>, <none>, <none>, 60m]
metadata: {name: exempt, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {type: Exempt, exempt: {nominalConcurrencyShares: 0}}
---
cells: [queueing, Limited, 47, 32, 6, 50, <unknown>]
metadata: {name: queueing}
spec:
  type: Limited
  limited:
    nominalConcurrencyShares: 47
    limitResponse: {type: Queue, queuing: {queues: 32, handSize: 6, queueLengthLimit: 50}}
---
cells: [rejecting, Limited, 5, <none>, <none>, <none>, <unknown>]
metadata: {name: rejecting}
spec: {type: Limited, limited: {nominalConcurrencyShares: 5, limitResponse: {type: Reject}}}
"#,
    );
    table(
        PRIORITY_CLASS,
        r#"
---
cells: [system-node-critical, 2000001000, false, 60m, PreemptLowerPriority]
metadata: {name: system-node-critical, creationTimestamp: 2026-01-01T00:00:00Z}
value: 2000001000
preemptionPolicy: PreemptLowerPriority
---
cells: [low, -10, true, <unknown>, Never]
metadata: {name: low}
value: -10
globalDefault: true
preemptionPolicy: Never
"#,
    );
}

#[test]
fn devices() {
    table(
        RESOURCE_CLAIM,
        r#"
---
cells: [new, pending, 60m]
metadata: {name: new, creationTimestamp: 2026-01-01T00:00:00Z}
---
cells: [allocated, allocated, <unknown>]
metadata: {name: allocated}
status: {allocation: {devices: {}}}
---
cells: [used, "allocated,reserved", <unknown>]
metadata: {name: used}
status: {allocation: {devices: {}}, reservedFor: [{resource: pods, name: p, uid: u}]}
---
# Reserved before it is allocated: that does not count.
cells: [early, pending, <unknown>]
metadata: {name: early}
status: {reservedFor: [{resource: pods, name: p, uid: u}]}
---
cells: [going, "deleted,allocated,reserved", <unknown>]
metadata: {name: going, deletionTimestamp: 2026-01-01T00:59:00Z}
status: {allocation: {devices: {}}, reservedFor: [{resource: pods, name: p, uid: u}]}
---
cells: [gone, deleted, <unknown>]
metadata: {name: gone, deletionTimestamp: 2026-01-01T00:59:00Z}
"#,
    );
    table(
        RESOURCE_SLICE,
        r#"
---
cells: [node-1-gpu, node-1, gpu.example.com, node-1, 60m]
metadata: {name: node-1-gpu, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {nodeName: node-1, driver: gpu.example.com, pool: {name: node-1, generation: 1, resourceSliceCount: 1}}
---
cells: [network, "", nic.example.com, shared, <unknown>]
metadata: {name: network}
spec: {allNodes: true, driver: nic.example.com, pool: {name: shared}}
"#,
    );
    table(
        DEVICE_TAINT_RULE,
        r#"
---
cells: [broken, example.com/broken, "yes", NoExecute, 10m, 60m]
metadata: {name: broken, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {taint: {key: example.com/broken, value: "yes", effect: NoExecute, timeAdded: 2026-01-01T00:50:00Z}}
---
cells: [new, k, "", NoSchedule, "", <unknown>]
metadata: {name: new}
spec: {taint: {key: k, effect: NoSchedule}}
"#,
    );
}

#[test]
fn admission() {
    table(
        WEBHOOK_CONFIGURATION,
        r#"
---
cells: [two, 2, 60m]
metadata: {name: two, creationTimestamp: 2026-01-01T00:00:00Z}
webhooks: [{name: a.example.com}, {name: b.example.com}]
---
cells: [none, 0, <unknown>]
metadata: {name: none}
"#,
    );
    table(
        VALIDATING_ADMISSION_POLICY,
        r#"
---
cells: [limits, 2, rules.example.com/v1/ReplicaLimit, 60m]
metadata: {name: limits, creationTimestamp: 2026-01-01T00:00:00Z}
spec:
  paramKind: {apiVersion: rules.example.com/v1, kind: ReplicaLimit}
  validations: [{expression: "true"}, {expression: "false"}]
---
cells: [bare, 0, <unset>, <unknown>]
metadata: {name: bare}
spec: {}
"#,
    );
    table(
        MUTATING_ADMISSION_POLICY,
        r#"
---
cells: [labels, 1, v1/ConfigMap, 60m]
metadata: {name: labels, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {paramKind: {apiVersion: v1, kind: ConfigMap}, mutations: [{patchType: JSONPatch}]}
"#,
    );
    table(
        ADMISSION_POLICY_BINDING,
        r#"
---
cells: [a, limits, <unset>, 60m]
metadata: {name: a, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {policyName: limits}
---
cells: [b, limits, default/small, <unknown>]
metadata: {name: b}
spec: {policyName: limits, paramRef: {namespace: default, name: small}}
---
cells: [c, limits, small, <unknown>]
metadata: {name: c}
spec: {policyName: limits, paramRef: {name: small}}
---
# Parameters that are chosen by their labels have no name to show.
cells: [d, limits, "", <unknown>]
metadata: {name: d}
spec: {policyName: limits, paramRef: {selector: {matchLabels: {a: b}}}}
"#,
    );
}

#[test]
fn services_of_the_api() {
    table(
        API_SERVICE,
        r#"
---
cells: [v1., Local, "True", 60m]
metadata: {name: v1., creationTimestamp: 2026-01-01T00:00:00Z}
spec: {version: v1}
status: {conditions: [{type: Available, status: "True", reason: Local}]}
---
cells: [v1.metrics, kube-system/metrics-server, False (MissingEndpoints), <unknown>]
metadata: {name: v1.metrics}
spec: {service: {namespace: kube-system, name: metrics-server}}
status: {conditions: [{type: Available, status: "False", reason: MissingEndpoints}]}
---
cells: [v1.silent, ns/s, "False", <unknown>]
metadata: {name: v1.silent}
spec: {service: {namespace: ns, name: s}}
status: {conditions: [{type: Available, status: "False"}]}
---
cells: [v1.new, ns/s, Unknown, <unknown>]
metadata: {name: v1.new}
spec: {service: {namespace: ns, name: s}}
"#,
    );
    table(
        STORAGE_VERSION_MIGRATION,
        r#"
---
cells: [secrets, secrets.]
metadata: {name: secrets}
spec: {resource: {group: "", resource: secrets}}
---
cells: [deployments, deployments.apps]
metadata: {name: deployments}
spec: {resource: {group: apps, resource: deployments}}
"#,
    );
}
