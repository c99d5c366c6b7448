//! The headings of every kind's table, as `kubectl get` prints them; those behind the bar only with `-o wide`.

use crate::columns::{SCALE, definitions};
use crate::kinds::{self, KINDS};

const HEADINGS: &str = "
v1 ConfigMap: NAME, DATA, AGE
v1 Endpoints: NAME, ENDPOINTS, AGE
v1 Event: LAST SEEN, TYPE, REASON, OBJECT, |SUBOBJECT, |SOURCE, MESSAGE, |FIRST SEEN, |COUNT, |NAME
v1 LimitRange: NAME, CREATED AT
v1 Namespace: NAME, STATUS, AGE
v1 Node: NAME, STATUS, ROLES, AGE, VERSION, |INTERNAL-IP, |EXTERNAL-IP, |OS-IMAGE, |KERNEL-VERSION, |CONTAINER-RUNTIME
v1 PersistentVolume: NAME, CAPACITY, ACCESS MODES, RECLAIM POLICY, STATUS, CLAIM, STORAGECLASS, VOLUMEATTRIBUTESCLASS, REASON, AGE, |VOLUMEMODE
v1 PersistentVolumeClaim: NAME, STATUS, VOLUME, CAPACITY, ACCESS MODES, STORAGECLASS, VOLUMEATTRIBUTESCLASS, AGE, |VOLUMEMODE
v1 Pod: NAME, READY, STATUS, RESTARTS, AGE, |IP, |NODE, |NOMINATED NODE, |READINESS GATES
v1 PodTemplate: NAME, CONTAINERS, IMAGES, POD LABELS
v1 ReplicationController: NAME, DESIRED, CURRENT, READY, AGE, |CONTAINERS, |IMAGES, |SELECTOR
v1 ResourceQuota: NAME, REQUEST, LIMIT, AGE
v1 Secret: NAME, TYPE, DATA, AGE
v1 Service: NAME, TYPE, CLUSTER-IP, EXTERNAL-IP, PORT(S), AGE, |SELECTOR
v1 ServiceAccount: NAME, AGE
admissionregistration.k8s.io/v1 MutatingAdmissionPolicy: NAME, MUTATIONS, PARAMKIND, AGE
admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding: NAME, POLICYNAME, PARAMREF, AGE
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration: NAME, WEBHOOKS, AGE
admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy: NAME, VALIDATIONS, PARAMKIND, AGE
admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding: NAME, POLICYNAME, PARAMREF, AGE
admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration: NAME, WEBHOOKS, AGE
apiextensions.k8s.io/v1 CustomResourceDefinition: NAME, CREATED AT
apiregistration.k8s.io/v1 APIService: NAME, SERVICE, AVAILABLE, AGE
apps/v1 ControllerRevision: NAME, CONTROLLER, REVISION, AGE
apps/v1 DaemonSet: NAME, DESIRED, CURRENT, READY, UP-TO-DATE, AVAILABLE, NODE SELECTOR, AGE, |CONTAINERS, |IMAGES, |SELECTOR
apps/v1 Deployment: NAME, READY, UP-TO-DATE, AVAILABLE, AGE, |CONTAINERS, |IMAGES, |SELECTOR
apps/v1 ReplicaSet: NAME, DESIRED, CURRENT, READY, AGE, |CONTAINERS, |IMAGES, |SELECTOR
apps/v1 StatefulSet: NAME, READY, AGE, |CONTAINERS, |IMAGES
autoscaling/v2 HorizontalPodAutoscaler: NAME, REFERENCE, TARGETS, MINPODS, MAXPODS, REPLICAS, AGE
batch/v1 CronJob: NAME, SCHEDULE, TIMEZONE, SUSPEND, ACTIVE, LAST SCHEDULE, AGE, |CONTAINERS, |IMAGES, |SELECTOR
batch/v1 Job: NAME, STATUS, COMPLETIONS, DURATION, AGE, |CONTAINERS, |IMAGES, |SELECTOR
certificates.k8s.io/v1 CertificateSigningRequest: NAME, AGE, SIGNERNAME, REQUESTOR, REQUESTEDDURATION, CONDITION
certificates.k8s.io/v1 ClusterTrustBundle: NAME, SIGNERNAME
certificates.k8s.io/v1 PodCertificateRequest: NAME, PODNAME, SERVICEACCOUNTNAME, NODENAME, SIGNERNAME, STATE
coordination.k8s.io/v1 Lease: NAME, HOLDER, AGE
discovery.k8s.io/v1 EndpointSlice: NAME, ADDRESSTYPE, PORTS, ENDPOINTS, AGE
flowcontrol.apiserver.k8s.io/v1 FlowSchema: NAME, PRIORITYLEVEL, MATCHINGPRECEDENCE, DISTINGUISHERMETHOD, AGE, MISSINGPL
flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration: NAME, TYPE, NOMINALCONCURRENCYSHARES, QUEUES, HANDSIZE, QUEUELENGTHLIMIT, AGE
networking.k8s.io/v1 Ingress: NAME, CLASS, HOSTS, ADDRESS, PORTS, AGE
networking.k8s.io/v1 IngressClass: NAME, CONTROLLER, PARAMETERS, AGE
networking.k8s.io/v1 IPAddress: NAME, PARENTREF
networking.k8s.io/v1 NetworkPolicy: NAME, POD-SELECTOR, AGE
networking.k8s.io/v1 ServiceCIDR: NAME, CIDRS, AGE
node.k8s.io/v1 RuntimeClass: NAME, HANDLER, AGE
policy/v1 PodDisruptionBudget: NAME, MIN AVAILABLE, MAX UNAVAILABLE, ALLOWED DISRUPTIONS, AGE
rbac.authorization.k8s.io/v1 ClusterRole: NAME, CREATED AT
rbac.authorization.k8s.io/v1 ClusterRoleBinding: NAME, ROLE, AGE, |USERS, |GROUPS, |SERVICEACCOUNTS
rbac.authorization.k8s.io/v1 Role: NAME, CREATED AT
rbac.authorization.k8s.io/v1 RoleBinding: NAME, ROLE, AGE, |USERS, |GROUPS, |SERVICEACCOUNTS
resource.k8s.io/v1 DeviceClass: NAME, AGE
resource.k8s.io/v1 DeviceTaintRule: NAME, KEY, VALUE, EFFECT, TIMEADDED, AGE
resource.k8s.io/v1 ResourceClaim: NAME, STATE, AGE
resource.k8s.io/v1 ResourceClaimTemplate: NAME, AGE
resource.k8s.io/v1 ResourceSlice: NAME, NODE, DRIVER, POOL, AGE
scheduling.k8s.io/v1 PriorityClass: NAME, VALUE, GLOBAL-DEFAULT, AGE, PREEMPTIONPOLICY
storage.k8s.io/v1 CSIDriver: NAME, ATTACHREQUIRED, PODINFOONMOUNT, STORAGECAPACITY, TOKENREQUESTS, REQUIRESREPUBLISH, MODES, AGE
storage.k8s.io/v1 CSINode: NAME, DRIVERS, AGE
storage.k8s.io/v1 CSIStorageCapacity: NAME, STORAGECLASSNAME, CAPACITY
storage.k8s.io/v1 StorageClass: NAME, PROVISIONER, RECLAIMPOLICY, VOLUMEBINDINGMODE, ALLOWVOLUMEEXPANSION, AGE
storage.k8s.io/v1 VolumeAttachment: NAME, ATTACHER, PV, NODE, ATTACHED, AGE
storage.k8s.io/v1 VolumeAttributesClass: NAME, DRIVERNAME, AGE
storagemigration.k8s.io/v1 StorageVersionMigration: NAME, RESOURCE
";

fn headings(columns: &[crate::columns::Column]) -> String {
    let definitions = definitions(columns);
    let shown = definitions.as_array().unwrap().iter().map(|column| {
        let bar = if column["priority"] == 1 { "|" } else { "" };
        format!("{bar}{}", column["name"].as_str().unwrap().to_uppercase())
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn of_every_kind() {
    let mut rows = 0;
    for line in HEADINGS.lines().filter(|line| !line.is_empty()) {
        let (kind, expected) = line.split_once(": ").unwrap();
        let (version, name) = kind.split_once(' ').unwrap();
        let (found, _) = kinds::by_api_version(version, name).unwrap_or_else(|| panic!("no {kind}"));
        assert_eq!(headings(found.columns), expected, "{kind}");
        rows += 1;
    }
    assert_eq!(rows, kinds::stored().count(), "kinds that this table does not know");
    assert_eq!(headings(SCALE), "NAME, DESIRED, AVAILABLE, AGE");
}

/// What clients do with a cell depends on its type; the one of format `name` is what `kubectl get -o name` would say.
#[test]
fn types_of_cells() {
    for kind in KINDS {
        for column in kind.columns {
            let known = matches!(column.r#type, "string" | "integer" | "boolean" | "date");
            assert!(known, "{} {}", kind.kind, column.name);
            let count =
                matches!(column.name, "Desired" | "Current" | "Drivers" | "Webhooks" | "Validations" | "Mutations");
            assert!(!count || column.r#type == "integer", "{} {}", kind.kind, column.name);
        }
        let named: Vec<&str> = kind.columns.iter().filter(|c| c.format == "name").map(|c| c.name).collect();
        let expected: &[&str] = match kind.kind {
            "VolumeAttachment" => &["Name", "Attacher"],
            "StorageVersionMigration" => &[],
            _ => &["Name"],
        };
        assert_eq!(named, expected, "{}", kind.kind);
    }
}
