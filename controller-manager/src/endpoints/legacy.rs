//! The older Endpoints object of a Service. Pure (kube-controller-manager, endpoint/endpoints_controller.go).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Service};
use k8s_openapi::api::discovery::v1::Endpoint;

use super::facts::{Groups, Port};

/// Most addresses in one object; what is over is cut, and an annotation says so.
const MOST: usize = 1000;
pub(crate) const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGED_BY: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");

/// Subsets, and whether addresses had to be left out: those that are not ready before any that is, of every subset its share
/// (truncateEndpoints).
pub(crate) fn subsets(groups: &Groups) -> (Vec<EndpointSubset>, bool) {
    let parts: Vec<(&Vec<Port>, [Vec<EndpointAddress>; 2])> =
        groups.iter().map(|(ports, all)| (ports, part(all))).collect();
    let counts = |which: usize| parts.iter().map(|(_, part)| part[which].len()).collect::<Vec<_>>();
    let (ready, waiting) = (counts(0), counts(1));
    let sum = |counts: &[usize]| counts.iter().sum::<usize>();
    let over = sum(&ready) + sum(&waiting) > MOST;
    let kept = [shares(&ready, MOST), shares(&waiting, MOST.saturating_sub(sum(&ready)))];
    let mut subsets = Vec::new();
    for (place, (ports, [mut ready, mut waiting])) in parts.into_iter().enumerate() {
        ready.truncate(kept[0][place]);
        waiting.truncate(kept[1][place]);
        if !ready.is_empty() || !waiting.is_empty() {
            subsets.push(EndpointSubset {
                addresses: Some(ready).filter(|ready| !ready.is_empty()),
                not_ready_addresses: Some(waiting).filter(|waiting| !waiting.is_empty()),
                ports: (!ports.is_empty()).then(|| ports.iter().map(port).collect()),
            });
        }
    }
    (subsets, over)
}

/// Addresses that are ready, and those that are not.
fn part(endpoints: &[Endpoint]) -> [Vec<EndpointAddress>; 2] {
    let (ready, waiting): (Vec<&Endpoint>, Vec<&Endpoint>) =
        endpoints.iter().filter(|endpoint| !is_terminating(endpoint)).partition(|endpoint| is_ready(endpoint));
    [ready, waiting].map(|list| list.into_iter().filter_map(address).collect())
}

/// How many of each may stay if there is room for so many in all: each part rounded up, until the room is used up.
fn shares(counts: &[usize], room: usize) -> Vec<usize> {
    let total: usize = counts.iter().sum();
    if total <= room {
        return counts.to_vec();
    }
    let mut left = room;
    let take = |count: &usize| {
        let share = (count * room).div_ceil(total).min(left);
        left -= share;
        share
    };
    counts.iter().map(take).collect()
}

/// The Service's own labels, and what marks the object as ours.
pub(crate) fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
    if service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None") {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    labels
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn is_terminating(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.terminating).unwrap_or(false) && !is_ready(endpoint)
}

fn address(endpoint: &Endpoint) -> Option<EndpointAddress> {
    Some(EndpointAddress {
        ip: endpoint.addresses.first()?.clone(),
        hostname: endpoint.hostname.clone(),
        node_name: endpoint.node_name.clone(),
        target_ref: endpoint.target_ref.clone(),
    })
}

fn port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: (!port.name.is_empty()).then(|| port.name.clone()),
        port: port.number,
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::groups;
    use super::super::facts::testing::{pod, service, with};
    use super::*;
    use serde_json::json;

    #[test]
    fn ready_and_waiting_addresses_stand_apart() {
        let service = service(json!({"ports": [{"port": 80}]}));
        let (subsets, over) = subsets(&groups(&service, &[pod("a", "10.0.0.1", true), pod("b", "10.0.0.2", false)]));
        assert!(!over);
        let [subset] = subsets.as_slice() else { panic!("{subsets:?}") };
        assert_eq!(subset.addresses.as_ref().unwrap()[0].ip, "10.0.0.1");
        assert_eq!(subset.not_ready_addresses.as_ref().unwrap()[0].ip, "10.0.0.2");
        assert_eq!(subset.ports.as_ref().unwrap()[0].port, 80);
    }

    #[test]
    fn at_most_a_thousand_addresses() {
        let service = service(json!({"ports": [{"port": 80}]}));
        let pods: Vec<_> =
            (0..1200).map(|n| pod(&format!("p{n}"), &format!("10.0.{}.{}", n / 250, n % 250), true)).collect();
        let (subsets, over) = subsets(&groups(&service, &pods));
        assert_eq!((subsets[0].addresses.as_ref().unwrap().len(), over), (1000, true));
    }

    #[test]
    fn who_is_ready_is_never_left_out_for_who_is_not() {
        // (ready, not ready) of each port → what is kept, and whether something was left out
        type Counts = &'static [(usize, usize)];
        let table: [(Counts, Counts, bool); 8] = [
            (&[(0, 0)], &[], false),
            (&[(1000, 0)], &[(1000, 0)], false),
            (&[(600, 400), (0, 0)], &[(600, 400)], false),
            (&[(600, 500)], &[(600, 400)], true),
            // The ready ones of the second port are not left out for the others of the first.
            (&[(100, 900), (500, 100)], &[(100, 360), (500, 40)], true),
            (&[(1500, 7)], &[(1000, 0)], true),
            (&[(1500, 7), (500, 7)], &[(750, 0), (250, 0)], true),
            (&[(667, 0), (667, 0), (667, 0)], &[(334, 0), (334, 0), (332, 0)], true),
        ];
        for (counts, expected, left_out) in table {
            let made = |ready: bool, number: usize| {
                let pod = pod(
                    &format!("{ready}-{number}"),
                    &format!("10.{}.{}.{}", u8::from(ready), number / 250, number % 250),
                    ready,
                );
                groups(&service(json!({"ports": []})), &[pod]).into_values().flatten().next().unwrap()
            };
            let all: Groups = counts
                .iter()
                .zip(1..)
                .map(|((ready, waiting), number)| {
                    let ports = vec![Port { name: String::new(), protocol: "TCP".into(), number, app_protocol: None }];
                    let well = (0..*ready).map(|number| made(true, number));
                    (ports, well.chain((0..*waiting).map(|number| made(false, number))).collect())
                })
                .collect();
            let (subsets, over) = subsets(&all);
            let count = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
            let kept: Vec<_> = subsets.iter().map(|s| (count(&s.addresses), count(&s.not_ready_addresses))).collect();
            assert_eq!((kept.as_slice(), over), (expected, left_out), "{counts:?}");
        }
    }

    #[test]
    fn pods_on_their_way_out_are_there_only_where_everybody_is() {
        let going =
            with(&pod("going", "10.0.0.1", true), json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        for (everybody, addresses) in [(false, 0), (true, 1)] {
            let service = service(json!({"ports": [{"port": 80}], "publishNotReadyAddresses": everybody}));
            let (subsets, over) = subsets(&groups(&service, std::slice::from_ref(&going)));
            assert_eq!((subsets.len(), over), (addresses, false), "{everybody}");
        }
    }

    #[test]
    fn what_is_left_out_is_counted_among_what_would_be_in() {
        let service = service(json!({"ports": [{"port": 80}]}));
        let mut pods: Vec<_> =
            (0..1000).map(|n| pod(&format!("p{n}"), &format!("10.0.{}.{}", n / 250, n % 250), true)).collect();
        let deletion = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        pods.extend((0..20).map(|n| with(&pod(&format!("going{n}"), &format!("10.9.0.{n}"), true), deletion.clone())));
        let (subsets, over) = subsets(&groups(&service, &pods));
        assert_eq!((subsets[0].addresses.as_ref().unwrap().len(), over), (1000, false));
    }

    #[test]
    fn addresses_and_labels_say_whose_they_are() {
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "default", "labels": {"team": "a", "endpoints.kubernetes.io/managed-by": "x"}},
            "spec": {"clusterIP": "None", "ports": [{"name": "web", "port": 80, "protocol": "UDP", "appProtocol": "h2"}]},
        }))
        .unwrap();
        let labels = labels(&service);
        let told: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let managed = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");
        assert_eq!(told, [managed, ("service.kubernetes.io/headless", ""), ("team", "a")]);
        let (subsets, _) = subsets(&groups(&service, &[pod("a", "10.0.0.1", true)]));
        let address = &subsets[0].addresses.as_ref().unwrap()[0];
        assert_eq!(
            (address.node_name.as_deref(), address.target_ref.as_ref().unwrap().uid.as_deref()),
            (Some("n"), Some("a"))
        );
        let port = &subsets[0].ports.as_ref().unwrap()[0];
        assert_eq!(
            (port.name.as_deref(), port.protocol.as_deref(), port.app_protocol.as_deref()),
            (Some("web"), Some("UDP"), Some("h2"))
        );
    }
}
