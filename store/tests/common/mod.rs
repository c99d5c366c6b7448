//! Clusters for tests: certificates, members' options.
#![allow(clippy::unwrap_used, dead_code)]

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use base::pki::{Authority, Subject};
use store::remote::TlsFiles;
use store::{Cluster, Options};

/// Makes an authority and a certificate for 127.0.0.1 in `dir`, once.
pub fn certificates(dir: &Path) -> TlsFiles {
    let path = |name: &str| Some(dir.join(name));
    if !dir.join("peer.crt").exists() {
        let authority = Authority::create("peers").unwrap();
        authority.pair().write(dir, "ca").unwrap();
        let ips = [IpAddr::from([127, 0, 0, 1])];
        let subject = Subject { name: "peer", ips: &ips, days: 1, ..Subject::default() };
        authority.issue(&subject).unwrap().write(dir, "peer").unwrap();
    }
    TlsFiles { ca: path("ca.crt"), cert: path("peer.crt"), key: path("peer.key") }
}

/// The options of the member on `port`, one of those on `ports`.
pub fn options(dir: &Path, ports: &[u16], port: u16) -> Options {
    let url = |port: &u16| format!("https://127.0.0.1:{port}");
    let cluster = Cluster {
        initial: ports.iter().map(|port| (format!("m{port}"), url(port))).collect(),
        tls: certificates(&dir.join("pki")),
        advertise_client_urls: vec![format!("http://client.{port}")],
        ..Cluster::new(&format!("m{port}"), &url(&port))
    };
    Options {
        cluster: Some(cluster),
        segment_bytes: 64 << 10,
        trim_bytes: 256 << 10,
        ..Options::new(dir.join(format!("m{port}")))
    }
}

/// Waits until `done` says something, for a minute.
pub async fn eventually<T>(what: &str, mut done: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match done().await {
            Ok(value) => return value,
            Err(last) => assert!(Instant::now() < deadline, "{what}: {last}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
