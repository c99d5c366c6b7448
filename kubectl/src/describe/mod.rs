//! What `describe` says about objects. Descriptions are pure: object and what belongs to it in, text with tabs out; here is
//! which kind has which, and what is fetched for it (kubectl, pkg/describe/describe.go).

mod generic;
mod node;
mod pod;
mod rbac;
mod simple;
mod text;
mod volumes;

use serde_json::Value;

pub use pod::template;
pub use rbac::rules;
pub use simple::REVISION;
pub use text::{Out, interval};

use crate::error::Result;
use crate::locate::{self, Found, Options, Target};
use crate::pods;
use crate::session::{JSON, Session};

/// Tells about an object, with what belongs to it.
pub async fn describe(session: &Session, found: &Found) -> Result<Out> {
    let now = jiff::Timestamp::now();
    let object = &found.object;
    let key = (found.resource.group.as_str(), found.resource.plural.as_str());
    let mut out = match key {
        ("", "pods") => pod::pod(object),
        ("", "nodes") => {
            let leases = related(
                session,
                "leases.coordination.k8s.io",
                "kube-node-lease",
                &fields("metadata.name", &found.name),
            )
            .await?;
            let running = format!("spec.nodeName={},status.phase!=Failed,status.phase!=Succeeded", found.name);
            let pods = related(session, "pods", "", &Options { fields: running, ..Options::default() }).await?;
            node::node(object, leases.first(), &pods, now)
        }
        ("apps", "deployments") => {
            let owned = owned(session, "replicasets.apps", found).await?;
            simple::deployment(object, &owned)
        }
        ("apps", "replicasets") => simple::replica_set(object, &owned(session, "pods", found).await?),
        ("", "services") => {
            let labels = format!("kubernetes.io/service-name={}", found.name);
            let slices =
                related(session, "endpointslices.discovery.k8s.io", &found.namespace, &labelled(labels)).await?;
            simple::service(object, &slices)
        }
        ("", "configmaps") => simple::config_map(object),
        ("", "secrets") => return Ok(simple::secret(object)),
        ("", "namespaces") => return Ok(simple::namespace(object)),
        ("", "serviceaccounts") => simple::service_account(object),
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => return Ok(rbac::role(object)),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => return Ok(rbac::binding(object)),
        _ => generic::object(object),
    };
    if session.flags.is("show-events") {
        out.events(&events(session, found).await?, now);
    }
    Ok(out)
}

fn fields(name: &str, value: &str) -> Options {
    Options { fields: format!("{name}={value}"), ..Options::default() }
}

fn labelled(labels: String) -> Options {
    Options { labels, ..Options::default() }
}

/// Objects that belong to another.
async fn related(session: &Session, kind: &str, namespace: &str, options: &Options) -> Result<Vec<Value>> {
    let resource = session.resources().await?.find(kind)?;
    let target = Target { resource: resource.clone(), namespace: namespace.into(), name: None };
    let pages = locate::fetch(session, &target, options, JSON, &[]).await?;
    Ok(pages.into_iter().flat_map(|page| locate::unlist(&resource, page)).map(|found| found.object).collect())
}

/// Objects that a workload selects and owns.
async fn owned(session: &Session, kind: &str, found: &Found) -> Result<Vec<Value>> {
    let all = related(session, kind, &found.namespace, &labelled(pods::selector(&found.object)?)).await?;
    let uid = api::object::uid(&found.object);
    let ours = |object: &Value| api::object::controller_of(object).is_some_and(|owner| owner["uid"] == uid);
    Ok(all.into_iter().filter(ours).collect())
}

/// The events about an object, oldest first.
async fn events(session: &Session, found: &Found) -> Result<Vec<Value>> {
    let mut selector = vec![format!("involvedObject.name={}", found.name)];
    if !found.namespace.is_empty() {
        selector.push(format!("involvedObject.namespace={}", found.namespace));
    }
    selector.push(format!("involvedObject.kind={}", found.resource.kind));
    // Components that watch a node do not know its UID: their events name it instead.
    if found.resource.plural != "nodes" {
        selector.push(format!("involvedObject.uid={}", api::object::uid(&found.object)));
    }
    let options = Options { fields: selector.join(","), ..Options::default() };
    let mut events = related(session, "events", &found.namespace, &options).await?;
    events.sort_by_key(|event| api::object::text(event, "/lastTimestamp").to_string());
    Ok(events)
}
