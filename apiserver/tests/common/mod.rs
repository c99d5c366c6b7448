//! A whole API server on a free port of 127.0.0.1 with certificates of its own, and clients for it: raw HTTPS and the real
//! kubectl, if there is one.
#![allow(dead_code)] // Each test file uses a part.
#![allow(clippy::unwrap_used)] // Only tests are here.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use apiserver::options::Options;
use apiserver::{Running, start};
use base::Context;
use base::pki::{Authority, Pair, Subject};
use bytes::Bytes;
use clap::Parser;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    options: Options,
}

/// Flags of a server whose files are in `dir`.
pub fn options(dir: &Path, more: &[&str]) -> Options {
    let file = |name: &str| dir.join(name).display().to_string();
    let mut flags: Vec<String> = vec!["test".into(), "--bind-address=127.0.0.1".into(), "--secure-port=0".into()];
    for (flag, name) in [
        ("store-dir", "store"),
        ("tls-cert-file", "pki/server.crt"),
        ("tls-private-key-file", "pki/server.key"),
        ("client-ca-file", "pki/ca.crt"),
        ("service-account-key-file", "pki/sa.crt"),
        ("service-account-signing-key-file", "pki/sa.key"),
        ("kubelet-client-certificate", "pki/admin.crt"),
        ("kubelet-client-key", "pki/admin.key"),
    ] {
        let elsewhere = flag == "store-dir" && more.iter().any(|more| more.starts_with("--store-endpoints"));
        if !elsewhere {
            flags.push(format!("--{flag}={}", file(name)));
        }
    }
    // An endpoint may not be a loopback address.
    flags.push("--advertise-address=192.0.2.1".into());
    flags.extend(more.iter().map(ToString::to_string));
    Flags::parse_from(flags).options
}

/// A server and its files.
pub struct Server {
    pub dir: tempfile::TempDir,
    pub context: Context,
    pub running: Running,
    pub authority: Authority,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(more: &[&str]) -> Self {
        base::logging::init("info", base::logging::Format::Text);
        let dir = tempfile::tempdir().unwrap();
        let pki = dir.path().join("pki");
        let authority = Authority::load_or_create(&pki, "ca", "kubernetes").unwrap();
        let (dns, ips) = (["localhost".to_string()], [IpAddr::from([127, 0, 0, 1])]);
        let server = Subject { name: "kube-apiserver", dns: &dns, ips: &ips, days: 1, ..Subject::default() };
        authority.issue(&server).unwrap().write(&pki, "server").unwrap();
        let admin = Subject { name: "admin", group: Some("system:masters"), days: 1, ..Subject::default() };
        authority.issue(&admin).unwrap().write(&pki, "admin").unwrap();
        Pair::signing_key().unwrap().write(&pki, "sa").unwrap();
        let context = Context::new();
        let running = start(options(dir.path(), more), &context).await.unwrap();
        Self { dir, context, running, authority }
    }

    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Stops it and starts it again on the same files.
    pub async fn restart(self) -> Self {
        let Self { dir, context, running, authority } = self;
        drop(running);
        assert!(context.shutdown(std::time::Duration::from_secs(20)).await, "the server did not stop");
        let context = Context::new();
        let running = start(options(dir.path(), &[]), &context).await.unwrap();
        Self { dir, context, running, authority }
    }

    pub async fn stop(self) {
        drop(self.running);
        assert!(self.context.shutdown(std::time::Duration::from_secs(20)).await, "the server did not stop");
    }

    /// A client certificate of a user.
    pub fn certificate(&self, name: &str, group: Option<&str>) -> Pair {
        self.authority.issue(&Subject { name, group, days: 1, ..Subject::default() }).unwrap()
    }

    pub fn admin(&self) -> Client {
        self.client(Some(&self.certificate("admin", Some("system:masters"))))
    }

    pub fn client(&self, identity: Option<&Pair>) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pair().cert.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(pair) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        Client { address: self.address(), config: Arc::new(config), token: None }
    }

    /// Writes a kubeconfig of the administrator; returns its path.
    pub fn kubeconfig(&self) -> PathBuf {
        let pki = self.dir.path().join("pki");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: mkube\nclusters:\n- name: mkube\n  cluster: {{server: \"https://{}\", certificate-authority: {ca}}}\nusers:\n- name: admin\n  user: {{client-certificate: {cert}, client-key: {key}}}\ncontexts:\n- name: mkube\n  context: {{cluster: mkube, user: admin}}\n",
            self.address(),
            ca = pki.join("ca.crt").display(),
            cert = pki.join("admin.crt").display(),
            key = pki.join("admin.key").display(),
        );
        let path = self.dir.path().join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// HTTPS without any cleverness: one connection per request, HTTP/1.1.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    token: Option<String>,
}

impl Client {
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_string());
        self
    }

    /// Sends a request with any body; gives the answer with all of its body.
    pub async fn send_any<B>(&self, request: Request<B>) -> Response<Bytes>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut sender = self.connect().await;
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    async fn connect<B>(&self) -> hyper::client::conn::http1::SendRequest<B>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(self.config.clone());
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        self.send_any(request).await
    }

    /// Sends an upgrade request; gives the code and the upgraded stream.
    pub async fn upgrade(&self, request: Request<Full<Bytes>>) -> (u16, TokioIo<hyper::upgrade::Upgraded>) {
        let mut sender = self.connect().await;
        let response = sender.send_request(request).await.unwrap();
        let code = response.status().as_u16();
        (code, TokioIo::new(hyper::upgrade::on(response).await.unwrap()))
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<serde_json::Value>) -> (u16, serde_json::Value) {
        self.call_with(method, path, &[], body).await
    }

    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<serde_json::Value>,
    ) -> (u16, serde_json::Value) {
        let mut request = Request::builder().method(method).uri(path).header("host", "kubernetes");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let response = self.send(request.body(Full::from(body)).unwrap()).await;
        let value = serde_json::from_slice(response.body())
            .unwrap_or_else(|_| serde_json::Value::String(String::from_utf8_lossy(response.body()).into_owned()));
        (response.status().as_u16(), value)
    }

    pub async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        self.call("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
        self.call("POST", path, Some(body)).await
    }
}

/// Waits until something holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within ten seconds: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// The real kubectl: `MKUBE_TEST_KUBECTL`, or the newest in the usual places.
pub fn kubectl() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("MKUBE_TEST_KUBECTL") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|dir| [dir.join("kubectl.1.33"), dir.join("kubectl")])
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: no kubectl in PATH and MKUBE_TEST_KUBECTL is not set");
    }
    found
}

/// Runs kubectl with a kubeconfig; off the runtime's threads.
pub async fn run_kubectl(kubectl: &Path, kubeconfig: &Path, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(kubectl);
    // A cache of its own: discovery of another server must not be found there.
    let cache = kubeconfig.with_file_name("cache");
    command.arg(format!("--kubeconfig={}", kubeconfig.display())).arg(format!("--cache-dir={}", cache.display()));
    command.args(arguments).env("HOME", kubeconfig.parent().unwrap_or(Path::new("/")));
    let output: Output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}
