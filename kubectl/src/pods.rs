//! From a word to a pod and its container, as logs, exec and attach mean them (kubectl, pkg/polymorphichelpers and
//! pkg/cmd/util/podcmd).

use serde_json::Value;

use crate::error::{Result, fail};
use crate::locate::{self, Found, Options, Target};
use crate::session::{JSON, Session};

/// Names the container that commands use where none is said.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The label selector of a workload's or Service's pods.
pub fn selector(object: &Value) -> Result<String> {
    let kind = api::object::kind(object);
    let found = match kind {
        "Service" | "ReplicationController" => {
            let map = api::object::map(object, "/spec/selector").filter(|map| !map.is_empty());
            map.map(|map| serde_json::json!({"matchLabels": map}))
        }
        _ => api::object::at(object, "/spec/selector").cloned(),
    };
    match found {
        Some(selector) => Ok(api::selector::format(&selector)),
        None if kind == "Service" => {
            Err(fail!("invalid service '{}': Service is defined without a selector", api::object::name(object)))
        }
        None => {
            let (_, version) = api::object::group_version(object);
            Err(fail!("cannot get the logs from *{version}.{kind}: selector for *{version}.{kind} not implemented"))
        }
    }
}

/// The pods that a found object means: itself, or those it selects.
pub async fn of(session: &Session, found: Found) -> Result<Vec<Value>> {
    if found.resource.is("", "pods") {
        return Ok(vec![found.object]);
    }
    let labels = selector(&found.object)?;
    let pods = session.resources().await?.find("pods")?;
    let options = Options { labels, ..Options::default() };
    let target = Target { resource: pods.clone(), namespace: found.namespace, name: None };
    let pages = locate::fetch(session, &target, &options, JSON, &[]).await?;
    Ok(pages.into_iter().flat_map(|page| locate::unlist(&pods, page)).map(|found| found.object).collect())
}

/// The pod to use of several: ready and running ones first, older ones first.
pub fn best(mut pods: Vec<Value>) -> Option<Value> {
    let rank = |pod: &Value| {
        let ready = api::object::list(pod, "/status/conditions")
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let unassigned = api::object::text(pod, "/spec/nodeName").is_empty();
        let phase = match api::object::text(pod, "/status/phase") {
            "Pending" => 2,
            "Unknown" => 1,
            _ => 0,
        };
        let created = api::object::creation_timestamp(pod).unwrap_or_default().to_string();
        (unassigned, phase, !ready, created)
    };
    pods.sort_by_key(rank);
    pods.into_iter().next()
}

/// All containers with the list they are in.
pub fn containers(pod: &Value) -> Vec<(&'static str, String)> {
    let lists = [("", "/spec/containers"), ("ephem", "/spec/ephemeralContainers"), ("init", "/spec/initContainers")];
    let named = |list: &'static str, pointer: &str| {
        let names = api::object::list(pod, pointer).iter().filter_map(|container| container["name"].as_str());
        names.map(move |name| (list, name.to_string())).collect::<Vec<_>>()
    };
    lists.iter().flat_map(|(list, pointer)| named(list, pointer)).collect()
}

/// The container asked for, or the default one; says on stderr which one was taken of several.
pub fn container(pod: &Value, asked: &str, quiet: bool) -> Result<String> {
    let all = containers(pod);
    let name = api::object::name(pod);
    if !asked.is_empty() {
        return match all.iter().any(|(_, container)| container == asked) {
            true => Ok(asked.to_string()),
            false => Err(fail!("container {asked} not found in pod {name}")),
        };
    }
    let annotated = api::object::annotation(pod, DEFAULT_CONTAINER).unwrap_or_default();
    if all.iter().any(|(_, container)| container == annotated) {
        return Ok(annotated.to_string());
    }
    let Some((_, first)) = all.first() else { return Err(fail!("no containers found in pod {name}")) };
    if all.len() > 1 && !quiet {
        eprintln!("Defaulted container {first:?} out of: {}", listed(&all));
    }
    Ok(first.clone())
}

/// `a, b, c (init)`.
pub fn listed(all: &[(&str, String)]) -> String {
    let one = |(list, name): &(&str, String)| match *list {
        "" => name.clone(),
        list => format!("{name} ({list})"),
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_have_a_default() {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}});
        assert_eq!(listed(&containers(&pod)), "a, b, i (init)");
        assert_eq!(container(&pod, "", true).unwrap(), "a");
        assert_eq!(container(&pod, "i", true).unwrap(), "i");
        assert_eq!(container(&pod, "x", true).unwrap_err().to_string(), "container x not found in pod p");
        pod["metadata"]["annotations"] = json!({DEFAULT_CONTAINER: "b"});
        assert_eq!(container(&pod, "", true).unwrap(), "b");
    }

    #[test]
    fn a_ready_pod_is_better() {
        let pod = |name: &str, ready: &str, phase: &str| json!({"metadata": {"name": name}, "spec": {"nodeName": "n"}, "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        let pods = vec![
            pod("pending", "False", "Pending"),
            pod("unready", "False", "Running"),
            pod("good", "True", "Running"),
        ];
        assert_eq!(api::object::name(&best(pods).unwrap()), "good");
    }

    #[test]
    fn workloads_and_services_select() {
        let deployment = json!({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"app": "x"}}}});
        assert_eq!(selector(&deployment).unwrap(), "app=x");
        assert_eq!(selector(&json!({"kind": "Service", "spec": {"selector": {"a": "b"}}})).unwrap(), "a=b");
        assert!(selector(&json!({"kind": "Service", "spec": {}})).is_err());
    }
}
