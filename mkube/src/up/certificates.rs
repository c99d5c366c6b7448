//! The keys, certificates and kubeconfigs of a cluster: made at its first start, renewed when they run out, else kept.

use std::net::IpAddr;

use anyhow::Context as _;
use base::files::write_atomic;
use base::pki::{Authority, Pair, Subject};
use client::kubeconfig::Kubeconfig;

use super::units::{self, API_PORT};
use crate::layout::{Cluster, Layout};
use crate::net::cidr::FIRST_NODE;

const DAYS: i64 = 365;

/// Makes what is missing.
///
/// # Errors
/// I/O errors, damaged files.
pub fn make(layout: &Layout, cluster: &Cluster) -> anyhow::Result<()> {
    let pki = layout.pki();
    let authority = Authority::load_or_create(&pki, "ca", "kubernetes").context("certificate authority")?;
    if Pair::read(&pki, "sa")?.is_none() {
        Pair::signing_key()?.write(&pki, "sa")?;
    }
    let address = |last: u8| cluster.ranges.node_address(last).map(IpAddr::V4).map_err(anyhow::Error::msg);
    let masters: Vec<IpAddr> =
        cluster.masters().iter().map(|master| address(master.last)).collect::<anyhow::Result<_>>()?;
    let dns: Vec<String> = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    .map(String::from)
    .into();
    let mut ips = vec![IpAddr::from([127, 0, 0, 1]), first_service(cluster)?];
    ips.extend(&masters);
    let serving = Subject { name: "kube-apiserver", dns: &dns, ips: &ips, days: DAYS, ..Subject::default() };
    pair(layout, &authority, "apiserver", &serving)?;
    let to_kubelets = Subject {
        name: "kube-apiserver-kubelet-client",
        group: Some("system:masters"),
        days: DAYS,
        ..Subject::default()
    };
    pair(layout, &authority, "apiserver-kubelet-client", &to_kubelets)?;

    if units::has_store_members(cluster) {
        store(layout, &masters)?;
    }

    let outside = format!("https://127.0.0.1:{}", cluster.port);
    let admin = pair(layout, &authority, "admin", &user("kubernetes-admin", Some("system:masters")))?;
    let text = Kubeconfig::single("mkube", &outside, &authority.pair().cert, &admin.cert, &admin.key).to_yaml()?;
    write_atomic(&layout.kubeconfig(), text.as_bytes(), 0o600).context("kubeconfig")?;
    for (number, master) in cluster.masters().iter().enumerate() {
        for (component, user_name) in [
            ("scheduler", "system:kube-scheduler"),
            ("controller-manager", "system:kube-controller-manager"),
            ("kube-proxy", "system:kube-proxy"),
        ] {
            let name = units::on_master(cluster, component, &master.name);
            self::component(layout, &authority, &name, &user(user_name, None), &turned(&masters, number))?;
        }
    }
    for (number, node) in (0u8..).zip(cluster.node_names()) {
        let (name, servers) = (format!("system:node:{node}"), turned(&masters, number.into()));
        let kubelet = format!("kubelet-{node}");
        component(layout, &authority, &kubelet, &user(&name, Some("system:nodes")), &servers)?;
        if cluster.servers > 1 {
            let proxy = units::node_unit("kube-proxy", &node);
            component(layout, &authority, &proxy, &user("system:kube-proxy", None), &servers)?;
        }
        let address = cluster.ranges.node_address(FIRST_NODE + number).map_err(anyhow::Error::msg)?;
        let serving = Subject {
            name: &name,
            group: Some("system:nodes"),
            dns: std::slice::from_ref(&node),
            ips: &[IpAddr::V4(address)],
            days: DAYS,
        };
        pair(layout, &authority, &format!("{kubelet}-serving"), &serving)?;
    }
    Ok(())
}

/// URLs of the API servers, beginning with another one for each who asks: the first is talked to while it answers.
fn turned(masters: &[IpAddr], number: usize) -> Vec<String> {
    let turn = masters.iter().cycle().skip(number % masters.len()).take(masters.len());
    turn.map(|address| format!("https://{address}:{API_PORT}")).collect()
}

/// What members of the store and the API servers know each other by. An authority of their own: whoever has a certificate for
/// the API must not get past it.
fn store(layout: &Layout, masters: &[IpAddr]) -> anyhow::Result<()> {
    let authority = Authority::load_or_create(&layout.pki(), "store-ca", "mkube-store").context("store's authority")?;
    let ips: Vec<IpAddr> = masters.iter().copied().chain([IpAddr::from([127, 0, 0, 1])]).collect();
    let member = Subject { name: "mkube-store", ips: &ips, days: DAYS, ..Subject::default() };
    pair(layout, &authority, "store", &member)?;
    pair(layout, &authority, "store-client", &user("mkube-apiserver", None)).map(drop)
}

/// The address of the `kubernetes` Service: the first of the range.
fn first_service(cluster: &Cluster) -> anyhow::Result<IpAddr> {
    let range: kube_proxy::rules::Range = cluster.ranges.services.parse().map_err(anyhow::Error::msg)?;
    Ok(IpAddr::V4((u32::from(range.base) + 1).into()))
}

fn user<'a>(name: &'a str, group: Option<&'a str>) -> Subject<'a> {
    Subject { name, group, days: DAYS, ..Subject::default() }
}

fn component(
    layout: &Layout,
    authority: &Authority,
    name: &str,
    subject: &Subject<'_>,
    servers: &[String],
) -> anyhow::Result<()> {
    let pair = pair(layout, authority, name, subject)?;
    let [first, others @ ..] = servers else { return Ok(()) };
    let config = Kubeconfig::single(name, first, &authority.pair().cert, &pair.cert, &pair.key);
    let text = config.with_alternatives(others).to_yaml()?;
    let path = layout.component_kubeconfig(name);
    write_atomic(&path, text.as_bytes(), 0o600).with_context(|| format!("writing {}", path.display()))
}

/// Certificates younger than half their life are kept.
fn pair(layout: &Layout, authority: &Authority, name: &str, subject: &Subject<'_>) -> anyhow::Result<Pair> {
    let path = layout.pki().join(format!("{name}.crt"));
    let age = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
    let fresh = age.is_some_and(|age| age.as_secs() < DAYS as u64 * 86_400 / 2);
    if let (true, Some(kept)) = (fresh, Pair::read(&layout.pki(), name)?) {
        return Ok(kept);
    }
    let pair = authority.issue(subject).with_context(|| format!("certificate {name}"))?;
    pair.write(&layout.pki(), name).with_context(|| format!("certificate {name}"))?;
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::cidr::Ranges;

    #[test]
    fn certificates_are_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        layout.create().unwrap();
        let ranges = Ranges::choose(&[]).unwrap();
        let runtime = "process".into();
        let cluster =
            Cluster { id: "abc123".into(), nodes: 1, servers: 1, etcd: None, runtime, port: 7000, ranges, store: None };
        make(&layout, &cluster).unwrap();
        let first = std::fs::read(layout.kubeconfig()).unwrap();
        make(&layout, &cluster).unwrap();
        assert_eq!(std::fs::read(layout.kubeconfig()).unwrap(), first);
        let config = client::Config::from_kubeconfig(&layout.component_kubeconfig("kubelet-node-1")).unwrap();
        assert_eq!(config.server, "https://10.198.0.2:6443");
    }

    #[test]
    fn each_component_knows_all_masters_and_begins_with_another() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        layout.create().unwrap();
        let (ranges, runtime) = (Ranges::choose(&[]).unwrap(), "process".into());
        let cluster =
            Cluster { id: "abc123".into(), nodes: 2, servers: 3, etcd: None, runtime, port: 7000, ranges, store: None };
        make(&layout, &cluster).unwrap();
        let table = [
            ("scheduler-master-3", ["10.198.0.4", "10.198.0.2", "10.198.0.3"]),
            ("kubelet-node-2", ["10.198.0.3", "10.198.0.4", "10.198.0.2"]),
            ("kube-proxy-node-1", ["10.198.0.2", "10.198.0.3", "10.198.0.4"]),
        ];
        for (name, hosts) in table {
            let config = client::Config::from_kubeconfig(&layout.component_kubeconfig(name)).unwrap();
            let known: Vec<String> = std::iter::once(config.server).chain(config.alternatives).collect();
            assert_eq!(known, hosts.map(|host| format!("https://{host}:6443")), "{name}");
        }
        assert!(layout.pki().join("store-ca.crt").exists() && layout.pki().join("store-client.key").exists());
    }
}
