//! The process runtime with real containers: needs root. Each test has a network namespace of its own as "the node", a state directory
//! and a control group that nobody else has, and checks at its end that nothing is left.
#![allow(clippy::unwrap_used)] // A panic is how a test fails, in its helpers too.

mod node;

use std::time::Duration;

use kubelet::runtime::{ContainerSpec, ContainerState, Error, Runtime, Streams};
use node::{Node, container, echo, mount, shell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn an_echo_pod_answers_at_its_address() {
    Node::run("echo", async |node| {
        let sandbox = node.sandbox("web", |_| {}).await;
        assert!(sandbox.ready && sandbox.ips.len() == 1);
        let id = node.start_container(&sandbox.id, &echo(node, "main")).await;
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
            let id = node.start_container(&sandbox.id, &shell(node, name, script)).await;
            let ended = node.ended(&id).await;
            assert_eq!((ended.exit_code, ended.reason.as_str()), (Some(code), reason), "{name}");
            for line in log {
                assert!(node.log(name).contains(line), "{name}: {line} in {}", node.log(name));
            }
        }
    });
}

#[test]
fn what_cannot_start_says_why() {
    Node::run("start-errors", async |node| {
        let sandbox = node.sandbox("p", |_| {}).await;
        let mut directory = shell(node, "dir", "true");
        directory.working_dir = Some("/etc/passwd".into());
        for (spec, expected) in [
            (
                container(node, "nope", "mkube.local/host", &["nope"]),
                r#"exec: "nope": executable file not found in $PATH"#,
            ),
            (
                container(node, "abs", "mkube.local/host", &["/no/pe"]),
                r#"exec: "/no/pe": stat /no/pe: no such file or directory"#,
            ),
            (
                container(node, "perm", "mkube.local/host", &["/etc/passwd"]),
                r#"exec: "/etc/passwd": permission denied"#,
            ),
            (directory, r#"chdir to cwd ("/etc/passwd") set in config.json failed: Not a directory (os error 20)"#),
        ] {
            let id = node.runtime.create_container(&sandbox.id, &spec).await.unwrap();
            let error = node.runtime.start_container(&id).await.unwrap_err();
            assert!(matches!(&error, Error::Start(text) if text == expected), "{error}");
            let container = node.container(&id).await;
            assert_eq!((container.state, container.exit_code), (ContainerState::Exited, Some(128)), "{expected}");
            assert_eq!((container.reason.as_str(), container.message.as_str()), ("StartError", expected));
        }
        let error =
            node.runtime.create_container(&sandbox.id, &container(node, "i", "nginx:1", &["x"])).await.unwrap_err();
        assert!(matches!(&error, Error::Image(text) if text.contains("mkube.local/echo")), "{error}");
        assert!(matches!(node.runtime.pull_image("nginx").await, Err(Error::Image(_))));
        assert_eq!(node.runtime.image_status("mkube.local/echo:v1").await.unwrap().unwrap(), "mkube.local/echo:v1");
    });
}

/// What a shell in a container prints.
async fn printed(node: &Node, sandbox: &str, spec: &ContainerSpec) -> String {
    let id = node.start_container(sandbox, spec).await;
    let ended = node.ended(&id).await;
    let log = node.log(&spec.name);
    assert_eq!(ended.exit_code, Some(0), "{log}");
    log.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_container_has_its_own_world() {
    Node::run("world", async |node| {
        let sandbox = node.sandbox("own-name", |_| {}).await;
        let script = "echo pid $$; echo host $(hostname) $(cat /etc/hostname); cat /etc/resolv.conf; echo $HOME $HOSTNAME $A; \
             ls /proc | grep -c '^[0-9]*$'; ls /sys/class/net | tr '\\n' ' '; id -u -G; echo; \
             echo x > /etc/mkube-written && cat /etc/mkube-written; echo y > /dev/null; ls $DATA | wc -l; umask; \
             test -c /dev/urandom && echo dev; touch /proc/sys/kernel/hostname && echo z > /proc/sys/kernel/hostname || echo ro; \
             mount -t tmpfs x /mnt 2>/dev/null || echo unprivileged";
        let mut spec = shell(node, "a", script);
        spec.env = vec![("A".into(), "b c".into()), ("DATA".into(), node.options.root.to_str().unwrap().into())];
        let text = printed(node, &sandbox.id, &spec).await;
        for expected in [
            "pid 1\n",
            "host own-name own-name\n",
            "nameserver 10.96.0.10\n",
            "/root own-name b c\n",
            "eth0 lo ",
            "\nx\n",
            "\n0\n0022\n",
            "\ndev\n",
            "\nro\n",
            "unprivileged",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(!std::path::Path::new("/etc/mkube-written").exists());

        let mut spec = shell(node, "user", "id -u; id -g; id -G; pwd; touch /etc/x 2>&1 || true");
        (spec.run_as_user, spec.run_as_group, spec.supplemental_groups) = (Some(1234), Some(55), vec![66]);
        spec.working_dir = Some("/made/for/me".into());
        let text = printed(node, &sandbox.id, &spec).await;
        assert!(text.starts_with("1234\n55\n55 66\n/made/for/me\n"), "{text}");
        assert!(text.contains("Permission denied"), "{text}");

        let mut spec = shell(node, "readonly", "touch /etc/x 2>&1 || true; echo y > /dev/shm/y && echo shm");
        spec.readonly_rootfs = true;
        let text = printed(node, &sandbox.id, &spec).await;
        assert!(text.contains("Read-only file system") && text.ends_with("shm"), "{text}");

        let mut spec = shell(node, "privileged", "mount -t tmpfs x /mnt && echo may");
        spec.privileged = true;
        assert_eq!(printed(node, &sandbox.id, &spec).await, "may");
    });
}

#[test]
fn volumes_are_where_they_should_be() {
    Node::run("volumes", async |node| {
        let sandbox = node.sandbox("p", |_| {}).await;
        let volume = node.directory.join("volume");
        std::fs::create_dir_all(volume.join("sub")).unwrap();
        std::fs::write(volume.join("file"), "from the node\n").unwrap();
        let script = "cat /data/deep/file; echo w > /data/deep/written; cat /ro/file; touch /ro/x 2>&1; cat /etc/one-file; \
             echo more >> /run/link/written; ls -d /escape; true";
        let mut spec = shell(node, "v", script);
        spec.mounts = vec![
            mount(&volume, "/data/deep", false),
            mount(&volume, "/ro", true),
            mount(&volume.join("file"), "/etc/one-file", true),
            // /var/run is an absolute link on most systems; it must not lead out of the container.
            mount(&volume, "/var/run/link", false),
        ];
        let text = printed(node, &sandbox.id, &spec).await;
        assert_eq!(text.matches("from the node").count(), 3, "{text}");
        assert!(text.contains("Read-only file system"), "{text}");
        assert_eq!(std::fs::read_to_string(volume.join("written")).unwrap(), "w\nmore\n");
        let mut missing = shell(node, "missing", "true");
        missing.mounts = vec![mount(&node.directory.join("none"), "/x", false)];
        let error = node.start_in(&sandbox.id, &missing).await.unwrap_err();
        assert!(error.to_string().starts_with("error mounting"), "{error}");
    });
}

#[test]
fn commands_run_in_containers() {
    Node::run("exec", async |node| {
        let sandbox = node.sandbox("p", |_| {}).await;
        let mut spec = shell(node, "main", "echo marker > /marker; trap 'exit 7' TERM; sleep 1000 & wait");
        spec.env = vec![("A".into(), "b".into())];
        let id = node.start_container(&sandbox.id, &spec).await;
        let words = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
        let run = |command: &str, seconds| {
            let command = words(command);
            let (runtime, id) = (node.runtime.clone(), id.clone());
            async move { runtime.exec_sync(&id, &command, Duration::from_millis(seconds)).await }
        };
        // The marker is written by the container's own first command: wait for it.
        let output = run(
            "sh|-c|until cat /marker 2>/dev/null; do :; done; echo $A $HOSTNAME; cat /proc/1/comm; echo e >&2; exit 4",
            10_000,
        )
        .await
        .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "marker\nb p\nsh\n");
        assert_eq!((String::from_utf8_lossy(&output.stderr).as_ref(), output.exit_code), ("e\n", 4));
        assert!(matches!(run("nope", 10_000).await, Err(Error::Start(text)) if text.contains("not found in $PATH")));
        assert!(matches!(run("sleep|100", 200).await, Err(Error::Timeout(_))));
        let big = run("head|-c|1000000|/dev/zero", 10_000).await.unwrap();
        assert_eq!((big.stdout.len(), big.exit_code), (16 << 10, 0));
        // Something left in the background does not keep the probe waiting.
        let output = run("sh|-c|sleep 50 & echo done", 10_000).await.unwrap();
        assert_eq!(output.stdout, b"done\n");

        // Standard input to the end.
        let streams = Streams { stdin: true, stdout: true, stderr: true, tty: false };
        let mut session = node.runtime.exec(&id, &words("sh|-c|cat; echo end"), streams).await.unwrap();
        session.stdin.take().unwrap().write_all(b"hello\n").await.unwrap();
        let mut text = String::new();
        session.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        assert_eq!((text.as_str(), session.exit.await.unwrap()), ("hello\nend\n", 0));

        // A dropped session takes its command along.
        let streams = Streams { stdout: true, ..Streams::default() };
        let mut session = node.runtime.exec(&id, &words("sh|-c|echo $$; exec sleep 12345"), streams).await.unwrap();
        let mut line = [0u8; 16];
        let _ = session.stdout.as_mut().unwrap().read(&mut line).await.unwrap();
        drop(session);
        let gone = run("sh|-c|while grep -qs '[1]2345' /proc/[0-9]*/cmdline; do :; done", 10_000).await;
        assert!(gone.is_ok(), "{gone:?}");

        node.runtime.stop_container(&id, Duration::from_secs(20)).await.unwrap();
        assert_eq!(node.container(&id).await.exit_code, Some(7));
        assert!(matches!(run("true", 1000).await, Err(Error::NotFound(_))));
    });
}

/// Reads from a session until it has said something.
async fn until(stream: &mut (impl tokio::io::AsyncRead + Unpin), wanted: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0u8; 1024]);
    while !text.contains(wanted) {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await;
        let length = read.unwrap_or_else(|_| panic!("{wanted:?} in {text:?}")).unwrap();
        assert!(length > 0, "ended without {wanted:?}: {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    text
}

#[test]
fn a_terminal_is_a_terminal() {
    Node::run("terminal", async |node| {
        let sandbox = node.sandbox("p", |_| {}).await;
        let id = node.start_container(&sandbox.id, &shell(node, "main", "sleep 1000")).await;
        let streams = Streams { stdin: true, stdout: true, stderr: true, tty: true };
        let mut session = node.runtime.exec(&id, &["sh".to_owned()], streams).await.unwrap();
        let (mut stdin, mut stdout) = (session.stdin.take().unwrap(), session.stdout.take().unwrap());
        session.resize.as_ref().unwrap().send((111, 42)).await.unwrap();
        stdin
            .write_all(b"tty; until test \"$(stty size)\" = '42 111'; do :; done; echo si''zed; echo $TERM\n")
            .await
            .unwrap();
        let text = until(&mut stdout, "sized").await;
        assert!(text.contains("/dev/pts/0"), "{text}");
        // Control-C reaches what runs, not the shell.
        stdin.write_all(b"sh -c 'echo run''ning; exec sleep 1000'; echo inter''rupted\n").await.unwrap();
        until(&mut stdout, "running").await;
        stdin.write_all(b"\x03").await.unwrap();
        stdin.write_all(b"echo af''ter; exit 9\n").await.unwrap();
        until(&mut stdout, "after").await;
        assert_eq!(session.exit.await.unwrap(), 9);

        let mut spec = shell(node, "tty", "tty; read line; echo got $line");
        (spec.tty, spec.stdin) = (true, true);
        let id = node.start_container(&sandbox.id, &spec).await;
        let mut session = node.runtime.attach(&id, streams).await.unwrap();
        session.stdin.as_mut().unwrap().write_all(b"input\n").await.unwrap();
        until(session.stdout.as_mut().unwrap(), "got input").await;
        assert_eq!(session.exit.await.unwrap(), 0);
        assert!(node.log("tty").contains("stdout F /dev/pts/0\r\n"), "{}", node.log("tty"));
    });
}

#[test]
fn attached_to_a_container() {
    Node::run("attach", async |node| {
        let sandbox = node.sandbox("p", |_| {}).await;
        let mut spec = shell(node, "cat", "while read line; do echo out $line; echo err $line >&2; done; echo end");
        (spec.stdin, spec.stdin_once) = (true, true);
        let id = node.start_container(&sandbox.id, &spec).await;
        let streams = Streams { stdin: true, stdout: true, stderr: true, tty: false };
        let mut session = node.runtime.attach(&id, streams).await.unwrap();
        let mut watching = node.runtime.attach(&id, Streams { stdout: true, ..Streams::default() }).await.unwrap();
        let mut stdin = session.stdin.take().unwrap();
        stdin.write_all(b"one\n").await.unwrap();
        until(session.stdout.as_mut().unwrap(), "out one\n").await;
        until(session.stderr.as_mut().unwrap(), "err one\n").await;
        until(watching.stdout.as_mut().unwrap(), "out one\n").await;
        // stdinOnce: when the first session's input ends, the container's does, and the session hears how it goes on.
        drop(stdin);
        until(session.stdout.as_mut().unwrap(), "end\n").await;
        assert_eq!(session.exit.await.unwrap(), 0);
        assert_eq!(watching.exit.await.unwrap(), 0);
        let mut rest = String::new();
        watching.stdout.take().unwrap().read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "end\n");
        assert!(node.log("cat").contains("stdout F end"));
        assert!(matches!(node.runtime.attach(&id, streams).await, Err(Error::NotFound(_))));
    });
}

#[test]
fn pods_reach_each_other_and_themselves() {
    Node::run("network", async |node| {
        let (one, two) = (node.sandbox("one", |_| {}).await, node.sandbox("two", |_| {}).await);
        assert_ne!(one.ips, two.ips);
        let mut spec = echo(node, "one");
        spec.args = ["--http", "80", "--tcp", "9000", "--udp", "9001"].map(str::to_owned).to_vec();
        spec.run_as_user = Some(1000);
        node.start_container(&one.id, &spec).await;
        node.get(one.ips[0], 80, "/").await;
        let id = node.start_container(&two.id, &shell(node, "two", "sleep 1000")).await;
        let script = format!("exec 3<>/dev/tcp/{}/9000; head -1 <&3; echo back >&3; head -1 <&3", one.ips[0]);
        let command = ["bash".to_owned(), "-c".to_owned(), script];
        let output = node.runtime.exec_sync(&id, &command, Duration::from_secs(20)).await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.starts_with("pod one node test-node") && text.contains(&format!("client {}", two.ips[0])),
            "{text}"
        );
        assert!(text.ends_with("\nback\n"), "{text}");

        let socket = tokio::net::UdpSocket::bind("0.0.0.0:0").await.unwrap();
        socket.send_to(b"ping", (one.ips[0], 9001)).await.unwrap();
        let mut buffer = [0u8; 256];
        let length = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut buffer)).await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&buffer[..length]).ends_with("\nping"));

        // By localhost, as port-forward does it.
        let stream = node.runtime.connect(&one.id, 80).await.unwrap();
        let text = node::speak(stream, "GET", "/").await.unwrap();
        assert!(text.contains("client: 127.0.0.1:"), "{text}");
        assert!(node.runtime.connect(&one.id, 81).await.is_err());

        let stats = node.runtime.stats(&id).await.unwrap();
        assert!(stats.cpu_nanos > 0, "{stats:?}");

        // The same sandbox asked for again is the same; its address is not given to the next one.
        assert_eq!(node.sandbox("one", |_| {}).await, one);
        node.runtime.remove_sandbox(&two.id).await.unwrap();
        let three = node.sandbox("three", |_| {}).await;
        assert!(three.ips != two.ips && three.ips != one.ips);
        let host = node.sandbox("host", |spec| spec.host_network = true).await;
        assert!(host.ready && host.ips.is_empty());
        let mut spec = echo(node, "host");
        spec.args = vec!["--http".into(), "8099".into()];
        node.start_container(&host.id, &spec).await;
        assert!(node.get("127.0.0.1".parse().unwrap(), 8099, "/").await.contains("pod: host\n"));
    });
}

#[test]
fn privileges_are_those_that_were_asked_for() {
    Node::run("privileges", async |node| {
        let sysctls = [("kernel.shm_rmid_forced", "1"), ("net.ipv4.ip_unprivileged_port_start", "80")];
        let sandbox = node
            .sandbox("p", |spec| {
                spec.sysctls = sysctls.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
            })
            .await;
        let script = "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; cat /proc/sys/kernel/shm_rmid_forced \
                      /proc/sys/net/ipv4/ip_unprivileged_port_start";
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        // Effective set (which exec takes from the bounding one), and whether more can be gained.
        for (name, add, drop, fixed, capabilities) in [
            ("default", vec![], vec![], false, "00000000a80425fb"),
            ("added", vec!["NET_ADMIN"], vec![], false, "00000000a80435fb"),
            ("none", vec![], vec!["ALL"], true, "0000000000000000"),
            ("one", vec!["NET_BIND_SERVICE"], vec!["ALL"], true, "0000000000000400"),
        ] {
            let mut spec = shell(node, name, script);
            (spec.add_capabilities, spec.drop_capabilities) = (names(&add), names(&drop));
            spec.no_new_privileges = fixed;
            let id = node.start_container(&sandbox.id, &spec).await;
            node.ended(&id).await;
            let log = node.log(name);
            for line in [
                format!("CapEff:\t{capabilities}"),
                format!("CapBnd:\t{capabilities}"),
                format!("NoNewPrivs:\t{}", u8::from(fixed)),
                "stdout F 1\n".to_string(),
                "stdout F 80\n".to_string(),
            ] {
                assert!(log.contains(&line), "{name}: {line:?} in {log}");
            }
        }
        let mut unknown = shell(node, "unknown", "true");
        unknown.add_capabilities = names(&["FLY"]);
        let error = node.runtime.create_container(&sandbox.id, &unknown).await.unwrap_err();
        assert!(error.to_string().contains("unknown capability \"FLY\""), "{error}");
    });
}
