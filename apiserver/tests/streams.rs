//! Logs, exec and proxies against a kubelet that only this file knows.
#![allow(clippy::unwrap_used)] // Only tests are here.

mod common;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base::pki::Subject;
use bytes::Bytes;
use common::Server;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers logs with the query that it was asked with, and echoes upgraded streams.
async fn kubelet(server: &Server) -> SocketAddr {
    let ips = [IpAddr::from([127, 0, 0, 1])];
    let subject = Subject { name: "system:node:n1", ips: &ips, days: 1, ..Subject::default() };
    let pair = server.authority.issue(&subject).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    server.context.spawn("kubelet", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .with_upgrades();
                let _ = served.await;
            });
        }
    });
    address
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    let url = request.uri().to_string();
    if request.headers().contains_key("upgrade") {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut byte = [0; 4];
            stream.read_exact(&mut byte).await.unwrap();
            stream.write_all(&byte).await.unwrap();
            stream.write_all(url.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let response = Response::builder().status(101).header("connection", "Upgrade").header("upgrade", "websocket");
        return Ok(response.body(Full::default()).unwrap());
    }
    let code = if url.contains("/waiting/") { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let text = if code == 400 {
        "container \"a\" in pod \"waiting\" is waiting to start: ContainerCreating".into()
    } else {
        url
    };
    Ok(Response::builder().status(code).body(Full::from(text)).unwrap())
}

/// A server with a node whose kubelet is above, and pods on it.
async fn cluster() -> Server {
    let server = Server::start().await;
    let address = kubelet(&server).await;
    let admin = server.admin();
    let core = "/api/v1/namespaces/default";
    assert_eq!(admin.post(&format!("{core}/serviceaccounts"), json!({"metadata": {"name": "default"}})).await.0, 201);
    assert_eq!(admin.post("/api/v1/nodes", json!({"metadata": {"name": "n1"}})).await.0, 201);
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": address.port()}}}});
    let headers = [("content-type", "application/merge-patch+json")];
    assert_eq!(admin.call_with("PATCH", "/api/v1/nodes/n1/status", &headers, Some(status)).await.0, 200);
    for (pod, containers) in
        [("one", vec!["a"]), ("two", vec!["a", "b"]), ("waiting", vec!["a"]), ("unbound", vec!["a"])]
    {
        let containers: Vec<_> = containers.iter().map(|name| json!({"name": name, "image": "i"})).collect();
        let (code, body) = admin
            .post(&format!("{core}/pods"), json!({"metadata": {"name": pod}, "spec": {"containers": containers}}))
            .await;
        assert_eq!(code, 201, "{body}");
        if pod != "unbound" {
            let binding = json!({"metadata": {"name": pod}, "target": {"kind": "Node", "name": "n1"}});
            assert_eq!(admin.post(&format!("{core}/pods/{pod}/binding"), binding).await.0, 201);
        }
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_come_from_the_kubelet() {
    let server = cluster().await;
    let admin = server.admin();
    let table = [
        ("pods/one/log?tailLines=5", 200, "/containerLogs/default/one/a?tailLines=5"),
        ("pods/two/log?container=b&follow=true", 200, "/containerLogs/default/two/b?follow=true"),
        ("pods/two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"),
        ("pods/two/log?container=c", 400, "container c is not valid for pod two"),
        ("pods/waiting/log", 400, "container \"a\" in pod \"waiting\" is waiting to start: ContainerCreating"),
        ("pods/unbound/log", 200, ""),
        ("pods/none/log", 404, "pods \"none\" not found"),
        (
            "pods/one/log?tailLines=-1",
            422,
            "PodLogOptions \"one\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
        ),
        ("pods/one/exec?command=ls&stdout=1", 400, "Upgrade request required"),
    ];
    for (path, code, text) in table {
        let (got, body) = admin.get(&format!("/api/v1/namespaces/default/{path}")).await;
        let said = body["message"].as_str().or(body.as_str()).unwrap_or_default().to_string();
        assert_eq!((got, said.as_str()), (code, text), "{path}");
    }
    assert_eq!(admin.get("/api/v1/nodes/n1/proxy/stats/summary?x=1").await.1, "/stats/summary?x=1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_streams_pass_both_ways() {
    let server = cluster().await;
    let request =
        Request::get("/api/v1/namespaces/default/pods/one/exec?command=echo&command=a&stdin=true&stdout=true")
            .header("host", "x")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-protocol", "v5.channel.k8s.io")
            .body(Full::default())
            .unwrap();
    let (status, mut stream) = server.admin().upgrade(request).await;
    assert_eq!(status, 101);
    stream.write_all(b"ping").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "ping/exec/default/one/a?command=echo&command=a&input=1&output=1");
    // Reading the pod is not enough to run something in it.
    let viewer = server.client(Some(&server.certificate("ann", Some("viewers"))));
    let (code, body) = viewer.get("/api/v1/namespaces/default/pods/one/exec?command=ls&stdout=1").await;
    assert_eq!(code, 403, "{body}");
    server.stop().await;
}
