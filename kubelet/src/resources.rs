//! Requests and limits: the quality of service of a pod, and the numbers that cgroups take from it. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::pod;
use crate::runtime::Resources;

/// Amounts by resource name, in thousandths.
pub type Quantities = BTreeMap<String, i128>;

/// A quantity in thousandths, rounded up; `None` if it does not parse.
pub fn parse_milli(text: &str) -> Option<i128> {
    api::quantity::Quantity::parse(text).ok().map(|q| i128::from(q.milli_value()))
}

fn milli(list: &Option<BTreeMap<String, Quantity>>, resource: &str) -> Option<i128> {
    parse_milli(&list.as_ref()?.get(resource)?.0)
}

/// `limits` or `requests` of a container, in thousandths. A missing limit is the node's allocatable amount, a missing
/// request is the limit if there is one. `None` for what is not a resource field.
pub fn container_milli(container: &Container, list: &str, resource: &str, node: &Quantities) -> Option<i128> {
    let known = matches!(resource, "cpu" | "memory" | "ephemeral-storage") || resource.starts_with("hugepages-");
    let own = container.resources.as_ref();
    let limit = own.and_then(|r| milli(&r.limits, resource));
    match list {
        _ if !known => None,
        "limits" => Some(limit.or_else(|| node.get(resource).copied()).unwrap_or(0)),
        "requests" => Some(own.and_then(|r| milli(&r.requests, resource)).or(limit).unwrap_or(0)),
        _ => None,
    }
}

/// What the pod asks of the node, in thousandths: its containers, or what its start takes if that is more, or what it says for the
/// whole pod; and its overhead (k8s.io/component-helpers/resource, PodRequests).
pub fn request(pod: &Pod, resource: &str) -> i128 {
    let (mut sidecars, mut start, mut main) = (0, 0, 0);
    for (role, container) in pod::all_containers(pod) {
        let own = container.resources.as_ref();
        let amount = own.and_then(|r| milli(&r.requests, resource).or_else(|| milli(&r.limits, resource))).unwrap_or(0);
        match role {
            pod::Role::Init => start = (sidecars + amount).max(start),
            pod::Role::Sidecar => sidecars += amount,
            pod::Role::Main => main += amount,
        }
    }
    let spec = pod::spec(pod);
    let whole = spec.resources.as_ref().and_then(|r| milli(&r.requests, resource));
    whole.unwrap_or_else(|| start.max(sidecars + main)) + milli(&spec.overhead, resource).unwrap_or(0)
}

/// `Guaranteed`, `Burstable` or `BestEffort` (pkg/apis/core/v1/helper/qos).
pub fn qos(pod: &Pod) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    let mut judge = |r: Option<&ResourceRequirements>| {
        for resource in ["cpu", "memory"] {
            let positive = |list| milli(list, resource).filter(|m| *m > 0);
            let limit = r.and_then(|r| positive(&r.limits));
            let request = r.and_then(|r| positive(&r.requests)).or(limit);
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    };
    match pod::spec(pod).resources.as_ref().filter(|r| r.limits.is_some() || r.requests.is_some()) {
        Some(whole) => judge(Some(whole)),
        None => pod::all_containers(pod).for_each(|(_, c)| judge(c.resources.as_ref())),
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// From this priority on a pod is one that the cluster cannot do without (scheduling.SystemCriticalPriority).
pub const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// Whether the cluster cannot do without the pod: static ones, and those of the system's priorities
/// (kubelettypes.IsCriticalPod).
pub fn is_critical(pod: &Pod) -> bool {
    pod::is_static(pod) || pod::spec(pod).priority.is_some_and(|priority| priority >= SYSTEM_CRITICAL)
}

/// Fewest and most shares that a cgroup takes.
const SHARES: std::ops::RangeInclusive<i128> = 2..=262_144;

fn shares(milli_cpu: i128) -> u64 {
    let shares = (milli_cpu * 1024 / 1000).clamp(*SHARES.start(), *SHARES.end());
    u64::try_from(shares).unwrap_or(2)
}

/// Microseconds per 100 ms; at least 1 ms, below which the kernel refuses.
fn quota(milli_cpu: i128) -> i64 {
    i64::try_from(milli_cpu * 100).unwrap_or(i64::MAX).max(1000)
}

/// The limits of one container.
pub fn container(pod: &Pod, container: &Container, node_memory: u64) -> Resources {
    let own = container.resources.as_ref();
    let limit = |resource| own.and_then(|r| milli(&r.limits, resource)).filter(|m| *m > 0);
    let request = |resource| own.and_then(|r| milli(&r.requests, resource)).or(limit(resource));
    Resources {
        cpu_shares: Some(shares(request("cpu").unwrap_or(0))),
        cpu_quota: limit("cpu").map(quota),
        memory_limit: limit("memory").and_then(|m| u64::try_from(m / 1000).ok()),
        oom_score_adj: Some(oom_score(pod, request("memory").unwrap_or(0) / 1000, node_memory)),
    }
}

/// The sooner a container is to be killed when memory runs out, the higher (pkg/kubelet/qos/policy.go).
fn oom_score(pod: &Pod, memory_request: i128, node_memory: u64) -> i32 {
    if pod::spec(pod).priority.is_some_and(|p| p >= SYSTEM_CRITICAL) {
        return -997;
    }
    match qos(pod) {
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => {
            let share = 1000 - 1000 * memory_request / i128::from(node_memory.max(1));
            i32::try_from(share.clamp(3, 999)).unwrap_or(999)
        }
    }
}

/// The limits of the whole pod: the sum over main containers and sidecars, or the largest init container. A limit
/// applies only if every container has one.
pub fn whole_pod(pod: &Pod) -> Resources {
    let sum = |pick: &dyn Fn(&ResourceRequirements) -> Option<i128>| -> (i128, bool) {
        let (mut total, mut init, mut all) = (0, 0, true);
        for (role, c) in pod::all_containers(pod) {
            let amount = c.resources.as_ref().and_then(pick);
            all &= amount.is_some();
            let amount = amount.unwrap_or(0);
            if role == pod::Role::Init { init = amount.max(init) } else { total += amount }
        }
        (total.max(init), all)
    };
    let (request, _) = sum(&|r| milli(&r.requests, "cpu").or_else(|| milli(&r.limits, "cpu")));
    let (cpu, all_cpu) = sum(&|r| milli(&r.limits, "cpu").filter(|m| *m > 0));
    let (memory, all_memory) = sum(&|r| milli(&r.limits, "memory").filter(|m| *m > 0));
    Resources {
        cpu_shares: Some(shares(request)),
        cpu_quota: all_cpu.then(|| quota(cpu)),
        memory_limit: all_memory.then(|| u64::try_from(memory / 1000).unwrap_or(u64::MAX)),
        oom_score_adj: None,
    }
}

/// Where the pod's cgroup is, relative to the kubelet's own root.
pub fn cgroup_parent(pod: &Pod) -> String {
    let uid = pod::uid(pod);
    match qos(pod) {
        "Guaranteed" => format!("kubepods/pod{uid}"),
        "Burstable" => format!("kubepods/burstable/pod{uid}"),
        _ => format!("kubepods/besteffort/pod{uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(resources: &[serde_json::Value]) -> Pod {
        let containers: Vec<_> =
            resources.iter().enumerate().map(|(i, r)| json!({"name": format!("c{i}"), "resources": r})).collect();
        serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": {"containers": containers}})).unwrap()
    }

    #[test]
    fn quality_of_service() {
        let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let equal = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
        let less = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}});
        let table = [
            (vec![json!({})], "BestEffort", "kubepods/besteffort/podu"),
            (vec![full.clone()], "Guaranteed", "kubepods/podu"),
            (vec![equal], "Guaranteed", "kubepods/podu"),
            (vec![less], "Burstable", "kubepods/burstable/podu"),
            (vec![full, json!({})], "Burstable", "kubepods/burstable/podu"),
            (vec![json!({"requests": {"memory": "1Mi"}})], "Burstable", "kubepods/burstable/podu"),
        ];
        for (resources, expected, parent) in table {
            let pod = pod(&resources);
            assert_eq!((qos(&pod), cgroup_parent(&pod).as_str()), (expected, parent), "{resources:?}");
        }
    }

    #[test]
    fn cgroup_numbers() {
        let pod =
            pod(&[json!({"limits": {"cpu": "1500m", "memory": "128Mi"}, "requests": {"cpu": "250m"}}), json!({})]);
        let first = container(&pod, &pod::containers(&pod)[0], 1 << 33);
        assert_eq!(first.cpu_shares, Some(256));
        assert_eq!(first.cpu_quota, Some(150_000));
        assert_eq!(first.memory_limit, Some(128 << 20));
        let second = container(&pod, &pod::containers(&pod)[1], 1 << 33);
        assert_eq!((second.cpu_shares, second.cpu_quota, second.memory_limit), (Some(2), None, None));
        assert_eq!(second.oom_score_adj, Some(999));
        let whole = whole_pod(&pod);
        assert_eq!((whole.cpu_shares, whole.cpu_quota, whole.memory_limit), (Some(256), None, None));
    }
}
