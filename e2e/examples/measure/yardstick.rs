//! etcd on the same machine in the same run, if it is installed: what its puts cost says in what state the machine is, beside
//! the figures of a quiet one.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use proto::etcd::etcdserverpb::PutRequest;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use tokio::process::Command;
use tonic::transport::{Channel, Endpoint};

use crate::Table;
use crate::boot::until;
use crate::load::{self, Limit};

/// Puts of 256 bytes by 1 and 64 clients, each with a connection of its own.
pub async fn measure(dir: &Path, time: Duration, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    let (client, peer) = (free_address()?, free_address()?);
    let mut etcd = Command::new("etcd");
    etcd.arg("--data-dir").arg(dir).args(["--name", "one", "--log-level", "error", "--initial-cluster"]);
    etcd.arg(format!("one={peer}")).args(["--initial-advertise-peer-urls", &peer, "--listen-peer-urls", &peer]);
    etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    let quiet = etcd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = match quiet.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            table.row("etcd as a yardstick", "SKIPPED: no etcd in PATH", "");
            return Ok(());
        }
        Err(error) => return Err(error).context("starting etcd"),
    };
    let outcome = puts(&client, child.id().context("etcd has ended")?, time, rounds, table).await;
    child.kill().await.context("ending etcd")?;
    outcome
}

async fn puts(address: &str, pid: u32, time: Duration, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    until("etcd", async || Ok(connect(address).await.ok())).await?;
    for clients in [1, 64] {
        let connections = try_join_all((0..clients).map(|_| connect(address))).await.context("connecting to etcd")?;
        let mut outcomes = Vec::new();
        for _ in 0..rounds.clamp(1, 20) {
            let put = async |kv: &KvClient<Channel>, number: usize| {
                let (key, value) = (format!("/put/{}", number % 10_000).into(), vec![b'x'; 256].into());
                kv.clone().put(PutRequest { key, value, ..PutRequest::default() }).await?;
                Ok(())
            };
            outcomes.push(load::drive(&connections, pid, Limit { time, count: 2_000_000 }, put).await?);
        }
        let beside = if clients == 1 { "quiet: 2.0k/s, 272 µs" } else { "quiet: 13.3k/s, 64 µs" };
        table.row(format!("yardstick: etcd put 256 B, {clients} client(s)"), load::shown(&outcomes), beside);
    }
    Ok(())
}

async fn connect(address: &str) -> Result<KvClient<Channel>, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(address.to_owned())?;
    Ok(KvClient::new(endpoint.tcp_nodelay(true).connect().await?))
}

/// A port of 127.0.0.1 that nobody uses now, as a URL.
fn free_address() -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    Ok(format!("http://{}", listener.local_addr()?))
}
