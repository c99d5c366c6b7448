//! TLS and client certificates on client URLs.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base::pki::{Authority, Subject};
use store::Kv;
use store::remote::{self, Remote, TlsFiles};

use super::server::{PATIENCE, Server};

#[tokio::test]
async fn only_clients_with_a_certificate_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create("test").unwrap();
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let server = Subject { name: "store", ips: &loopback, days: 1, ..Subject::default() };
    authority.issue(&server).unwrap().write(dir.path(), "server").unwrap();
    let client = Subject { name: "client", days: 1, ..Subject::default() };
    authority.issue(&client).unwrap().write(dir.path(), "client").unwrap();
    Authority::create("stranger").unwrap().issue(&client).unwrap().write(dir.path(), "stranger").unwrap();
    std::fs::write(dir.path().join("ca.crt"), &authority.pair().cert).unwrap();
    let path = |name: &str| dir.path().join(name);
    let flag = |flag: &str, name: &str| format!("--{flag}={}", path(name).display());
    let flags = [
        flag("cert-file", "server.crt"),
        flag("key-file", "server.key"),
        flag("trusted-ca-file", "ca.crt"),
        "--client-cert-auth".to_owned(),
    ];
    let server = Server::start(dir.path(), &flags.each_ref().map(String::as_str));
    let connect = async |name: Option<&str>, patience| {
        let context = base::Context::new();
        let tls = TlsFiles {
            ca: Some(path("ca.crt")),
            cert: name.map(|name| path(&format!("{name}.crt"))),
            key: name.map(|name| path(&format!("{name}.key"))),
        };
        let options = remote::Options { tls, ..remote::Options::new([format!("https://{}", server.endpoint())]) };
        let revision = match Remote::connect(options, &context, patience).await {
            Ok(kv) => kv.revision().await.ok(),
            Err(_) => None,
        };
        context.shutdown(PATIENCE).await;
        revision
    };
    assert_eq!(connect(Some("client"), PATIENCE).await, Some(1));
    assert_eq!(connect(None, Duration::from_secs(1)).await, None);
    assert_eq!(connect(Some("stranger"), Duration::from_secs(1)).await, None);
}
