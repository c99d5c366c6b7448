//! Objects are found by what they say they are.

use crate::schema::{def, of_object};

#[test]
fn by_version_and_kind() {
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
    let table = [
        ("v1", "Pod", Some("io.k8s.api.core.v1.Pod".to_string())),
        ("v1", "PodList", Some("io.k8s.api.core.v1.PodList".into())),
        ("v1", "PodTemplate", Some("io.k8s.api.core.v1.PodTemplate".into())),
        ("v1", "PodLogOptions", Some("io.k8s.api.core.v1.PodLogOptions".into())),
        ("v1", "PodAttachOptions", Some("io.k8s.api.core.v1.PodAttachOptions".into())),
        ("v1", "NodeProxyOptions", Some("io.k8s.api.core.v1.NodeProxyOptions".into())),
        ("v1", "ServiceProxyOptions", Some("io.k8s.api.core.v1.ServiceProxyOptions".into())),
        ("v1", "List", Some("io.k8s.api.core.v1.List".into())),
        ("v1", "Status", Some(format!("{META}.Status"))),
        ("v1", "APIResourceList", Some(format!("{META}.APIResourceList"))),
        ("v1", "DeleteOptions", Some(format!("{META}.DeleteOptions"))),
        ("apps/v1", "DeleteOptions", Some(format!("{META}.DeleteOptions"))),
        ("meta.k8s.io/v1", "CreateOptions", Some(format!("{META}.CreateOptions"))),
        ("meta.k8s.io/v1", "PartialObjectMetadata", Some(format!("{META}.PartialObjectMetadata"))),
        ("meta.k8s.io/v1", "PartialObjectMetadataList", Some(format!("{META}.PartialObjectMetadataList"))),
        ("apps/v1", "Deployment", Some("io.k8s.api.apps.v1.Deployment".into())),
        ("apps/v1", "DeploymentList", Some("io.k8s.api.apps.v1.DeploymentList".into())),
        ("autoscaling/v1", "Scale", Some("io.k8s.api.autoscaling.v1.Scale".into())),
        ("autoscaling/v1", "HorizontalPodAutoscaler", Some("io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler".into())),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscalerList",
            Some("io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerList".into()),
        ),
        ("events.k8s.io/v1", "Event", Some("io.k8s.api.events.v1.Event".into())),
        ("policy/v1", "Eviction", Some("io.k8s.api.policy.v1.Eviction".into())),
        ("authentication.k8s.io/v1", "TokenRequest", Some("io.k8s.api.authentication.v1.TokenRequest".into())),
        (
            "apidiscovery.k8s.io/v2",
            "APIGroupDiscoveryList",
            Some("io.k8s.api.apidiscovery.v2.APIGroupDiscoveryList".into()),
        ),
        (
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            Some("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition".into()),
        ),
        (
            "apiregistration.k8s.io/v1",
            "APIService",
            Some("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService".into()),
        ),
        // In another version, of another group, in another case, or of nothing.
        ("v2", "Pod", None),
        ("apps/v1beta1", "Deployment", None),
        ("v1", "Deployment", None),
        ("apps/v1", "Pod", None),
        ("v1", "pod", None),
        ("v1", "", None),
        ("", "", None),
        ("v1", "Table", None),
    ];
    for (version, kind, name) in table {
        assert_eq!(of_object(version, kind).map(crate::schema::Def::name), name, "{version} {kind}");
    }
}

#[test]
fn by_name() {
    for name in
        ["", "Pod", "io.k8s.api.core.v1", "io.k8s.api.core.v1.", "io.k8s.api.core.v1.pod", "io.k8s.api.core.v9.Pod"]
    {
        assert!(def(name).is_none(), "{name:?}");
    }
    let pod = def("io.k8s.api.core.v1.Pod").unwrap();
    assert_eq!((pod.package, pod.short, pod.go_name().as_str()), ("io.k8s.api.core.v1", "Pod", "v1.Pod"));
    for name in ["", "Spec", "spec.containers", "specs", "spe"] {
        assert!(pod.field(name).is_none(), "{name:?}");
    }
}
