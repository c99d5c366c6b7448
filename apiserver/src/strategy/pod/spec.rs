//! The spec of a pod or of a template (upstream: ValidatePodSpec, ValidatePodTemplateSpec in
//! pkg/apis/core/validation).

use api::{names, object};
use serde_json::Value;

use super::containers::{self, Scope};
use super::{affinity, resources, security, volumes};
use crate::strategy::check::{At, Errors};

/// A whole pod, new or changed.
pub fn pod(pod: &Value, errors: &mut Errors) {
    let root = At::root(pod);
    let spec = root.get("spec");
    annotations(&root.at("metadata.annotations"), &spec, errors);
    validate(&spec, object::name(pod), true, errors);
    if spec.get("serviceAccountName").text().is_empty() {
        for volume in spec.get("volumes").items() {
            for source in volume.at("projected.sources").items() {
                let token = source.get("serviceAccountToken");
                if token.present() {
                    errors.forbidden(&token, "must not be specified when serviceAccountName is not set");
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get(list).items() {
            containers::trimmed_image(&container, errors);
        }
    }
}

/// A template at `template`.
pub fn template(template: &At<'_>, errors: &mut Errors) {
    let (metadata, spec) = (template.get("metadata"), template.get("spec"));
    // The paths lack `metadata`, as upstream has them.
    let labels = At { path: template.get("labels").path, ..metadata.get("labels") };
    let notes = At { path: template.get("annotations").path, ..metadata.get("annotations") };
    errors.labels(&labels);
    errors.0.extend(names::validate_annotations(notes.map(), &notes.path));
    annotations(&notes, &spec, errors);
    validate(&spec, "", false, errors);
    if spec.get("ephemeralContainers").len() > 0 {
        errors.forbidden(&spec.get("ephemeralContainers"), "ephemeral containers not allowed in pod template");
    }
}

fn annotations(notes: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    for (key, note) in notes.entries() {
        match key {
            "kubernetes.io/config.mirror" if spec.get("nodeName").text().is_empty() => {
                errors.invalid(&note, "must set spec.nodeName if mirror pod annotation is set");
            }
            "controller.kubernetes.io/pod-deletion-cost" if !deletion_cost(note.text()) => {
                errors.invalid(&note, "must be a 32bit integer");
            }
            _ => {}
        }
    }
}

/// A number without sign and leading zeros that could be read in two ways.
fn deletion_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !text.starts_with('+') && (digits == "0" && text == "0" || !digits.starts_with('0'));
    plain && text.parse::<i32>().is_ok()
}

fn validate(spec: &At<'_>, pod_name: &str, is_pod: bool, errors: &mut Errors) {
    let scope = Scope {
        grace: spec.get("terminationGracePeriodSeconds").int(),
        restart: spec.get("restartPolicy").text(),
        host_users: spec.get("hostUsers").value != false,
        volumes: volumes::volumes(&spec.get("volumes"), pod_name, errors),
        claims: spec.get("resourceClaims").items().map(|claim| claim.get("name").text()).collect(),
    };
    claims(&spec.get("resourceClaims"), errors);
    containers::all(spec, &scope, errors);
    pod_resources(&spec.get("resources"), errors);
    host_network(spec, is_pod, errors);
    errors.one_of(&spec.get("restartPolicy"), &["Always", "OnFailure", "Never"]);
    errors.one_of(&spec.get("dnsPolicy"), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    errors.labels(&spec.get("nodeSelector"));
    security::of_pod(spec, errors);
    affinity::affinity(&spec.get("affinity"), errors);
    dns(spec, errors);
    for gate in spec.get("readinessGates").items() {
        errors.named(&gate.get("conditionType"), names::qualified_name);
    }
    scheduling_gates(&spec.get("schedulingGates"), errors);
    affinity::spreading(&spec.get("topologySpreadConstraints"), errors);
    for field in ["serviceAccountName", "nodeName"] {
        errors.named_if_any(&spec.get(field), names::dns1123_subdomain);
    }
    let deadline = spec.get("activeDeadlineSeconds");
    if deadline.int().is_some_and(|seconds| !(1..=i64::from(i32::MAX)).contains(&seconds)) {
        errors.invalid(&deadline, format!("must be between 1 and {}, inclusive", i32::MAX));
    }
    errors.named_if_any(&spec.get("hostname"), names::dns1123_label);
    errors.named_if_any(&spec.get("subdomain"), names::dns1123_label);
    affinity::tolerations(&spec.get("tolerations"), errors);
    for alias in spec.get("hostAliases").items() {
        errors.ip(&alias.get("ip"));
        for name in alias.get("hostnames").items() {
            errors.named(&name, names::dns1123_subdomain);
        }
    }
    errors.named_if_any(&spec.get("priorityClassName"), names::dns1123_subdomain);
    if spec.get("runtimeClassName").present() {
        errors.named(&spec.get("runtimeClassName"), names::dns1123_subdomain);
    }
    if spec.get("preemptionPolicy").present() {
        errors.one_of(&spec.get("preemptionPolicy"), &["PreemptLowerPriority", "Never"]);
    }
    resources::overhead(&spec.get("overhead"), errors);
    operating_system(spec, errors);
}

fn claims(list: &At<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for claim in list.items() {
        let name = claim.get("name");
        if seen.contains(&name.text()) {
            errors.duplicate(&name);
        } else {
            errors.named_required(&name, names::dns1123_label);
        }
        seen.push(name.text());
        let (direct, template) = (claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName"));
        match (direct.present(), template.present()) {
            (true, true) => errors
                .invalid(&claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"),
            (false, false) => {
                errors.invalid(&claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
            }
            _ => {}
        }
        errors.named_if_any(&direct, names::dns1123_subdomain);
        errors.named_if_any(&template, names::dns1123_subdomain);
    }
}

fn pod_resources(resources: &At<'_>, errors: &mut Errors) {
    if resources.get("claims").present() {
        errors.forbidden(&resources.get("claims"), "claims cannot be set for Resources at pod-level");
    }
    let at_pod = At { value: resources.value, path: resources.path.clone() };
    if at_pod.present() && !resources.get("claims").present() {
        resources::of_container(&at_pod, &[], errors);
    }
}

fn host_network(spec: &At<'_>, is_pod: bool, errors: &mut Errors) {
    if !spec.get("hostNetwork").flag() {
        return;
    }
    for container in spec.get("containers").items() {
        for port in container.get("ports").items() {
            let host = port.get("hostPort").int().unwrap_or_default();
            let differs = host != port.get("containerPort").int().unwrap_or_default();
            if (is_pod || host != 0) && differs {
                let at = port.get("hostPort");
                errors.invalid_as(&at, host, "must match `containerPort` when `hostNetwork` is true");
            }
        }
    }
}

fn dns(spec: &At<'_>, errors: &mut Errors) {
    let config = spec.get("dnsConfig");
    let (servers, searches) = (config.get("nameservers"), config.get("searches"));
    if spec.get("dnsPolicy").text() == "None" {
        if !config.present() {
            return errors.required(&config, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if servers.len() == 0 {
            return errors.required(&servers, "must provide at least one DNS nameserver when `dnsPolicy` is None");
        }
    }
    if servers.len() > 3 {
        errors.invalid(&servers, "must not have more than 3 nameservers");
    }
    for server in servers.items() {
        errors.ip(&server);
    }
    if searches.len() > 32 {
        errors.invalid(&searches, "must not have more than 32 search paths");
    }
    let characters: usize = searches.items().map(|search| search.text().len() + 1).sum();
    if characters > 2049 {
        let detail = "must not have more than 2048 characters (including spaces) in the search list";
        errors.invalid(&searches, detail);
    }
    for search in searches.items().filter(|search| search.text() != ".") {
        let text = search.text().strip_suffix('.').unwrap_or(search.text());
        // Underscores are allowed: what else is wrong is said as for other names.
        let complaints = names::dns1123_subdomain(&text.replace('_', "a"));
        errors.0.extend(names::invalid(&search.path, text, complaints));
    }
    for option in config.get("options").items() {
        if option.get("name").text().is_empty() {
            errors.required(&option, "must not be empty");
        }
    }
}

fn scheduling_gates(list: &At<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for gate in list.items() {
        let name = gate.get("name");
        let place = At { path: gate.path.clone(), ..name };
        errors.named(&place, names::qualified_name);
        if seen.contains(&place.text()) {
            errors.duplicate(&place);
        }
        seen.push(place.text());
    }
}

fn operating_system(spec: &At<'_>, errors: &mut Errors) {
    let os = spec.get("os");
    if !os.present() {
        return;
    }
    match os.get("name").text() {
        "" => errors.required(&os.get("name"), "cannot be empty"),
        "linux" => {
            let why = "windows options cannot be set for a linux pod";
            let contexts = std::iter::once(spec.get("securityContext"))
                .chain(spec.get("containers").items().map(|container| container.get("securityContext")));
            for context in contexts.filter(|context| context.get("windowsOptions").present()) {
                errors.forbidden(&context.get("windowsOptions"), why);
            }
        }
        "windows" => {}
        _ => errors.supported(&At { path: os.path.clone(), ..os.get("name") }, &["linux", "windows"]),
    }
}
