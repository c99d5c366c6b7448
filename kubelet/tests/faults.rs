//! The process runtime when things die: the kubelet, the shim, a container out of memory; and what must be left of them: nothing.
#![allow(clippy::unwrap_used)] // A panic is how a test fails, in its helpers too.

mod node;

use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt;
use kubelet::process::cleanup;
use kubelet::runtime::{ContainerState, Runtime};
use node::{Node, echo, shell};
use tokio::io::AsyncBufReadExt;

/// How long the victim may take until its containers run.
const PATIENCE: Duration = Duration::from_secs(60);
/// Set for the copy of this test program that plays the kubelet to be killed.
const VICTIM: &str = "MKUBE_TEST_VICTIM_DIRECTORY";
/// What it says then.
const READY: &str = "its containers run";

/// Not a test of its own: what the victim does.
#[test]
fn victim() {
    let Ok(directory) = std::env::var(VICTIM) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let node = Node::start(directory.as_ref()).await;
        let sandbox = node.sandbox("web", |_| {}).await;
        node.start_container(&sandbox.id, &echo(&node, "main")).await;
        node.start_container(&sandbox.id, &shell(&node, "short", "sleep 0.5; exit 5")).await;
        node.runtime.create_container(&sandbox.id, &shell(&node, "later", "echo late")).await.unwrap();
        println!("{READY}");
        std::future::pending::<()>().await;
    });
}

#[test]
fn a_killed_kubelet_finds_its_pods_again() {
    Node::run("kubelet-killed", async |node| {
        let mut victim = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim", "--nocapture"])
            .env(VICTIM, &node.directory)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut says = tokio::io::BufReader::new(victim.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = says.next_line().await.unwrap() {
                if line.contains(READY) {
                    return true;
                }
            }
            false
        };
        let ready = tokio::time::timeout(PATIENCE, ready).await;
        // Also if it is not ready: it must not outlive the test.
        let _ = victim.start_kill();
        victim.wait().await.unwrap();
        assert_eq!(ready, Ok(true), "the victim ended by itself, or was not ready within {PATIENCE:?}");

        node.restart().await;
        let sandboxes = node.runtime.sandboxes().await.unwrap();
        let [sandbox] = &sandboxes[..] else { panic!("{sandboxes:?}") };
        assert!(sandbox.ready && sandbox.name == "web");
        let text = node.get(sandbox.ips[0], 8080, "/hostname").await;
        assert!(text.ends_with("web\n"), "{text}");
        let containers = node.runtime.containers(&sandbox.id).await.unwrap();
        let find = |name: &str| containers.iter().find(|container| container.name == name).unwrap().clone();
        assert_eq!((find("main").state, find("later").state), (ContainerState::Running, ContainerState::Created));
        // It may have ended while there was no kubelet, or end now: the exit code is known either way.
        assert_eq!(node.ended(&find("short").id).await.exit_code, Some(5));
        node.runtime.start_container(&find("later").id).await.unwrap();
        assert_eq!(node.ended(&find("later").id).await.exit_code, Some(0));
        // Its address stays taken.
        let next = node.sandbox("next", |_| {}).await;
        assert_ne!(next.ips, sandbox.ips);
        let output =
            node.runtime.exec_sync(&find("main").id, &["true".to_owned()], Duration::from_secs(10)).await.unwrap();
        assert_eq!(output.exit_code, 0);
    });
}

#[test]
fn a_killed_shim_takes_its_containers_along() {
    Node::run("shim-killed", async |node| {
        let sandbox = node.sandbox("p", |_| {}).await;
        let id = node.start_container(&sandbox.id, &shell(node, "main", "sleep 1000")).await;
        let pid = node.container(&id).await.pid.unwrap();
        let text =
            std::fs::read_to_string(node.options.root.join("sandboxes").join(&sandbox.id).join("shim.json")).unwrap();
        let shim: kubelet::shim::wire::ProcessId = serde_json::from_str(&text).unwrap();
        let mut events = node.runtime.events();
        shim.kill();
        assert_eq!(events.next().await.unwrap().pod_uid, "uid-p");
        let container = node.ended(&id).await;
        assert_eq!((container.exit_code, container.reason.as_str()), (Some(137), "Error"));
        assert!(!kubelet::shim::wire::ProcessId::of(pid).is_some_and(|process| process.alive()), "it still runs");
        assert!(!node.runtime.sandboxes().await.unwrap()[0].ready);
        // A kubelet that was away at the time sees the same.
        node.restart().await;
        assert_eq!(node.container(&id).await.exit_code, Some(137));
        assert!(node.runtime.start_container(&id).await.is_err());
        // The pod's next sandbox replaces it.
        let again = node.sandbox("p", |spec| spec.attempt = 1).await;
        assert!(again.ready && again.id != sandbox.id);
        let id = node.start_container(&again.id, &echo(node, "again")).await;
        node.runtime.remove_sandbox(&sandbox.id).await.unwrap();
        assert_eq!(
            node.container(&id).await.state,
            ContainerState::Running,
            "removing the old one does not touch the new one"
        );
    });
}

#[test]
fn out_of_memory_is_told_from_other_kills() {
    Node::run("oom", async |node| {
        let sandbox = node.sandbox("p", |_| {}).await;
        let mut spec = shell(node, "main", "exec tail /dev/zero");
        spec.resources.memory_limit = Some(16 << 20);
        spec.resources.cpu_shares = Some(512);
        spec.resources.cpu_quota = Some(100_000);
        let id = node.start_container(&sandbox.id, &spec).await;
        let ended = node.ended(&id).await;
        if !std::path::Path::new("/sys/fs/cgroup/memory").exists()
            && !std::path::Path::new("/sys/fs/cgroup/memory.stat").exists()
        {
            eprintln!("SKIPPED: no memory controller here");
            return;
        }
        assert_eq!((ended.exit_code, ended.reason.as_str()), (Some(137), "OOMKilled"));
        let id = node.start_container(&sandbox.id, &shell(node, "killed", "sleep 1000")).await;
        node.runtime.stop_container(&id, Duration::ZERO).await.unwrap();
        let ended = node.container(&id).await;
        assert_eq!((ended.exit_code, ended.reason.as_str()), (Some(137), "Error"));
    });
}

#[test]
fn stop_waits_as_long_as_told() {
    Node::run("grace", async |node| {
        let sandbox = node.sandbox("p", |_| {}).await;
        // PID 1 of a namespace ignores what it has no handler for.
        let deaf = node.start_container(&sandbox.id, &shell(node, "deaf", "sleep 1000")).await;
        let begun = std::time::Instant::now();
        node.runtime.stop_container(&deaf, Duration::from_millis(700)).await.unwrap();
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(10), "{took:?}");
        assert_eq!(node.container(&deaf).await.exit_code, Some(137));
        node.runtime.stop_container(&deaf, Duration::ZERO).await.unwrap();
        node.runtime.remove_container(&deaf).await.unwrap();
        node.runtime.remove_container(&deaf).await.unwrap();
        assert!(node.runtime.containers(&sandbox.id).await.unwrap().is_empty());

        let running = node.start_container(&sandbox.id, &shell(node, "running", "sleep 1000")).await;
        node.runtime.stop_sandbox(&sandbox.id).await.unwrap();
        assert_eq!(node.container(&running).await.exit_code, Some(137));
        assert!(!node.runtime.sandboxes().await.unwrap()[0].ready);
        node.runtime.stop_sandbox(&sandbox.id).await.unwrap();
    });
}

#[test]
fn cleanup_removes_what_runs() {
    Node::run("cleanup", async |node| {
        for name in ["a", "b"] {
            let sandbox = node.sandbox(name, |_| {}).await;
            node.start_container(&sandbox.id, &shell(node, name, "sleep 1000 & sleep 1000")).await;
        }
        let root = node.options.root.clone();
        let left = tokio::task::spawn_blocking(move || cleanup(&root)).await.unwrap().unwrap();
        assert_eq!(left, Vec::<String>::new());
        assert!(!node.options.root.exists());
        // `run` proves that nothing is left; asked again there is nothing to do.
        assert_eq!(cleanup(&node.options.root).unwrap(), Vec::<String>::new());
    });
}

#[test]
fn what_a_crash_left_half_made_does_no_harm() {
    Node::run("half-made", async |node| {
        let sandboxes = node.options.root.join("sandboxes");
        // Before sandbox.json was there, while it was written, and after, but before its shim started.
        std::fs::create_dir_all(sandboxes.join("empty")).unwrap();
        std::fs::create_dir_all(sandboxes.join("torn/containers")).unwrap();
        std::fs::write(sandboxes.join("torn/sandbox.json"), "{\"id\":\"to").unwrap();
        let sandbox = node.sandbox("whole", |_| {}).await;
        let id = node.start_container(&sandbox.id, &shell(node, "main", "sleep 1000")).await;
        let text = std::fs::read_to_string(sandboxes.join(&sandbox.id).join("sandbox.json")).unwrap();
        std::fs::create_dir_all(sandboxes.join("early/containers/unfinished")).unwrap();
        let early = text.replace(&sandbox.id, "early").replace("uid-whole", "uid-early");
        std::fs::write(sandboxes.join("early/sandbox.json"), early).unwrap();

        node.restart().await;
        let found = node.runtime.sandboxes().await.unwrap();
        let state: Vec<_> = found.iter().map(|sandbox| (sandbox.uid.as_str(), sandbox.ready)).collect();
        assert!(
            state.len() == 2 && state.contains(&("uid-whole", true)) && state.contains(&("uid-early", false)),
            "{state:?}"
        );
        assert!(!sandboxes.join("empty").exists() && !sandboxes.join("torn").exists());
        assert!(node.runtime.containers("early").await.unwrap().is_empty());
        node.runtime.remove_sandbox("early").await.unwrap();
        // It had been given the same address as the one that lives, which keeps it.
        assert_eq!(node.container(&id).await.state, ContainerState::Running);
        assert_ne!(node.sandbox("next", |_| {}).await.ips, sandbox.ips);
        assert!(node.sandbox("early", |_| {}).await.ready, "the pod is made again");
    });
}
