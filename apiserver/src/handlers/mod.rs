//! HTTP ↔ registry: one function per verb, for every kind. What is special about a kind is below, in the registry's
//! strategies; what is special about the wire is here.
//!
//! | module | what it does |
//! |---|---|
//! | [`negotiate`] | what the client accepts |
//! | [`query`] | parameters as options |
//! | [`decode`], [`patch_body`] | bodies to objects and patches |
//! | [`respond`], [`list`], [`watch`] | objects, lists and events to bodies |
//! | [`verbs`] | get, list, create, update, patch, delete, deletecollection |
//! | [`subresource`] | status, scale, binding, eviction, finalize, approval |
//! | [`notices`] | warnings about kinds: deprecated, or without a controller |

pub mod decode;
mod list;
pub mod negotiate;
mod notices;
mod patch_body;
mod query;
pub mod respond;
mod subresource;
mod verbs;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::Status;
use api::columns::{IncludeObject, Now};
use api::kinds::{KindRef, Served};
use http::{HeaderMap, Method, Request, Response, header};

use crate::registry::{Call, Registry};
use crate::request::{Body, Query, RequestInfo, User};
use negotiate::{Accepted, Encoding};
use respond::Reply;

/// One request on its way through a handler.
struct Cx<'a> {
    registry: &'a Registry,
    info: &'a RequestInfo,
    call: &'a Call,
    query: Query,
    method: Method,
    headers: HeaderMap,
    kind: KindRef,
    served: Served,
    /// Empty for cluster-scoped kinds, whatever the path says.
    namespace: &'a str,
}

/// Answers a request for a resource. The filters have authenticated and authorized it.
pub async fn serve(state: Arc<Registry>, info: RequestInfo, user: User, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let accept = header_text(&parts.headers, header::ACCEPT).to_string();
    let call = Call::new(user).subresource(&info.subresource);
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let outcome = match route(&info) {
        Ok((kind, served)) => {
            let namespace = if kind.namespaced { info.namespace.as_str() } else { "" };
            let (info, call, registry) = (&info, &call, &*state);
            let (method, headers) = (parts.method, parts.headers);
            let cx = Cx { registry, info, call, query, method, headers, kind, served, namespace };
            notices::about_version(&cx);
            verbs::dispatch(cx, body).await
        }
        Err(status) => Err(status),
    };
    let mut response = outcome.unwrap_or_else(|status| respond::status(&status, &accept));
    respond::warn(&mut response, &call.take_warnings());
    response
}

/// Whether the path leads to a kind, in its scope.
fn route(info: &RequestInfo) -> Result<(KindRef, Served), Status> {
    let (Some(kind), Some(served)) = (info.resource, info.served) else { return Err(Status::no_such_path()) };
    // The path of a namespace names the object itself.
    let is_namespace = kind.plural == "namespaces" && kind.group.is_empty();
    if !info.namespace.is_empty() && !kind.namespaced && !is_namespace {
        return Err(Status::no_such_path());
    }
    if kind.namespaced && info.namespace.is_empty() && info.named {
        return Err(Status::no_such_path());
    }
    key_parts(kind, info)?;
    Ok((kind, served))
}

/// Whether name and namespace can be parts of a key (apimachinery, pkg/api/validation/path; apiserver, storage/etcd3: prepareKey).
/// Where something is created, admission has not found the namespace.
fn key_parts(kind: KindRef, info: &RequestInfo) -> Result<(), Status> {
    let (namespace, name) = (info.namespace.as_str(), info.name.as_str());
    if kind.namespaced && info.verb != "create" && matches!(namespace, "." | "..") {
        let mut status = Status::internal("");
        (status.reason, status.details) = (String::new(), None);
        status.message = format!("invalid key: \"/{}/{namespace}/{name}\"", kind.plural);
        return Err(status);
    }
    let why = match name {
        "." | ".." => format!("may not be '{name}'"),
        _ => match name.chars().find(|c| matches!(c, '/' | '%')) {
            Some(character) => format!("may not contain '{character}'"),
            None => return Ok(()),
        },
    };
    if !info.named {
        return Ok(());
    }
    Err(Status::bad_request(format!("Name parameter invalid: {name:?}: {why}")))
}

/// 405 for a method that the path does not have.
fn method_not_allowed() -> Status {
    let mut status = Status::method_not_supported("", "", "");
    status.message = "the server does not allow this method on the requested resource".into();
    status
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl Cx<'_> {
    fn content_type(&self) -> &str {
        header_text(&self.headers, header::CONTENT_TYPE)
    }

    /// How the client wants its answer.
    fn reply(&self) -> Result<Reply, Status> {
        self.reply_for(false)
    }

    fn reply_for(&self, watch: bool) -> Result<Reply, Status> {
        let mut accepted = negotiate::negotiate(&self.accept(), watch)?;
        accepted.pretty = accepted.encoding == Encoding::Json && !watch && (accepted.pretty || self.for_people());
        let include = self.query.get("includeObject").unwrap_or_default();
        let include = IncludeObject::parse(include)
            .ok_or_else(|| Status::bad_request(format!("unrecognized includeObject value: {include:?}")))?;
        let gzip = !watch && negotiate::accepts_gzip(header_text(&self.headers, header::ACCEPT_ENCODING));
        let now = Now(self.registry.now());
        Ok(Reply { kind: self.kind, served: self.served, accepted, include, gzip, now })
    }

    /// All `Accept` headers as one.
    fn accept(&self) -> String {
        let all: Vec<&str> =
            self.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        all.join(",")
    }

    /// Whether a person looks at the answer: they asked, or their program is one that people type
    /// (apiserver, responsewriters/writers.go: isPrettyPrint).
    fn for_people(&self) -> bool {
        match self.query.get("pretty") {
            Some(_) => self.query.flag("pretty"),
            None => {
                let agent = header_text(&self.headers, header::USER_AGENT);
                ["curl", "Wget", "Mozilla/5.0"].iter().any(|program| agent.starts_with(program))
            }
        }
    }
}

impl Default for Accepted {
    fn default() -> Self {
        Self::JSON
    }
}
