//! Probes and lifecycle hooks (upstream: validateProbe, validateHandler, validateLifecycle in
//! pkg/apis/core/validation).

use api::names;

use crate::strategy::check::{At, Errors};

/// All probes of a container that may have them.
pub fn all(container: &At<'_>, grace: Option<i64>, errors: &mut Errors) {
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.get(kind);
        if !probe.present() {
            continue;
        }
        one(&probe, grace, errors);
        if kind == "readinessProbe" {
            if probe.get("terminationGracePeriodSeconds").present() {
                errors.invalid(&probe.get("terminationGracePeriodSeconds"), "must not be set for readinessProbes");
            }
        } else if probe.get("successThreshold").int().is_some_and(|threshold| threshold != 1) {
            errors.invalid(&probe.get("successThreshold"), "must be 1");
        }
    }
}

fn one(probe: &At<'_>, grace: Option<i64>, errors: &mut Errors) {
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], grace, errors);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        errors.non_negative(&probe.get(field));
    }
    let own_grace = probe.get("terminationGracePeriodSeconds");
    if own_grace.int().is_some_and(|seconds| seconds <= 0) {
        errors.invalid(&own_grace, "must be greater than 0");
    }
}

/// `lifecycle` of a container.
pub fn lifecycle(lifecycle: &At<'_>, grace: Option<i64>, errors: &mut Errors) {
    for hook in ["postStart", "preStop"] {
        let hook = lifecycle.get(hook);
        if hook.present() {
            handler(&hook, &["exec", "httpGet", "tcpSocket", "sleep"], grace, errors);
        }
    }
}

/// Exactly one of `kinds`.
fn handler(parent: &At<'_>, kinds: &[&'static str], grace: Option<i64>, errors: &mut Errors) {
    let mut found = false;
    for kind in kinds {
        let action = parent.get(kind);
        if !action.present() {
            continue;
        }
        if found {
            errors.forbidden(&action, "may not specify more than 1 handler type");
            continue;
        }
        found = true;
        match *kind {
            "exec" if action.get("command").len() == 0 => errors.required(&action.get("command"), ""),
            "httpGet" => http(&action, errors),
            "tcpSocket" => errors.port_or_name(&action.get("port")),
            "grpc" => errors.port(&action.get("port")),
            "sleep" => sleep(&action, grace, errors),
            _ => {}
        }
    }
    if !found {
        errors.required(parent, "must specify a handler type");
    }
}

fn http(action: &At<'_>, errors: &mut Errors) {
    errors.filled(&action.get("path"));
    errors.port_or_name(&action.get("port"));
    errors.supported(&action.get("scheme"), &["HTTP", "HTTPS"]);
    let headers = action.get("httpHeaders");
    for header in headers.items() {
        let name = header.get("name").text();
        errors.0.extend(names::invalid(&headers.path, name, names::http_header_name(name)));
    }
}

fn sleep(action: &At<'_>, grace: Option<i64>, errors: &mut Errors) {
    let seconds = action.get("seconds").int().unwrap_or_default();
    if let Some(grace) = grace
        && (seconds < 0 || seconds > grace)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid_as(action, seconds, detail);
    }
}
