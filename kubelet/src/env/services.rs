//! The variables that tell a container of the Services (pkg/kubelet/envvars). Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;

/// The services that a pod of `namespace` hears of: `kubernetes` always, those of its own namespace when
/// `enableServiceLinks` is not off. A service of the own namespace wins over the other of the same name.
pub fn visible(all: &[Arc<Service>], namespace: &str, links: bool) -> Vec<Arc<Service>> {
    let is_master = |s: &Service| {
        s.metadata.namespace.as_deref() == Some("default") && s.metadata.name.as_deref() == Some("kubernetes")
    };
    let own = |s: &Service| s.metadata.namespace.as_deref() == Some(namespace);
    let shadowed =
        all.iter().any(|s| links && own(s) && !is_master(s) && s.metadata.name.as_deref() == Some("kubernetes"));
    all.iter()
        .filter(|s| address(s).is_some())
        .filter(|s| (is_master(s) && !shadowed) || (links && own(s) && !is_master(s)))
        .cloned()
        .collect()
}

fn address(service: &Service) -> Option<&str> {
    let ip = service.spec.as_ref()?.cluster_ip.as_deref()?;
    (!ip.is_empty() && ip != "None").then_some(ip)
}

/// The variables of `services`.
pub fn variables(services: &[Arc<Service>]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for service in services {
        let (Some(ip), Some(name)) = (address(service), service.metadata.name.as_deref()) else { continue };
        let ports = service.spec.as_ref().and_then(|s| s.ports.as_deref()).unwrap_or_default();
        let Some(first) = ports.first() else { continue };
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_string() };
        let prefix = variable_name(name);
        all.push((format!("{prefix}_SERVICE_HOST"), ip.to_string()));
        all.push((format!("{prefix}_SERVICE_PORT"), first.port.to_string()));
        for port in ports {
            if let Some(name) = port.name.as_deref().filter(|n| !n.is_empty()) {
                all.push((format!("{prefix}_SERVICE_PORT_{}", variable_name(name)), port.port.to_string()));
            }
        }
        for (index, port) in ports.iter().enumerate() {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
            if index == 0 {
                all.push((format!("{prefix}_PORT"), url.clone()));
            }
            let base = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
            all.push((base.clone(), url));
            all.push((format!("{base}_PROTO"), protocol.to_lowercase()));
            all.push((format!("{base}_PORT"), port.port.to_string()));
            all.push((format!("{base}_ADDR"), ip.to_string()));
        }
    }
    all
}

fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(namespace: &str, name: &str, ip: &str) -> Arc<Service> {
        let value = json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": [
            {"name": "http-web", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]}});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn links_of_a_service() {
        let all = variables(&[service("ns", "a-b", "10.0.0.1")]);
        let text: Vec<String> = all.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let expected = [
            "A_B_SERVICE_HOST=10.0.0.1",
            "A_B_SERVICE_PORT=80",
            "A_B_SERVICE_PORT_HTTP_WEB=80",
            "A_B_SERVICE_PORT_DNS=53",
            "A_B_PORT=tcp://10.0.0.1:80",
            "A_B_PORT_80_TCP=tcp://10.0.0.1:80",
            "A_B_PORT_80_TCP_PROTO=tcp",
            "A_B_PORT_80_TCP_PORT=80",
            "A_B_PORT_80_TCP_ADDR=10.0.0.1",
            "A_B_PORT_53_UDP=udp://10.0.0.1:53",
            "A_B_PORT_53_UDP_PROTO=udp",
            "A_B_PORT_53_UDP_PORT=53",
            "A_B_PORT_53_UDP_ADDR=10.0.0.1",
        ];
        assert_eq!(text, expected);
    }

    #[test]
    fn who_hears_of_whom() {
        let all = [
            service("default", "kubernetes", "10.96.0.1"),
            service("ns", "own", "10.0.0.1"),
            service("ns", "headless", "None"),
            service("other", "theirs", "10.0.0.2"),
        ];
        let names = |links| -> Vec<String> {
            visible(&all, "ns", links).iter().filter_map(|s| s.metadata.name.clone()).collect()
        };
        assert_eq!(names(true), ["kubernetes", "own"]);
        assert_eq!(names(false), ["kubernetes"]);
    }
}
