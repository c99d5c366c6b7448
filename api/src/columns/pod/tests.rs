//! What a pod is said to be doing.

use super::super::{Now, begin_row};
use super::*;
use crate::view::View;
use serde_json::json;

fn cells(pod: &Value) -> Vec<String> {
    let now = Now("2026-01-01T01:00:00Z".parse().unwrap());
    let (mut view, text, mut out) = (View::default(), pod.to_string(), Vec::new());
    begin_row(POD, view.read(text.as_bytes()).unwrap(), now, &mut out);
    out.extend_from_slice(b"null}");
    let row: Value = serde_json::from_slice(&out).unwrap();
    row["cells"].as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_string()).collect()
}

fn pod(status: Value) -> Value {
    json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "x"}, {"name": "y"}], "initContainers": [{"name": "i"}, {"name": "j"}]},
        "status": status})
}

fn container(name: &str, state: Value) -> Value {
    json!({"name": name, "state": state, "ready": state.get("running").is_some(), "restartCount": 0})
}

#[test]
fn status_and_ready() {
    let running = || json!({"running": {}});
    let done = || json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let ready = json!([{"type": "Ready", "status": "True"}]);
    let table = [
        (json!({"phase": "Pending"}), "0/2", "Pending"),
        (json!({"phase": "Failed", "reason": "Evicted"}), "0/2", "Evicted"),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "0/2",
            "SchedulingGated",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [container("x", running()), container("y", running())]}),
            "2/2",
            "Running",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [container("x", running()),
                container("y", json!({"waiting": {"reason": "CrashLoopBackOff"}}))]}),
            "1/2",
            "CrashLoopBackOff",
        ),
        (
            json!({"phase": "Running", "containerStatuses": [container("x", running()), container("y", done())]}),
            "1/2",
            "NotReady",
        ),
        (
            json!({"phase": "Running", "conditions": ready, "containerStatuses": [container("x", running()), container("y", done())]}),
            "1/2",
            "Running",
        ),
        (
            json!({"phase": "Failed", "containerStatuses": [container("x", done()),
                container("y", json!({"terminated": {"exitCode": 1, "reason": "Error"}}))]}),
            "0/2",
            "Error",
        ),
        (json!({"phase": "Succeeded", "containerStatuses": [container("x", done())]}), "0/2", "Completed"),
        (
            json!({"phase": "Failed", "containerStatuses": [container("x", json!({"terminated": {"exitCode": 3}}))]}),
            "0/2",
            "ExitCode:3",
        ),
        (
            json!({"phase": "Failed", "containerStatuses": [container("x", json!({"terminated": {"exitCode": 3, "signal": 9}}))]}),
            "0/2",
            "Signal:9",
        ),
        (json!({"phase": "Pending", "initContainerStatuses": [container("i", running())]}), "0/2", "Init:0/2"),
        (
            json!({"phase": "Pending", "initContainerStatuses": [container("i", done()), container("j", json!({"waiting": {"reason": "PodInitializing"}}))]}),
            "0/2",
            "Init:1/2",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [container("i", json!({"waiting": {"reason": "ImagePullBackOff"}}))]}),
            "0/2",
            "Init:ImagePullBackOff",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [container("i", json!({"terminated": {"exitCode": 2, "reason": "Error"}}))]}),
            "0/2",
            "Init:Error",
        ),
        (
            json!({"phase": "Pending", "initContainerStatuses": [container("i", json!({"terminated": {"exitCode": 2}}))]}),
            "0/2",
            "Init:ExitCode:2",
        ),
    ];
    for (status, ready, reason) in table {
        let cells = cells(&pod(status.clone()));
        assert_eq!((cells[1].as_str(), cells[2].as_str()), (ready, reason), "{status}");
    }
}

#[test]
fn deletion() {
    for (status, reason) in [
        (json!({"phase": "Running"}), "Terminating"),
        (json!({"phase": "Succeeded"}), "Succeeded"),
        (json!({"phase": "Running", "reason": "NodeLost"}), "Unknown"),
    ] {
        let mut pod = pod(status);
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:30:00Z");
        assert_eq!(cells(&pod)[2], reason);
    }
}

#[test]
fn sidecars_count_as_containers() {
    let mut pod = pod(json!({"phase": "Running",
        "initContainerStatuses": [{"name": "i", "state": {"running": {}}, "started": true, "ready": true, "restartCount": 2,
            "lastState": {"terminated": {"finishedAt": "2026-01-01T00:50:00Z"}}},
            {"name": "j", "state": {"terminated": {"exitCode": 0}}, "restartCount": 7}],
        "containerStatuses": [container("x", json!({"running": {}})), container("y", json!({"running": {}}))]}));
    pod["spec"]["initContainers"][0]["restartPolicy"] = json!("Always");
    let cells = cells(&pod);
    assert_eq!(cells[1..5], ["3/3", "Running", "2 (10m ago)", "60m"]);
}

#[test]
fn restarts_and_wide_columns() {
    let mut status = json!({"phase": "Running", "podIPs": [{"ip": "10.1.2.3"}], "nominatedNodeName": "n2",
        "conditions": [{"type": "g", "status": "True"}],
        "containerStatuses": [container("x", json!({"running": {}}))]});
    status["containerStatuses"][0]["restartCount"] = json!(3);
    status["containerStatuses"][0]["lastState"] = json!({"terminated": {"finishedAt": "2026-01-01T00:55:00Z"}});
    let mut pod = pod(status);
    pod["spec"]["nodeName"] = json!("n1");
    pod["spec"]["readinessGates"] = json!([{"conditionType": "g"}, {"conditionType": "h"}]);
    assert_eq!(cells(&pod)[3..], ["3 (5m ago)", "60m", "10.1.2.3", "n1", "n2", "1/2"]);
    let plain = json!({"metadata": {"name": "a"}});
    assert_eq!(cells(&plain)[1..], ["0/0", "", "0", "<unknown>", "<none>", "<none>", "<none>", "<none>"]);
}
