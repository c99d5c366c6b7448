//! The server as a whole: documents, limits, hostile connections, restarts.
#![allow(clippy::unwrap_used)] // Only tests are here.

mod common;

use std::time::Duration;

use common::Server;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn discovery_and_documents() {
    let server = Server::start().await;
    let admin = server.admin();
    let (_, root) = admin.get("/").await;
    for path in root["paths"].as_array().unwrap() {
        let path = path.as_str().unwrap();
        assert_eq!(admin.get(path).await.0, 200, "{path}");
    }
    assert_eq!(admin.get("/api").await.1["versions"], json!(["v1"]));
    assert_eq!(admin.get("/apis/apps").await.1["kind"], "APIGroup");
    assert_eq!(admin.get("/apis/apps/v1").await.1["groupVersion"], "apps/v1");
    for path in ["/apis/none", "/apis/apps/v9", "/nowhere", "/api/v2", "/readyz/none", "/openapi/v3/apis/none/v1"] {
        let (code, body) = admin.get(path).await;
        assert_eq!((code, body["reason"].as_str()), (404, Some("NotFound")), "{path} {body}");
    }
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let (_, list) = admin.call_with("GET", "/apis", &[("accept", aggregated)], None).await;
    assert_eq!(list["kind"], "APIGroupDiscoveryList");
    assert_eq!(admin.get("/version").await.1["minor"], "37");
    let (_, index) = admin.get("/openapi/v3").await;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_string();
    assert_eq!(admin.get(&url).await.0, 200);
    assert!(admin.get("/metrics").await.1.as_str().unwrap().contains("apiserver_request_total{"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_objects_are_there() {
    let server = Server::start().await;
    let admin = server.admin();
    for path in [
        "/api/v1/namespaces/default",
        "/api/v1/namespaces/kube-system",
        "/api/v1/namespaces/kube-public",
        "/api/v1/namespaces/kube-node-lease",
        "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:kube-scheduler",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles/extension-apiserver-authentication-reader",
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
        "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
    ] {
        let (code, body) = admin.get(path).await;
        assert_eq!(code, 200, "{path} {body}");
    }
    let (_, service) = admin.get("/api/v1/namespaces/default/services/kubernetes").await;
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
    let (_, endpoints) = admin.get("/api/v1/namespaces/default/endpoints/kubernetes").await;
    assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], server.address().port());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_objects_and_mends_what_is_missing() {
    let server = Server::start().await;
    let admin = server.admin();
    let maps = "/api/v1/namespaces/default/configmaps";
    assert_eq!(admin.post(maps, json!({"metadata": {"name": "a"}, "data": {"k": "v"}})).await.0, 201);
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:discovery";
    assert_eq!(admin.call("DELETE", role, None).await.0, 200);
    let (_, before) = admin.get("/api/v1/namespaces/default").await;
    let server = server.restart().await;
    let admin = server.admin();
    assert_eq!(admin.get(&format!("{maps}/a")).await.1["data"]["k"], "v");
    assert_eq!(admin.get("/api/v1/namespaces/default").await.1, before, "what is there is left alone");
    assert_eq!(admin.get(role).await.0, 200);
    let (_, endpoints) = admin.get("/api/v1/namespaces/default/endpoints/kubernetes").await;
    assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], server.address().port());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_connections_disturb_nobody() {
    let server = Server::start().await;
    let admin = server.admin();
    let mut open = Vec::new();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\xff\xff garbage", &[0; 4096], b""] {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        open.push(stream);
    }
    for _ in 0..200 {
        open.push(tokio::net::TcpStream::connect(server.address()).await.unwrap());
    }
    assert_eq!(admin.get("/api/v1/namespaces/default").await.0, 200);
    // Garbage is hung up on.
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), open[0].read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open");
    let large = "x".repeat(4 << 20);
    let (code, body) = admin
        .post("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "l"}, "data": {"k": large}}))
        .await;
    assert_eq!((code, body["reason"].as_str()), (413, Some("RequestEntityTooLarge")));
    drop(open);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_told_to_come_back() {
    let server = Server::start_with(&["--max-mutating-requests-inflight=1"]).await;
    let admin = server.admin();
    let maps = "/api/v1/namespaces/default/configmaps";
    // A request whose body never comes holds the only place.
    let (sender, body) = futures::channel::mpsc::unbounded::<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>();
    let request = http::Request::post(maps)
        .header("host", "x")
        .header("content-type", "application/json")
        .body(http_body_util::StreamBody::new(body).boxed())
        .unwrap();
    let slow = admin.clone();
    let holding = tokio::spawn(async move { slow.send_any(request).await });
    let limits = &server.running.front.limits;
    common::eventually("the place is taken", async || limits.changing.available_permits() == 0).await;
    let request = http::Request::post(maps).header("host", "x").body(Full::from("{}")).unwrap();
    let response = admin.send(request).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(admin.get(maps).await.0, 200, "reading goes on");
    sender.unbounded_send(Ok(http_body::Frame::data(json!({"metadata": {"name": "a"}}).to_string().into()))).unwrap();
    drop(sender);
    assert_eq!(holding.await.unwrap().status(), 201);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_the_server() {
    let server = Server::start().await;
    let admin = server.admin();
    let watching = tokio::spawn(async move { admin.get("/api/v1/namespaces?watch=true").await });
    let metrics = server.admin();
    common::eventually("the watch is counted", async || {
        let text = metrics.get("/metrics").await.1;
        let text = text.as_str().unwrap().to_string();
        text.lines().any(|line| {
            line.starts_with("apiserver_longrunning_requests{")
                && line.contains("resource=\"namespaces\"")
                && line.ends_with(" 1")
        })
    })
    .await;
    server.stop().await;
    let (code, events) = watching.await.unwrap();
    assert_eq!(code, 200);
    assert!(events.as_str().unwrap().contains("\"ADDED\""));
}
