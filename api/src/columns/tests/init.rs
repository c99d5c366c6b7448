//! Pods with init containers as `kubectl get pods -o wide` shows them.

use super::table;
use crate::columns::POD;

/// Pods with init containers, sidecars among them.
const INIT: &str = r#"
---
cells: [first, 0/1, "Init:0/2", "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: first, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}], initContainers: [{name: i}, {name: j}]}
status:
  phase: Pending
  containerStatuses: [{name: a, restartCount: 0, state: {waiting: {reason: PodInitializing}}}]
  initContainerStatuses:
  - {name: i, restartCount: 0, state: {running: {}}}
  - {name: j, restartCount: 0, state: {waiting: {reason: PodInitializing}}}
---
cells: [second, 0/1, "Init:1/2", "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: second, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}], initContainers: [{name: i}, {name: j}]}
status:
  phase: Pending
  initContainerStatuses:
  - {name: i, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed}}}
  - {name: j, restartCount: 0, state: {waiting: {reason: PodInitializing}}}
---
# All are through: now the containers speak.
cells: [through, 0/1, PodInitializing, "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: through, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}], initContainers: [{name: i}]}
status:
  phase: Pending
  containerStatuses: [{name: a, restartCount: 0, state: {waiting: {reason: PodInitializing}}}]
  initContainerStatuses: [{name: i, restartCount: 0, state: {terminated: {exitCode: 0}}}]
---
cells: [crashing, 0/1, "Init:CrashLoopBackOff", 3 (5m ago), 60m, <none>, <none>, <none>, <none>]
metadata: {name: crashing, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}], initContainers: [{name: i}]}
status:
  phase: Pending
  initContainerStatuses:
  - name: i
    restartCount: 3
    state: {waiting: {reason: CrashLoopBackOff}}
    lastState: {terminated: {exitCode: 1, finishedAt: 2026-01-01T00:55:00Z}}
---
cells: [error, 0/1, "Init:Error", "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: error, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}], initContainers: [{name: i}]}
status:
  phase: Failed
  initContainerStatuses: [{name: i, restartCount: 0, state: {terminated: {exitCode: 2, reason: Error}}}]
---
cells: [signal, 0/1, "Init:Signal:15", "0", 60m, <none>, <none>, <none>, <none>]
metadata: {name: signal, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}], initContainers: [{name: i}]}
status:
  phase: Failed
  initContainerStatuses: [{name: i, restartCount: 0, state: {terminated: {exitCode: 143, signal: 15}}}]
---
# A sidecar that has not started holds the rest back.
cells: [starting, 0/2, "Init:0/2", "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: starting, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}], initContainers: [{name: side, restartPolicy: Always}, {name: i}]}
status:
  phase: Pending
  initContainerStatuses:
  - {name: side, restartCount: 0, started: false, ready: false, state: {running: {}}}
  - {name: i, restartCount: 0, state: {waiting: {reason: PodInitializing}}}
---
# A started one does not; it counts among the containers.
cells: [beside, 1/2, "Init:1/2", "0", 5m, <none>, <none>, <none>, <none>]
metadata: {name: beside, creationTimestamp: 2026-01-01T00:55:00Z}
spec: {containers: [{name: a}], initContainers: [{name: side, restartPolicy: Always}, {name: i}]}
status:
  phase: Pending
  initContainerStatuses:
  - {name: side, restartCount: 0, started: true, ready: true, state: {running: {}}}
  - {name: i, restartCount: 0, state: {running: {}}}
---
# Once all run, restarts of plain init containers are forgotten, those of sidecars stay.
cells: [up, 2/2, Running, 5 (10m ago), 60m, <none>, <none>, <none>, <none>]
metadata: {name: up, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}], initContainers: [{name: i}, {name: side, restartPolicy: Always}]}
status:
  phase: Running
  initContainerStatuses:
  - name: i
    restartCount: 9
    state: {terminated: {exitCode: 0}}
    lastState: {terminated: {finishedAt: 2026-01-01T00:58:00Z}}
  - name: side
    restartCount: 2
    started: true
    ready: true
    state: {running: {}}
    lastState: {terminated: {finishedAt: 2026-01-01T00:50:00Z}}
  containerStatuses:
  - name: a
    ready: true
    restartCount: 3
    state: {running: {}}
    lastState: {terminated: {finishedAt: 2026-01-01T00:40:00Z}}
---
# A sidecar that fails later gives the reason, but the containers count all the same.
cells: [relapse, 1/2, "Init:0/1", 4 (60s ago), 60m, <none>, <none>, <none>, <none>]
metadata: {name: relapse, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {containers: [{name: a}], initContainers: [{name: side, restartPolicy: Always}]}
status:
  phase: Running
  conditions: [{type: Initialized, status: "True"}]
  initContainerStatuses:
  - name: side
    restartCount: 4
    started: false
    ready: false
    state: {running: {}}
    lastState: {terminated: {finishedAt: 2026-01-01T00:59:00Z}}
  containerStatuses: [{name: a, ready: true, restartCount: 0, state: {running: {}}}]
"#;

#[test]
fn init_containers() {
    table(POD, INIT);
}
