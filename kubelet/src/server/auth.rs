//! Whether a client may do what it asks: the API server itself may; of others the API server is asked, with the attributes
//! that upstream's kubelet uses (pkg/kubelet/server/auth.go).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::listener::Identity;
use super::{Refusal, Server};

/// The name in the client certificate with which the API server comes.
const API_SERVER: &str = "kube-apiserver-kubelet-client";

/// Verb and subresource of nodes that a request needs. Pure.
pub fn attributes(method: &Method, path: &str) -> (&'static str, &'static str) {
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    };
    let starts = |prefix: &str| path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
    let tables = [("/stats", "stats"), ("/metrics", "metrics"), ("/logs", "log"), ("/checkpoint", "checkpoint")];
    (verb, tables.iter().find(|(prefix, _)| starts(prefix)).map_or("proxy", |(_, subresource)| subresource))
}

/// Lets a request pass if its sender may.
pub async fn check(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let identity = match request.extensions().get::<Identity>().cloned() {
        Some(identity) => Some(identity),
        None => match bearer(&request) {
            Some(token) => by_token(&server, &token).await,
            None => None,
        },
    };
    let Some(identity) = identity else {
        return Refusal(StatusCode::UNAUTHORIZED, "Unauthorized".into()).into_response();
    };
    let trusted = identity.user == API_SERVER || identity.groups.iter().any(|g| g == "system:masters");
    if trusted {
        return next.run(request).await;
    }
    let (verb, subresource) = attributes(request.method(), request.uri().path());
    match allowed(&server, &identity, verb, subresource).await {
        Ok(true) => next.run(request).await,
        Ok(false) => {
            let (user, node) = (&identity.user, &server.node);
            let message =
                format!("Forbidden (user={user}, verb={verb}, resource=nodes, subresource={subresource}, node={node})");
            Refusal(StatusCode::FORBIDDEN, message).into_response()
        }
        Err(message) => Refusal(StatusCode::INTERNAL_SERVER_ERROR, message).into_response(),
    }
}

async fn ask(server: &Server, path: &str, body: Value) -> Result<Value, String> {
    let client = server.client.as_ref().ok_or("there is no API server to ask")?;
    let bytes = bytes::Bytes::from(body.to_string());
    let answer = client.json(http::Method::POST, path, Some(("application/json", bytes))).await;
    answer.map_err(|error| error.chain())
}

fn bearer(request: &Request) -> Option<String> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(value.strip_prefix("Bearer ")?.trim().to_string())
}

async fn by_token(server: &Server, token: &str) -> Option<Identity> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let answer = ask(server, "/apis/authentication.k8s.io/v1/tokenreviews", body).await.ok()?;
    if answer["status"]["authenticated"] != true {
        return None;
    }
    let user = &answer["status"]["user"];
    let groups = user["groups"].as_array().into_iter().flatten().filter_map(|g| g.as_str());
    Some(Identity { user: user["username"].as_str()?.into(), groups: groups.map(ToString::to_string).collect() })
}

async fn allowed(server: &Server, identity: &Identity, verb: &str, subresource: &str) -> Result<bool, String> {
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": identity.user, "groups": identity.groups, "resourceAttributes": {"verb": verb, "group": "",
            "version": "v1", "resource": "nodes", "subresource": subresource, "name": server.node}}});
    let answer = ask(server, "/apis/authorization.k8s.io/v1/subjectaccessreviews", body).await?;
    Ok(answer["status"]["allowed"] == true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_need_subresources_of_nodes() {
        let table = [
            (Method::GET, "/pods", ("get", "proxy")),
            (Method::GET, "/containerLogs/a/b/c", ("get", "proxy")),
            (Method::POST, "/exec/a/b/c", ("create", "proxy")),
            (Method::GET, "/metrics", ("get", "metrics")),
            (Method::GET, "/metrics/cadvisor", ("get", "metrics")),
            (Method::GET, "/metricsx", ("get", "proxy")),
            (Method::GET, "/stats/summary", ("get", "stats")),
        ];
        for (method, path, expected) in table {
            assert_eq!(attributes(&method, path), expected, "{path}");
        }
    }
}
