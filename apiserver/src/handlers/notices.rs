//! What a client should hear about a kind: that upstream deprecates its version, or that nothing in this cluster acts on it
//! yet. Rows leave the second table when their controller arrives.

use super::Cx;

/// Group, version, plural, upstream's words (k8s.io/api, `APILifecycleDeprecated`).
const DEPRECATED: &[(&str, &str, &str, &str)] =
    &[("", "v1", "endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")];

/// Group and plural of kinds that are stored, but that no controller acts on.
const UNATTENDED: &[(&str, &str)] = &[
    ("", "limitranges"),
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("", "replicationcontrollers"),
    ("", "resourcequotas"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
    ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "networkpolicies"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("storage.k8s.io", "volumeattachments"),
    ("storagemigration.k8s.io", "storageversionmigrations"),
];

/// Tells that the version of the path is deprecated.
pub(super) fn about_version(cx: &Cx<'_>) {
    let (served, plural) = (&cx.served, cx.kind.plural);
    for (group, version, resource, text) in DEPRECATED {
        if *resource == plural && *group == served.group && *version == served.version {
            cx.call.warn(*text);
        }
    }
}

/// Tells that a new object will just lie there.
pub(super) fn about_controllers(cx: &Cx<'_>) {
    if UNATTENDED.iter().any(|(group, plural)| *group == cx.kind.group && *plural == cx.kind.plural) {
        cx.call.warn(format!(
            "mkube has no controller for {} yet: the object is stored, but nothing acts on it",
            cx.kind.kind
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds::KINDS;

    #[test]
    fn rows_name_kinds() {
        let known = |group: &str, plural: &str| KINDS.iter().any(|kind| kind.group == group && kind.plural == plural);
        for (group, plural) in UNATTENDED {
            assert!(known(group, plural), "{group}/{plural}");
        }
        for (group, _, plural, _) in DEPRECATED {
            assert!(known(group, plural), "{group}/{plural}");
        }
    }
}
