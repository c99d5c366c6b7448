//! Probes and hooks, and what a pod says and does because of them.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_failing_liveness_probe_restarts_the_container() {
    let world = World::new();
    world.runtime.exec_answers(1);
    let probe = json!({"exec": {"command": ["check"]}, "periodSeconds": 2, "failureThreshold": 2});
    world.run(json!({"containers": [{"name": "c", "image": "app:1", "livenessProbe": probe}]}));
    world.until("restarted", |s| s.container_statuses.as_ref().is_some_and(|c| c[0].restart_count == 1)).await;
    let events = world.events();
    assert!(events.contains(&"!Unhealthy spec.containers{c}: Liveness probe failed: out".to_string()), "{events:#?}");
    let killing = "Killing spec.containers{c}: Container c failed liveness probe, will be restarted";
    assert!(events.contains(&killing.to_string()), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn readiness_and_startup_probes_decide_when_a_pod_is_ready() {
    let world = World::new();
    world.runtime.exec_answers(1);
    let probe = json!({"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 100});
    world.run(json!({"containers": [{"name": "c", "image": "app:1", "startupProbe": probe, "readinessProbe": probe}]}));
    let status = world.until("running", running).await;
    let c = &status.container_statuses.as_ref().unwrap()[0];
    assert_eq!((c.started, c.ready), (Some(false), false));
    world.runtime.exec_answers(0);
    let status = world.until("ready", |s| condition(s, "Ready") == "True/").await;
    assert_eq!(status.container_statuses.unwrap()[0].started, Some(true));
    world.runtime.exec_answers(1);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(condition(&world.status().unwrap(), "Ready"), "True/", "not before the threshold");
    world.until("unready", |s| condition(s, "Ready") == "False/ContainersNotReady").await;
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_the_container() {
    let world = World::new();
    let hook = |word: &str| json!({"exec": {"command": [word]}});
    world.run(json!({"containers": [{"name": "c", "image": "app:1",
        "lifecycle": {"postStart": hook("hello"), "preStop": {"sleep": {"seconds": 3}}}}]}));
    world.until("running", |s| condition(s, "Ready") == "True/").await;
    assert_eq!(world.runtime.executed(), ["hello"]);
    let before = world.seconds();
    world.delete(30);
    world.until_gone().await;
    assert_eq!(world.seconds() - before, 3);
}
