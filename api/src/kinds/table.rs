//! THE TABLE: one row per kind. Short names, categories and subresources are those of upstream's registries
//! (pkg/registry/<group>/<resource>/storage).

use super::Subresource::{
    Approval, Attach, Binding, EphemeralContainers, Eviction, Exec, Finalize, Log, PortForward, Proxy, Resize, Scale,
    Status, Token,
};
use super::{Kind, Served, Verbs};

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
    stored!(core v1 ConfigMap).short(&["cm"]),
    stored!(core v1 Endpoints).short(&["ep"]),
    stored!(core v1 Event).short(&["ev"]).also(&[Served {
        group: "events.k8s.io",
        version: "v1",
        definition: "io.k8s.api.events.v1.Event",
    }]),
    stored!(core v1 LimitRange).short(&["limits"]),
    stored!(core v1 Namespace).short(&["ns"]).with(&[Finalize, Status]).verbs(Verbs::NoDeleteCollection),
    stored!(core v1 Node).short(&["no"]).with(&[Proxy, Status]),
    stored!(core v1 PersistentVolumeClaim).short(&["pvc"]).with(&[Status]),
    stored!(core v1 PersistentVolume).short(&["pv"]).with(&[Status]),
    stored!(core v1 Pod).short(&["po"]).categories(ALL).with(&[
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
    stored!(core v1 PodTemplate),
    stored!(core v1 ReplicationController).short(&["rc"]).categories(ALL).with(&[Scale, Status]),
    stored!(core v1 ResourceQuota).short(&["quota"]).with(&[Status]),
    stored!(core v1 Secret),
    stored!(core v1 ServiceAccount).short(&["sa"]).with(&[Token]),
    stored!(core v1 Service).short(&["svc"]).categories(ALL).with(&[Proxy, Status]),
    // apps
    stored!(apps v1 ControllerRevision),
    stored!(apps v1 DaemonSet).short(&["ds"]).categories(ALL).with(&[Status]),
    stored!(apps v1 Deployment).short(&["deploy"]).categories(ALL).with(&[Scale, Status]),
    stored!(apps v1 ReplicaSet).short(&["rs"]).categories(ALL).with(&[Scale, Status]),
    stored!(apps v1 StatefulSet).short(&["sts"]).categories(ALL).with(&[Scale, Status]),
    // authentication, authorization
    posted!(authentication v1 SelfSubjectReview),
    posted!(authentication v1 TokenReview),
    posted!(authentication v1 TokenRequest).verbs(Verbs::BodyOnly),
    posted!(authorization v1 LocalSubjectAccessReview),
    posted!(authorization v1 SelfSubjectAccessReview),
    posted!(authorization v1 SelfSubjectRulesReview),
    posted!(authorization v1 SubjectAccessReview),
    // autoscaling
    stored!(autoscaling v2 HorizontalPodAutoscaler).short(&["hpa"]).categories(ALL).with(&[Status]).also(&[Served {
        group: "autoscaling",
        version: "v1",
        definition: "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    }]),
    posted!(autoscaling v1 Scale).verbs(Verbs::BodyOnly),
    // batch
    stored!(batch v1 CronJob).short(&["cj"]).categories(ALL).with(&[Status]),
    stored!(batch v1 Job).categories(ALL).with(&[Status]),
    // certificates
    stored!(certificates v1 CertificateSigningRequest).short(&["csr"]).with(&[Approval, Status]),
    stored!(certificates v1 ClusterTrustBundle),
    stored!(certificates v1 PodCertificateRequest).with(&[Status]),
    // coordination, discovery, node
    stored!(coordination v1 Lease),
    stored!(discovery v1 EndpointSlice),
    stored!(node v1 RuntimeClass),
    // flow control
    stored!(flowcontrol v1 FlowSchema).with(&[Status]),
    stored!(flowcontrol v1 PriorityLevelConfiguration).with(&[Status]),
    // networking
    stored!(networking v1 IngressClass),
    stored!(networking v1 Ingress).short(&["ing"]).with(&[Status]),
    stored!(networking v1 IPAddress).short(&["ip"]),
    stored!(networking v1 NetworkPolicy).short(&["netpol"]),
    stored!(networking v1 ServiceCIDR).with(&[Status]),
    // policy
    posted!(policy v1 Eviction).verbs(Verbs::BodyOnly),
    stored!(policy v1 PodDisruptionBudget).short(&["pdb"]).with(&[Status]),
    // rbac
    stored!(rbac v1 ClusterRoleBinding),
    stored!(rbac v1 ClusterRole),
    stored!(rbac v1 RoleBinding),
    stored!(rbac v1 Role),
    // resource
    stored!(resource v1 DeviceClass),
    stored!(resource v1 DeviceTaintRule).with(&[Status]),
    stored!(resource v1 ResourceClaim).with(&[Status]),
    stored!(resource v1 ResourceClaimTemplate),
    stored!(resource v1 ResourceSlice),
    // scheduling
    stored!(scheduling v1 PriorityClass).short(&["pc"]),
    // storage
    stored!(storage v1 CSIDriver),
    stored!(storage v1 CSINode),
    stored!(storage v1 CSIStorageCapacity),
    stored!(storage v1 StorageClass).short(&["sc"]),
    stored!(storage v1 VolumeAttachment).with(&[Status]),
    stored!(storage v1 VolumeAttributesClass).short(&["vac"]),
    stored!(storagemigration v1 StorageVersionMigration).with(&[Status]),
    // extension of the API itself
    stored!(admissionregistration v1 MutatingAdmissionPolicy).categories(EXTENSIONS),
    stored!(admissionregistration v1 MutatingAdmissionPolicyBinding).categories(EXTENSIONS),
    stored!(admissionregistration v1 MutatingWebhookConfiguration).categories(EXTENSIONS),
    stored!(admissionregistration v1 ValidatingAdmissionPolicy).categories(EXTENSIONS).with(&[Status]),
    stored!(admissionregistration v1 ValidatingAdmissionPolicyBinding).categories(EXTENSIONS),
    stored!(admissionregistration v1 ValidatingWebhookConfiguration).categories(EXTENSIONS),
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
    .categories(EXTENSIONS)
    .with(&[Status]),
];
