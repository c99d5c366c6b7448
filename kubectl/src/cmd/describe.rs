//! `describe`: fetches objects and what belongs to them, has them told.

use serde_json::Value;

use super::pods;
use crate::describe::text::Out;
use crate::describe::{generic, node, pod, simple};
use crate::error::{Result, all, fail};
use crate::line::Call;
use crate::locate::{self, Found, Options, Target};
use crate::output::tab::Tabs;
use crate::session::{JSON, Session, say};

/// Runs `describe`.
pub async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    if call.args.is_empty() && session.flags.list("filename").is_empty() {
        return Err(fail!(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of supported resources."
        ));
    }
    let mut options = Options::of(session);
    options.everything = true;
    let (found, errors) = with_prefixes(session, &call.args, &options).await?;
    if found.is_empty() && errors.is_empty() {
        match options.all_namespaces {
            true => eprintln!("No resources found"),
            false => eprintln!("No resources found in {} namespace.", session.namespace()?),
        }
    }
    for (index, found) in found.iter().enumerate() {
        let text = describe(session, found).await?;
        say(&format!("{}{}", if index > 0 { "\n\n" } else { "" }, Tabs::describe().align(&text.0)));
    }
    all(errors)
}

/// What is meant; a name that does not exist may be the beginning of others.
async fn with_prefixes(
    session: &Session,
    words: &[String],
    options: &Options,
) -> Result<(Vec<Found>, Vec<crate::error::Error>)> {
    let (mut found, mut errors) = locate::live(session, words, options).await?;
    if let ([error], [kind, prefix], true) = (errors.as_slice(), words, found.is_empty())
        && error.is("NotFound")
    {
        let everything = Options { everything: true, ..options.clone() };
        let (others, _) = locate::live(session, std::slice::from_ref(kind), &everything).await?;
        found = others.into_iter().filter(|other| other.name.starts_with(prefix.as_str())).collect();
        if !found.is_empty() {
            errors.clear();
        }
    }
    Ok((found, errors))
}

async fn describe(session: &Session, found: &Found) -> Result<Out> {
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
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => return Ok(simple::role(object)),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => return Ok(simple::binding(object)),
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
pub async fn events(session: &Session, found: &Found) -> Result<Vec<Value>> {
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
