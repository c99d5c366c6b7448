//! Containers of all three kinds (upstream: validateContainers, validateInitContainers, validateEphemeralContainers in
//! pkg/apis/core/validation).

use api::field::FieldError;
use api::names;
use serde_json::{Map, Value, json};

use super::{env, probes, resources, security, volumes};
use crate::strategy::check::{At, Errors, PROTOCOLS};

const OUTSIDE_INIT: &str = "may not be set for init containers without restartPolicy=Always";
const NOT_EPHEMERAL: &[&str] = &["ports", "resources", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"];

/// What the containers of a pod share.
pub struct Scope<'a> {
    /// `terminationGracePeriodSeconds`.
    pub grace: Option<i64>,
    /// `restartPolicy`.
    pub restart: &'a str,
    /// Whether the users of the pod are those of its node.
    pub host_users: bool,
    /// The volumes.
    pub volumes: Map<String, Value>,
    /// Names of the resource claims.
    pub claims: Vec<&'a str>,
}

/// All containers of a spec.
pub fn all(spec: &At<'_>, scope: &Scope<'_>, errors: &mut Errors) {
    let (regular, init) = (spec.get("containers"), spec.get("initContainers"));
    let mut names = Vec::new();
    if regular.len() == 0 {
        errors.required(&regular, "");
    }
    for container in regular.items() {
        common(&container, scope, errors);
        unique(&container.get("name"), &mut names, errors);
        running(&container, scope, errors);
        if container.get("restartPolicy").present() && !container.get("restartPolicy").text().is_empty() {
            errors.forbidden(&container.get("restartPolicy"), "may not be set for non-init containers");
        }
    }
    host_ports(regular.items(), errors);
    for container in init.items() {
        common(&container, scope, errors);
        let policy = container.get("restartPolicy");
        if policy.present() {
            errors.supported(&policy, &["Always"]);
        }
        unique(&container.get("name"), &mut names, errors);
        host_ports(std::iter::once(container.clone()), errors);
        if policy.text() == "Always" {
            running(&container, scope, errors);
        } else {
            for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if container.get(field).present() {
                    errors.forbidden(&container.get(field), OUTSIDE_INIT);
                }
            }
        }
    }
    ephemeral(&spec.get("ephemeralContainers"), scope, names, errors);
}

fn unique<'a>(name: &At<'a>, seen: &mut Vec<&'a str>, errors: &mut Errors) {
    if seen.contains(&name.text()) {
        errors.0.push(FieldError::duplicate(&name.path, &json!(name.text())));
    } else if !name.text().is_empty() {
        seen.push(name.text());
    }
}

/// What only containers have that run as long as the pod.
fn running(container: &At<'_>, scope: &Scope<'_>, errors: &mut Errors) {
    let lifecycle = container.get("lifecycle");
    if lifecycle.present() {
        probes::lifecycle(&lifecycle, scope.grace, errors);
    }
    probes::all(container, scope.grace, errors);
}

fn ephemeral<'a>(list: &At<'a>, scope: &Scope<'_>, mut seen: Vec<&'a str>, errors: &mut Errors) {
    let others = seen.clone();
    for container in list.items() {
        common(&container, scope, errors);
        trimmed_image(&container, errors);
        unique(&container.get("name"), &mut seen, errors);
        let target = container.get("targetContainerName");
        if !target.text().is_empty() && !others.contains(&target.text()) {
            errors.not_found(&target);
        }
        for field in NOT_EPHEMERAL {
            let field = container.get(field);
            if field.present() && field.value != &json!({}) && field.value != &json!([]) {
                errors.forbidden(&field, "cannot be set for an Ephemeral Container");
            }
        }
        for mount in container.get("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.get(field).text().is_empty() {
                    errors.forbidden(&mount.get(field), "cannot be set for an Ephemeral Container");
                }
            }
        }
    }
}

/// Only pods are held to it, not templates.
pub fn trimmed_image(container: &At<'_>, errors: &mut Errors) {
    let image = container.get("image");
    if image.text().trim() != image.text() {
        errors.invalid(&image, "must not have leading or trailing whitespace");
    }
}

fn common(container: &At<'_>, scope: &Scope<'_>, errors: &mut Errors) {
    errors.named_required(&container.get("name"), names::dns1123_label);
    errors.filled(&container.get("image"));
    errors.one_of(&container.get("terminationMessagePolicy"), &["File", "FallbackToLogsOnError"]);
    ports(&container.get("ports"), errors);
    env::variables(&container.get("env"), errors);
    env::sources(&container.get("envFrom"), errors);
    volumes::mounts(container, &scope.volumes, errors);
    errors.one_of(&container.get("imagePullPolicy"), &["Always", "IfNotPresent", "Never"]);
    resources::of_container(&container.get("resources"), &scope.claims, errors);
    resize_policies(&container.get("resizePolicy"), scope.restart, errors);
    security::of_container(&container.get("securityContext"), scope.host_users, errors);
}

fn ports(list: &At<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for port in list.items() {
        let name = port.get("name");
        if !name.text().is_empty() {
            let before = errors.0.len();
            errors.named(&name, names::port_name);
            if errors.0.len() == before {
                unique(&name, &mut seen, errors);
            }
        }
        let number = port.get("containerPort");
        if number.int().unwrap_or_default() == 0 {
            errors.required(&number, "");
        } else {
            errors.port(&number);
        }
        if port.get("hostPort").int().is_some_and(|number| number != 0) {
            errors.port(&port.get("hostPort"));
        }
        errors.one_of(&port.get("protocol"), PROTOCOLS);
    }
}

fn host_ports<'a>(containers: impl Iterator<Item = At<'a>>, errors: &mut Errors) {
    let mut seen: Vec<String> = Vec::new();
    for container in containers {
        for port in container.get("ports").items() {
            let number = port.get("hostPort").int().unwrap_or_default();
            if number == 0 {
                continue;
            }
            let key = format!("{}/{}/{number}", port.get("protocol").text(), port.get("hostIP").text());
            if seen.contains(&key) {
                errors.0.push(FieldError::duplicate(&port.get("hostPort").path, &json!(key)));
            }
            seen.push(key);
        }
    }
}

/// The paths are those of the list, as upstream has them.
fn resize_policies(list: &At<'_>, restart: &str, errors: &mut Errors) {
    let mut seen = Vec::new();
    for policy in list.items() {
        let (resource, action) = (policy.get("resourceName"), policy.get("restartPolicy"));
        if seen.contains(&resource.text()) {
            errors.0.push(FieldError::duplicate(&policy.path, &json!(resource.text())));
        }
        seen.push(resource.text());
        errors.one_of(&At { path: list.path.clone(), ..resource }, &["cpu", "memory"]);
        let action = At { path: list.path.clone(), ..action };
        errors.one_of(&action, &["NotRequired", "RestartContainer"]);
        if restart == "Never" && action.text() != "NotRequired" {
            errors.invalid(&action, "must be 'NotRequired' when `restartPolicy` is 'Never'");
        }
    }
}
