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

/// What a pod is wanted for, of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Its logs: those of who was started again tell more.
    Logs,
    /// A process in it: who was never started again is the sounder one.
    Process,
}

/// The pod to use of several: running and ready ones first, then who has been ready longest (kubectl, podutils.go: ByLogging;
/// ActivePods from its end).
pub fn best(mut pods: Vec<Value>, purpose: Purpose) -> Option<Value> {
    let rank = |pod: &Value| {
        let ready = api::object::list(pod, "/status/conditions")
            .iter()
            .find(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            .map(|condition| since(condition["lastTransitionTime"].as_str()));
        let unassigned = api::object::text(pod, "/spec/nodeName").is_empty();
        let phase = match api::object::text(pod, "/status/phase") {
            "Pending" => 2,
            "Unknown" => 1,
            _ => 0,
        };
        let restarts = api::object::list(pod, "/status/containerStatuses").iter();
        let restarts = restarts.filter_map(|status| status["restartCount"].as_i64()).max().unwrap_or(0);
        let restarts = if purpose == Purpose::Logs { -restarts } else { restarts };
        (unassigned, phase, ready.is_none(), ready, restarts, since(api::object::creation_timestamp(pod)))
    };
    pods.sort_by_cached_key(rank);
    pods.into_iter().next()
}

/// Sorts by time; no time comes last.
fn since(time: Option<&str>) -> (bool, String) {
    (time.is_none(), time.unwrap_or_default().to_string())
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
        assert_eq!(api::object::name(&best(pods, Purpose::Logs).unwrap()), "good");
    }

    #[test]
    fn of_ready_pods_the_steadiest_is_best() {
        let pod = |name: &str, since: &str, restarts: u32, created: &str| {
            json!({
                "metadata": {"name": name, "creationTimestamp": created}, "spec": {"nodeName": "n"},
                "status": {"phase": "Running", "containerStatuses": [{"restartCount": restarts}],
                    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]},
            })
        };
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        let pods =
            [pod("a", late, 0, early), pod("b", early, 1, late), pod("c", early, 0, late), pod("d", early, 0, early)];
        let best = |pods: &[Value], purpose| api::object::name(&best(pods.to_vec(), purpose).unwrap()).to_string();
        assert_eq!(best(&pods, Purpose::Logs), "b");
        assert_eq!(best(&pods, Purpose::Process), "d");
        assert_eq!(best(&pods[2..], Purpose::Logs), "d");
        assert_eq!(best(&pods[..1], Purpose::Process), "a");
    }

    #[test]
    fn workloads_and_services_select() {
        let deployment = json!({"kind": "Deployment", "spec": {"selector": {"matchLabels": {"app": "x"}}}});
        assert_eq!(selector(&deployment).unwrap(), "app=x");
        assert_eq!(selector(&json!({"kind": "Service", "spec": {"selector": {"a": "b"}}})).unwrap(), "a=b");
        assert!(selector(&json!({"kind": "Service", "spec": {}})).is_err());
    }
}
