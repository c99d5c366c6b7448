//! Pods that this node does not take, and what they are told.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_fit_fails_and_takes_no_room() {
    let world = World::new();
    let spec = json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "5"}}}]});
    world.run(spec);
    let failed = world.until("failed", |s| phase(s) == "Failed").await;
    let message = "Node didn't have enough resource: cpu, requested: 5000, used: 0, capacity: 4000";
    assert_eq!(failed.reason.as_deref(), Some("OutOfcpu"));
    assert_eq!(failed.message, Some(format!("Pod was rejected: {message}")));
    assert!(failed.container_statuses.is_none() && failed.start_time.is_some(), "{failed:?}");
    assert_eq!(world.events(), [format!("!OutOfcpu {message}")]);
    assert!(world.manager.pods().iter().all(|pod| pod::is_terminal(pod::status(pod))));

    // A restarted kubelet finds all said, and says nothing.
    let World { runtime, cluster, _dir, .. } = world;
    let object = Arc::new(cluster.0.lock().objects["p"].clone());
    let writes = cluster.0.lock().writes;
    let world = World::on(runtime, cluster, _dir);
    world.manager.update(object);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.cluster.0.lock().writes, writes);
    assert_eq!(world.status().and_then(|s| s.reason).as_deref(), Some("OutOfcpu"));
    world.delete(30);
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_short_of_disk_takes_no_new_pods() {
    use crate::eviction::plan::Pressure;
    let world = World::new();
    world.manager.pressures().send_replace(vec![Pressure::Disk]);
    world.run(json!({"containers": [container()]}));
    let failed = world.until("failed", |s| phase(s) == "Failed").await;
    let message = "Pod was rejected: The node had condition: [DiskPressure]. ";
    assert_eq!((failed.reason.as_deref(), failed.message.as_deref()), (Some("Evicted"), Some(message)));
    assert_eq!(world.runtime.started("c"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_honoured_is_a_waiting_container_and_an_event() {
    let world = World::new();
    world.run(json!({"hostPID": true, "containers": [container()]}));
    let status = world.until("waiting", |s| waits(s, 0) == "CreateContainerConfigError").await;
    let waiting = status.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.message.as_deref(), Some("spec.hostPID is not supported by this kubelet's runtime"));
    let event =
        "!Failed spec.containers{c}: Error: spec.hostPID is not supported by this kubelet's runtime".to_string();
    assert!(world.events().contains(&event), "{:?}", world.events());
    assert_eq!(world.runtime.started("c"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sysctl_that_is_not_safe_fails_the_pod() {
    let world = World::new();
    world.run(
        json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}, "containers": [container()]}),
    );
    let failed = world.until("failed", |s| phase(s) == "Failed").await;
    assert_eq!(failed.reason.as_deref(), Some("SysctlForbidden"));
    assert_eq!(
        failed.message.as_deref(),
        Some("Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted")
    );
}
