//! THE TABLE: one row per kind. Short names, categories and subresources are those of upstream's registries
//! (pkg/registry/<group>/<resource>/storage), columns those of its printers.

use super::Subresource::{
    Approval, Attach, Binding, EphemeralContainers, Eviction, Exec, Finalize, Log, PortForward, Proxy, Resize, Scale,
    Status, Token,
};
use super::{Kind, Served, Verbs};
use crate::columns;

/// The kind's name in lower case, computed by the compiler.
const fn lower<const N: usize>(name: &str) -> [u8; N] {
    let (bytes, mut out, mut i) = (name.as_bytes(), [0; N], 0);
    while i < N {
        out[i] = bytes[i].to_ascii_lowercase();
        i += 1;
    }
    out
}

macro_rules! singular {
    ($kind:ident) => {{
        const LOWER: [u8; stringify!($kind).len()] = lower(stringify!($kind));
        match std::str::from_utf8(&LOWER) {
            Ok(name) => name,
            Err(_) => "",
        }
    }};
}

/// A listable kind: `stored!(core v1 Pod)`.
macro_rules! stored {
    ($group:ident $version:ident $kind:ident) => {
        Kind::of::<k8s_openapi::api::$group::$version::$kind>(
            singular!($kind),
            concat!("io.k8s.api.", stringify!($group), ".", stringify!($version), ".", stringify!($kind)),
        )
    };
}

/// A kind that is only posted.
macro_rules! posted {
    ($group:ident $version:ident $kind:ident) => {
        Kind::posted::<k8s_openapi::api::$group::$version::$kind>(
            singular!($kind),
            concat!("io.k8s.api.", stringify!($group), ".", stringify!($version), ".", stringify!($kind)),
        )
    };
}

/// The groups in the order of upstream's discovery (pkg/controlplane/apiserver/aggregator.go: group priorities);
/// core first, it has a document of its own.
pub const GROUPS: &[&str] = &[
    "",
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "resource.k8s.io",
    "storagemigration.k8s.io",
];

const ALL: &[&str] = &["all"];
const EXTENSIONS: &[&str] = &["api-extensions"];

/// One row per kind.
pub static KINDS: &[Kind] = &[
    // core
    posted!(core v1 Binding),
    stored!(core v1 ConfigMap).columns(columns::CONFIG_MAP).short(&["cm"]),
    stored!(core v1 Endpoints).columns(columns::ENDPOINTS).short(&["ep"]),
    stored!(core v1 Event).columns(columns::EVENT).short(&["ev"]).also(&[Served {
        group: "events.k8s.io",
        version: "v1",
        definition: "io.k8s.api.events.v1.Event",
    }]),
    stored!(core v1 LimitRange).short(&["limits"]),
    stored!(core v1 Namespace)
        .columns(columns::NAMESPACE)
        .short(&["ns"])
        .with(&[Finalize, Status])
        .verbs(Verbs::NoDeleteCollection),
    stored!(core v1 Node).columns(columns::NODE).short(&["no"]).with(&[Proxy, Status]),
    stored!(core v1 PersistentVolumeClaim).columns(columns::PERSISTENT_VOLUME_CLAIM).short(&["pvc"]).with(&[Status]),
    stored!(core v1 PersistentVolume).columns(columns::PERSISTENT_VOLUME).short(&["pv"]).with(&[Status]),
    stored!(core v1 Pod).columns(columns::POD).short(&["po"]).categories(ALL).with(&[
        Attach,
        Binding,
        EphemeralContainers,
        Eviction,
        Exec,
        Log,
        PortForward,
        Proxy,
        Resize,
        Status,
    ]),
    stored!(core v1 PodTemplate).columns(columns::POD_TEMPLATE),
    stored!(core v1 ReplicationController)
        .columns(columns::REPLICATION_CONTROLLER)
        .short(&["rc"])
        .categories(ALL)
        .with(&[Scale, Status]),
    stored!(core v1 ResourceQuota).columns(columns::RESOURCE_QUOTA).short(&["quota"]).with(&[Status]),
    stored!(core v1 Secret).columns(columns::SECRET),
    stored!(core v1 ServiceAccount).columns(columns::SERVICE_ACCOUNT).short(&["sa"]).with(&[Token]),
    stored!(core v1 Service).columns(columns::SERVICE).short(&["svc"]).categories(ALL).with(&[Proxy, Status]),
    // apps
    stored!(apps v1 ControllerRevision).columns(columns::CONTROLLER_REVISION),
    stored!(apps v1 DaemonSet).columns(columns::DAEMON_SET).short(&["ds"]).categories(ALL).with(&[Status]),
    stored!(apps v1 Deployment).columns(columns::DEPLOYMENT).short(&["deploy"]).categories(ALL).with(&[Scale, Status]),
    stored!(apps v1 ReplicaSet).columns(columns::REPLICA_SET).short(&["rs"]).categories(ALL).with(&[Scale, Status]),
    stored!(apps v1 StatefulSet).columns(columns::STATEFUL_SET).short(&["sts"]).categories(ALL).with(&[Scale, Status]),
    // authentication, authorization
    posted!(authentication v1 SelfSubjectReview),
    posted!(authentication v1 TokenReview),
    posted!(authentication v1 TokenRequest).verbs(Verbs::BodyOnly),
    posted!(authorization v1 LocalSubjectAccessReview),
    posted!(authorization v1 SelfSubjectAccessReview),
    posted!(authorization v1 SelfSubjectRulesReview),
    posted!(authorization v1 SubjectAccessReview),
    // autoscaling
    stored!(autoscaling v2 HorizontalPodAutoscaler)
        .columns(columns::HORIZONTAL_POD_AUTOSCALER)
        .short(&["hpa"])
        .categories(ALL)
        .with(&[Status])
        .also(&[Served {
            group: "autoscaling",
            version: "v1",
            definition: "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
        }]),
    posted!(autoscaling v1 Scale).columns(columns::SCALE).verbs(Verbs::BodyOnly),
    // batch
    stored!(batch v1 CronJob).columns(columns::CRON_JOB).short(&["cj"]).categories(ALL).with(&[Status]),
    stored!(batch v1 Job).columns(columns::JOB).categories(ALL).with(&[Status]),
    // certificates
    stored!(certificates v1 CertificateSigningRequest)
        .columns(columns::CERTIFICATE_SIGNING_REQUEST)
        .short(&["csr"])
        .with(&[Approval, Status]),
    stored!(certificates v1 ClusterTrustBundle).columns(columns::CLUSTER_TRUST_BUNDLE),
    stored!(certificates v1 PodCertificateRequest).columns(columns::POD_CERTIFICATE_REQUEST).with(&[Status]),
    // coordination, discovery, node
    stored!(coordination v1 Lease).columns(columns::LEASE),
    stored!(discovery v1 EndpointSlice).columns(columns::ENDPOINT_SLICE),
    stored!(node v1 RuntimeClass).columns(columns::RUNTIME_CLASS),
    // flow control
    stored!(flowcontrol v1 FlowSchema).columns(columns::FLOW_SCHEMA).with(&[Status]),
    stored!(flowcontrol v1 PriorityLevelConfiguration).columns(columns::PRIORITY_LEVEL_CONFIGURATION).with(&[Status]),
    // networking
    stored!(networking v1 IngressClass).columns(columns::INGRESS_CLASS),
    stored!(networking v1 Ingress).columns(columns::INGRESS).short(&["ing"]).with(&[Status]),
    stored!(networking v1 IPAddress).columns(columns::IP_ADDRESS).short(&["ip"]),
    stored!(networking v1 NetworkPolicy).columns(columns::NETWORK_POLICY).short(&["netpol"]),
    stored!(networking v1 ServiceCIDR).columns(columns::SERVICE_CIDR).with(&[Status]),
    // policy
    posted!(policy v1 Eviction).verbs(Verbs::BodyOnly),
    stored!(policy v1 PodDisruptionBudget).columns(columns::POD_DISRUPTION_BUDGET).short(&["pdb"]).with(&[Status]),
    // rbac
    stored!(rbac v1 ClusterRoleBinding).columns(columns::ROLE_BINDING),
    stored!(rbac v1 ClusterRole),
    stored!(rbac v1 RoleBinding).columns(columns::ROLE_BINDING),
    stored!(rbac v1 Role),
    // resource
    stored!(resource v1 DeviceClass).columns(columns::NAME_AGE),
    stored!(resource v1 DeviceTaintRule).columns(columns::DEVICE_TAINT_RULE).with(&[Status]),
    stored!(resource v1 ResourceClaim).columns(columns::RESOURCE_CLAIM).with(&[Status]),
    stored!(resource v1 ResourceClaimTemplate).columns(columns::NAME_AGE),
    stored!(resource v1 ResourceSlice).columns(columns::RESOURCE_SLICE),
    // scheduling
    stored!(scheduling v1 PriorityClass).columns(columns::PRIORITY_CLASS).short(&["pc"]),
    // storage
    stored!(storage v1 CSIDriver).columns(columns::CSI_DRIVER),
    stored!(storage v1 CSINode).columns(columns::CSI_NODE),
    stored!(storage v1 CSIStorageCapacity).columns(columns::CSI_STORAGE_CAPACITY),
    stored!(storage v1 StorageClass).columns(columns::STORAGE_CLASS).short(&["sc"]),
    stored!(storage v1 VolumeAttachment).columns(columns::VOLUME_ATTACHMENT).with(&[Status]),
    stored!(storage v1 VolumeAttributesClass).columns(columns::VOLUME_ATTRIBUTES_CLASS).short(&["vac"]),
    stored!(storagemigration v1 StorageVersionMigration).columns(columns::STORAGE_VERSION_MIGRATION).with(&[Status]),
    // extension of the API itself
    stored!(admissionregistration v1 MutatingAdmissionPolicy)
        .columns(columns::MUTATING_ADMISSION_POLICY)
        .categories(EXTENSIONS),
    stored!(admissionregistration v1 MutatingAdmissionPolicyBinding)
        .columns(columns::ADMISSION_POLICY_BINDING)
        .categories(EXTENSIONS),
    stored!(admissionregistration v1 MutatingWebhookConfiguration)
        .columns(columns::WEBHOOK_CONFIGURATION)
        .categories(EXTENSIONS),
    stored!(admissionregistration v1 ValidatingAdmissionPolicy)
        .columns(columns::VALIDATING_ADMISSION_POLICY)
        .categories(EXTENSIONS)
        .with(&[Status]),
    stored!(admissionregistration v1 ValidatingAdmissionPolicyBinding)
        .columns(columns::ADMISSION_POLICY_BINDING)
        .categories(EXTENSIONS),
    stored!(admissionregistration v1 ValidatingWebhookConfiguration)
        .columns(columns::WEBHOOK_CONFIGURATION)
        .categories(EXTENSIONS),
    Kind::of::<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition>(
        "customresourcedefinition",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    )
    .short(&["crd", "crds"])
    .categories(EXTENSIONS)
    .with(&[Status]),
    Kind::of::<k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService>(
        "apiservice",
        "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    )
    .columns(columns::API_SERVICE)
    .categories(EXTENSIONS)
    .with(&[Status]),
];
