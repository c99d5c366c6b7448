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
    use super::super::facts::testing::{pod, service};
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
}
