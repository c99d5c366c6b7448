//! The process runtime with real containers: needs root. Each test has a network namespace of its own as "the node", a state directory
//! and a control group that nobody else has, and checks at its end that nothing is left.

mod node;

use std::time::Duration;

use kubelet::runtime::{ContainerState, Runtime};
use node::{Node, echo, shell};

#[test]
fn an_echo_pod_answers_at_its_address() {
    Node::run("echo", async |node| {
        let sandbox = node.sandbox("web", |_| {}).await;
        assert!(sandbox.ready && sandbox.ips.len() == 1);
        let id = node.start_container(&sandbox.id, &echo(&node, "main")).await;
        let text = node.get(sandbox.ips[0], 8080, "/").await;
        assert!(text.contains("pod: web\n"), "{text}");
        assert!(text.contains("node: test-node\n"), "{text}");
        assert!(text.contains(&format!("address: {}:8080\n", sandbox.ips[0])), "{text}");
        let container = node.container(&id).await;
        assert_eq!(container.state, ContainerState::Running);
        assert!(node.log("main").contains(" stdout F echo web serves http [8080]"), "{}", node.log("main"));

        node.runtime.stop_container(&id, Duration::from_secs(10)).await.unwrap();
        let container = node.container(&id).await;
        assert_eq!((container.exit_code, container.reason.as_str()), (Some(0), "Completed"), "{container:?}");
        assert!(
            container.finished_at.unwrap().duration_since(container.started_at.unwrap())
                >= jiff::SignedDuration::from_secs(2)
        );
    });
}

#[test]
fn exit_codes_and_output() {
    Node::run("codes", async |node| {
        let sandbox = node.sandbox("p", |_| {}).await;
        for (name, script, code, reason, log) in [
            ("ok", "echo out; echo err >&2", 0, "Completed", &["stdout F out", "stderr F err"][..]),
            ("three", "printf nonewline; exit 3", 3, "Error", &["stdout P nonewline"]),
            ("signal", "kill -9 $$; sleep 1", 0, "Completed", &[]),
            ("child", "sh -c 'kill -9 $$'; exit $?", 137, "Error", &[]),
        ] {
            let id = node.start_container(&sandbox.id, &shell(&node, name, script)).await;
            let ended = node.ended(&id).await;
            assert_eq!((ended.exit_code, ended.reason.as_str()), (Some(code), reason), "{name}");
            for line in log {
                assert!(node.log(name).contains(line), "{name}: {line} in {}", node.log(name));
            }
        }
    });
}
