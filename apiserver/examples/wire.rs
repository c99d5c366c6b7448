//! What a request costs the API server, in CPU: `cargo run --release -p apiserver --example wire [seconds] [what]`.
//!
//! The server is a process of its own (this program again, with `serve`), so that its CPU is counted apart from the load's: first
//! the handlers alone, without a network, then whole requests over TLS and HTTP/2 on loopback, with 1, 16 and 64 clients. CPU per request
//! is what to compare between two builds; requests per second depend on what else the machine does. It relies on Linux's
//! `/proc/<pid>/task` for CPU and context switches, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use apiserver::auth::Peer;
use apiserver::front::chain;
use apiserver::options::Options;
use apiserver::request::Body;
use base::Context;
use base::pki::{Authority, Pair, Subject};
use bytes::Bytes;
use clap::Parser;
use client::config::Identity;
use client::{Client, Config};
use futures::future::try_join_all;
use http::{Request, header};
use http_body_util::BodyExt;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    options: Options,
}

/// What the server says last, before the address that it serves at.
const ADDRESS: &str = "serves at ";

/// A request by number.
type Make = fn(usize) -> Request<Bytes>;

/// What is measured: its name, and how a request is made.
const LOADS: &[(&str, Make)] = &[
    ("create ConfigMap", |number| post("configmaps", &config_map(number))),
    ("get ConfigMap", |number| get(&format!("configmaps/c-{}", number % 100))),
    ("create Pod", |number| post("pods", &pod(number))),
];

fn post(collection: &str, object: &Value) -> Request<Bytes> {
    let request = Request::post(format!("/api/v1/namespaces/default/{collection}"));
    let request = request.header(header::CONTENT_TYPE, "application/json");
    request.body(object.to_string().into()).unwrap_or_default()
}

fn get(path: &str) -> Request<Bytes> {
    Request::get(format!("/api/v1/namespaces/default/{path}")).body(Bytes::new()).unwrap_or_default()
}

fn config_map(number: usize) -> Value {
    let data = "0123456789abcdef".repeat(16);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c-{number}")}, "data": {"key": data}})
}

fn pod(number: usize) -> Value {
    let name = format!("p-{number}");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "load", "part": name}},
        "spec": {
            "schedulerName": "nobody", "serviceAccountName": "default",
            "containers": [{
                "name": "main", "image": "mkube.local/echo", "ports": [{"containerPort": 8080}],
                "env": [{"name": "GREETING", "value": "hello"}, {"name": "NAME", "value": name}],
                "resources": {"requests": {"cpu": "50m", "memory": "16Mi"}},
            }],
        },
    })
}

fn options(dir: &Path) -> Options {
    let mut flags: Vec<String> = vec!["wire".into(), "--bind-address=127.0.0.1".into(), "--secure-port=0".into()];
    for (flag, name) in [
        ("store-dir", "store"),
        ("tls-cert-file", "pki/server.crt"),
        ("tls-private-key-file", "pki/server.key"),
        ("client-ca-file", "pki/ca.crt"),
        ("service-account-key-file", "pki/sa.crt"),
        ("service-account-signing-key-file", "pki/sa.key"),
    ] {
        flags.push(format!("--{flag}={}", dir.join(name).display()));
    }
    // An endpoint may not be a loopback address.
    flags.push("--advertise-address=192.0.2.1".into());
    Flags::parse_from(flags).options
}

fn certificates(dir: &Path) -> anyhow::Result<()> {
    let pki = dir.join("pki");
    let authority = Authority::load_or_create(&pki, "ca", "kubernetes")?;
    let (dns, ips) = (["localhost".to_string()], [IpAddr::from([127, 0, 0, 1])]);
    let server = Subject { name: "kube-apiserver", dns: &dns, ips: &ips, days: 1, ..Subject::default() };
    authority.issue(&server)?.write(&pki, "server")?;
    let admin = Subject { name: "admin", group: Some("system:masters"), days: 1, ..Subject::default() };
    authority.issue(&admin)?.write(&pki, "admin")?;
    Pair::signing_key()?.write(&pki, "sa")?;
    Ok(())
}

/// The server's process: serves, measures its handlers, says where it serves, and ends with its standard input.
fn serve(dir: &Path) -> anyhow::Result<()> {
    base::logging::init("info", base::logging::Format::Text);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let context = Context::new();
        let running = apiserver::start(options(dir), &context).await?;
        handlers(&running, dir).await?;
        println!("{ADDRESS}{}", running.address);
        tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin())).await??;
        context.shutdown(Duration::from_secs(10)).await;
        Ok(())
    })
}

/// The filters and handlers alone: one request after the other, and 64 at a time.
async fn handlers(running: &apiserver::Running, dir: &Path) -> anyhow::Result<()> {
    let certificate = CertificateDer::from_pem_slice(&std::fs::read(dir.join("pki/admin.crt"))?)?;
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let peer = Arc::new(Peer::new(address, Some(&[certificate]), running.front.auth.clients.as_deref()));
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    chain::serve(running.front.clone(), peer.clone(), post("serviceaccounts", &account).map(Body::from)).await;
    for at_once in [1, 64] {
        for (what, make) in LOADS {
            // The first objects have the numbers that are read.
            let (next, count) = (AtomicUsize::new(1_000_000 * (at_once - 1)), 2000 * at_once.min(8));
            let last = next.load(Ordering::Relaxed) + count;
            let one = async || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= last {
                        return anyhow::Ok(());
                    }
                    let answer = chain::serve(running.front.clone(), peer.clone(), make(number).map(Body::from)).await;
                    let code = answer.status();
                    let body = answer.into_body().collect().await?.to_bytes();
                    ensure!(code.is_success(), "{}", String::from_utf8_lossy(&body));
                }
            };
            let (before, begun) = (Usage::of(std::process::id())?, Instant::now());
            try_join_all((0..at_once).map(|_| one())).await?;
            let used = Usage::of(std::process::id())?.since(&before, count, begun.elapsed());
            println!("| {what}, in process, {at_once} at a time | {used}");
        }
    }
    Ok(())
}

/// What a process has used.
struct Usage {
    worker: Duration,
    log: Duration,
    switches: u64,
}

impl Usage {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let mut sum = Self { worker: Duration::ZERO, log: Duration::ZERO, switches: 0 };
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).context("threads")?.flatten() {
            let read = |name: &str| std::fs::read_to_string(thread.path().join(name)).unwrap_or_default();
            let nanos = read("schedstat").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            let place = if read("comm").starts_with("store-log") { &mut sum.log } else { &mut sum.worker };
            *place += Duration::from_nanos(nanos);
            let status = read("status");
            let switches = status.lines().filter_map(|line| line.split_once("_ctxt_switches:"));
            sum.switches += switches.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum::<u64>();
        }
        Ok(sum)
    }

    /// As cells of a row.
    fn since(&self, before: &Self, count: usize, passed: Duration) -> String {
        let each = |now: Duration, before: Duration| (now - before).as_secs_f64() * 1e6 / count as f64;
        format!(
            "{:.0} | {:.1} | {:.1} | {:.2} |",
            count as f64 / passed.as_secs_f64(),
            each(self.worker, before.worker),
            each(self.log, before.log),
            (self.switches - before.switches) as f64 / count as f64,
        )
    }
}

/// The server's process, ended when this is dropped.
struct Server {
    child: Child,
    config: Config,
}

impl Server {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        certificates(dir)?;
        let log = std::fs::File::create(dir.join("log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().context("the server")?;
        let mut says = BufReader::new(child.stdout.take().context("the server's output")?).lines();
        let address = loop {
            match says.next().transpose()? {
                None => bail!("the server did not start: {}", std::fs::read_to_string(dir.join("log"))?),
                Some(line) => match line.strip_prefix(ADDRESS) {
                    Some(address) => break address.to_owned(),
                    None => println!("{line}"),
                },
            }
        };
        let pem = |name: &str| std::fs::read(dir.join("pki").join(name));
        let identity = Identity::Certificate { cert: pem("admin.crt")?, key: pem("admin.key")? };
        let config =
            Config { server: format!("https://{address}"), ca: Some(pem("ca.crt")?), identity, ..Config::default() };
        Ok(Self { child, config })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

async fn load(server: &Server, clients: usize, time: Duration, what: &str, make: Make) -> anyhow::Result<()> {
    let all: Vec<Client> = (0..clients).map(|_| Client::new(&server.config)).collect::<Result<_, _>>()?;
    try_join_all(all.iter().map(|client| client.raw(get("configmaps/none")))).await?;
    let next = AtomicUsize::new(100_000_000 + clients * 1_000_000);
    let (pid, done) = (server.child.id(), AtomicUsize::new(0));
    let (before, begun) = (Usage::of(pid)?, Instant::now());
    let one = async |client: &Client| {
        while begun.elapsed() < time {
            let answer = client.raw(make(next.fetch_add(1, Ordering::Relaxed))).await?;
            ensure!(answer.status().is_success(), "{}", String::from_utf8_lossy(answer.body()));
            done.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    try_join_all(all.iter().map(one)).await?;
    let used = Usage::of(pid)?.since(&before, done.load(Ordering::Relaxed).max(1), begun.elapsed());
    println!("| {what}, TLS and h2, {clients} client(s) | {used}");
    Ok(())
}

/// How lists can be asked for.
const FORMS: &[(&str, &str)] = &[
    ("JSON", "application/json"),
    ("Table", "application/json;as=Table;v=v1;g=meta.k8s.io"),
    ("protobuf", "application/vnd.kubernetes.protobuf"),
];

/// Lists of all pods that there are by now; per pod. A first list of each form is not counted: it fills what entries remember.
async fn lists(server: &Server, rounds: usize) -> anyhow::Result<()> {
    let client = Client::new(&server.config)?;
    let all = client.raw(get("pods")).await?.into_body();
    let pods = serde_json::from_slice::<Value>(&all)?["items"].as_array().map_or(0, Vec::len).max(1);
    for (form, accept) in FORMS {
        let list = async || {
            let mut request = get("pods");
            request.headers_mut().insert(header::ACCEPT, header::HeaderValue::from_static(accept));
            let answer = client.raw(request).await?;
            ensure!(answer.status().is_success(), "{}", answer.status());
            anyhow::Ok(answer.body().len())
        };
        let bytes = list().await?;
        let (before, begun) = (Usage::of(server.child.id())?, Instant::now());
        for _ in 0..rounds {
            list().await?;
        }
        let used = Usage::of(server.child.id())?.since(&before, pods * rounds, begun.elapsed());
        println!("| a pod in a LIST of {pods}, {form}, {} bytes each | {used}", bytes / pods);
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, dir] = arguments.as_slice()
        && command == "serve"
    {
        return serve(Path::new(dir));
    }
    let seconds = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(2);
    let only = arguments.get(1).cloned().unwrap_or_default();
    println!(
        "| what | per second | µs server CPU each, but for the log's thread | µs of the log's thread | context switches each |\n|---|---|---|---|---|"
    );
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let dir = tempfile::tempdir()?;
        let server = Server::start(dir.path())?;
        for clients in [1, 16, 64] {
            for (what, make) in LOADS.iter().filter(|(what, _)| what.contains(&only)) {
                load(&server, clients, Duration::from_secs(seconds), what, *make).await?;
            }
        }
        lists(&server, 5).await
    })
}
