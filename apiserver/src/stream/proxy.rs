//! `nodes/proxy`, `pods/proxy`, `services/proxy`: plain HTTP (and upgrades) to a kubelet, a pod's port or an endpoint of a
//! Service. A name is `[scheme:]name[:port]` (upstream: apimachinery, pkg/util/net/port_split.go).

use api::selector::LabelSelector;
use api::{Status, kinds, object};
use http::{Request, Response, Uri, header};
use rand::seq::IndexedRandom;
use serde_json::Value;

use super::forward;
use crate::dialer::{Dialer, Security, Target};
use crate::request::Body;
use crate::state::Exchange;
use crate::storage::{Freshness, ListQuery, Predicate};

/// `[scheme:]name[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name<'a> {
    https: bool,
    name: &'a str,
    port: &'a str,
}

fn split(text: &str) -> Option<Name<'_>> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [name] => Some(Name { https: false, name, port: "" }),
        [name, port] => Some(Name { https: false, name, port }),
        [scheme @ ("http" | "https" | ""), name, port] => Some(Name { https: *scheme == "https", name, port }),
        _ => None,
    }
}

/// Serves a proxy request.
///
/// # Errors
/// What stands in the way.
pub async fn serve(exchange: Exchange) -> Result<Response<Body>, Status> {
    let Exchange { front, info, request, .. } = exchange;
    let name = split(&info.name)
        .ok_or_else(|| Status::bad_request(format!("invalid {} request {:?}", info.resource_name, info.name)))?;
    let target = match info.resource_name.as_str() {
        "nodes" => front.dialer.kubelet(name.name).await?,
        "pods" => to_pod(&front.dialer.pod(&info.namespace, name.name).await?, &name)?,
        _ => to_service(&front.dialer, &front.registry, &info.namespace, &name).await?,
    };
    // /api/v1/nodes/<name>/proxy, /api/v1/namespaces/<namespace>/pods/<name>/proxy
    let segments = if info.namespace.is_empty() { 5 } else { 7 };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = format!("/{}{query}", raw_rest(request.uri().path(), segments));
    if request.headers().contains_key(header::UPGRADE) {
        return forward::upgrade(&front, &target, request, &path).await;
    }
    let (parts, body) = request.into_parts();
    let mut onward = Request::new(body);
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = path.parse::<Uri>().map_err(|error| Status::bad_request(error.to_string()))?;
    *onward.headers_mut() = forward::headers_for(&parts.headers, false);
    onward.headers_mut().insert(header::HOST, target.authority().parse().map_err(Status::internal)?);
    let mut answer = forward::send(&front.dialer, &target, onward)
        .await
        .map_err(|status| Status::service_unavailable(format!("error trying to reach service: {}", status.message)))?;
    let headers = forward::headers_for(answer.headers(), false);
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// What follows `…/proxy/` in the path, as the client wrote it; the first `segments` of the path lead there.
fn raw_rest(path: &str, segments: usize) -> &str {
    let mut rest = path;
    for _ in 0..segments {
        rest = rest.trim_start_matches('/');
        rest = rest.find('/').map_or("", |end| &rest[end..]);
    }
    rest.strip_prefix('/').unwrap_or(rest)
}

fn to_pod(pod: &Value, name: &Name<'_>) -> Result<Target, Status> {
    let host = object::text(pod, "/status/podIP");
    if host.is_empty() {
        return Err(Status::bad_request(format!("address not allowed: pod {} has no address yet", name.name)));
    }
    let ports = object::list(pod, "/spec/containers").iter().flat_map(|c| object::list(c, "/ports"));
    let found = match name.port {
        "" => ports.into_iter().find_map(|port| object::integer(port, "/containerPort")).or(Some(80)),
        text => text.parse().ok().or_else(|| {
            ports
                .into_iter()
                .find(|port| object::text(port, "/name") == text)
                .and_then(|port| object::integer(port, "/containerPort"))
        }),
    };
    let port = found.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let port = port.ok_or_else(|| Status::bad_request(format!("no port {:?} in pod {}", name.port, name.name)))?;
    Ok(Target { host: host.into(), port, security: security(name) })
}

fn security(name: &Name<'_>) -> Security {
    if name.https { Security::Unverified } else { Security::Plain }
}

async fn to_service(
    dialer: &Dialer,
    registry: &crate::registry::Registry,
    namespace: &str,
    name: &Name<'_>,
) -> Result<Target, Status> {
    let service = dialer.object("services", namespace, name.name).await?;
    let port_name = service_port(&service, name)?;
    let (kind, _) = kinds::find("discovery.k8s.io", "v1", "endpointslices").ok_or_else(Status::no_such_path)?;
    let labels = LabelSelector::from_map([("kubernetes.io/service-name", name.name)]);
    let query = ListQuery {
        namespace: Some(namespace),
        freshness: Freshness::Latest,
        predicate: Predicate { labels, ..Predicate::default() },
        ..ListQuery::default()
    };
    let slices: Vec<Value> = registry.list(kind, query).await?.entries.iter().map(|entry| entry.value()).collect();
    let ready = endpoints(&slices, &port_name);
    let (host, port) = ready
        .choose(&mut rand::rng())
        .ok_or_else(|| Status::service_unavailable(format!("no endpoints available for service {:?}", name.name)))?;
    Ok(Target { host: host.clone(), port: *port, security: security(name) })
}

/// The name of the meant port of a service: by name, by number, or the only one.
fn service_port(service: &Value, name: &Name<'_>) -> Result<String, Status> {
    let ports = object::list(service, "/spec/ports");
    let found = match name.port {
        "" if ports.len() == 1 => ports.first(),
        "" => None,
        text => {
            let number: Option<i64> = text.parse().ok();
            ports.iter().find(|port| match number {
                Some(number) => object::integer(port, "/port") == Some(number),
                None => object::text(port, "/name") == text,
            })
        }
    };
    let found = found.ok_or_else(|| {
        Status::service_unavailable(format!("no service port {:?} found for service {:?}", name.port, name.name))
    })?;
    Ok(object::text(found, "/name").to_string())
}

fn endpoints(slices: &[Value], port_name: &str) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    for slice in slices {
        let ports = object::list(slice, "/ports").iter().filter(|port| object::text(port, "/name") == port_name);
        let ports: Vec<u16> = ports
            .filter_map(|port| object::integer(port, "/port"))
            .filter_map(|port| u16::try_from(port).ok())
            .collect();
        let ready =
            |endpoint: &&Value| object::at(endpoint, "/conditions/ready").and_then(Value::as_bool) != Some(false);
        for endpoint in object::list(slice, "/endpoints").iter().filter(ready) {
            let address = object::text(endpoint, "/addresses/0");
            found.extend(ports.iter().map(|port| (address.to_string(), *port)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_may_carry_scheme_and_port() {
        let name = |https, name, port| Some(Name { https, name, port });
        for (text, expected) in [
            ("a", name(false, "a", "")),
            ("a:80", name(false, "a", "80")),
            ("https:a:web", name(true, "a", "web")),
            ("http:a:", name(false, "a", "")),
            ("ftp:a:1", None),
            ("a:b:c:d", None),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
        for (path, segments, rest) in [
            ("/api/v1/nodes/n/proxy/a%20b/", 5, "a%20b/"),
            ("/api/v1/nodes/n/proxy", 5, ""),
            ("/api/v1/nodes/n/proxy/", 5, ""),
            ("/api/v1/namespaces/proxy/pods/proxy/proxy/x//y", 7, "x//y"),
        ] {
            assert_eq!(raw_rest(path, segments), rest, "{path}");
        }
    }

    #[test]
    fn ports_are_found_by_name_number_or_alone() {
        let service = json!({"spec": {"ports": [{"name": "web", "port": 80}, {"name": "tls", "port": 443}]}});
        let port = |text| service_port(&service, &split(text).unwrap()).ok();
        assert_eq!(
            (port("s:web"), port("s:443"), port("s"), port("s:81")),
            (Some("web".into()), Some("tls".into()), None, None)
        );
        let pod = json!({"status": {"podIP": "10.0.0.9"}, "spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]}});
        for (text, expected) in [("p", Some(8080)), ("p:web", Some(8080)), ("p:9", Some(9)), ("p:x", None)] {
            assert_eq!(to_pod(&pod, &split(text).unwrap()).ok().map(|t| t.port), expected, "{text}");
        }
    }

    #[test]
    fn only_ready_endpoints_are_asked() {
        let slices = [json!({"ports": [{"name": "web", "port": 8080}], "endpoints": [
            {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
            {"addresses": ["10.0.0.3"]}]})];
        assert_eq!(endpoints(&slices, "web"), [("10.0.0.1".to_string(), 8080), ("10.0.0.3".to_string(), 8080)]);
        assert!(endpoints(&slices, "other").is_empty());
    }
}
