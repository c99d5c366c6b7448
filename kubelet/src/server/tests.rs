//! The server with a pretended runtime: TLS and who may, logs with follow, exec and attach.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use base::pki::{Authority, Subject};
use base::{Context, SystemClock};
use futures::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::*;
use crate::cluster::Standalone;
use crate::fake::FakeRuntime;
use crate::node::Node;
use crate::server::listener::Identity;
use crate::volumes::paths::Paths;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    context: Context,
    runtime: FakeRuntime,
    server: Arc<Server>,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl World {
    /// A kubelet with one running pod `ns/p`, container `c`; plain HTTP, everybody is the API server.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = FakeRuntime::new(SystemClock::shared());
        let node = Arc::new(Node {
            runtime: Arc::new(runtime.clone()),
            cluster: Arc::new(Standalone),
            clock: runtime.clock(),
            paths: Paths::new(dir.path()),
            name: "n1".into(),
            ips: vec!["127.0.0.1".parse().unwrap()],
            allocatable: Default::default(),
            memory: 1 << 30,
            dns: Default::default(),
        });
        let context = Context::new();
        let manager = Manager::new(node, context.clone());
        context.spawn("runtime-events", manager.clone().follow_runtime());
        let server = Arc::new(Server { manager, client: None, node: "n1".into() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Identity { user: "kube-apiserver-kubelet-client".into(), groups: vec![] };
        let router = router(server.clone()).layer(axum::Extension(identity));
        context.spawn("http", async move { axum::serve(listener, router).await.unwrap() });
        let world = Self { context, runtime, server, address, _dir: dir };
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {"containers": [{"name": "c", "image": "app:1"}, {"name": "bad", "image": "nope"}]}}))
        .unwrap();
        world.runtime.refuse_image("nope");
        world.server.manager.update(Arc::new(pod));
        world.eventually("c runs", async || world.runtime.started("c") == 1).await;
        world
    }

    /// Looks every 5 ms: the runtime's threads and the server's connections have no clock that could be paused.
    async fn eventually(&self, what: &str, mut check: impl AsyncFnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !check().await {
            assert!(tokio::time::Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn log(&self, attempt: u32) -> std::fs::File {
        let pod = self.server.manager.find("ns", "p").unwrap();
        let path = self.server.manager.node().paths.log(&pod, "c", attempt);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap()
    }

    /// The answer's code and body.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_answer(stream).await
    }

    async fn websocket(&self, path: &str, protocol: &'static str) -> Socket {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
        socket
    }
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn read_answer(mut stream: impl tokio::io::AsyncRead + Unpin) -> (u16, String) {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let code = answer.split(' ').nth(1).and_then(|c| c.parse().ok()).unwrap_or(0);
    (code, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_string()).unwrap_or_default())
}

/// Everything on the channels until the end: (stdout, stderr, error), and the close code.
async fn drain(mut socket: Socket) -> ([String; 3], u16) {
    let mut channels = [const { String::new() }; 3];
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(data) => {
                let (channel, rest) = data.split_first().unwrap();
                channels[usize::from(*channel) - 1].push_str(std::str::from_utf8(rest).unwrap());
            }
            Message::Close(frame) => return (channels, frame.unwrap().code.into()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn exec_carries_all_channels_and_the_exit_code() {
    let world = World::new().await;
    let path = "/exec/ns/p/c?command=hello&command=you&input=1&output=1&error=1";
    let mut socket = world.websocket(path, "v5.channel.k8s.io").await;
    socket.send(Message::Binary(b"\0exit 7".to_vec().into())).await.unwrap();
    socket.send(Message::Binary(vec![255, 0].into())).await.unwrap();
    let ([stdout, stderr, error], code) = drain(socket).await;
    assert_eq!((stdout.as_str(), stderr.as_str(), code), ("hello youexit 7", "err", 1000));
    let status: Value = serde_json::from_str(&error).unwrap();
    assert_eq!(
        (&status["reason"], &status["details"]["causes"][0]["message"]),
        (&json!("NonZeroExitCode"), &json!("7"))
    );

    let path = "/exec/ns/p/u/c?command=hello&output=1";
    let socket = world.websocket(path, "v4.channel.k8s.io").await;
    let ([stdout, ..], code) = drain(socket).await;
    assert_eq!((stdout.as_str(), code), ("hello", 1000));
}

#[tokio::test]
async fn a_terminal_is_resized_and_attach_ends_well() {
    let world = World::new().await;
    let path = "/exec/ns/p/c?command=top&stdout=true&stderr=true&tty=true";
    let mut socket = world.websocket(path, "v4.channel.k8s.io").await;
    socket.send(Message::Binary(b"\x04{\"Width\":80,\"Height\":24}".to_vec().into())).await.unwrap();
    let ([stdout, stderr, error], _) = drain(socket).await;
    assert_eq!((stdout.as_str(), stderr.as_str()), ("top80x24", ""));
    assert_eq!(serde_json::from_str::<Value>(&error).unwrap()["status"], "Success");
    let socket = world.websocket("/attach/ns/p/c?stdout=1", "v5.channel.k8s.io").await;
    assert_eq!(drain(socket).await.0[0], "attached");
}

#[tokio::test]
async fn a_command_starts_when_the_client_can_hear_it() {
    let world = World::new().await;
    let gate = world.runtime.exec_waits();
    let answered = world.websocket("/exec/ns/p/c?command=hello&output=1", "v5.channel.k8s.io");
    let mut socket = tokio::time::timeout(PATIENCE, answered).await.expect("no answer before the command starts");
    assert_eq!(&socket.next().await.unwrap().unwrap().into_data()[..], [channels::STDOUT]);
    gate.add_permits(1);
    assert_eq!(drain(socket).await.0[0], "hello");
}

#[tokio::test]
async fn who_still_types_when_the_command_ends_hears_how_it_ended() {
    let world = World::new().await;
    let mut socket = world.websocket("/exec/ns/p/c?command=hello&output=1", "v5.channel.k8s.io").await;
    while socket.next().await.unwrap().unwrap().into_data().first() != Some(&channels::ERROR) {}
    // The command has ended. More than the buffers between here and there hold: a socket that is no longer read would refuse it.
    let piece = 1u32 << 16;
    let frame = [&[0x82, 0x80 | 127, 0, 0, 0, 0][..], &piece.to_be_bytes(), &[0; 4], &vec![0; 1 << 16]].concat();
    for _ in 0..64 {
        socket.get_mut().write_all(&frame).await.unwrap();
    }
    let Message::Close(Some(close)) = socket.next().await.unwrap().unwrap() else { panic!("no close") };
    assert_eq!(u16::from(close.code), 1000);
    assert!(socket.next().await.is_none_or(|end| end.is_err()));
}

#[tokio::test]
async fn exec_says_what_is_wrong() {
    let world = World::new().await;
    let (code, body) = world.get("/exec/ns/p/c?command=x&output=1").await;
    assert!(code == 400 && body.contains("v5.channel.k8s.io") && !body.contains(": "), "{code} {body}");
    let missing = (500, "container not found (\"none\")\n".to_string());
    assert_eq!(world.get("/attach/ns/p/none?output=1").await, missing);
    let (code, body) = world.get("/exec/ns/p/c?command=x").await;
    assert_eq!((code, body.as_str()), (400, "you must specify at least 1 of stdin, stdout, stderr\n"));
    assert_eq!(world.get("/portForward/ns/p").await.0, 501);
    assert_eq!(world.get("/nowhere").await.0, 404);
}

#[tokio::test]
async fn logs_are_read_and_their_absence_explained() {
    let world = World::new().await;
    let mut log = world.log(0);
    writeln!(log, "2026-11-20T10:00:00Z stdout F one\n2026-11-20T10:00:01Z stderr F two").unwrap();
    assert_eq!(world.get("/containerLogs/ns/p/c").await, (200, "one\ntwo\n".into()));
    assert_eq!(world.get("/containerLogs/ns/p/c?tailLines=1&timestamps=true").await.1, "2026-11-20T10:00:01Z two\n");
    assert_eq!(world.get("/containerLogs/ns/p/c?limitBytes=2").await.1, "on");
    assert_eq!(world.get("/containerLogs/ns/p/c?sinceTime=2026-11-20T10:00:01Z").await.1, "two\n");
    for (path, code, text) in [
        ("/containerLogs/ns/p/c?tailLines=x", 400, "invalid value \"x\" for tailLines\n"),
        ("/containerLogs/ns/p/none", 404, "container \"none\" not found in pod \"p\"\n"),
        ("/containerLogs/ns/q/c", 404, "pod \"q\" not found in namespace \"ns\"\n"),
        ("/containerLogs/ns/p/c?previous=true", 400, "previous terminated container \"c\" in pod \"p\" not found\n"),
    ] {
        assert_eq!(world.get(path).await, (code, text.to_string()), "{path}");
    }
    let waiting = "container \"bad\" in pod \"p\" is waiting to start: trying and failing to pull image\n";
    world
        .eventually("it says why", async || world.get("/containerLogs/ns/p/bad").await == (400, waiting.to_string()))
        .await;
}

#[tokio::test]
async fn following_a_log_sees_it_grow_and_ends_with_the_container() {
    let world = World::new().await;
    let mut log = world.log(0);
    writeln!(log, "2026-11-20T10:00:00Z stdout F one").unwrap();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = "GET /containerLogs/ns/p/c?follow=true HTTP/1.0\r\nHost: x\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.ends_with("one\n") {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "ended early: {seen}");
        seen.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    writeln!(log, "2026-11-20T10:00:01Z stdout F two").unwrap();
    let count = stream.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"two\n");
    writeln!(log, "2026-11-20T10:00:02Z stdout F last").unwrap();
    let pod = world.server.manager.find("ns", "p").unwrap();
    let run = world.server.runs(&pod, "c").await.unwrap().remove(0);
    world.runtime.end(&run.id, 0);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "last\n");
}

#[tokio::test]
async fn pods_and_metrics() {
    let world = World::new().await;
    let pods: Value = serde_json::from_str(&world.get("/pods").await.1).unwrap();
    assert_eq!(pods["items"][0]["metadata"]["name"], "p");
    let running: Value = serde_json::from_str(&world.get("/runningpods/").await.1).unwrap();
    assert_eq!(running["items"][0]["spec"]["containers"][0]["name"], "c");
    let summary: Value = serde_json::from_str(&world.get("/stats/summary").await.1).unwrap();
    assert_eq!(summary["pods"][0]["podRef"]["name"], "p");
    let (_, metrics) = world.get("/metrics").await;
    assert!(metrics.contains("kubelet_running_pods 1\n"), "{metrics}");
}

#[tokio::test]
async fn only_those_who_may_are_served() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::create("ours").unwrap(), Authority::create("theirs").unwrap());
    std::fs::write(dir.path().join("ca.crt"), &ours.pair().cert).unwrap();
    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        options: Options,
    }
    let ca = dir.path().join("ca.crt");
    let flags = <Flags as clap::Parser>::parse_from(["mkubelet", "--client-ca-file", ca.to_str().unwrap()]);
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    serve(&world.context, listener, &flags.options, "n1", world.server.manager.clone(), None).await.unwrap();
    let ask = async |authority: Option<&Authority>, user: &str, group: Option<&str>, path: &str| {
        let pair = authority.map(|a| a.issue(&Subject { name: user, group, days: 1, ..Subject::default() }).unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let Ok(mut stream) = crate::tls::tests::connect(stream, pair.as_ref()).await else { return 0 };
        let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
        if stream.write_all(request.as_bytes()).await.is_err() {
            return 0;
        }
        read_answer(stream).await.0
    };
    assert_eq!(ask(None, "", None, "/healthz").await, 200);
    assert_eq!(ask(None, "", None, "/pods").await, 401);
    assert_eq!(ask(Some(&ours), "kube-apiserver-kubelet-client", None, "/pods").await, 200);
    assert_eq!(ask(Some(&ours), "admin", Some("system:masters"), "/pods").await, 200);
    // Nobody can be asked about others: not served.
    assert_eq!(ask(Some(&ours), "eve", None, "/pods").await, 500);
    assert_eq!(ask(Some(&theirs), "kube-apiserver-kubelet-client", None, "/pods").await, 0);
}
