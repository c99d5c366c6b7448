//! Requests that end at a kubelet, a pod or a service: logs, exec, attach, port-forward, proxies. One [`Dialer`](crate::dialer::Dialer) makes all the
//! connections; bytes pass through, nothing is interpreted.
//!
//! | module | what it does |
//! |---|---|
//! | [`options`] | the query parameters of logs and streams, pure |
//! | [`place`] | which container, pure |
//! | [`forward`] | sends a request on and gives the answer back, streaming; upgrades are copied both ways |
//! | [`proxy`] | `nodes/proxy`, `pods/proxy`, `services/proxy` |

pub mod forward;
pub mod options;
pub mod place;
pub mod proxy;

use api::Status;
use http::{Method, Response};
use serde_json::Value;

use crate::admission;
use crate::answer;
use crate::auth::{Attributes, Decision};
use crate::request::{Body, Query, RequestInfo};
use crate::state::Exchange;

/// Whether the request is for this module.
pub fn serves(info: &RequestInfo) -> bool {
    info.api_group.is_empty()
        && matches!(
            (info.resource_name.as_str(), info.subresource.as_str()),
            ("pods", "log" | "exec" | "attach" | "portforward" | "proxy") | ("nodes" | "services", "proxy")
        )
}

/// Serves it.
pub async fn serve(exchange: Exchange) -> Response<Body> {
    let answered = match exchange.info.subresource.as_str() {
        "log" => log(exchange).await,
        "proxy" => proxy::serve(exchange).await,
        _ => attach(exchange).await,
    };
    answered.unwrap_or_else(|status| answer::status(&status))
}

async fn log(exchange: Exchange) -> Result<Response<Body>, Status> {
    let Exchange { front, info, request, .. } = exchange;
    if info.verb != "get" {
        return Err(Status::method_not_supported("", "pods/log", &info.verb));
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let options = options::Log::read(&query, &info.name)?;
    let pod = front.dialer.pod(&info.namespace, &info.name).await?;
    let container = place::container(&pod, query.get("container").unwrap_or_default())?;
    let Some(kubelet) = front.dialer.kubelet_of(&pod).await? else {
        // Not on a node yet: nothing has been said (upstream: an empty location is an empty answer).
        return Ok(answer::bytes_of(http::StatusCode::OK, "text/plain", Vec::new()));
    };
    let path = format!("/containerLogs/{}/{}/{container}{}", info.namespace, info.name, options.query());
    let answer = forward::plain(&front.dialer, &kubelet, Method::GET, &path).await?;
    forward::checked(answer, "pods/log", &info.name).await
}

async fn attach(exchange: Exchange) -> Result<Response<Body>, Status> {
    let Exchange { front, info, user, request, .. } = exchange;
    if !matches!(info.verb.as_str(), "get" | "create") {
        return Err(Status::method_not_supported("", &info.qualified_resource(), &info.verb));
    }
    // A WebSocket can only be opened by GET; the right that it takes is still that to create a stream (KEP-4006).
    let asked = Attributes { verb: "create".into(), ..Attributes::of(&info, &user) };
    if let Decision::NoOpinion(reason) = front.auth.authorize(&asked).await? {
        return Err(asked.forbidden(&reason));
    }
    if let Some(kind) = info.resource {
        let attributes = admission::Attributes {
            operation: admission::Operation::Connect,
            kind,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.name,
            user: &user,
            dry_run: false,
            old: None,
        };
        front.registry.admission().validate(&attributes, &Value::Null).await?;
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let pod = front.dialer.pod(&info.namespace, &info.name).await?;
    let path = if info.subresource == "portforward" {
        format!("/portForward/{}/{}{}", info.namespace, info.name, options::ports(&query)?)
    } else {
        let options = options::Stream::read(&query, info.subresource == "exec")?;
        let container = place::container(&pod, query.get("container").unwrap_or_default())?;
        format!("/{}/{}/{}/{container}{}", info.subresource, info.namespace, info.name, options.query())
    };
    let kubelet = front.dialer.kubelet_of(&pod).await?;
    let kubelet =
        kubelet.ok_or_else(|| Status::bad_request(format!("pod {} does not have a host assigned", info.name)))?;
    forward::upgrade(&front, &kubelet, request, &path).await
}
