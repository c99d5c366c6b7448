//! Requests: typed ones for components, raw ones for the command line. Every call but streams has a deadline.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use api::Status;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::object::{ListOf, Object, collection_path, object_path};
use crate::transport::Transport;

/// How long a request may take. The server gives up after 60 s.
const DEADLINE: Duration = Duration::from_secs(65);
/// Most that one answer may hold: a list of everything in a large cluster.
const MOST_BYTES: usize = 1 << 30;

/// Talks to one API server. Clones share their connection.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    namespace: std::sync::Arc<str>,
}

/// What to list or watch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ListOptions {
    /// Label selector, e.g. `app=web`.
    pub labels: String,
    /// Field selector, e.g. `spec.nodeName=n1`.
    pub fields: String,
    /// Resource version to list at or watch from; empty = the latest.
    pub resource_version: String,
    /// At most so many; 0 = all.
    pub limit: u32,
    /// Where the last page ended.
    pub continue_token: String,
}

impl ListOptions {
    /// Only objects whose fields match.
    pub fn fields(selector: impl Into<String>) -> Self {
        Self { fields: selector.into(), ..Self::default() }
    }

    /// Only objects whose labels match.
    pub fn labels(selector: impl Into<String>) -> Self {
        Self { labels: selector.into(), ..Self::default() }
    }

    pub(crate) fn query(&self) -> String {
        let limit = if self.limit == 0 { String::new() } else { self.limit.to_string() };
        query(&[
            ("labelSelector", &self.labels),
            ("fieldSelector", &self.fields),
            ("resourceVersion", &self.resource_version),
            ("limit", &limit),
            ("continue", &self.continue_token),
        ])
    }
}

/// How to delete.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteOptions {
    /// Seconds until the object is removed by force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<i64>,
    /// `Background`, `Foreground` or `Orphan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation_policy: Option<&'static str>,
    /// What must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preconditions: Option<Preconditions>,
}

/// What must hold for a delete.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preconditions {
    /// It must be this very object, not a later one of the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// It must be unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// Delete this very object.
    pub fn uid(uid: &str) -> Self {
        let preconditions = Preconditions { uid: Some(uid.into()), ..Preconditions::default() };
        Self { preconditions: Some(preconditions), ..Self::default() }
    }

    /// With a grace period.
    #[must_use]
    pub fn grace(mut self, seconds: i64) -> Self {
        self.grace_period_seconds = Some(seconds);
        self
    }
}

/// A change to an object. Components patch with uid (and resourceVersion where it matters), they never PUT what they
/// decoded into a type: unknown fields would be lost.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 7386.
    Merge(Value),
    /// RFC 6902.
    Json(Value),
    /// Kubernetes' own: lists merge by key.
    Strategic(Value),
}

impl Patch {
    fn parts(&self) -> (&'static str, &Value) {
        match self {
            Self::Merge(value) => ("application/merge-patch+json", value),
            Self::Json(value) => ("application/json-patch+json", value),
            Self::Strategic(value) => ("application/strategic-merge-patch+json", value),
        }
    }
}

impl Client {
    /// A client; connects at the first request.
    ///
    /// # Errors
    /// When the configuration is unusable.
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self { transport: Transport::new(config)?, namespace: config.namespace.as_str().into() })
    }

    /// The namespace of the configuration.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads an object. `namespace` is empty for cluster-scoped kinds, here and below.
    ///
    /// # Errors
    /// [`Error::is_not_found`] among others.
    pub async fn get<K: Object>(&self, namespace: &str, name: &str) -> Result<K> {
        self.json(Method::GET, &object_path::<K>(namespace, name), None).await
    }

    /// Lists objects; an empty namespace means all of them.
    ///
    /// # Errors
    /// As any request.
    pub async fn list<K: Object>(&self, namespace: &str, options: &ListOptions) -> Result<ListOf<K>> {
        let path = format!("{}{}", collection_path::<K>(namespace), options.query());
        self.json(Method::GET, &path, None).await
    }

    /// Creates an object; returns it as the server completed it.
    ///
    /// # Errors
    /// [`Error::is_already_exists`] among others.
    pub async fn create<K: Object>(&self, namespace: &str, object: &K) -> Result<K> {
        let body = encode(object)?;
        self.json(Method::POST, &collection_path::<K>(namespace), Some(("application/json", body))).await
    }

    /// Changes an object; returns it as it is afterwards.
    ///
    /// # Errors
    /// [`Error::is_conflict`] among others.
    pub async fn patch<K: Object>(&self, namespace: &str, name: &str, patch: &Patch) -> Result<K> {
        self.patch_path(&object_path::<K>(namespace, name), patch).await
    }

    /// Changes the status of an object.
    ///
    /// # Errors
    /// As [`Client::patch`].
    pub async fn patch_status<K: Object>(&self, namespace: &str, name: &str, patch: &Patch) -> Result<K> {
        self.patch_path(&format!("{}/status", object_path::<K>(namespace, name)), patch).await
    }

    async fn patch_path<K: Object>(&self, path: &str, patch: &Patch) -> Result<K> {
        let (media_type, value) = patch.parts();
        self.json(Method::PATCH, path, Some((media_type, encode(value)?))).await
    }

    /// Deletes an object. Returns the object if it goes on to exist for a while (finalizers, grace period).
    ///
    /// # Errors
    /// [`Error::is_not_found`], [`Error::is_conflict`] (preconditions) among others.
    pub async fn delete<K: Object>(&self, namespace: &str, name: &str, options: &DeleteOptions) -> Result<Option<K>> {
        let body = encode(options)?;
        let answer: Value =
            self.json(Method::DELETE, &object_path::<K>(namespace, name), Some(("application/json", body))).await?;
        if answer["kind"] == "Status" {
            return Ok(None);
        }
        serde_json::from_value(answer).map(Some).map_err(|error| Error::decode(K::KIND, error))
    }

    /// Posts `body` to a subresource (binding, eviction, token); returns the answer.
    ///
    /// # Errors
    /// As any request.
    pub async fn post_subresource<K: Object>(
        &self,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: &Value,
    ) -> Result<Value> {
        let path = format!("{}/{subresource}", object_path::<K>(namespace, name));
        self.json(Method::POST, &path, Some(("application/json", encode(body)?))).await
    }

    /// Binds a pod to a node.
    ///
    /// # Errors
    /// [`Error::is_conflict`] when it is bound already.
    pub async fn bind(&self, namespace: &str, pod: &str, uid: &str, node: &str) -> Result<()> {
        let body = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": pod, "namespace": namespace, "uid": uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        self.post_subresource::<k8s_openapi::api::core::v1::Pod>(namespace, pod, "binding", &body).await.map(drop)
    }

    /// One request with a JSON answer.
    ///
    /// # Errors
    /// As any request.
    pub async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Bytes)>,
    ) -> Result<T> {
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, "application/json");
        if let Some((media_type, _)) = &body {
            request = request.header(header::CONTENT_TYPE, *media_type);
        }
        let request = request
            .body(body.map(|(_, bytes)| bytes).unwrap_or_default())
            .map_err(|error| Error::Config(format!("invalid request {path}: {error}")))?;
        let response = self.raw(request).await?;
        check(response.status(), response.body())?;
        serde_json::from_slice(response.body()).map_err(|error| Error::decode(path, error))
    }

    /// Sends a request (its URI is path and query) and reads the whole answer, whatever its code.
    ///
    /// # Errors
    /// Transport errors and the deadline.
    pub async fn raw(&self, request: Request<Bytes>) -> Result<Response<Bytes>> {
        let what = format!("{} {}", request.method(), request.uri());
        let whole = async {
            let (parts, body) = self.transport.send(request).await?.into_parts();
            let body = Limited::new(body, MOST_BYTES).collect().await;
            let body = body.map_err(|error| Error::transport(format!("reading the answer to {what}"), error))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(DEADLINE, whole).await.map_err(|_| Error::Timeout(what.clone()))?
    }

    /// Sends a request and hands out the answer's body as a stream (logs, watches).
    ///
    /// # Errors
    /// Transport errors; an HTTP error becomes [`Error::Status`].
    pub async fn stream(&self, request: Request<Bytes>) -> Result<Response<Incoming>> {
        let what = format!("{} {}", request.method(), request.uri());
        let head = tokio::time::timeout(DEADLINE, self.transport.send(request));
        let response = head.await.map_err(|_| Error::Timeout(what.clone()))??;
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body.map_err(|error| Error::transport(format!("reading the answer to {what}"), error))?.to_bytes();
        check(parts.status, &body)?;
        Err(Error::Config(format!("unexpected answer {} to {what}", parts.status)))
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| Error::decode("request body", error))
}

/// An error unless the code says success: the server's Status, or one made from what it sent.
///
/// # Errors
/// [`Error::Status`].
pub fn check(code: StatusCode, body: &[u8]) -> Result<()> {
    if code.is_success() || code == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    if let Ok(status) = serde_json::from_slice::<Status>(body)
        && status.kind == "Status"
    {
        return Err(status.into());
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(2048)]).trim().to_string();
    let mut status = Status::internal(&text);
    status.code = code.as_u16();
    status.reason = match code {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        _ => "InternalError",
    }
    .into();
    status.message = if text.is_empty() { format!("the server answered {code}") } else { text };
    Err(status.into())
}

/// A query string of the pairs whose value is not empty, percent-encoded; with its `?`, or empty.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        percent_encode(value, &mut text);
    }
    text
}

/// Appends `value` with every byte but the unreserved ones of RFC 3986 percent-encoded.
pub fn percent_encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_leave_out_what_is_empty_and_encode_the_rest() {
        assert_eq!(query(&[("a", ""), ("b", "")]), "");
        assert_eq!(query(&[("a", "x=y,z"), ("b", ""), ("c", "1")]), "?a=x%3Dy%2Cz&c=1");
    }

    #[test]
    fn an_error_answer_is_a_status_whatever_its_body() {
        let status = serde_json::to_vec(&Status::not_found("", "pods", "a")).unwrap();
        let error = check(StatusCode::NOT_FOUND, &status).unwrap_err();
        assert!(error.is_not_found());
        let error = check(StatusCode::BAD_GATEWAY, b"upstream gone").unwrap_err();
        assert_eq!((error.status().unwrap().code, error.to_string()), (502, "upstream gone".into()));
        assert!(check(StatusCode::CREATED, b"").is_ok());
    }
}
