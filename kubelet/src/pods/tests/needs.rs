//! Pods that wait for what they need: images, ConfigMaps, volumes.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_run_is_said_and_tried_again() {
    let world = World::new();
    world.runtime.refuse_image("nope:1");
    world.run(json!({"containers": [{"name": "c", "image": "nope:1"}]}));
    let status = world.until("ErrImagePull", |s| waits(s, 0) == "ErrImagePull").await;
    assert_eq!(phase(&status), "Pending");
    world.until("ImagePullBackOff", |s| waits(s, 0) == "ImagePullBackOff").await;
    let events = world.events();
    for expected in [
        "Pulling spec.containers{c}: Pulling image \"nope:1\"",
        "!Failed spec.containers{c}: Failed to pull image \"nope:1\": cannot run nope:1",
        "!Failed spec.containers{c}: Error: ErrImagePull",
        "BackOff spec.containers{c}: Back-off pulling image \"nope:1\"",
        "!Failed spec.containers{c}: Error: ImagePullBackOff",
    ] {
        assert!(events.iter().any(|e| e == expected), "{expected}: {events:#?}");
    }
    world.runtime.accept_images();
    world.until("running", running).await;
    assert_eq!(world.seconds(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_missing_config_map_holds_a_container_until_it_appears() {
    let world = World::new();
    let env = json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "a"}}}]);
    world.run(json!({"containers": [{"name": "c", "image": "app:1", "env": env}]}));
    let status = world.until("waiting", |s| waits(s, 0) == "CreateContainerConfigError").await;
    let state = status.container_statuses.unwrap()[0].state.clone().unwrap();
    assert_eq!(state.waiting.unwrap().message.as_deref(), Some("configmap \"m\" not found"));
    let before = world.seconds();
    world.cluster.config_map("a", "1");
    world.cluster.tell();
    world.until("running", running).await;
    assert_eq!(world.seconds(), before, "at once, not after the back-off");
    assert!(world.runtime.env("c").contains(&("A".to_string(), "1".to_string())));
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_cannot_be_made_is_an_event_and_the_pod_waits() {
    let world = World::new();
    world.run(json!({"containers": [container()], "volumes": [{"name": "v", "configMap": {"name": "m"}}]}));
    world.until("creating", |s| waits(s, 0) == "ContainerCreating").await;
    let expected = "!FailedMount MountVolume.SetUp failed for volume \"v\" : configmap \"m\" not found".to_string();
    world.when("told", || world.events().contains(&expected).then_some(())).await;
    world.cluster.config_map("k", "1");
    world.until("running", running).await;
    let file = world._dir.path().join("pods/u/volumes/kubernetes.io~configmap/v/k");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1");
    // A change is seen live.
    world.cluster.config_map("k", "2");
    world.cluster.tell();
    world.when("changed", || std::fs::read_to_string(&file).is_ok_and(|text| text == "2").then_some(())).await;
}
