//! The handlers as a whole: requests in, responses out, on an in-memory store, without TLS and filters.

mod bad_input;
mod basics;
mod deletion;
mod encodings;
mod paging;
mod patches;
mod pods;
mod services;
mod validation;
mod watches;

use std::sync::Arc;

use axum::body::Body;
use base::Context;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use store::Store;

use crate::registry::{Call, Registry};
use crate::request::{RequestInfo, User};
use crate::storage::Storage;

/// A server of its own; stops when it goes.
struct Rig {
    registry: Arc<Registry>,
    context: Context,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.context.stop();
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    code: u16,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {:?}", self.bytes))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn warnings(&self) -> Vec<String> {
        self.headers.get_all("warning").iter().map(|value| value.to_str().unwrap().to_string()).collect()
    }

    fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_string()
    }
}

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> (RequestInfo, Request<Body>) {
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let info = RequestInfo::parse(&method, path, query);
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    (info, request.body(body.into()).unwrap())
}

impl Rig {
    /// With the namespace `default` and its service account.
    async fn new() -> Self {
        let context = Context::new();
        let registry = Registry::new(Storage::new(Store::in_memory(), context.clone()));
        let rig = Self { registry, context };
        rig.namespace("default").await;
        rig
    }

    async fn namespace(&self, name: &str) {
        let kind = api::kinds::find("", "v1", "namespaces").unwrap().0;
        self.registry.create(&Call::internal(), kind, "", json!({"metadata": {"name": name}})).await.unwrap();
        // Pods are not admitted without one.
        let kind = api::kinds::find("", "v1", "serviceaccounts").unwrap().0;
        let account = json!({"metadata": {"name": "default"}});
        self.registry.create(&Call::internal(), kind, name, account).await.unwrap();
    }

    async fn raw(&self, method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
        let (info, request) = request(method, url, headers, body);
        super::serve(self.registry.clone(), info, User::new("tester", &[]), request).await
    }

    async fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let (parts, body) = self.raw(method, url, headers, body).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { code: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    async fn get(&self, url: &str) -> Answer {
        self.send("GET", url, &[], "").await
    }

    async fn post(&self, url: &str, body: Value) -> Answer {
        self.send("POST", url, &[("content-type", "application/json")], body.to_string()).await
    }

    async fn put(&self, url: &str, body: Value) -> Answer {
        self.send("PUT", url, &[("content-type", "application/json")], body.to_string()).await
    }

    async fn delete(&self, url: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send("DELETE", url, &[("content-type", "application/json")], body).await
    }

    async fn patch(&self, url: &str, form: &str, body: Value) -> Answer {
        let media_type = format!("application/{form}-patch+json");
        self.send("PATCH", url, &[("content-type", &media_type)], body.to_string()).await
    }

    /// Creates a ConfigMap that must succeed.
    async fn config_map(&self, namespace: &str, name: &str, labels: Value) -> Value {
        let body = json!({"metadata": {"name": name, "labels": labels}, "data": {"k": "v"}});
        let answer = self.post(&format!("/api/v1/namespaces/{namespace}/configmaps"), body).await;
        assert_eq!(answer.code, 201, "{}", answer.message());
        answer.json()
    }
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": 2,
        "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_string()).collect()
}
