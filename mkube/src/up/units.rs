//! The processes of a cluster: which, where, with what arguments. Pure.

use std::net::SocketAddr;

use crate::launch::Launch;
use crate::layout::{Cluster, Layout};
use crate::net::cidr::{FIRST_NODE, MASTER};

/// One supervised process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Name of its log and PID file, e.g. `kubelet-node-1`.
    pub name: String,
    /// How it starts.
    pub launch: Launch,
}

impl Unit {
    /// Adds the arguments given for this kind of component: the last of a flag counts.
    pub fn extend(&mut self, arguments: &[(String, String)]) {
        let component = self.launch.arguments.first().cloned().unwrap_or_default();
        let own = arguments.iter().filter(|(name, _)| *name == component);
        self.launch.arguments.extend(own.map(|(_, argument)| argument.clone()));
    }
}

/// Port of the API server on the switch.
pub const API_PORT: u16 = 6443;
const KUBELET_PORT: u16 = 10250;

/// Name of the unit that runs `component` on `node`.
pub fn node_unit(component: &str, node: &str) -> String {
    format!("{component}-{node}")
}

/// All units: the master's, then each node's.
///
/// # Errors
/// When the cluster's ranges are damaged.
pub fn plan(layout: &Layout, cluster: &Cluster) -> Result<Vec<Unit>, String> {
    let mut units = vec![
        apiserver(layout, cluster)?,
        master(cluster, "scheduler", scheduler(layout)),
        master(cluster, "controller-manager", controller_manager(layout, cluster)),
        master(cluster, "kube-proxy", kube_proxy(layout, cluster, "")),
    ];
    for (number, node) in (0u8..).zip(cluster.node_names()) {
        let address = cluster.ranges.node_address(FIRST_NODE + number)?.to_string();
        let on_node = |component: &str, arguments: Vec<String>| Unit {
            name: node_unit(component, &node),
            launch: Launch { namespace: Some(cluster.namespace(&node)), listen: None, kept: None, arguments },
        };
        units.push(on_node("kubelet", kubelet(layout, cluster, &node, &address)));
        units.push(on_node("kube-proxy", kube_proxy(layout, cluster, &node)));
    }
    Ok(units)
}

fn master(cluster: &Cluster, name: &str, arguments: Vec<String>) -> Unit {
    let launch = Launch { namespace: Some(cluster.namespace("master")), listen: None, kept: None, arguments };
    Unit { name: name.into(), launch }
}

fn apiserver(layout: &Layout, cluster: &Cluster) -> Result<Unit, String> {
    let pki = layout.pki();
    let file = |name: &str| pki.join(name).display().to_string();
    let mut arguments = command(
        "apiserver",
        &[
            ("--bind-address", "0.0.0.0".into()),
            ("--secure-port", API_PORT.to_string()),
            ("--advertise-address", cluster.ranges.node_address(MASTER)?.to_string()),
            ("--tls-cert-file", file("apiserver.crt")),
            ("--tls-private-key-file", file("apiserver.key")),
            ("--client-ca-file", file("ca.crt")),
            ("--service-account-key-file", file("sa.key")),
            ("--service-account-signing-key-file", file("sa.key")),
            ("--kubelet-client-certificate", file("apiserver-kubelet-client.crt")),
            ("--kubelet-client-key", file("apiserver-kubelet-client.key")),
            ("--kubelet-certificate-authority", file("ca.crt")),
            ("--service-cluster-ip-range", cluster.ranges.services.clone()),
        ],
    );
    arguments.extend(store(layout, cluster));
    let mut unit = master(cluster, "apiserver", arguments);
    unit.launch.listen = Some(SocketAddr::from(([127, 0, 0, 1], cluster.port)));
    unit.launch.kept = Some(SocketAddr::from(([0, 0, 0, 0], API_PORT)));
    Ok(unit)
}

/// Where the API server keeps the objects. A store elsewhere is reached as the host reaches it, out of the supervisor's network
/// namespace.
fn store(layout: &Layout, cluster: &Cluster) -> Vec<String> {
    let Some(store) = &cluster.store else { return vec![format!("--store-dir={}", layout.store().display())] };
    let files = [("cafile", &store.ca), ("certfile", &store.cert), ("keyfile", &store.key)];
    let files = files.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?.display().to_string())));
    let host = format!("/proc/{}/ns/net", std::process::id());
    let flags =
        [("endpoints", store.endpoints.join(",")), ("prefix", store.prefix.clone()), ("network-namespace", host)];
    flags.into_iter().chain(files).map(|(flag, value)| format!("--store-{flag}={value}")).collect()
}

fn scheduler(layout: &Layout) -> Vec<String> {
    command("scheduler", &[("--kubeconfig", layout.component_kubeconfig("scheduler").display().to_string())])
}

fn controller_manager(layout: &Layout, cluster: &Cluster) -> Vec<String> {
    command(
        "controller-manager",
        &[
            ("--kubeconfig", layout.component_kubeconfig("controller-manager").display().to_string()),
            ("--cluster-cidr", cluster.ranges.pods.clone()),
            ("--root-ca-file", layout.pki().join("ca.crt").display().to_string()),
        ],
    )
}

fn kube_proxy(layout: &Layout, cluster: &Cluster, node: &str) -> Vec<String> {
    command(
        "kube-proxy",
        &[
            ("--kubeconfig", layout.component_kubeconfig("kube-proxy").display().to_string()),
            ("--cluster-cidr", cluster.ranges.pods.clone()),
            ("--hostname-override", node.into()),
        ],
    )
}

fn kubelet(layout: &Layout, cluster: &Cluster, node: &str, address: &str) -> Vec<String> {
    let pki = layout.pki();
    let file = |name: String| pki.join(name).display().to_string();
    command(
        "kubelet",
        &[
            ("--kubeconfig", file(format!("kubelet-{node}.kubeconfig"))),
            ("--hostname-override", node.into()),
            ("--node-ip", address.into()),
            ("--port", KUBELET_PORT.to_string()),
            ("--root-dir", layout.node(node).display().to_string()),
            ("--pod-manifest-path", layout.manifests(node).display().to_string()),
            ("--client-ca-file", file("ca.crt".into())),
            ("--tls-cert-file", file(format!("kubelet-{node}-serving.crt"))),
            ("--tls-private-key-file", file(format!("kubelet-{node}-serving.key"))),
            ("--container-runtime", cluster.runtime.clone()),
            ("--cgroup-root", cluster.cgroup(node)),
            ("--capacity-divide", cluster.nodes.to_string()),
            ("--hide", layout.root().display().to_string()),
            // All nodes share one disk with everything else on the machine, and there are no images to make room with: a full
            // disk is the person's to empty, not the pods' (kind and minikube do the same).
            ("--eviction-hard", "memory.available<100Mi".into()),
        ],
    )
}

fn command(name: &str, flags: &[(&str, String)]) -> Vec<String> {
    let flags = flags.iter().filter(|(_, value)| !value.is_empty()).map(|(flag, value)| format!("{flag}={value}"));
    std::iter::once(name.to_string()).chain(flags).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::OtherStore;
    use crate::net::cidr::Ranges;
    use std::path::Path;

    #[test]
    fn more_arguments_reach_their_component_only() {
        let launch =
            Launch { namespace: None, listen: None, kept: None, arguments: vec!["kubelet".into(), "--a=1".into()] };
        let mut unit = Unit { name: "kubelet-node-1".into(), launch };
        unit.extend(&[("kubelet".into(), "--b=2".into()), ("scheduler".into(), "--c=3".into())]);
        assert_eq!(unit.launch.arguments, ["kubelet", "--a=1", "--b=2"]);
    }

    #[test]
    fn only_the_api_server_has_sockets_that_others_may_wait_at() {
        let ranges = Ranges::choose(&[]).unwrap();
        let cluster =
            Cluster { id: "abc123".into(), nodes: 2, runtime: "process".into(), port: 7000, ranges, store: None };
        let units = plan(&Layout::new(Path::new("/d")).unwrap(), &cluster).unwrap();
        let kept: Vec<_> = units.iter().filter_map(|unit| Some((unit.name.as_str(), unit.launch.kept?))).collect();
        assert_eq!(kept, [("apiserver", "0.0.0.0:6443".parse().unwrap())]);
        let arguments: Vec<_> = units[0].launch.command(&"mkube".into()).get_args().map(ToOwned::to_owned).collect();
        assert_eq!(arguments[3..6], ["127.0.0.1:7000", "kept", "apiserver"]);
    }

    #[test]
    fn a_store_elsewhere_takes_the_place_of_the_directory() {
        let ranges = Ranges::choose(&[]).unwrap();
        let own = Cluster { id: "abc123".into(), nodes: 1, runtime: "process".into(), port: 7000, ranges, store: None };
        let layout = Layout::new(Path::new("/d")).unwrap();
        assert_eq!(store(&layout, &own), ["--store-dir=/d/store"]);
        let other = OtherStore {
            endpoints: vec!["https://a:2379".into(), "https://b:2379".into()],
            ca: Some("/pki/ca.crt".into()),
            prefix: "/clusters/a".into(),
            ..OtherStore::default()
        };
        let flags = store(&layout, &Cluster { store: Some(other), ..own });
        let host = format!("--store-network-namespace=/proc/{}/ns/net", std::process::id());
        assert_eq!(
            flags,
            [
                "--store-endpoints=https://a:2379,https://b:2379",
                "--store-prefix=/clusters/a",
                &host,
                "--store-cafile=/pki/ca.crt"
            ]
        );
    }

    #[test]
    fn every_node_gets_a_kubelet_and_a_proxy_in_its_own_namespace() {
        let ranges = Ranges::choose(&[]).unwrap();
        let cluster =
            Cluster { id: "abc123".into(), nodes: 2, runtime: "process".into(), port: 7000, ranges, store: None };
        let units = plan(&Layout::new(Path::new("/d")).unwrap(), &cluster).unwrap();
        let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "apiserver",
                "scheduler",
                "controller-manager",
                "kube-proxy",
                "kubelet-node-1",
                "kube-proxy-node-1",
                "kubelet-node-2",
                "kube-proxy-node-2"
            ]
        );
        assert_eq!(units[0].launch.listen, Some("127.0.0.1:7000".parse().unwrap()));
        assert_eq!(units[6].launch.namespace.as_deref(), Some("mkube-abc123-node-2"));
        assert!(units[6].launch.arguments.contains(&"--node-ip=10.198.0.12".to_string()));
        assert!(!units[3].launch.arguments.iter().any(|argument| argument.starts_with("--hostname-override")));
    }
}
