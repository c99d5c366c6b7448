//! Environment variables and their sources (upstream: ValidateEnv, ValidateEnvFrom in pkg/apis/core/validation).

use api::{names, quantity::Quantity};

use crate::strategy::check::{At, Errors};

/// What a variable can be taken from.
const VARIABLE_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Further fields of a pod that the downward API knows by name but offers nowhere, or in volumes only.
const OTHER_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"];
/// The resources of a container that can be referred to.
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const CPU_DIVISORS: &[&str] = &["1m", "1"];
const BYTE_DIVISORS: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// `env` of a container.
pub fn variables(env: &At<'_>, errors: &mut Errors) {
    for variable in env.items() {
        errors.named_required(&variable.get("name"), names::env_var_name);
        if variable.get("valueFrom").present() {
            value_from(&variable, errors);
        }
    }
}

fn value_from(variable: &At<'_>, errors: &mut Errors) {
    let from = variable.get("valueFrom");
    let field = from.get("fieldRef");
    if field.present() {
        field_ref(&field, VARIABLE_FIELDS, errors);
    }
    let resource = from.get("resourceFieldRef");
    if resource.present() {
        resource_ref(&resource, false, errors);
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let reference = from.get(kind);
        if reference.present() {
            errors.named(&reference.get("name"), names::dns1123_subdomain);
            errors.named_required(&reference.get("key"), names::config_map_key);
        }
    }
    let kinds = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];
    let sources = kinds.iter().filter(|kind| from.get(kind).present()).count();
    if sources == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        errors.invalid_as(&from, "", detail);
    } else if !variable.get("value").text().is_empty() {
        errors.invalid_as(&from, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        errors.invalid_as(&from, "", "may not have more than one field specified at a time");
    }
}

/// A `fieldRef` to one of `known`, or to one label or annotation.
pub fn field_ref(field: &At<'_>, known: &[&str], errors: &mut Errors) {
    if !errors.filled(&field.get("apiVersion")) || !errors.filled(&field.get("fieldPath")) {
        return;
    }
    let at = field.get("fieldPath");
    if field.get("apiVersion").text() != "v1" {
        let version = field.get("apiVersion").text();
        return errors.invalid(&at, format!("error converting fieldPath: unsupported pod version: {version}"));
    }
    let path = at.text();
    if let Some((whole, key)) = subscripted(path) {
        return match whole {
            "metadata.annotations" => {
                errors.0.extend(names::invalid(&field.path, key, names::qualified_name(&key.to_lowercase())));
            }
            "metadata.labels" => errors.0.extend(names::invalid(&field.path, key, names::qualified_name(key))),
            _ => errors
                .invalid(&at, format!("error converting fieldPath: field label does not support subscript: {path}")),
        };
    }
    if !VARIABLE_FIELDS.contains(&path) && !OTHER_FIELDS.contains(&path) {
        errors.invalid(&at, format!("error converting fieldPath: field label not supported: {path}"));
    } else {
        errors.supported(&at, known);
    }
}

/// `a['b']` in two.
fn subscripted(path: &str) -> Option<(&str, &str)> {
    let (whole, key) = path.strip_suffix("']")?.split_once("['")?;
    (!whole.is_empty()).then_some((whole, key))
}

/// A `resourceFieldRef`; in volumes it names the container.
pub fn resource_ref(reference: &At<'_>, in_volume: bool, errors: &mut Errors) {
    let resource = reference.get("resource");
    let huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.text().starts_with(prefix));
    if in_volume && reference.get("containerName").text().is_empty() {
        errors.required(&reference.get("containerName"), "");
    } else if errors.filled(&resource) && !huge {
        errors.supported(&resource, RESOURCES);
    }
    let divisor = reference.get("divisor");
    let Ok(amount) = Quantity::from_value(divisor.value) else { return };
    if amount.is_zero() {
        return;
    }
    let (divisors, kind) = match resource.text().split_once('.').map(|(_, kind)| kind) {
        Some("cpu") => (CPU_DIVISORS, "cpu"),
        Some("memory") => (BYTE_DIVISORS, "memory"),
        Some("ephemeral-storage") => (BYTE_DIVISORS, "local ephemeral storage"),
        Some(kind) if kind.starts_with("hugepages-") => (BYTE_DIVISORS, "hugepages"),
        _ => return,
    };
    if !divisors.contains(&amount.to_string().as_str()) {
        let listed = if kind == "cpu" { "1m and 1".to_string() } else { divisors.join(", ") };
        let detail = format!("only divisor's values {listed} are supported with the {kind} resource");
        errors.invalid_as(&divisor, resource.text(), detail);
    }
}

/// `envFrom` of a container. The complaints about the number of sources stand at the list, as upstream has them.
pub fn sources(list: &At<'_>, errors: &mut Errors) {
    for source in list.items() {
        errors.named_if_any(&source.get("prefix"), names::env_var_name);
        let mut count = 0;
        for kind in ["configMapRef", "secretRef"] {
            let reference = source.get(kind);
            if reference.present() {
                count += 1;
                errors.named_required(&reference.get("name"), |name| {
                    names::dns1123_subdomain(&names::mask_trailing_dash(name))
                });
            }
        }
        match count {
            0 => errors.invalid_as(list, "", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => errors.invalid_as(list, "", "may not have more than one field specified at a time"),
        }
    }
}
