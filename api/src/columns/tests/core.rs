//! Nodes, events and the small kinds of the core group, as `kubectl get -o wide` shows them.

use super::table;
use crate::columns::{
    CONFIG_MAP, EVENT, LEASE, NAME_CREATED_AT, NAMESPACE, NODE, RESOURCE_QUOTA, RUNTIME_CLASS, SECRET, SERVICE_ACCOUNT,
};

#[test]
fn namespaces_and_data() {
    table(
        NAMESPACE,
        r#"
---
cells: [default, Active, 729d]
metadata: {name: default, creationTimestamp: 2024-01-03T01:00:00Z}
status: {phase: Active}
---
cells: [going, Terminating, <unknown>]
metadata: {name: going, deletionTimestamp: 2026-01-01T00:59:00Z}
status: {phase: Terminating}
"#,
    );
    table(
        CONFIG_MAP,
        r#"
---
cells: [both, 3, 8y]
metadata: {name: both, creationTimestamp: 2017-12-30T00:00:00Z}
data: {a: "", b: x}
binaryData: {c: AA==}
---
cells: [empty, 0, <unknown>]
metadata: {name: empty}
"#,
    );
    table(
        SECRET,
        r#"
---
cells: [tls, kubernetes.io/tls, 2, 7h59m]
metadata: {name: tls, creationTimestamp: 2025-12-31T17:00:01Z}
type: kubernetes.io/tls
data: {tls.crt: AA==, tls.key: AA==}
---
cells: [empty, Opaque, 0, <unknown>]
metadata: {name: empty}
type: Opaque
"#,
    );
    // Secrets of service accounts are no longer counted: nothing has made any since 1.24.
    table(
        SERVICE_ACCOUNT,
        r#"
---
cells: [default, 60m]
metadata: {name: default, creationTimestamp: 2026-01-01T00:00:00Z}
secrets: [{name: a}, {name: b}]
"#,
    );
    // Kinds without columns of their own show the time as it is.
    table(
        NAME_CREATED_AT,
        r#"
---
cells: [limits, 2026-01-01T00:00:00Z]
metadata: {name: limits, creationTimestamp: 2026-01-01T00:00:00Z}
"#,
    );
}

#[test]
fn quotas() {
    table(
        RESOURCE_QUOTA,
        r#"
---
cells: [compute, "pods: 3/10, requests.cpu: 250m/1, requests.memory: 0/1Gi", "limits.cpu: 1/2, limits.memory: 0/2Gi", 60m]
metadata: {name: compute, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {hard: {pods: "99"}}
status:
  hard: {requests.memory: 1Gi, limits.cpu: "2", pods: "10", limits.memory: 2Gi, requests.cpu: "1"}
  used: {requests.cpu: 250m, pods: "3", limits.cpu: "1", services: "7"}
---
# Nothing has been counted yet.
cells: [new, "", "", <unknown>]
metadata: {name: new}
spec: {hard: {pods: "1"}}
"#,
    );
}

/// Columns: last seen, type, reason, object, subobject, source, message, first seen, count, name.
#[test]
fn events() {
    table(
        EVENT,
        r#"
---
cells: [5m, Warning, BackOff, pod/web, "spec.containers{a}", "kubelet, node-1", Back-off restarting, 60m, 12, web.1]
metadata: {name: web.1}
type: Warning
reason: BackOff
message: "\n Back-off restarting \n"
count: 12
source: {component: kubelet, host: node-1}
involvedObject: {kind: Pod, name: web, fieldPath: "spec.containers{a}"}
firstTimestamp: 2026-01-01T00:00:00Z
lastTimestamp: 2026-01-01T00:55:00Z
---
# Seen once: what is not said of the last time holds for the first.
cells: [60m, Normal, Scheduled, pod/web, "", default-scheduler, Assigned, 60m, 1, web.2]
metadata: {name: web.2}
type: Normal
reason: Scheduled
message: Assigned
source: {component: default-scheduler}
involvedObject: {kind: Pod, name: web}
firstTimestamp: 2026-01-01T00:00:00Z
---
# The newer form in its old place: a time of its own, and who reports.
cells: [10m, Normal, Scheduled, pod/web, "", "default-scheduler, host-7", Assigned, 10m, 1, web.3]
metadata: {name: web.3}
type: Normal
reason: Scheduled
message: Assigned
involvedObject: {kind: Pod, name: web}
eventTime: 2026-01-01T00:50:00.000000Z
reportingComponent: default-scheduler
reportingInstance: host-7
---
# A series goes before the old count and the old time.
cells: [30s, Normal, Pulled, pod/web, "", c, m, 10m, 8, web.4]
metadata: {name: web.4}
type: Normal
reason: Pulled
message: m
count: 3
source: {component: c}
involvedObject: {kind: Pod, name: web}
eventTime: 2026-01-01T00:50:00.000000Z
lastTimestamp: 2026-01-01T00:50:30Z
series: {count: 8, lastObservedTime: 2026-01-01T00:59:30.000000Z}
---
# About something that has a kind but no name, at no known time.
cells: [<unknown>, Normal, Starting, node, "", "", "", <unknown>, 1, n.1]
metadata: {name: n.1}
type: Normal
reason: Starting
involvedObject: {kind: Node}
---
# As group events.k8s.io writes it.
cells: [2m, Warning, Failed, job/j, "", "job-controller, h", why, 3m, 4, j.1]
metadata: {name: j.1}
type: Warning
reason: Failed
note: why
regarding: {kind: Job, name: j}
reportingController: job-controller
reportingInstance: h
deprecatedFirstTimestamp: 2026-01-01T00:57:00Z
deprecatedLastTimestamp: 2026-01-01T00:58:00Z
deprecatedCount: 4
---
# The old source, where it is known, goes before who reports.
cells: [3m, Normal, X, job/j, "", "old, host", why, 3m, 1, j.2]
metadata: {name: j.2}
type: Normal
reason: X
note: why
regarding: {kind: Job, name: j}
reportingController: new
reportingInstance: other
deprecatedSource: {component: old, host: host}
deprecatedFirstTimestamp: 2026-01-01T00:57:00Z
"#,
    );
}

/// Columns: name, status, roles, age, version, internal and external address, image of the system, kernel, runtime.
#[test]
fn nodes() {
    table(
        NODE,
        r#"
---
cells: [one, Ready, "control-plane,etcd", 60m, v1.37.0, 10.0.0.1, 1.1.1.1, Debian 13, 6.12.0, "process://0.1"]
metadata:
  name: one
  creationTimestamp: 2026-01-01T00:00:00Z
  labels: {node-role.kubernetes.io/etcd: "", node-role.kubernetes.io/control-plane: "true", other: x}
spec: {}
status:
  conditions: [{type: MemoryPressure, status: "True"}, {type: Ready, status: "True"}]
  addresses: [{type: Hostname, address: one}, {type: ExternalIP, address: 1.1.1.1}, {type: InternalIP, address: 10.0.0.1}]
  nodeInfo:
    kubeletVersion: v1.37.0
    osImage: Debian 13
    kernelVersion: 6.12.0
    containerRuntimeVersion: "process://0.1"
---
cells: [two, "NotReady,SchedulingDisabled", worker, <unknown>, "", <none>, <none>, <unknown>, <unknown>, <unknown>]
metadata: {name: two, labels: {kubernetes.io/role: worker}}
spec: {unschedulable: true}
status: {conditions: [{type: Ready, status: "False"}]}
---
# Not heard of for a while.
cells: [three, NotReady, <none>, <unknown>, v1.36.2, <none>, <none>, <unknown>, <unknown>, <unknown>]
metadata: {name: three, labels: {node-role.kubernetes.io/: "", kubernetes.io/role: ""}}
status: {conditions: [{type: Ready, status: Unknown}], nodeInfo: {kubeletVersion: v1.36.2}}
---
cells: [four, "Unknown,SchedulingDisabled", <none>, <unknown>, "", <none>, <none>, <unknown>, <unknown>, <unknown>]
metadata: {name: four}
spec: {unschedulable: true}
status: {conditions: [{type: InvalidValue, status: "True"}]}
---
# Of several addresses of a kind the first.
cells: [five, Unknown, <none>, <unknown>, "", 10.0.0.1, 2.2.2.2, <unknown>, <unknown>, <unknown>]
metadata: {name: five}
status:
  addresses:
  - {type: ExternalIP, address: 2.2.2.2}
  - {type: InternalIP, address: 10.0.0.1}
  - {type: ExternalIP, address: 4.4.4.4}
  - {type: InternalIP, address: "fd00::1"}
"#,
    );
}

#[test]
fn what_belongs_to_nodes() {
    table(
        LEASE,
        r#"
---
cells: [node-1, node-1, 60m]
metadata: {name: node-1, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {holderIdentity: node-1, renewTime: 2026-01-01T00:59:59.000000Z}
---
cells: [free, "", <unknown>]
metadata: {name: free}
spec: {}
"#,
    );
    table(
        RUNTIME_CLASS,
        r#"
---
cells: [sandboxed, runsc, 60m]
metadata: {name: sandboxed, creationTimestamp: 2026-01-01T00:00:00Z}
handler: runsc
"#,
    );
}
