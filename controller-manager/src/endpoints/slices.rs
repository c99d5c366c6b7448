//! From the endpoints that should be to the changes of EndpointSlices that lead there, touching as few slices as possible.
//! Pure (upstream: staging/endpointslice/reconciler.go, reconcileByPortMapping).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use client::Object;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::facts::{Groups, Port};
use crate::pods;

/// Most endpoints in one slice (upstream's --max-endpoints-per-slice).
const MOST: usize = 100;
pub(crate) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
pub(crate) const MANAGED_BY: (&str, &str) =
    ("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io");
const HEADLESS: &str = "service.kubernetes.io/headless";

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// Make this slice.
    Create(Box<EndpointSlice>),
    /// Give this slice these endpoints and labels.
    Update { slice: Arc<EndpointSlice>, endpoints: Vec<Endpoint>, labels: BTreeMap<String, String> },
    /// Remove this slice.
    Delete(Arc<EndpointSlice>),
}

/// The changes that make `present` say what `wanted` says.
pub(crate) fn plan(service: &Service, wanted: &Groups, present: &[Arc<EndpointSlice>]) -> Vec<Change> {
    let labels = labels(service);
    let mut changes = Vec::new();
    let mut by_ports: BTreeMap<Vec<Port>, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in present {
        let mut ports: Vec<Port> = slice.ports.iter().flatten().map(Port::of_slice_port).collect();
        ports.sort();
        by_ports.entry(ports).or_default().push(slice.clone());
    }
    // An empty group only stands for "one slice without endpoints", whatever its ports are.
    let nothing = wanted.values().all(Vec::is_empty);
    if nothing && let Some(kept) = present.iter().find(|slice| slice.ports.as_ref().is_none_or(Vec::is_empty)) {
        changes.extend(present.iter().filter(|slice| !Arc::ptr_eq(slice, kept)).cloned().map(Change::Delete));
        changes.extend(update(kept, Vec::new(), &labels));
        return changes;
    }
    for (ports, endpoints) in wanted {
        let mut sorted = ports.clone();
        sorted.sort();
        let slices = by_ports.remove(&sorted).unwrap_or_default();
        changes.extend(group(service, ports, endpoints, &slices, &labels));
    }
    changes.extend(by_ports.into_values().flatten().map(Change::Delete));
    changes
}

fn group(
    service: &Service,
    ports: &[Port],
    wanted: &[Endpoint],
    slices: &[Arc<EndpointSlice>],
    labels: &BTreeMap<String, String>,
) -> Vec<Change> {
    let mut missing: Vec<&Endpoint> = Vec::new();
    let mut by_id: HashMap<String, &Endpoint> = wanted.iter().map(|endpoint| (id(endpoint), endpoint)).collect();
    // What each slice keeps, at its present place.
    let mut kept: Vec<Vec<Endpoint>> = Vec::new();
    for slice in slices {
        let stays = slice.endpoints.iter().flatten().filter_map(|endpoint| by_id.remove(&id(endpoint)).cloned());
        kept.push(stays.collect());
    }
    missing.extend(wanted.iter().filter(|endpoint| by_id.contains_key(&id(endpoint))));
    let mut missing = missing.into_iter().cloned();
    // Fill up slices that change anyway, then the others.
    let changing = |place: &usize| kept[*place].len() != slices[*place].endpoints.as_ref().map_or(0, Vec::len);
    let (first, then): (Vec<usize>, Vec<usize>) = (0..slices.len()).partition(changing);
    for place in first.into_iter().chain(then) {
        let room = MOST.saturating_sub(kept[place].len());
        kept[place].extend(missing.by_ref().take(room));
    }
    let mut changes = Vec::new();
    let keep_one_empty = wanted.is_empty();
    for (place, (slice, endpoints)) in slices.iter().zip(kept).enumerate() {
        if endpoints.is_empty() && !(keep_one_empty && place == 0) {
            changes.push(Change::Delete(slice.clone()));
        } else {
            changes.extend(update(slice, endpoints, labels));
        }
    }
    let rest: Vec<Endpoint> = missing.collect();
    changes.extend(rest.chunks(MOST).map(|part| create(service, ports, part, labels)));
    if wanted.is_empty() && slices.is_empty() {
        changes.push(create(service, ports, &[], labels));
    }
    changes
}

fn update(slice: &Arc<EndpointSlice>, endpoints: Vec<Endpoint>, labels: &BTreeMap<String, String>) -> Option<Change> {
    let same =
        slice.endpoints.as_deref().unwrap_or_default() == endpoints && slice.metadata.labels.as_ref() == Some(labels);
    (!same).then(|| Change::Update { slice: slice.clone(), endpoints, labels: labels.clone() })
}

fn create(service: &Service, ports: &[Port], endpoints: &[Endpoint], labels: &BTreeMap<String, String>) -> Change {
    let key = service.key();
    Change::Create(Box::new(EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", key.name)),
            namespace: Some(key.namespace),
            labels: Some(labels.clone()),
            owner_references: Some(vec![pods::controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".into(),
        endpoints: Some(endpoints.to_vec()),
        ports: Some(ports.iter().map(Port::as_slice_port).collect()),
    }))
}

/// The Service's own labels, and what marks the slice as ours.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None") {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.insert(SERVICE_LABEL.into(), service.key().name);
    labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
    labels
}

/// What makes two endpoints the same one.
fn id(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or_default();
    format!("{uid}/{}", endpoint.addresses.first().map(String::as_str).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::facts::groups;
    use super::super::facts::testing::{pod, service, with};
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    fn web() -> Service {
        service(json!({"ports": [{"port": 80, "targetPort": 8080}], "selector": {"app": "web"}}))
    }

    fn pods(count: usize, ready: bool) -> Vec<Arc<Pod>> {
        (0..count)
            .map(|number| pod(&format!("p{number:03}"), &format!("10.0.{}.{}", number / 250, number % 250 + 1), ready))
            .collect()
    }

    /// Applies changes as the API server would.
    fn apply(present: Vec<Arc<EndpointSlice>>, changes: Vec<Change>) -> Vec<Arc<EndpointSlice>> {
        let mut slices = present;
        for change in changes {
            match change {
                Change::Create(slice) => slices.push(Arc::new(*slice)),
                Change::Delete(gone) => slices.retain(|slice| !Arc::ptr_eq(slice, &gone)),
                Change::Update { slice, endpoints, labels } => {
                    let place = slices.iter().position(|other| Arc::ptr_eq(other, &slice)).unwrap();
                    let mut changed = (*slice).clone();
                    changed.endpoints = Some(endpoints);
                    changed.metadata.labels = Some(labels);
                    slices[place] = Arc::new(changed);
                }
            }
        }
        slices
    }

    fn total(slices: &[Arc<EndpointSlice>]) -> usize {
        slices.iter().map(|slice| slice.endpoints.as_ref().map_or(0, Vec::len)).sum()
    }

    #[test]
    fn what_is_right_stays_untouched() {
        for count in [0, 1, 100, 250] {
            let wanted = groups(&web(), &pods(count, true));
            let slices = apply(Vec::new(), plan(&web(), &wanted, &[]));
            assert_eq!((total(&slices), slices.len()), (count, count.div_ceil(MOST).max(1)));
            assert_eq!(plan(&web(), &wanted, &slices), [], "{count}");
        }
    }

    #[test]
    fn one_pod_more_or_less_touches_one_slice() {
        let slices = apply(Vec::new(), plan(&web(), &groups(&web(), &pods(150, true)), &[]));
        for count in [149, 151] {
            let changes = plan(&web(), &groups(&web(), &pods(count, true)), &slices);
            assert_eq!(changes.len(), 1);
            assert_eq!(total(&apply(slices.clone(), changes)), count);
        }
    }

    #[test]
    fn readiness_changes_in_place_and_the_last_slice_stays_empty() {
        let slices = apply(Vec::new(), plan(&web(), &groups(&web(), &pods(1, true)), &[]));
        let unready = plan(&web(), &groups(&web(), &pods(1, false)), &slices);
        assert!(matches!(unready.as_slice(), [Change::Update { .. }]));
        let none = apply(slices.clone(), plan(&web(), &groups(&web(), &[]), &slices));
        assert_eq!((none.len(), total(&none)), (1, 0));
        assert_eq!(plan(&web(), &groups(&web(), &[]), &none), []);
    }

    #[test]
    fn other_ports_are_other_slices() {
        let slices = apply(Vec::new(), plan(&web(), &groups(&web(), &pods(2, true)), &[]));
        let moved = service(json!({"ports": [{"port": 80, "targetPort": 9090}], "selector": {"app": "web"}}));
        let after = apply(slices.clone(), plan(&moved, &groups(&moved, &pods(2, true)), &slices));
        assert_eq!((after.len(), total(&after)), (1, 2));
        assert_eq!(after[0].ports.as_ref().unwrap()[0].port, Some(9090));
    }

    #[test]
    fn gaps_are_filled_before_a_slice_is_made() {
        // 250 pods in three slices; sixty of the first go, seventy new ones come.
        let slices = apply(Vec::new(), plan(&web(), &groups(&web(), &pods(250, true)), &[]));
        let gone: Vec<String> =
            slices[0].endpoints.iter().flatten().take(60).map(|endpoint| endpoint.addresses[0].clone()).collect();
        let mut now: Vec<Arc<Pod>> = pods(320, true);
        now.retain(|pod| !gone.contains(pod.status.as_ref().unwrap().pod_ip.as_ref().unwrap()));
        let changes = plan(&web(), &groups(&web(), &now), &slices);
        assert!(changes.iter().all(|change| matches!(change, Change::Update { .. })), "{}", changes.len());
        assert_eq!(changes.len(), 2, "the slice that changes anyway takes sixty, one other the rest");
        let after = apply(slices, changes);
        let mut sizes: Vec<usize> = after.iter().map(|slice| slice.endpoints.as_ref().unwrap().len()).collect();
        sizes.sort_unstable();
        assert_eq!((total(&after), sizes), (260, vec![60, 100, 100]));
        assert_eq!(plan(&web(), &groups(&web(), &now), &after), []);
    }

    #[test]
    fn labels_follow_the_service_and_mark_the_slice() {
        let labeled = |labels: serde_json::Value, cluster_ip: &str| -> Service {
            serde_json::from_value(
                json!({"metadata": {"name": "web", "namespace": "default", "uid": "s", "labels": labels},
                "spec": {"clusterIP": cluster_ip, "selector": {"app": "web"}, "ports": [{"port": 80}]}}),
            )
            .unwrap()
        };
        let table = [
            (labeled(json!({}), "10.96.0.1"), vec![]),
            (labeled(json!({"team": "a"}), "10.96.0.1"), vec![("team", "a")]),
            (labeled(json!({}), "None"), vec![(HEADLESS, "")]),
            // What marks a slice is not the Service's to say.
            (labeled(json!({HEADLESS: "", SERVICE_LABEL: "other", MANAGED_BY.0: "me"}), "10.96.0.1"), vec![]),
        ];
        for (service, mut expected) in table {
            expected.extend([(SERVICE_LABEL, "web"), MANAGED_BY]);
            let expected: BTreeMap<String, String> =
                expected.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            let wanted = groups(&service, &pods(1, true));
            let made = apply(Vec::new(), plan(&service, &wanted, &[]));
            assert_eq!(made[0].metadata.labels.as_ref(), Some(&expected));
            let mut other = (*made[0]).clone();
            other.metadata.labels.as_mut().unwrap().insert("left".into(), "over".into());
            let other = vec![Arc::new(other)];
            let after = apply(other.clone(), plan(&service, &wanted, &other));
            assert_eq!(after[0].metadata.labels.as_ref(), Some(&expected));
        }
    }

    #[test]
    fn pods_that_resolve_a_port_differently_have_slices_of_their_own() {
        let by_name = service(json!({"ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": "web"}}));
        let other = with(
            &pod("other", "10.9.0.1", true),
            json!({"spec": {"containers":
            [{"name": "c", "ports": [{"name": "http", "containerPort": 9090}]}]}}),
        );
        let mut both = pods(2, true);
        both.push(other);
        let slices = apply(Vec::new(), plan(&by_name, &groups(&by_name, &both), &[]));
        let mut told: Vec<(Option<i32>, usize)> = slices
            .iter()
            .map(|slice| (slice.ports.as_ref().unwrap()[0].port, slice.endpoints.as_ref().unwrap().len()))
            .collect();
        told.sort_unstable();
        assert_eq!(told, [(Some(8080), 2), (Some(9090), 1)]);
        // The last pod of a number goes, and its slice with it.
        let changes = plan(&by_name, &groups(&by_name, &both[..2]), &slices);
        assert!(matches!(changes.as_slice(), [Change::Delete(_)]), "{changes:?}");
        // All go: one slice without endpoints stays.
        let none = apply(slices.clone(), plan(&by_name, &groups(&by_name, &[]), &slices));
        assert_eq!((none.len(), total(&none)), (1, 0));
    }

    #[test]
    fn a_pod_that_comes_again_with_its_address_is_another_endpoint() {
        let slices = apply(Vec::new(), plan(&web(), &groups(&web(), &pods(2, true)), &[]));
        let mut now = pods(2, true);
        now[0] = with(&now[0], json!({"metadata": {"uid": "again"}}));
        let changes = plan(&web(), &groups(&web(), &now), &slices);
        let [Change::Update { endpoints, .. }] = changes.as_slice() else { panic!("{changes:?}") };
        let uids: Vec<&str> =
            endpoints.iter().map(|endpoint| endpoint.target_ref.as_ref().unwrap().uid.as_deref().unwrap()).collect();
        assert_eq!((uids.len(), uids.contains(&"again"), uids.contains(&"p000")), (2, true, false));
    }

    #[test]
    fn slices_that_somebody_emptied_or_doubled_are_put_right() {
        let wanted = groups(&web(), &pods(3, true));
        let slices = apply(Vec::new(), plan(&web(), &wanted, &[]));
        let mut emptied = (*slices[0]).clone();
        emptied.endpoints = None;
        let emptied = vec![Arc::new(emptied)];
        let after = apply(emptied.clone(), plan(&web(), &wanted, &emptied));
        assert_eq!((after.len(), total(&after)), (1, 3));
        // The same endpoints twice: one slice of them is one too many.
        let doubled = vec![slices[0].clone(), Arc::new((*slices[0]).clone())];
        let after = apply(doubled.clone(), plan(&web(), &wanted, &doubled));
        assert_eq!((after.len(), total(&after)), (1, 3));
    }
}
