//! Pods as `kubectl get pods -o wide` shows them: what a person reads first when something is wrong.

use super::table;
use crate::columns::{POD, POD_TEMPLATE};

/// Pods without init containers. Columns: name, ready, status, restarts, age, IP, node, nominated node, readiness gates.
const CONTAINERS: &str = r#"
---
# Nothing is known yet: not even the phase.
cells: [new, 0/1, "", "0", 0s, <none>, <none>, <none>, <none>]
metadata: {name: new, creationTimestamp: 2026-01-01T01:00:00Z}
spec: {containers: [{name: a}]}
---
cells: [pending, 0/2, Pending, "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: pending, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}, {name: b}]}
status:
  phase: Pending
  conditions: [{type: PodScheduled, status: "False", reason: Unschedulable}]
---
# Held back by its scheduling gates.
cells: [gated, 0/1, SchedulingGated, "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: gated, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}], schedulingGates: [{name: example.com/g}]}
status:
  phase: Pending
  conditions: [{type: PodScheduled, status: "False", reason: SchedulingGated}]
---
# The reason counts in that condition only.
cells: [not-gated, 0/1, Pending, "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: not-gated, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Pending
  conditions: [{type: Ready, status: "False", reason: SchedulingGated}]
---
# Preemption makes room on a node.
cells: [nominated, 0/1, Pending, "0", 5m, <none>, <none>, node-2, <none>]
metadata: {name: nominated, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}]}
status: {phase: Pending, nominatedNodeName: node-2}
---
cells: [creating, 0/1, ContainerCreating, "0", 5s, <none>, node-1, <none>, <none>]
metadata: {name: creating, creationTimestamp: 2026-01-01T00:59:55Z}
spec: {nodeName: node-1, containers: [{name: a}]}
status:
  phase: Pending
  containerStatuses:
  - {name: a, ready: false, restartCount: 0, state: {waiting: {reason: ContainerCreating}}}
---
cells: [no-image, 0/1, ErrImagePull, "0", 60s, 10.0.0.9, node-1, <none>, <none>]
metadata: {name: no-image, creationTimestamp: 2026-01-01T00:59:00Z}
spec: {nodeName: node-1, containers: [{name: a}]}
status:
  phase: Pending
  podIPs: [{ip: 10.0.0.9}]
  containerStatuses:
  - {name: a, ready: false, restartCount: 0, state: {waiting: {reason: ErrImagePull, message: not found}}}
---
# A container that waits without saying why leaves the phase.
cells: [waiting, 0/1, Pending, "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: waiting, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Pending
  containerStatuses: [{name: a, ready: false, restartCount: 0, state: {waiting: {message: soon}}}]
---
cells: [running, 1/1, Running, "0", 60m, 10.0.0.7, node-1, <none>, <none>]
metadata: {name: running, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {nodeName: node-1, containers: [{name: a}]}
status:
  phase: Running
  podIPs: [{ip: 10.0.0.7}, {ip: "fd00::7"}]
  conditions: [{type: Ready, status: "True"}]
  containerStatuses: [{name: a, ready: true, restartCount: 0, state: {running: {}}}]
---
# Ready but, for all that is told, not running: not counted.
cells: [odd, 0/1, Running, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: odd, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Running
  containerStatuses: [{name: a, ready: true, restartCount: 0}]
---
cells: [unready, 1/2, Running, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: unready, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}, {name: b}]}
status:
  phase: Running
  containerStatuses:
  - {name: a, ready: true, restartCount: 0, state: {running: {}}}
  - {name: b, ready: false, restartCount: 0, state: {running: {}}}
---
# Containers are counted in the spec; a status may come late.
cells: [late, 1/3, Running, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: late, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}, {name: b}, {name: c}]}
status:
  phase: Running
  containerStatuses: [{name: a, ready: true, restartCount: 0, state: {running: {}}}]
---
cells: [crashing, 1/2, CrashLoopBackOff, 7 (2m5s ago), 60m, <none>, <none>, <none>, <none>]
metadata: {name: crashing, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}, {name: b}]}
status:
  phase: Running
  containerStatuses:
  - {name: a, ready: true, restartCount: 0, state: {running: {}}}
  - name: b
    ready: false
    restartCount: 7
    state: {waiting: {reason: CrashLoopBackOff}}
    lastState: {terminated: {exitCode: 1, finishedAt: 2026-01-01T00:57:55Z}}
---
# Of several reasons that of the first container is shown.
cells: [two-reasons, 0/2, ErrImagePull, "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: two-reasons, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}, {name: b}]}
status:
  phase: Pending
  containerStatuses:
  - {name: a, ready: false, restartCount: 0, state: {waiting: {reason: ErrImagePull}}}
  - {name: b, ready: false, restartCount: 0, state: {waiting: {reason: CreateContainerConfigError}}}
---
# Restarts add up; the last one of all counts.
cells: [restarted, 2/2, Running, 5 (10m ago), 60m, <none>, <none>, <none>, <none>]
metadata: {name: restarted, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}, {name: b}]}
status:
  phase: Running
  containerStatuses:
  - name: a
    ready: true
    restartCount: 2
    state: {running: {}}
    lastState: {terminated: {finishedAt: 2026-01-01T00:30:00Z}}
  - name: b
    ready: true
    restartCount: 3
    state: {running: {}}
    lastState: {terminated: {finishedAt: 2026-01-01T00:50:00Z}}
---
# Restarts of which no end is known.
cells: [restarts-only, 1/1, Running, "4", 60m, <none>, <none>, <none>, <none>]
metadata: {name: restarts-only, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Running
  containerStatuses: [{name: a, ready: true, restartCount: 4, state: {running: {}}}]
---
# An end without a restart says nothing.
cells: [ended-once, 1/1, Running, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: ended-once, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Running
  containerStatuses:
  - name: a
    ready: true
    restartCount: 0
    state: {running: {}}
    lastState: {terminated: {finishedAt: 2026-01-01T00:50:00Z}}
---
cells: [killed, 0/1, OOMKilled, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: killed, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Failed
  containerStatuses: [{name: a, ready: false, restartCount: 0, state: {terminated: {exitCode: 137, reason: OOMKilled}}}]
---
cells: [by-signal, 0/1, "Signal:9", "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: by-signal, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Failed
  containerStatuses: [{name: a, ready: false, restartCount: 0, state: {terminated: {exitCode: 137, signal: 9}}}]
---
cells: [by-code, 0/1, "ExitCode:0", "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: by-code, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Running
  containerStatuses: [{name: a, ready: false, restartCount: 0, state: {terminated: {exitCode: 0}}}]
---
cells: [done, 0/1, Completed, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: done, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Succeeded
  containerStatuses: [{name: a, ready: false, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed}}}]
---
# One has ended, the other goes on; the pod is ready for all that.
cells: [half-done, 1/2, Running, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: half-done, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}, {name: b}]}
status:
  phase: Running
  conditions: [{type: Ready, status: "True"}]
  containerStatuses:
  - {name: a, ready: false, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed}}}
  - {name: b, ready: true, restartCount: 0, state: {running: {}}}
---
# The same, but not ready.
cells: [half-done, 1/2, NotReady, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: half-done, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}, {name: b}]}
status:
  phase: Running
  conditions: [{type: Ready, status: "False"}]
  containerStatuses:
  - {name: a, ready: false, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed}}}
  - {name: b, ready: true, restartCount: 0, state: {running: {}}}
---
cells: [evicted, 0/1, Evicted, "0", 60m, <none>, node-1, <none>, <none>]
metadata: {name: evicted, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {nodeName: node-1, containers: [{name: a}]}
status: {phase: Failed, reason: Evicted, message: The node was low on resource memory.}
---
# What a container says overrides what the pod says.
cells: [overridden, 0/1, Error, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: overridden, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}]}
status:
  phase: Failed
  reason: DeadlineExceeded
  containerStatuses: [{name: a, ready: false, restartCount: 0, state: {terminated: {exitCode: 1, reason: Error}}}]
---
cells: [gates, 1/1, Running, "0", 60m, <none>, <none>, <none>, 1/3]
metadata: {name: gates, creationTimestamp: 2026-01-01T00:00:00Z}
spec:
  containers: [{name: a}]
  readinessGates: [{conditionType: x/one}, {conditionType: x/two}, {conditionType: x/three}]
status:
  phase: Running
  conditions: [{type: x/one, status: "True"}, {type: x/two, status: "False"}, {type: x/four, status: "True"}]
  containerStatuses: [{name: a, ready: true, restartCount: 0, state: {running: {}}}]
"#;

/// Pods on their way out.
const DELETED: &str = r#"
---
cells: [going, 1/1, Terminating, "0", 60m, 10.0.0.7, node-1, <none>, <none>]
metadata: {name: going, creationTimestamp: 2026-01-01T00:00:00Z, deletionTimestamp: 2026-01-01T01:00:30Z}
spec: {nodeName: node-1, containers: [{name: a}]}
status:
  phase: Running
  podIPs: [{ip: 10.0.0.7}]
  containerStatuses: [{name: a, ready: true, restartCount: 0, state: {running: {}}}]
---
# Terminating overrides what containers say while the pod has not ended.
cells: [going, 0/1, Terminating, 3 (5m ago), 60m, <none>, <none>, <none>, <none>]
metadata: {name: going, creationTimestamp: 2026-01-01T00:00:00Z, deletionTimestamp: 2026-01-01T01:00:30Z}
spec: {containers: [{name: a}]}
status:
  phase: Running
  containerStatuses:
  - name: a
    ready: false
    restartCount: 3
    state: {waiting: {reason: CrashLoopBackOff}}
    lastState: {terminated: {finishedAt: 2026-01-01T00:55:00Z}}
---
cells: [gone, 0/1, Completed, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: gone, creationTimestamp: 2026-01-01T00:00:00Z, deletionTimestamp: 2026-01-01T01:00:30Z}
spec: {containers: [{name: a}]}
status:
  phase: Succeeded
  containerStatuses: [{name: a, ready: false, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed}}}]
---
cells: [failed, 0/1, Error, "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: failed, creationTimestamp: 2026-01-01T00:00:00Z, deletionTimestamp: 2026-01-01T01:00:30Z}
spec: {containers: [{name: a}]}
status:
  phase: Failed
  containerStatuses: [{name: a, ready: false, restartCount: 0, state: {terminated: {exitCode: 1, reason: Error}}}]
---
cells: [lost, 0/1, Unknown, "0", 60m, <none>, node-1, <none>, <none>]
metadata: {name: lost, creationTimestamp: 2026-01-01T00:00:00Z, deletionTimestamp: 2026-01-01T01:00:30Z}
spec: {nodeName: node-1, containers: [{name: a}]}
status: {phase: Running, reason: NodeLost}
---
# Lost, but nobody deletes it.
cells: [lost, 0/1, NodeLost, "0", 60m, <none>, node-1, <none>, <none>]
metadata: {name: lost, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {nodeName: node-1, containers: [{name: a}]}
status: {phase: Running, reason: NodeLost}
"#;

#[test]
fn containers() {
    table(POD, CONTAINERS);
}

#[test]
fn deletion() {
    table(POD, DELETED);
}

#[test]
fn templates() {
    table(
        POD_TEMPLATE,
        r#"
---
cells: [two, "a,b", "nginx:1,busybox", "app=web,tier=front"]
metadata: {name: two}
template:
  metadata: {labels: {tier: front, app: web}}
  spec: {containers: [{name: a, image: "nginx:1"}, {name: b, image: busybox}]}
---
cells: [none, "", "", <none>]
metadata: {name: none}
"#,
    );
}
