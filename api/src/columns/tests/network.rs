//! Services, endpoints and ingresses, as `kubectl get -o wide` shows them.

use super::table;
use crate::columns::{
    ENDPOINT_SLICE, ENDPOINTS, INGRESS, INGRESS_CLASS, IP_ADDRESS, NETWORK_POLICY, SERVICE, SERVICE_CIDR,
};

#[test]
fn services() {
    table(
        SERVICE,
        r#"
---
cells: [kubernetes, ClusterIP, 10.96.0.1, <none>, 443/TCP, 60m, <none>]
metadata: {name: kubernetes, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {type: ClusterIP, clusterIPs: [10.96.0.1], ports: [{port: 443, protocol: TCP}]}
---
# Of two families the first is shown.
cells: [dual, ClusterIP, "fd00::10", "1.1.1.1,2.2.2.2", "80/TCP,53/UDP,132/SCTP", <unknown>, "app=web,tier=front"]
metadata: {name: dual}
spec:
  type: ClusterIP
  clusterIPs: ["fd00::10", 10.96.0.9]
  externalIPs: [1.1.1.1, 2.2.2.2]
  selector: {tier: front, app: web}
  ports: [{port: 80, protocol: TCP}, {port: 53, protocol: UDP}, {port: 132, protocol: SCTP}]
---
# Without an address of its own.
cells: [headless, ClusterIP, None, <none>, <none>, <unknown>, app=db]
metadata: {name: headless}
spec: {type: ClusterIP, clusterIPs: [None], selector: {app: db}}
---
cells: [node, NodePort, 10.96.0.2, 3.3.3.3, "80:30080/TCP,443:30443/TCP", <unknown>, <none>]
metadata: {name: node}
spec:
  type: NodePort
  clusterIPs: [10.96.0.2]
  externalIPs: [3.3.3.3]
  ports: [{port: 80, nodePort: 30080, protocol: TCP}, {port: 443, nodePort: 30443, protocol: TCP}]
---
cells: [waiting, LoadBalancer, 10.96.0.3, <pending>, "80:31000/TCP", <unknown>, <none>]
metadata: {name: waiting}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.3], ports: [{port: 80, nodePort: 31000, protocol: TCP}]}
---
# Addresses that were asked for do until others come.
cells: [asked, LoadBalancer, 10.96.0.4, 4.4.4.4, 80/TCP, <unknown>, <none>]
metadata: {name: asked}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.4], externalIPs: [4.4.4.4], ports: [{port: 80, protocol: TCP}]}
---
# Given ones are sorted and stand first; an address goes before a name, and none is there twice.
cells: [given, LoadBalancer, 10.96.0.5, "10.1.1.1,9.9.9.9,a.example,4.4.4.4", 80/TCP, <unknown>, <none>]
metadata: {name: given}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.5], externalIPs: [4.4.4.4], ports: [{port: 80, protocol: TCP}]}
status:
  loadBalancer:
    ingress: [{ip: 9.9.9.9}, {hostname: a.example}, {ip: 10.1.1.1, hostname: b.example}, {ip: 9.9.9.9}, {}]
---
# A long list is not cut short: the server prints what `-o wide` may need.
cells: [long, LoadBalancer, 10.96.0.6, a-very-long-name.of-a-balancer.example.com, <none>, <unknown>, <none>]
metadata: {name: long}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.6]}
status: {loadBalancer: {ingress: [{hostname: a-very-long-name.of-a-balancer.example.com}]}}
---
cells: [alias, ExternalName, <none>, db.example.com, <none>, <unknown>, <none>]
metadata: {name: alias}
spec: {type: ExternalName, externalName: db.example.com, externalIPs: [5.5.5.5]}
"#,
    );
}

#[test]
fn endpoints() {
    table(
        ENDPOINTS,
        r#"
---
cells: [none, <none>, 60m]
metadata: {name: none, creationTimestamp: 2026-01-01T00:00:00Z}
---
# Nobody is ready.
cells: [unready, "", <unknown>]
metadata: {name: unready}
subsets: [{notReadyAddresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]
---
cells: [one, "10.0.0.1:80", <unknown>]
metadata: {name: one}
subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{name: web, port: 80}]}]
---
# Port by port, each with all addresses.
cells: [two, "10.0.0.1:80,10.0.0.2:80,10.0.0.1:443 + 1 more...", <unknown>]
metadata: {name: two}
subsets: [{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{port: 80}, {port: 443}]}]
---
# Three are not too many.
cells: [three, "10.0.0.1:80,10.0.0.2:80,10.0.0.3:90", <unknown>]
metadata: {name: three}
subsets:
- {addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], ports: [{port: 80}]}
- {addresses: [{ip: 10.0.0.3}], ports: [{port: 90}]}
---
# Headless, without ports.
cells: [headless, "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more...", <unknown>]
metadata: {name: headless}
subsets: [{addresses: [{ip: 10.0.0.1}, {ip: 10.0.0.2}, {ip: 10.0.0.3}, {ip: 10.0.0.4}, {ip: 10.0.0.5}]}]
---
cells: [six, "[fd00::1]:80", <unknown>]
metadata: {name: six}
subsets: [{addresses: [{ip: "fd00::1"}], ports: [{port: 80}]}]
"#,
    );
}

#[test]
fn slices() {
    table(
        ENDPOINT_SLICE,
        r#"
---
cells: [web-abc, IPv4, "80,443", "10.0.0.1,10.0.0.2", 5m]
metadata: {name: web-abc, creationTimestamp: 2026-01-01T00:55:00Z}
addressType: IPv4
ports: [{name: http, port: 80, protocol: TCP}, {name: https, port: 443, protocol: TCP}]
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}]
---
# A port without a number goes by its name, one without a name is every port.
cells: [odd, IPv6, "web,*", "fd00::1", <unknown>]
metadata: {name: odd}
addressType: IPv6
ports: [{name: web}, {protocol: TCP}]
endpoints: [{addresses: ["fd00::1"]}]
---
cells: [many, IPv4, "1,2,3 + 2 more...", "a,b,c + 3 more...", <unknown>]
metadata: {name: many}
addressType: IPv4
ports: [{port: 1}, {port: 2}, {port: 3}, {port: 4}, {port: 5}]
endpoints: [{addresses: [a, b]}, {addresses: [c, d]}, {addresses: [e]}, {addresses: [f]}]
---
cells: [three, FQDN, "1,2,3", "a,b,c", <unknown>]
metadata: {name: three}
addressType: FQDN
ports: [{port: 1}, {port: 2}, {port: 3}]
endpoints: [{addresses: [a]}, {addresses: [b, c]}]
---
cells: [empty, IPv4, <unset>, <unset>, <unknown>]
metadata: {name: empty}
addressType: IPv4
ports: []
endpoints: []
---
# Ports without names and numbers that are there all the same.
cells: [unnamed, IPv4, <unset>, <unset>, <unknown>]
metadata: {name: unnamed}
addressType: IPv4
ports: [{name: ""}]
"#,
    );
}

#[test]
fn ingresses() {
    table(
        INGRESS,
        r#"
---
# Only a default backend.
cells: [default, <none>, "*", "", "80", 10y]
metadata: {name: default, creationTimestamp: 2016-01-01T00:00:00Z}
spec: {defaultBackend: {service: {name: svc, port: {number: 93}}}}
---
cells: [web, nginx, "a.example,b.example", "1.2.3.4,lb.example", "80, 443", <unknown>]
metadata: {name: web}
spec:
  ingressClassName: nginx
  rules: [{host: a.example}, {host: b.example}]
  tls: [{hosts: [a.example]}]
status: {loadBalancer: {ingress: [{hostname: lb.example}, {ip: 1.2.3.4}]}}
---
cells: [three, <none>, "a,b,c", "", "80", <unknown>]
metadata: {name: three}
spec: {rules: [{host: a}, {host: b}, {host: c}]}
---
cells: [five, <none>, "a,b,c + 2 more...", "", "80", <unknown>]
metadata: {name: five}
spec: {rules: [{host: a}, {host: b}, {host: c}, {host: d}, {host: e}]}
---
# Rules without a host are for every host, but count among the rules.
cells: [mixed, <none>, "a", "", "80", <unknown>]
metadata: {name: mixed}
spec: {rules: [{http: {paths: []}}, {host: a}]}
"#,
    );
    table(
        INGRESS_CLASS,
        r#"
---
cells: [nginx, example.com/nginx, <none>, 60m]
metadata: {name: nginx, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {controller: example.com/nginx}
---
cells: [tuned, c, Tuning.example.com/fast, <unknown>]
metadata: {name: tuned}
spec: {controller: c, parameters: {apiGroup: example.com, kind: Tuning, name: fast}}
---
cells: [core, c, ConfigMap/settings, <unknown>]
metadata: {name: core}
spec: {controller: c, parameters: {kind: ConfigMap, name: settings, scope: Namespace, namespace: n}}
"#,
    );
}

#[test]
fn policies_and_addresses() {
    table(
        NETWORK_POLICY,
        r#"
---
cells: [all, <none>, 60m]
metadata: {name: all, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {podSelector: {}}
---
cells: [some, "a=b,c notin (x,z)", <unknown>]
metadata: {name: some}
spec: {podSelector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: NotIn, values: [z, x]}]}}
"#,
    );
    table(
        SERVICE_CIDR,
        r#"
---
cells: [kubernetes, "10.96.0.0/16,fd00::/108", 60m]
metadata: {name: kubernetes, creationTimestamp: 2026-01-01T00:00:00Z}
spec: {cidrs: [10.96.0.0/16, "fd00::/108"]}
"#,
    );
    table(
        IP_ADDRESS,
        r#"
---
cells: [10.96.0.1, services/default/kubernetes]
metadata: {name: 10.96.0.1}
spec: {parentRef: {group: "", resource: services, namespace: default, name: kubernetes}}
---
cells: [10.96.0.2, gateways.gateway.networking.k8s.io/g]
metadata: {name: 10.96.0.2}
spec: {parentRef: {group: gateway.networking.k8s.io, resource: Gateways, name: g}}
---
cells: [10.96.0.3, <none>]
metadata: {name: 10.96.0.3}
"#,
    );
}
