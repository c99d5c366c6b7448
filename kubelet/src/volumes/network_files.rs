//! /etc/hosts and /etc/resolv.conf of a pod (pkg/kubelet/kubelet_pods.go, pkg/kubelet/network/dns). Pure.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use crate::pod;

/// Where names are looked up in the cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterDns {
    /// Addresses of the cluster's DNS service; empty = there is none.
    pub servers: Vec<IpAddr>,
    /// e.g. `cluster.local`.
    pub domain: String,
}

/// `/etc/hosts`; `node` is the node's own file, for pods in the node's network.
pub fn hosts(pod: &Pod, ips: &[IpAddr], domain: &str, node: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(node) = node {
        text.push_str("# Kubernetes-managed hosts file (host network).\n");
        text.push_str(node);
    } else {
        text.push_str(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
        );
        let host = pod::hostname(pod);
        let subdomain = pod::spec(pod).subdomain.as_deref().filter(|s| !s.is_empty());
        for ip in ips {
            match subdomain {
                Some(sub) => {
                    let namespace = pod::namespace(pod);
                    text.push_str(&format!("{ip}\t{host}.{sub}.{namespace}.svc.{domain}\t{host}\n"));
                }
                None => text.push_str(&format!("{ip}\t{host}\n")),
            }
        }
    }
    let aliases = pod::spec(pod).host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names = alias.hostnames.as_deref().unwrap_or_default();
            text.push_str(&format!("{}\t{}\n", alias.ip, names.join("\t")));
        }
    }
    text
}

#[derive(Default)]
struct Resolv {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

impl Resolv {
    fn parse(text: &str) -> Self {
        let mut out = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let key = words.next();
            let rest = words.map(ToString::to_string);
            match key {
                Some("nameserver") => out.servers.extend(rest.take(1)),
                Some("search" | "domain") => out.searches = rest.collect(),
                Some("options") => out.options = rest.collect(),
                _ => {}
            }
        }
        out
    }

    fn render(&self) -> String {
        let mut text = String::new();
        for server in &self.servers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        if !self.searches.is_empty() {
            text.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        if !self.options.is_empty() {
            text.push_str(&format!("options {}\n", self.options.join(" ")));
        }
        text
    }
}

fn extend_once(list: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// `/etc/resolv.conf` by `dnsPolicy` and `dnsConfig`; `node` is the node's own file.
pub fn resolv_conf(pod: &Pod, dns: &ClusterDns, node: &str) -> String {
    let spec = pod::spec(pod);
    let node = Resolv::parse(node);
    let cluster = match spec.dns_policy.as_deref() {
        Some("ClusterFirstWithHostNet") => true,
        Some("Default" | "None") => false,
        _ => !pod::host_network(pod),
    };
    let mut out = match spec.dns_policy.as_deref() {
        Some("None") => Resolv::default(),
        // Without a cluster DNS, upstream falls back to the node's.
        _ if cluster && !dns.servers.is_empty() => {
            let (namespace, domain) = (pod::namespace(pod), &dns.domain);
            let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
            extend_once(&mut searches, node.searches);
            let servers = dns.servers.iter().map(ToString::to_string).collect();
            Resolv { servers, searches, options: vec!["ndots:5".into()] }
        }
        _ => node,
    };
    if let Some(config) = &spec.dns_config {
        extend_once(&mut out.servers, config.nameservers.iter().flatten().cloned());
        extend_once(&mut out.searches, config.searches.iter().flatten().cloned());
        for option in config.options.iter().flatten() {
            let name = option.name.as_deref().unwrap_or_default();
            out.options.retain(|o| o.split(':').next() != Some(name));
            out.options.push(option.value.as_ref().map_or(name.to_string(), |value| format!("{name}:{value}")));
        }
    }
    out.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": spec})).unwrap()
    }

    #[test]
    fn hosts_of_a_pod() {
        let ips = ["10.0.0.1".parse().unwrap()];
        let spec = json!({"containers": [], "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]});
        let text = hosts(&pod(spec), &ips, "cluster.local", None);
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"), "{text}");
        let end = "10.0.0.1\tp\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n";
        assert!(text.ends_with(end), "{text}");
        let text = hosts(&pod(json!({"containers": [], "hostname": "h", "subdomain": "s"})), &ips, "x.y", None);
        assert!(text.ends_with("10.0.0.1\th.s.ns.svc.x.y\th\n"), "{text}");
        let text = hosts(&pod(json!({"containers": [], "hostNetwork": true})), &ips, "x", Some("127.0.0.1 me\n"));
        assert_eq!(text, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 me\n");
    }

    #[test]
    fn resolv_conf_by_policy() {
        let dns = ClusterDns { servers: vec!["10.96.0.10".parse().unwrap()], domain: "cluster.local".into() };
        let node = "# x\nnameserver 1.1.1.1\nsearch corp\noptions timeout:1\n";
        let cluster = "nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local corp\n\
                       options ndots:5\n";
        let own = "nameserver 1.1.1.1\nsearch corp\noptions timeout:1\n";
        let table = [
            (json!({"containers": []}), cluster),
            (json!({"containers": [], "dnsPolicy": "ClusterFirst", "hostNetwork": true}), own),
            (json!({"containers": [], "dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}), cluster),
            (json!({"containers": [], "dnsPolicy": "Default"}), own),
            (
                json!({"containers": [], "dnsPolicy": "None", "dnsConfig": {"nameservers": ["8.8.8.8"],
                "searches": ["a"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}}),
                "nameserver 8.8.8.8\nsearch a\noptions ndots:2 edns0\n",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(resolv_conf(&pod(spec.clone()), &dns, node), expected, "{spec}");
        }
        let none = ClusterDns::default();
        assert_eq!(resolv_conf(&pod(json!({"containers": []})), &none, node), own);
    }
}
