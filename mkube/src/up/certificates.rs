//! The keys, certificates and kubeconfigs of a cluster: made at its first start, renewed when they run out, else kept.

use std::net::IpAddr;

use anyhow::Context as _;
use base::files::write_atomic;
use base::pki::{Authority, Pair, Subject};
use client::kubeconfig::Kubeconfig;

use super::units::API_PORT;
use crate::layout::{Cluster, Layout};
use crate::net::cidr::{FIRST_NODE, MASTER};

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
    let master = IpAddr::V4(cluster.ranges.node_address(MASTER).map_err(anyhow::Error::msg)?);
    let dns: Vec<String> = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    .map(String::from)
    .into();
    let ips = [IpAddr::from([127, 0, 0, 1]), master, first_service(cluster)?];
    let serving = Subject { name: "kube-apiserver", dns: &dns, ips: &ips, days: DAYS, ..Subject::default() };
    pair(layout, &authority, "apiserver", &serving)?;
    let to_kubelets = Subject {
        name: "kube-apiserver-kubelet-client",
        group: Some("system:masters"),
        days: DAYS,
        ..Subject::default()
    };
    pair(layout, &authority, "apiserver-kubelet-client", &to_kubelets)?;

    let inside = format!("https://{master}:{API_PORT}");
    let outside = format!("https://127.0.0.1:{}", cluster.port);
    let admin = pair(layout, &authority, "admin", &user("kubernetes-admin", Some("system:masters")))?;
    let text = Kubeconfig::single("mkube", &outside, &authority.pair().cert, &admin.cert, &admin.key).to_yaml()?;
    write_atomic(&layout.kubeconfig(), text.as_bytes(), 0o600).context("kubeconfig")?;
    for (name, user_name) in [
        ("scheduler", "system:kube-scheduler"),
        ("controller-manager", "system:kube-controller-manager"),
        ("kube-proxy", "system:kube-proxy"),
    ] {
        component(layout, &authority, name, &user(user_name, None), &inside)?;
    }
    for (number, node) in (0u8..).zip(cluster.node_names()) {
        let name = format!("system:node:{node}");
        let kubelet = format!("kubelet-{node}");
        component(layout, &authority, &kubelet, &user(&name, Some("system:nodes")), &inside)?;
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
    server: &str,
) -> anyhow::Result<()> {
    let pair = pair(layout, authority, name, subject)?;
    let text = Kubeconfig::single(name, server, &authority.pair().cert, &pair.cert, &pair.key).to_yaml()?;
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
        let cluster =
            Cluster { id: "abc123".into(), nodes: 1, runtime: "process".into(), port: 7000, ranges, store: None };
        make(&layout, &cluster).unwrap();
        let first = std::fs::read(layout.kubeconfig()).unwrap();
        make(&layout, &cluster).unwrap();
        assert_eq!(std::fs::read(layout.kubeconfig()).unwrap(), first);
        let config = client::Config::from_kubeconfig(&layout.component_kubeconfig("kubelet-node-1")).unwrap();
        assert_eq!(config.server, "https://10.198.0.2:6443");
    }
}
