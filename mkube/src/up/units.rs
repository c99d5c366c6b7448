//! The processes of a cluster: which, where, with what arguments. Pure, but for this process's ID.

use std::net::SocketAddr;

use crate::launch::{Kept, Launch};
use crate::layout::{Cluster, Layout, Master, OtherStore};
use crate::net::cidr::FIRST_NODE;

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
/// Ports of a member of the store: for clients, for the other members.
const STORE_PORTS: (u16, u16) = (2379, 2380);

/// Name of the unit that runs `component` on `node`.
pub fn node_unit(component: &str, node: &str) -> String {
    format!("{component}-{node}")
}

/// Name of the unit that runs `component` on `master`: its own where there is one master only.
pub fn on_master(cluster: &Cluster, component: &str, master: &str) -> String {
    if cluster.servers == 1 { component.into() } else { node_unit(component, master) }
}

/// Whether the store is in processes of its own: a single API server has it inside, unless it is elsewhere.
pub fn has_store_members(cluster: &Cluster) -> bool {
    cluster.store.is_none() && (cluster.servers > 1 || cluster.etcd.is_some())
}

/// All units: each master's, then each node's.
///
/// # Errors
/// When the cluster's ranges are damaged.
pub fn plan(layout: &Layout, cluster: &Cluster) -> Result<Vec<Unit>, String> {
    let mut units = Vec::new();
    for master in cluster.masters() {
        units.extend(on_one_master(layout, cluster, &master)?);
    }
    for (number, node) in (0u8..).zip(cluster.node_names()) {
        let address = cluster.ranges.node_address(FIRST_NODE + number)?.to_string();
        let on_node = |component: &str, arguments: Vec<String>| Unit {
            name: node_unit(component, &node),
            launch: Launch { namespace: Some(cluster.namespace(&node)), listen: None, kept: None, arguments },
        };
        let proxy = if cluster.servers == 1 { "kube-proxy".into() } else { node_unit("kube-proxy", &node) };
        units.push(on_node("kubelet", kubelet(layout, cluster, &node, &address)));
        units.push(on_node("kube-proxy", kube_proxy(layout, cluster, &proxy, &node)));
    }
    Ok(units)
}

fn on_one_master(layout: &Layout, cluster: &Cluster, master: &Master) -> Result<Vec<Unit>, String> {
    let name = |component: &str| on_master(cluster, component, &master.name);
    let unit = |component: &str, arguments| {
        let namespace = Some(cluster.namespace(&master.name));
        Unit { name: name(component), launch: Launch { namespace, listen: None, kept: None, arguments } }
    };
    let mut units = Vec::new();
    if has_store_members(cluster) {
        units.push(unit("store", store(layout, cluster, master)?));
    }
    let mut apiserver = unit("apiserver", apiserver(layout, cluster, master)?);
    let host = SocketAddr::from(([127, 0, 0, 1], cluster.port));
    if cluster.servers == 1 {
        apiserver.launch.listen = Some(host);
        apiserver.launch.kept = Some(Kept::Inside(SocketAddr::from(([0, 0, 0, 0], API_PORT))));
    } else {
        // Who finds one dead goes to the next: inside, nobody waits at its door.
        apiserver.launch.kept = Some(Kept::OnHost(host));
    }
    units.push(apiserver);
    units.push(unit("scheduler", scheduler(layout, &name("scheduler"), &master.name)));
    units.push(unit(
        "controller-manager",
        controller_manager(layout, cluster, &name("controller-manager"), &master.name),
    ));
    units.push(unit("kube-proxy", kube_proxy(layout, cluster, &name("kube-proxy"), "")));
    Ok(units)
}

fn apiserver(layout: &Layout, cluster: &Cluster, master: &Master) -> Result<Vec<String>, String> {
    let pki = layout.pki();
    let file = |name: &str| pki.join(name).display().to_string();
    let mut flags = vec![
        ("--bind-address", "0.0.0.0".into()),
        ("--secure-port", API_PORT.to_string()),
        ("--advertise-address", cluster.ranges.node_address(master.last)?.to_string()),
        ("--tls-cert-file", file("apiserver.crt")),
        ("--tls-private-key-file", file("apiserver.key")),
        ("--client-ca-file", file("ca.crt")),
        ("--service-account-key-file", file("sa.key")),
        ("--service-account-signing-key-file", file("sa.key")),
        ("--kubelet-client-certificate", file("apiserver-kubelet-client.crt")),
        ("--kubelet-client-key", file("apiserver-kubelet-client.key")),
        ("--kubelet-certificate-authority", file("ca.crt")),
        ("--service-cluster-ip-range", cluster.ranges.services.clone()),
    ];
    if let Some(store) = &cluster.store {
        let mut arguments = command("apiserver", &flags);
        arguments.extend(elsewhere(store));
        return Ok(arguments);
    }
    if has_store_members(cluster) {
        flags.push(("--store-endpoints", store_endpoints(cluster, master)?));
        flags.push(("--store-cafile", file("store-ca.crt")));
        flags.push(("--store-certfile", file("store-client.crt")));
        flags.push(("--store-keyfile", file("store-client.key")));
    } else {
        flags.push(("--store-dir", layout.store(&master.name).display().to_string()));
    }
    Ok(command("apiserver", &flags))
}

/// How the API server reaches a store elsewhere: as the host does, out of the supervisor's network namespace.
fn elsewhere(store: &OtherStore) -> Vec<String> {
    let files = [("cafile", &store.ca), ("certfile", &store.cert), ("keyfile", &store.key)];
    let files = files.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?.display().to_string())));
    let host = format!("/proc/{}/ns/net", std::process::id());
    let flags =
        [("endpoints", store.endpoints.join(",")), ("prefix", store.prefix.clone()), ("network-namespace", host)];
    flags.into_iter().chain(files).map(|(flag, value)| format!("--store-{flag}={value}")).collect()
}

/// The members of the store, this master's own first.
fn store_endpoints(cluster: &Cluster, master: &Master) -> Result<String, String> {
    let masters = cluster.masters();
    let own = masters.iter().position(|other| other == master).unwrap_or(0);
    let turn = masters.iter().cycle().skip(own).take(masters.len());
    let endpoints: Result<Vec<String>, String> = turn.map(|other| url(cluster, other, STORE_PORTS.0)).collect();
    Ok(endpoints?.join(","))
}

fn url(cluster: &Cluster, master: &Master, port: u16) -> Result<String, String> {
    Ok(format!("https://{}:{port}", cluster.ranges.node_address(master.last)?))
}

/// A member of the store, under etcd's flags: mkube's own store understands the same.
fn store(layout: &Layout, cluster: &Cluster, master: &Master) -> Result<Vec<String>, String> {
    let pki = layout.pki();
    let file = |name: &str| pki.join(name).display().to_string();
    let (clients, peers) = (url(cluster, master, STORE_PORTS.0)?, url(cluster, master, STORE_PORTS.1)?);
    let members: Result<Vec<String>, String> = cluster
        .masters()
        .iter()
        .map(|other| Ok(format!("{}={}", other.name, url(cluster, other, STORE_PORTS.1)?)))
        .collect();
    let program = cluster.etcd.as_ref().map_or_else(|| "store".to_string(), |program| program.display().to_string());
    Ok(command(
        &program,
        &[
            ("--name", master.name.clone()),
            ("--data-dir", layout.store(&master.name).display().to_string()),
            ("--listen-client-urls", clients.clone()),
            ("--advertise-client-urls", clients),
            ("--listen-peer-urls", peers.clone()),
            ("--initial-advertise-peer-urls", peers),
            ("--initial-cluster", members?.join(",")),
            ("--initial-cluster-state", "new".into()),
            ("--cert-file", file("store.crt")),
            ("--key-file", file("store.key")),
            ("--trusted-ca-file", file("store-ca.crt")),
            ("--client-cert-auth", "true".into()),
            ("--peer-cert-file", file("store.crt")),
            ("--peer-key-file", file("store.key")),
            ("--peer-trusted-ca-file", file("store-ca.crt")),
            ("--peer-client-cert-auth", "true".into()),
        ],
    ))
}

/// `unit` names the kubeconfig, `identity` the candidate in the election: stable over restarts, so that a leader that is
/// started again goes on at once.
fn scheduler(layout: &Layout, unit: &str, identity: &str) -> Vec<String> {
    command(
        "scheduler",
        &[
            ("--kubeconfig", layout.component_kubeconfig(unit).display().to_string()),
            ("--leader-elect-identity", identity.into()),
        ],
    )
}

fn controller_manager(layout: &Layout, cluster: &Cluster, unit: &str, identity: &str) -> Vec<String> {
    command(
        "controller-manager",
        &[
            ("--kubeconfig", layout.component_kubeconfig(unit).display().to_string()),
            ("--leader-elect-identity", identity.into()),
            ("--cluster-cidr", cluster.ranges.pods.clone()),
            ("--root-ca-file", layout.pki().join("ca.crt").display().to_string()),
        ],
    )
}

fn kube_proxy(layout: &Layout, cluster: &Cluster, unit: &str, node: &str) -> Vec<String> {
    command(
        "kube-proxy",
        &[
            ("--kubeconfig", layout.component_kubeconfig(unit).display().to_string()),
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

    fn cluster(servers: u8) -> Cluster {
        let (ranges, runtime) = (Ranges::choose(&[]).unwrap(), "process".into());
        Cluster { id: "abc123".into(), nodes: 2, servers, etcd: None, runtime, port: 7000, ranges, store: None }
    }

    fn planned(servers: u8) -> Vec<Unit> {
        plan(&Layout::new(Path::new("/d")).unwrap(), &cluster(servers)).unwrap()
    }

    #[test]
    fn only_the_api_server_has_sockets_that_others_may_wait_at() {
        let units = planned(1);
        let kept: Vec<_> = units.iter().filter_map(|unit| Some((unit.name.as_str(), unit.launch.kept?))).collect();
        assert_eq!(kept, [("apiserver", Kept::Inside("0.0.0.0:6443".parse().unwrap()))]);
        let arguments: Vec<_> = units[0].launch.command(&"mkube".into()).get_args().map(ToOwned::to_owned).collect();
        assert_eq!(arguments[3..6], ["127.0.0.1:7000", "kept", "apiserver"]);
    }

    #[test]
    fn a_store_elsewhere_takes_the_place_of_the_directory() {
        let other = OtherStore {
            endpoints: vec!["https://a:2379".into(), "https://b:2379".into()],
            ca: Some("/pki/ca.crt".into()),
            prefix: "/clusters/a".into(),
            ..OtherStore::default()
        };
        let flags = elsewhere(&other);
        let cluster = Cluster { store: Some(other), ..cluster(3) };
        assert!(!has_store_members(&cluster));
        let units = plan(&Layout::new(Path::new("/d")).unwrap(), &cluster).unwrap();
        assert_eq!((units[0].name.as_str(), units[0].launch.arguments.ends_with(&flags)), ("apiserver-master-1", true));
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
        let units = planned(1);
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
        assert!(units[0].launch.arguments.contains(&"--store-dir=/d/store".to_string()));
        assert_eq!(units[6].launch.namespace.as_deref(), Some("mkube-abc123-node-2"));
        assert!(units[6].launch.arguments.contains(&"--node-ip=10.198.0.12".to_string()));
        assert!(!units[3].launch.arguments.iter().any(|argument| argument.starts_with("--hostname-override")));
    }

    #[test]
    fn three_masters_are_whole_masters_that_share_the_hosts_socket() {
        let units = planned(3);
        let second: Vec<_> = units
            .iter()
            .filter(|unit| unit.launch.namespace.as_deref() == Some("mkube-abc123-master-2"))
            .map(|unit| unit.name.as_str())
            .collect();
        let all = ["store", "apiserver", "scheduler", "controller-manager", "kube-proxy"];
        assert_eq!(second, all.map(|component| format!("{component}-master-2")));
        let host = Some(Kept::OnHost("127.0.0.1:7000".parse().unwrap()));
        let servers: Vec<_> = units.iter().filter(|unit| unit.name.starts_with("apiserver-")).collect();
        assert!(
            servers.len() == 3 && servers.iter().all(|unit| unit.launch.kept == host && unit.launch.listen.is_none())
        );
        let endpoints = "--store-endpoints=https://10.198.0.3:2379,https://10.198.0.4:2379,https://10.198.0.2:2379";
        assert!(servers[1].launch.arguments.contains(&endpoints.to_string()));
        let named = |name: &str| units.iter().find(|unit| unit.name == name).unwrap();
        let has = |name: &str, argument: &str| named(name).launch.arguments.contains(&argument.to_string());
        assert!(has("scheduler-master-2", "--leader-elect-identity=master-2"));
        assert!(has("store-master-2", "--listen-peer-urls=https://10.198.0.3:2380"));
        let members =
            "master-1=https://10.198.0.2:2380,master-2=https://10.198.0.3:2380,master-3=https://10.198.0.4:2380";
        assert!(has("store-master-3", &format!("--initial-cluster={members}")));
        assert!(has("kube-proxy-node-1", "--kubeconfig=/d/pki/kube-proxy-node-1.kubeconfig"));
    }

    #[test]
    fn etcd_may_stand_in_for_the_store() {
        let cluster = Cluster { etcd: Some("/usr/bin/etcd".into()), ..cluster(1) };
        let units = plan(&Layout::new(Path::new("/d")).unwrap(), &cluster).unwrap();
        assert_eq!((units[0].name.as_str(), units[0].launch.arguments[0].as_str()), ("store", "/usr/bin/etcd"));
        assert!(units[1].launch.arguments.contains(&"--store-endpoints=https://10.198.0.2:2379".to_string()));
    }
}
