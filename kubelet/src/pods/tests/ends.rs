//! Pods that are ended: deleted, past their deadline, evicted.

use super::*;

#[tokio::test(start_paused = true)]
async fn termination_waits_for_the_grace_period_and_can_be_shortened() {
    let world = World::new();
    world.runtime.script("c", &["ignores SIGTERM"]);
    world.run(json!({"containers": [container()]}));
    world.until("running", running).await;
    let before = world.seconds();
    world.delete(20);
    world.until_gone().await;
    assert_eq!(world.seconds() - before, 20);

    let world = World::new();
    world.runtime.script("c", &["ignores SIGTERM"]);
    world.run(json!({"containers": [container()]}));
    world.until("running", running).await;
    world.delete(600);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(world.status().is_some());
    let before = world.seconds();
    world.delete(0);
    world.until_gone().await;
    assert_eq!(world.seconds() - before, 2, "the least there is");
}

#[tokio::test(start_paused = true)]
async fn an_active_deadline_fails_the_pod() {
    let world = World::new();
    world.run(json!({"activeDeadlineSeconds": 5, "containers": [container()]}));
    world.until("running", running).await;
    let status = world.until("failed", |s| phase(s) == "Failed").await;
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(status.message.as_deref(), Some("Pod was active on the node longer than the specified deadline"));
    assert!((5..7).contains(&world.seconds()));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_evicted_fails_and_says_why() {
    let world = World::new();
    let pod = world.run(json!({"containers": [container()]}));
    world.until("running", running).await;
    let message = "The node was low on resource: memory. ".to_string();
    world.manager.evict(pod::uid(&pod), Eviction { message: message.clone(), grace_seconds: 1 });
    let failed = world.until("failed", |s| phase(s) == "Failed").await;
    assert_eq!((failed.reason.as_deref(), failed.message.as_ref()), (Some("Evicted"), Some(&message)));
    assert_eq!(condition(&failed, "DisruptionTarget"), "True/TerminationByKubelet");
    assert!(world.events().contains(&format!("!Evicted {message}")), "{:?}", world.events());
    // Its object stays until somebody deletes it; a second eviction is none.
    world.manager.evict(pod::uid(&pod), Eviction { message: "again".into(), grace_seconds: 1 });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.status().and_then(|status| status.message), Some(message));
    world.delete(30);
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_pods_end_hears_of_it_at_once() {
    let world = World::new();
    let uid = pod::uid(&world.run(json!({"containers": [container()]}))).to_string();
    world.until("running", running).await;
    let early = tokio::time::timeout(Duration::from_secs(60), world.manager.until_over(&uid)).await;
    assert!(early.is_err(), "it runs");
    let waiting = tokio::spawn({
        let (manager, uid) = (world.manager.clone(), uid.clone());
        async move { manager.until_over(&uid).await }
    });
    world.manager.evict(&uid, Eviction { message: "low".into(), grace_seconds: 1 });
    waiting.await.unwrap();
    assert!(world.manager.pods().iter().all(|pod| pod::is_terminal(pod::status(pod))));
    // Also of one that was deleted meanwhile, and of one that never was here.
    let waiting = tokio::spawn({
        let (manager, uid) = (world.manager.clone(), uid.clone());
        async move { manager.until_over(&uid).await }
    });
    world.delete(30);
    world.until_gone().await;
    waiting.await.unwrap();
    world.manager.until_over(&uid).await;
}
