//! What runs pods, as `kubectl get -o wide` shows it.

use super::table;
use crate::columns::{
    CONTROLLER_REVISION, CRON_JOB, DAEMON_SET, DEPLOYMENT, JOB, POD_DISRUPTION_BUDGET, REPLICA_SET,
    REPLICATION_CONTROLLER, SCALE, STATEFUL_SET,
};

#[test]
fn deployments() {
    table(
        DEPLOYMENT,
        r#"
---
# Just made: the controller has not looked at it.
cells: [web, 0/3, 0, 0, 0s, "", "", app=web]
metadata: {name: web, creationTimestamp: 2026-01-01T01:00:00Z}
spec: {replicas: 3, selector: {matchLabels: {app: web}}}
---
# In the middle of a rollout.
cells: [web, 2/3, 1, 2, 5d, "nginx,log", "nginx:1.27,busybox", "app=web,tier in (a,b)"]
metadata: {name: web, creationTimestamp: 2025-12-27T01:00:00Z}
spec:
  replicas: 3
  selector:
    matchLabels: {app: web}
    matchExpressions: [{key: tier, operator: In, values: [b, a]}]
  template: {spec: {containers: [{name: nginx, image: "nginx:1.27"}, {name: log, image: busybox}]}}
status: {replicas: 4, readyReplicas: 2, updatedReplicas: 1, availableReplicas: 2}
---
# Sized to nothing, while the last pod goes.
cells: [idle, 1/0, 1, 1, <unknown>, "", "", app=idle]
metadata: {name: idle}
spec: {replicas: 0, selector: {matchLabels: {app: idle}}}
status: {readyReplicas: 1, updatedReplicas: 1, availableReplicas: 1}
---
# A selector that is none.
cells: [broken, 0/1, 0, 0, <unknown>, "", "", <invalid>]
metadata: {name: broken}
spec: {replicas: 1, selector: {matchExpressions: [{key: a, operator: Like}]}}
---
# An empty one selects everything, and prints as nothing.
cells: [all, 0/1, 0, 0, <unknown>, "", "", ""]
metadata: {name: all}
spec: {replicas: 1, selector: {}}
"#,
    );
}

#[test]
fn sets_of_replicas() {
    table(
        REPLICA_SET,
        r#"
---
cells: [web-5d, 3, 2, 1, 45m, nginx, nginx, "app=web,!canary,track"]
metadata: {name: web-5d, creationTimestamp: 2026-01-01T00:15:00Z}
spec:
  replicas: 3
  selector:
    matchLabels: {app: web}
    matchExpressions: [{key: track, operator: Exists}, {key: canary, operator: DoesNotExist}]
  template: {spec: {containers: [{name: nginx, image: nginx}]}}
status: {replicas: 2, readyReplicas: 1}
---
# Here an invalid selector is called so, and an empty one named.
cells: [broken, 0, 0, 0, <unknown>, "", "", <error>]
metadata: {name: broken}
spec: {replicas: 0, selector: {matchExpressions: [{key: a, operator: In}]}}
---
cells: [all, 0, 0, 0, <unknown>, "", "", <none>]
metadata: {name: all}
spec: {replicas: 0, selector: {}}
"#,
    );
    table(
        REPLICATION_CONTROLLER,
        r#"
---
cells: [old, 2, 2, 1, 3y45d, "a,b", "x,z", "app=old,v=1"]
metadata: {name: old, creationTimestamp: 2022-11-18T00:00:00Z}
spec:
  replicas: 2
  selector: {v: "1", app: old}
  template: {spec: {containers: [{name: a, image: x}, {name: b, image: z}]}}
status: {replicas: 2, readyReplicas: 1}
---
cells: [bare, 0, 0, 0, <unknown>, "", "", <none>]
metadata: {name: bare}
"#,
    );
    table(
        STATEFUL_SET,
        r#"
---
cells: [db, 2/3, 2d4h, postgres, "postgres:17"]
metadata: {name: db, creationTimestamp: 2025-12-29T21:00:00Z}
spec: {replicas: 3, template: {spec: {containers: [{name: postgres, image: "postgres:17"}]}}}
status: {replicas: 3, readyReplicas: 2, currentReplicas: 1}
"#,
    );
    table(
        SCALE,
        r#"
---
cells: [web, 3, 2, 10m]
metadata: {name: web, creationTimestamp: 2026-01-01T00:50:00Z}
spec: {replicas: 3}
status: {replicas: 2, selector: app=web}
---
cells: [none, 0, 0, <unknown>]
metadata: {name: none}
"#,
    );
}

#[test]
fn daemon_sets() {
    table(
        DAEMON_SET,
        r#"
---
cells: [proxy, 5, 4, 3, 2, 1, "disk=ssd,zone=a", 60m, proxy, "proxy:1", k8s-app=proxy]
metadata: {name: proxy, creationTimestamp: 2026-01-01T00:00:00Z}
spec:
  selector: {matchLabels: {k8s-app: proxy}}
  template:
    spec: {nodeSelector: {zone: a, disk: ssd}, containers: [{name: proxy, image: "proxy:1"}]}
status:
  desiredNumberScheduled: 5
  currentNumberScheduled: 4
  numberReady: 3
  updatedNumberScheduled: 2
  numberAvailable: 1
  numberMisscheduled: 9
---
cells: [everywhere, 0, 0, 0, 0, 0, <none>, <unknown>, "", "", <none>]
metadata: {name: everywhere}
spec: {template: {spec: {nodeSelector: {}}}}
"#,
    );
}

#[test]
fn revisions() {
    table(
        CONTROLLER_REVISION,
        r#"
---
cells: [db-1, statefulset.apps/db, 7, 60m]
metadata:
  name: db-1
  creationTimestamp: 2026-01-01T00:00:00Z
  ownerReferences:
  - {apiVersion: v1, kind: Pod, name: other}
  - {apiVersion: apps/v1, kind: StatefulSet, name: db, controller: true}
revision: 7
---
# An owner of the core group has no group to show.
cells: [c-1, replicationcontroller/c, 1, <unknown>]
metadata:
  name: c-1
  ownerReferences: [{apiVersion: v1, kind: ReplicationController, name: c, controller: true}]
revision: 1
---
# Owned, but by nobody who controls it.
cells: [orphan, <none>, 2, <unknown>]
metadata: {name: orphan, ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: d, controller: false}]}
revision: 2
"#,
    );
}

#[test]
fn jobs() {
    table(
        JOB,
        r#"
---
# Not yet started.
cells: [new, Running, 0/1, "", 5s, "", "", <none>]
metadata: {name: new, creationTimestamp: 2026-01-01T00:59:55Z}
spec: {completions: 1, parallelism: 1}
---
cells: [part, Running, 2/5, 90s, 2m, work, busybox, batch.kubernetes.io/job-name=part]
metadata: {name: part, creationTimestamp: 2026-01-01T00:58:00Z}
spec:
  completions: 5
  parallelism: 2
  selector: {matchLabels: {batch.kubernetes.io/job-name: part}}
  template: {spec: {containers: [{name: work, image: busybox}]}}
status: {active: 2, succeeded: 2, failed: 1, startTime: 2026-01-01T00:58:30Z}
---
# The time it took, however long ago.
cells: [done, Complete, 1/1, 3m20s, 24h, "", "", <none>]
metadata: {name: done, creationTimestamp: 2025-12-31T01:00:00Z}
spec: {completions: 1}
status:
  succeeded: 1
  startTime: 2025-12-31T01:00:00Z
  completionTime: 2025-12-31T01:03:20Z
  conditions: [{type: SuccessCriteriaMet, status: "True"}, {type: Complete, status: "True"}]
---
# A work queue: any success will do, and how many work at it.
cells: [queue, Running, 0/1 of 4, 60s, 60s, "", "", <none>]
metadata: {name: queue, creationTimestamp: 2026-01-01T00:59:00Z}
spec: {parallelism: 4}
status: {startTime: 2026-01-01T00:59:00Z}
---
cells: [single, Running, 0/1, "", <unknown>, "", "", <none>]
metadata: {name: single}
spec: {parallelism: 1}
---
cells: [none-wanted, Running, 0/0, "", <unknown>, "", "", <none>]
metadata: {name: none-wanted}
spec: {completions: 0}
---
cells: [failed, Failed, 0/1, "", <unknown>, "", "", <none>]
metadata: {name: failed}
spec: {completions: 1}
status: {conditions: [{type: FailureTarget, status: "True"}, {type: Failed, status: "True"}]}
---
# Its pods are still being ended.
cells: [failing, FailureTarget, 0/1, "", <unknown>, "", "", <none>]
metadata: {name: failing}
spec: {completions: 1}
status: {conditions: [{type: FailureTarget, status: "True"}]}
---
cells: [enough, SuccessCriteriaMet, 3/9, "", <unknown>, "", "", <none>]
metadata: {name: enough}
spec: {completions: 9}
status: {succeeded: 3, conditions: [{type: SuccessCriteriaMet, status: "True"}]}
---
cells: [paused, Suspended, 0/1, "", <unknown>, "", "", <none>]
metadata: {name: paused}
spec: {completions: 1, suspend: true}
status: {conditions: [{type: Suspended, status: "True"}]}
---
# Going on again: the condition stays, as false.
cells: [resumed, Running, 0/1, "", <unknown>, "", "", <none>]
metadata: {name: resumed}
spec: {completions: 1}
status: {conditions: [{type: Suspended, status: "False"}]}
---
cells: [going, Terminating, 0/1, "", <unknown>, "", "", <none>]
metadata: {name: going, deletionTimestamp: 2026-01-01T01:00:00Z}
spec: {completions: 1}
status: {conditions: [{type: Suspended, status: "True"}]}
---
# What has ended stays what it became, even while it is deleted.
cells: [kept, Complete, 1/1, "", <unknown>, "", "", <none>]
metadata: {name: kept, deletionTimestamp: 2026-01-01T01:00:00Z}
spec: {completions: 1}
status: {succeeded: 1, conditions: [{type: Complete, status: "True"}]}
"#,
    );
}

#[test]
fn cron_jobs() {
    table(
        CRON_JOB,
        r#"
---
cells: [nightly, 0 3 * * *, <none>, "False", 0, 22h, 30d, dump, "pg:17", <none>]
metadata: {name: nightly, creationTimestamp: 2025-12-02T01:00:00Z}
spec:
  schedule: 0 3 * * *
  suspend: false
  jobTemplate: {spec: {template: {spec: {containers: [{name: dump, image: "pg:17"}]}}}}
status: {lastScheduleTime: 2025-12-31T03:00:00Z}
---
cells: [fresh, "*/5 * * * *", Europe/Berlin, "True", 2, <none>, 4m30s, "", "", a=b]
metadata: {name: fresh, creationTimestamp: 2026-01-01T00:55:30Z}
spec:
  schedule: "*/5 * * * *"
  timeZone: Europe/Berlin
  suspend: true
  jobTemplate: {spec: {selector: {matchLabels: {a: b}}}}
status: {active: [{name: x}, {name: y}]}
---
cells: [unsaid, "@hourly", <none>, <unset>, 0, <none>, <unknown>, "", "", <none>]
metadata: {name: unsaid}
spec: {schedule: "@hourly"}
"#,
    );
}

#[test]
fn disruption_budgets() {
    table(
        POD_DISRUPTION_BUDGET,
        r#"
---
cells: [a, "2", N/A, 1, 60m]
metadata: {name: a, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {minAvailable: 2}
status: {disruptionsAllowed: 1}
---
cells: [b, N/A, 30%, 0, <unknown>]
metadata: {name: b}
spec: {maxUnavailable: 30%}
---
# Nothing at all may be said, and zero is something.
cells: [c, N/A, "0", 0, <unknown>]
metadata: {name: c}
spec: {maxUnavailable: 0}
"#,
    );
}
