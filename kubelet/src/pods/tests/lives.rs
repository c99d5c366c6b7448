//! Pods that run, crash, end and are found again.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pod_runs_and_is_deleted() {
    let world = World::new();
    world.run(json!({"containers": [container()]}));
    let status = world.until("running", running).await;
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
    assert_eq!(status.host_ip.as_deref(), Some("192.168.0.1"));
    let c = &status.container_statuses.as_ref().unwrap()[0];
    assert!(c.ready && c.started == Some(true) && c.container_id.as_ref().unwrap().starts_with("fake://"));
    assert_eq!(c.image_id, "fake/app:1");
    for name in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
        assert_eq!(condition(&status, name), "True/", "{name}");
    }
    let events = world.events();
    assert_eq!(
        events[1..],
        [
            "Pulled spec.containers{c}: Successfully pulled image \"app:1\" in 0ms (0ms including waiting)",
            "Created spec.containers{c}: Container created",
            "Started spec.containers{c}: Container started",
        ]
    );
    world.delete(30);
    world.until_gone().await;
    assert!(world.runtime.is_empty(), "nothing is left in the runtime");
    assert!(world.events().contains(&"Killing spec.containers{c}: Stopping container c".to_string()));
    assert!(world.cluster.0.lock().writes <= 4, "no storm of writes: {}", world.cluster.0.lock().writes);
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_backs_off() {
    let world = World::new();
    world.runtime.script("c", &["exit 1 after 1", "exit 1 after 1", "run"]);
    world.run(json!({"containers": [container()]}));
    let status = world.until("backing off", |s| waits(s, 0) == "CrashLoopBackOff").await;
    let c = &status.container_statuses.as_ref().unwrap()[0];
    assert_eq!(c.restart_count, 1);
    let last = c.last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (1, Some("Error")));
    let message = c.state.as_ref().unwrap().waiting.as_ref().unwrap().message.clone().unwrap();
    assert_eq!(message, "back-off 10s restarting failed container=c pod=p_ns(u)");
    assert_eq!((phase(&status), condition(&status, "Ready").as_str()), ("Running", "False/ContainersNotReady"));
    world
        .until("running again", |s| {
            s.container_statuses.as_ref().unwrap()[0].restart_count == 2 && waits(s, 0).is_empty()
        })
        .await;
    assert_eq!(world.seconds(), 12, "1 s run, at once, 1 s run, 10 s wait");
    let backoff = "!BackOff spec.containers{c}: Back-off restarting failed container c in pod p_ns(u)";
    assert_eq!(world.events().iter().filter(|e| *e == backoff).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn phases_of_pods_that_end() {
    for (policy, script, expected, condition_reason) in [
        ("Never", "exit 0 after 1", "Succeeded", "False/PodCompleted"),
        ("Never", "exit 3 after 1", "Failed", "False/PodFailed"),
        ("OnFailure", "exit 0 after 1", "Succeeded", "False/PodCompleted"),
    ] {
        let world = World::new();
        world.runtime.script("c", &[script]);
        world.run(json!({"restartPolicy": policy, "containers": [container()]}));
        let status = world.until("ended", |s| phase(s) == expected).await;
        assert_eq!(condition(&status, "Ready"), condition_reason, "{policy} {script}");
        assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"), "the address stays readable");
        assert_eq!(world.runtime.started("c"), 1);
        world.delete(0);
        world.until_gone().await;
        assert!(world.runtime.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn init_containers_and_sidecars() {
    let world = World::new();
    world.runtime.script("init", &["exit 0 after 2"]);
    world.runtime.script("c", &["exit 0 after 5"]);
    world.run(json!({"restartPolicy": "Never",
        "initContainers": [{"name": "init", "image": "app:1"}, {"name": "side", "image": "app:1", "restartPolicy": "Always"}],
        "containers": [container()]}));
    let status = world
        .until("initializing", |s| {
            s.init_container_statuses.as_ref().is_some_and(|i| i[0].state.as_ref().is_some_and(|s| s.running.is_some()))
        })
        .await;
    assert_eq!((phase(&status), waits(&status, 0).as_str()), ("Pending", "PodInitializing"));
    assert_eq!(condition(&status, "Initialized"), "False/ContainersNotInitialized");
    let status = world.until("running", running).await;
    assert_eq!(condition(&status, "Ready"), "True/");
    world.until("succeeded", |s| phase(s) == "Succeeded").await;
    assert_eq!(world.runtime.order(), ["init", "side", "c"]);
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_pods_go_on_and_their_status_follows() {
    let world = World::new();
    world.cluster.0.lock().down = true;
    world.runtime.script("c", &["exit 1 after 1", "run"]);
    world.run(json!({"containers": [container()]}));
    world.when("restarted", || (world.runtime.started("c") == 2).then_some(())).await;
    assert_eq!(world.status(), Some(PodStatus::default()));
    world.cluster.0.lock().down = false;
    world.until("running", |s| running(s) && s.container_statuses.as_ref().unwrap()[0].restart_count == 1).await;
    world.cluster.0.lock().down = true;
    world.delete(1);
    // Nobody can be told that it has ended, however long that takes.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(world.status().is_some());
    world.cluster.0.lock().down = false;
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_kubelet_adopts_what_runs_and_removes_what_nobody_knows() {
    let first = World::new();
    first.run(
        json!({"containers": [{"name": "c", "image": "app:1", "readinessProbe": {"exec": {"command": ["true"]}}}]}),
    );
    let ready = |s: &PodStatus| condition(s, "Ready") == "True/";
    let before = first.until("ready", ready).await;
    first.runtime.add_sandbox("stranger");
    assert!(first.context.shutdown(Duration::from_secs(1)).await);
    let World { runtime, cluster, _dir, .. } = first;
    runtime.exec_answers(1);
    let second = World::on(runtime, cluster, _dir);
    let object = second.cluster.0.lock().objects["p"].clone();
    let writes = second.cluster.0.lock().writes;
    second.manager.update(Arc::new(object));
    second.manager.remove_orphans().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(second.runtime.started("c"), 1, "not restarted");
    assert_eq!(second.runtime.sandbox_uids(), ["u"]);
    let after = second.status().unwrap();
    assert!(ready(&after), "ready until its probe says otherwise");
    assert_eq!(after.container_statuses, before.container_statuses);
    assert_eq!(second.cluster.0.lock().writes, writes, "nothing new to write");
    second.until("unready", |s| condition(s, "Ready") == "False/ContainersNotReady").await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_static_pod_replaces_the_old_one_after_its_end() {
    let world = World::new();
    world.runtime.script("c", &["ignores SIGTERM", "run"]);
    let text = |image: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: s}}, spec: {{terminationGracePeriodSeconds: 4, containers: [{{name: c, image: \"{image}\"}}]}}}}"
        )
    };
    let read =
        |image| Arc::new(crate::sources::manifest::read(&text(image), "/m", "n", Timestamp::UNIX_EPOCH).unwrap());
    let (old, new) = (read("app:1"), read("app:2"));
    let runs = |pod: &Pod| (world.runtime.sandbox_uids() == [pod::uid(pod)]).then_some(());
    world.manager.update(old.clone());
    world.when("running", || runs(&old).filter(|()| world.runtime.started("c") == 1)).await;
    world.manager.gone(pod::uid(&old));
    world.manager.update(new.clone());
    let before = world.seconds();
    world.when("replaced", || runs(&new)).await;
    assert_eq!(world.seconds() - before, 4, "the old one had its time to end");
    // Its mirror gets its status.
    let mut mirror = crate::sources::mirror::mirror_of(&new, None);
    mirror.metadata.uid = Some("mirror".into());
    world.cluster.0.lock().objects.insert("s-n".into(), mirror.clone());
    world.manager.mirror(pod::uid(&new), Some(Arc::new(mirror)));
    let shown = || phase(pod::status(&world.cluster.0.lock().objects["s-n"])).to_string();
    world.when("shown", || (shown() == "Running").then_some(())).await;
}
