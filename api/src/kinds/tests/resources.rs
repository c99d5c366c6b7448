//! The table of kinds, row by row, as `kubectl api-resources -o wide` lists an upstream server's: what a client may ask for.

use crate::kinds::{self, KINDS, Verbs};

/// Plural, short names, version, namespaced, kind, verbs (F: full, C: create only, N: full without deletecollection), categories,
/// subresources; `-` where there is nothing.
const RESOURCES: &str = "
bindings                          -        v1                               y  Binding                          C  -              -
configmaps                        cm       v1                               y  ConfigMap                        F  -              -
endpoints                         ep       v1                               y  Endpoints                        F  -              -
events                            ev       v1                               y  Event                            F  -              -
limitranges                       limits   v1                               y  LimitRange                       F  -              -
namespaces                        ns       v1                               n  Namespace                        N  -              finalize,status
nodes                             no       v1                               n  Node                             F  -              proxy,status
persistentvolumeclaims            pvc      v1                               y  PersistentVolumeClaim            F  -              status
persistentvolumes                 pv       v1                               n  PersistentVolume                 F  -              status
pods                              po       v1                               y  Pod                              F  all            attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status
podtemplates                      -        v1                               y  PodTemplate                      F  -              -
replicationcontrollers            rc       v1                               y  ReplicationController            F  all            scale,status
resourcequotas                    quota    v1                               y  ResourceQuota                    F  -              status
secrets                           -        v1                               y  Secret                           F  -              -
serviceaccounts                   sa       v1                               y  ServiceAccount                   F  -              token
services                          svc      v1                               y  Service                          F  all            proxy,status
mutatingadmissionpolicies         -        admissionregistration.k8s.io/v1  n  MutatingAdmissionPolicy          F  api-extensions -
mutatingadmissionpolicybindings   -        admissionregistration.k8s.io/v1  n  MutatingAdmissionPolicyBinding   F  api-extensions -
mutatingwebhookconfigurations     -        admissionregistration.k8s.io/v1  n  MutatingWebhookConfiguration     F  api-extensions -
validatingadmissionpolicies       -        admissionregistration.k8s.io/v1  n  ValidatingAdmissionPolicy        F  api-extensions status
validatingadmissionpolicybindings -        admissionregistration.k8s.io/v1  n  ValidatingAdmissionPolicyBinding F  api-extensions -
validatingwebhookconfigurations   -        admissionregistration.k8s.io/v1  n  ValidatingWebhookConfiguration   F  api-extensions -
customresourcedefinitions         crd,crds apiextensions.k8s.io/v1          n  CustomResourceDefinition         F  api-extensions status
apiservices                       -        apiregistration.k8s.io/v1        n  APIService                       F  api-extensions status
controllerrevisions               -        apps/v1                          y  ControllerRevision               F  -              -
daemonsets                        ds       apps/v1                          y  DaemonSet                        F  all            status
deployments                       deploy   apps/v1                          y  Deployment                       F  all            scale,status
replicasets                       rs       apps/v1                          y  ReplicaSet                       F  all            scale,status
statefulsets                      sts      apps/v1                          y  StatefulSet                      F  all            scale,status
selfsubjectreviews                -        authentication.k8s.io/v1         n  SelfSubjectReview                C  -              -
tokenreviews                      -        authentication.k8s.io/v1         n  TokenReview                      C  -              -
localsubjectaccessreviews         -        authorization.k8s.io/v1          y  LocalSubjectAccessReview         C  -              -
selfsubjectaccessreviews          -        authorization.k8s.io/v1          n  SelfSubjectAccessReview          C  -              -
selfsubjectrulesreviews           -        authorization.k8s.io/v1          n  SelfSubjectRulesReview           C  -              -
subjectaccessreviews              -        authorization.k8s.io/v1          n  SubjectAccessReview              C  -              -
horizontalpodautoscalers          hpa      autoscaling/v2                   y  HorizontalPodAutoscaler          F  all            status
cronjobs                          cj       batch/v1                         y  CronJob                          F  all            status
jobs                              -        batch/v1                         y  Job                              F  all            status
certificatesigningrequests        csr      certificates.k8s.io/v1           n  CertificateSigningRequest        F  -              approval,status
clustertrustbundles               -        certificates.k8s.io/v1           n  ClusterTrustBundle               F  -              -
podcertificaterequests            -        certificates.k8s.io/v1           y  PodCertificateRequest            F  -              status
leases                            -        coordination.k8s.io/v1           y  Lease                            F  -              -
endpointslices                    -        discovery.k8s.io/v1              y  EndpointSlice                    F  -              -
flowschemas                       -        flowcontrol.apiserver.k8s.io/v1  n  FlowSchema                       F  -              status
prioritylevelconfigurations       -        flowcontrol.apiserver.k8s.io/v1  n  PriorityLevelConfiguration       F  -              status
ingressclasses                    -        networking.k8s.io/v1             n  IngressClass                     F  -              -
ingresses                         ing      networking.k8s.io/v1             y  Ingress                          F  -              status
ipaddresses                       ip       networking.k8s.io/v1             n  IPAddress                        F  -              -
networkpolicies                   netpol   networking.k8s.io/v1             y  NetworkPolicy                    F  -              -
servicecidrs                      -        networking.k8s.io/v1             n  ServiceCIDR                      F  -              status
runtimeclasses                    -        node.k8s.io/v1                   n  RuntimeClass                     F  -              -
poddisruptionbudgets              pdb      policy/v1                        y  PodDisruptionBudget              F  -              status
clusterrolebindings               -        rbac.authorization.k8s.io/v1     n  ClusterRoleBinding               F  -              -
clusterroles                      -        rbac.authorization.k8s.io/v1     n  ClusterRole                      F  -              -
rolebindings                      -        rbac.authorization.k8s.io/v1     y  RoleBinding                      F  -              -
roles                             -        rbac.authorization.k8s.io/v1     y  Role                             F  -              -
deviceclasses                     -        resource.k8s.io/v1               n  DeviceClass                      F  -              -
devicetaintrules                  -        resource.k8s.io/v1               n  DeviceTaintRule                  F  -              status
resourceclaims                    -        resource.k8s.io/v1               y  ResourceClaim                    F  -              status
resourceclaimtemplates            -        resource.k8s.io/v1               y  ResourceClaimTemplate            F  -              -
resourceslices                    -        resource.k8s.io/v1               n  ResourceSlice                    F  -              -
priorityclasses                   pc       scheduling.k8s.io/v1             n  PriorityClass                    F  -              -
csidrivers                        -        storage.k8s.io/v1                n  CSIDriver                        F  -              -
csinodes                          -        storage.k8s.io/v1                n  CSINode                          F  -              -
csistoragecapacities              -        storage.k8s.io/v1                y  CSIStorageCapacity               F  -              -
storageclasses                    sc       storage.k8s.io/v1                n  StorageClass                     F  -              -
volumeattachments                 -        storage.k8s.io/v1                n  VolumeAttachment                 F  -              status
volumeattributesclasses           vac      storage.k8s.io/v1                n  VolumeAttributesClass            F  -              -
storageversionmigrations          -        storagemigration.k8s.io/v1       n  StorageVersionMigration          F  -              status
";

#[test]
fn resources() {
    let mut rows = 0;
    for line in RESOURCES.lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [plural, short, version, namespaced, name, verbs, categories, subresources] = cells[..] else {
            panic!("{line}")
        };
        let list = |cell: &'static str| cell.split(',').filter(|name| *name != "-").collect::<Vec<_>>();
        let (kind, served) = kinds::by_api_version(version, name).unwrap_or_else(|| panic!("no {version} {name}"));
        let (group, bare) = kinds::split_api_version(version);
        assert_eq!((kind.plural, served.api_version().as_str()), (plural, version), "{name}");
        assert!(std::ptr::eq(kinds::find(group, bare, plural).unwrap().0, kind), "{name}");
        assert_eq!(kind.namespaced, namespaced == "y", "{name}");
        assert_eq!(kind.singular, name.to_lowercase());
        assert_eq!((kind.short.to_vec(), kind.categories.to_vec()), (list(short), list(categories)), "{name}");
        assert_eq!(kind.subresources.iter().map(|s| s.name()).collect::<Vec<_>>(), list(subresources), "{name}");
        let expected = match verbs {
            "F" => Verbs::Full,
            "N" => Verbs::NoDeleteCollection,
            _ => Verbs::CreateOnly,
        };
        assert_eq!(kind.verbs, expected, "{name}");
        assert_eq!(kind.list_kind, if expected.stored() { format!("{name}List") } else { String::new() });
        rows += 1;
    }
    let listed = KINDS.iter().filter(|kind| kind.verbs != Verbs::BodyOnly).count();
    assert_eq!(rows, listed, "kinds that this table does not know");
}

#[test]
fn bodies_are_no_resources() {
    for (version, name) in
        [("authentication.k8s.io/v1", "TokenRequest"), ("autoscaling/v1", "Scale"), ("policy/v1", "Eviction")]
    {
        let (kind, _) = kinds::by_api_version(version, name).unwrap();
        assert_eq!((kind.verbs, kind.verbs.names().len(), kind.verbs.stored()), (Verbs::BodyOnly, 0, false), "{name}");
        let (group, bare) = kinds::split_api_version(version);
        assert!(kinds::find(group, bare, kind.plural).is_none(), "{name}");
    }
}

#[test]
fn keys_in_the_store() {
    let table = [
        ("v1", "Pod", "/registry/pods/ns/a"),
        ("v1", "Node", "/registry/nodes/a"),
        ("v1", "Namespace", "/registry/namespaces/a"),
        ("v1", "Event", "/registry/events/ns/a"),
        ("events.k8s.io/v1", "Event", "/registry/events/ns/a"),
        ("apps/v1", "Deployment", "/registry/apps/deployments/ns/a"),
        ("autoscaling/v1", "HorizontalPodAutoscaler", "/registry/autoscaling/horizontalpodautoscalers/ns/a"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "/registry/rbac.authorization.k8s.io/clusterroles/a"),
        ("storage.k8s.io/v1", "CSIStorageCapacity", "/registry/storage.k8s.io/csistoragecapacities/ns/a"),
    ];
    for (version, name, key) in table {
        assert_eq!(kinds::by_api_version(version, name).unwrap().0.key("ns", "a"), key);
    }
}

#[test]
fn names_in_messages() {
    let table = [
        ("v1", "Pod", "pods"),
        ("apps/v1", "Deployment", "deployments.apps"),
        ("networking.k8s.io/v1", "Ingress", "ingresses.networking.k8s.io"),
        ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies.networking.k8s.io"),
    ];
    for (version, name, qualified) in table {
        assert_eq!(kinds::by_api_version(version, name).unwrap().0.qualified(), qualified);
    }
    for (version, parts) in [("v1", ("", "v1")), ("apps/v1", ("apps", "v1")), ("a.b/v1beta1", ("a.b", "v1beta1"))] {
        assert_eq!(kinds::split_api_version(version), parts);
        assert_eq!(kinds::api_version(parts.0, parts.1), version);
    }
}
