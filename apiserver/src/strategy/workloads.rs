//! Kinds that make pods out of a template: Deployment, ReplicaSet, ReplicationController, PodTemplate, DaemonSet,
//! StatefulSet (upstream: pkg/apis/apps/validation, and pkg/apis/core/validation for the two older ones).

use api::selector::{self, LabelSelector};
use api::{FieldError, names};
use serde_json::Value;

use super::check::{At, Errors, percent, run};
use super::pod::{spec, warnings};
use super::{Strategy, semantic};

const MISMATCH: &str = "`selector` does not match template `labels`";
/// What may change in a StatefulSet.
const STATEFUL_SET: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// See the module.
pub struct Deployment;
/// See the module.
pub struct ReplicaSet;
/// See the module.
pub struct ReplicationController;
/// See the module.
pub struct PodTemplate;
/// See the module.
pub struct DaemonSet;
/// See the module.
pub struct StatefulSet;

impl Strategy for Deployment {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            errors.non_negative(&spec.get("replicas"));
            selected(&spec, "ReplicaSet", "deployment", errors);
            deployment_strategy(&spec.get("strategy"), errors);
            errors.non_negative(&spec.get("minReadySeconds"));
            errors.non_negative(&spec.get("revisionHistoryLimit"));
            let deadline = spec.get("progressDeadlineSeconds");
            errors.non_negative(&deadline);
            let ready = spec.get("minReadySeconds").int().unwrap_or_default();
            if deadline.int().is_some_and(|seconds| seconds <= ready) {
                errors.invalid(&deadline, "must be greater than minReadySeconds");
            }
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        selector_stays(new, old)
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        template_warnings(object, old, true)
    }
}

impl Strategy for ReplicaSet {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            errors.non_negative(&spec.get("replicas"));
            errors.non_negative(&spec.get("minReadySeconds"));
            // "deployment" is upstream's word here too.
            selected(&spec, "ReplicaSet", "deployment", errors);
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        selector_stays(new, old)
    }

    fn validate_status_update(&self, new: &Value, _old: &Value) -> Vec<FieldError> {
        run(|errors| replica_counts(&At::root(new).get("status"), errors))
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        template_warnings(object, old, true)
    }
}

impl Strategy for ReplicationController {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            errors.non_negative(&spec.get("minReadySeconds"));
            let (selector, template) = (spec.get("selector"), spec.get("template"));
            if selector.len() == 0 {
                errors.required(&selector, "");
            }
            errors.non_negative(&spec.get("replicas"));
            if !template.present() {
                return errors.required(&template, "");
            }
            let labels = template.at("metadata.labels");
            if !selector.map().into_iter().flatten().all(|(key, value)| labels.value.get(key) == Some(value)) {
                errors.invalid(&labels, MISMATCH);
            }
            self::spec::template(&template, errors);
            keeps_running(&template, "ReplicationController", errors);
        })
    }

    fn validate_status_update(&self, new: &Value, _old: &Value) -> Vec<FieldError> {
        run(|errors| replica_counts(&At::root(new).get("status"), errors))
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        template_warnings(object, old, true)
    }
}

impl Strategy for PodTemplate {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        run(|errors| spec::template(&At::root(object).get("template"), errors))
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        warnings::of_spec(&At::root(object).at("template.spec"))
    }
}

impl Strategy for DaemonSet {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            let (selector, template) = (spec.get("selector"), spec.get("template"));
            if selector.present() {
                errors.0.extend(selector::validate(selector.value, &selector.path));
            }
            let labels = template.at("metadata.labels");
            if LabelSelector::from_value(selector.value).is_ok_and(|parsed| !parsed.matches_map(labels.map())) {
                errors.invalid(&labels, MISMATCH);
            }
            if selector.present() && is_empty(&selector) {
                errors.invalid(&selector, "empty selector is invalid for daemonset");
            }
            self::spec::template(&template, errors);
            keeps_running(&template, "DaemonSet", errors);
            errors.non_negative(&spec.get("minReadySeconds"));
            daemon_strategy(&spec.get("updateStrategy"), errors);
            errors.non_negative(&spec.get("revisionHistoryLimit"));
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        selector_stays(new, old)
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        template_warnings(object, old, false)
    }
}

impl Strategy for StatefulSet {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            let management = spec.get("podManagementPolicy");
            match management.text() {
                "" => errors.required(&management, ""),
                "OrderedReady" | "Parallel" => {}
                _ => errors.invalid(&management, "must be 'OrderedReady' or 'Parallel'"),
            }
            stateful_strategy(&spec.get("updateStrategy"), errors);
            for field in ["whenDeleted", "whenScaled"] {
                let at = spec.get("persistentVolumeClaimRetentionPolicy").get(field);
                if at.present() {
                    errors.supported(&at, &["Retain", "Delete"]);
                }
            }
            errors.non_negative(&spec.get("replicas"));
            errors.non_negative(&spec.get("minReadySeconds"));
            errors.non_negative(&spec.at("ordinals.start"));
            errors.non_negative(&spec.get("revisionHistoryLimit"));
            stateful_template(&spec, errors);
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let definition = "io.k8s.api.apps.v1.StatefulSetSpec";
        let bare = |object: &Value| {
            let mut spec = semantic::canonical(definition, &object["spec"]);
            if let Some(map) = spec.as_object_mut() {
                STATEFUL_SET.iter().for_each(|field| drop(map.remove(*field)));
            }
            spec
        };
        run(|errors| {
            if bare(new) != bare(old) {
                let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
                errors.forbidden(&At::root(new).get("spec"), detail);
            }
        })
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        template_warnings(object, old, true)
    }
}

fn is_empty(selector: &At<'_>) -> bool {
    selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0
}

/// The selector and the template it has to match.
fn selected(spec: &At<'_>, maker: &str, empty_for: &str, errors: &mut Errors) {
    let (selector, template) = (spec.get("selector"), spec.get("template"));
    if selector.present() {
        errors.0.extend(selector::validate(selector.value, &selector.path));
        if is_empty(&selector) {
            errors.invalid(&selector, format!("empty selector is invalid for {empty_for}"));
        }
    } else {
        errors.required(&selector, "");
    }
    match LabelSelector::from_value(selector.value) {
        Err(_) => errors.invalid(&selector, "invalid label selector"),
        Ok(parsed) => {
            let labels = template.at("metadata.labels");
            // Without a selector nothing matches; upstream says so besides.
            let empty = selector.present() && is_empty(&selector);
            if !empty && !parsed.matches_map(labels.map()) {
                errors.invalid(&labels, MISMATCH);
            }
            self::spec::template(&template, errors);
            keeps_running(&template, maker, errors);
        }
    }
}

/// Pods of these kinds are restarted for ever.
fn keeps_running(template: &At<'_>, maker: &str, errors: &mut Errors) {
    errors.supported(&template.at("spec.restartPolicy"), &["Always"]);
    let deadline = template.at("spec.activeDeadlineSeconds");
    if deadline.present() {
        errors.forbidden(&deadline, format!("activeDeadlineSeconds in {maker} is not Supported"));
    }
}

fn selector_stays(new: &Value, old: &Value) -> Vec<FieldError> {
    let (new, old) = (At::root(new).at("spec.selector"), At::root(old).at("spec.selector"));
    let same = semantic::equal("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", new.value, old.value);
    run(|errors| {
        if !same {
            errors.unchanged(&new, &old)
        }
    })
}

/// A count of zero, or a share of nothing.
fn is_zero(at: &At<'_>) -> bool {
    if at.value.is_string() { percent(at).unwrap_or_default() == 0 } else { at.int().unwrap_or_default() == 0 }
}

fn deployment_strategy(strategy: &At<'_>, errors: &mut Errors) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "Recreate" if rolling.present() => {
            errors.forbidden(&rolling, "may not be specified when strategy `type` is 'Recreate'");
        }
        "RollingUpdate" if !rolling.present() => errors.required(&rolling, "this should be defaulted and never be nil"),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            errors.count_or_percent(&unavailable);
            errors.count_or_percent(&surge);
            if is_zero(&unavailable) && is_zero(&surge) {
                errors.invalid(&unavailable, "may not be 0 when `maxSurge` is 0");
            }
            errors.at_most_all(&unavailable);
        }
        _ => errors.supported(&strategy.get("type"), &["Recreate", "RollingUpdate"]),
    }
}

fn daemon_strategy(strategy: &At<'_>, errors: &mut Errors) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "RollingUpdate" if !rolling.present() => errors.required(&rolling, ""),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            for field in [&unavailable, &surge] {
                errors.count_or_percent(field);
                errors.at_most_all(field);
            }
            match (is_zero(&unavailable), is_zero(&surge)) {
                (false, false) => errors.invalid(&surge, "may not be set when maxUnavailable is non-zero"),
                (true, true) => errors.required(&unavailable, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
        }
        _ => errors.supported(&strategy.get("type"), &["RollingUpdate", "OnDelete"]),
    }
}

fn stateful_strategy(strategy: &At<'_>, errors: &mut Errors) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").text() {
        "" => errors.required(strategy, ""),
        "OnDelete" if rolling.present() => {
            errors.invalid(&rolling, "only allowed for updateStrategy 'RollingUpdate'");
        }
        "OnDelete" => {}
        "RollingUpdate" => {
            errors.non_negative(&rolling.get("partition"));
            let unavailable = rolling.get("maxUnavailable");
            if unavailable.present() {
                errors.count_or_percent(&unavailable);
                if is_zero(&unavailable) {
                    errors.invalid(&unavailable, "cannot be 0");
                }
                errors.at_most_all(&unavailable);
            }
        }
        _ => errors.invalid(strategy, "must be 'RollingUpdate' or 'OnDelete'"),
    }
}

/// Upstream does not look into the spec of this template: its mounts may be those of claims that do not exist yet.
fn stateful_template(spec: &At<'_>, errors: &mut Errors) {
    let (selector, template) = (spec.get("selector"), spec.get("template"));
    if selector.present() {
        errors.0.extend(selector::validate(selector.value, &selector.path));
        if is_empty(&selector) {
            errors.invalid(&selector, "empty selector is invalid for statefulset");
        }
    } else {
        errors.required(&selector, "");
    }
    let labels = template.at("metadata.labels");
    let empty = selector.present() && is_empty(&selector);
    match LabelSelector::from_value(selector.value) {
        Err(_) => errors.invalid(&selector, ""),
        Ok(parsed) if !empty && !parsed.matches_map(labels.map()) => {
            errors.invalid(&labels, MISMATCH);
        }
        Ok(_) => {}
    }
    errors.labels(&At { path: template.get("labels").path, ..labels });
    let notes = template.at("metadata.annotations");
    errors.0.extend(names::validate_annotations(notes.map(), &template.get("annotations").path));
    keeps_running(&template, "StatefulSet", errors);
}

/// What a controller may say of its replicas (ValidateReplicaSetStatus).
fn replica_counts(status: &At<'_>, errors: &mut Errors) {
    let count = |field: &'static str| status.get(field).int().unwrap_or_default();
    for field in ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"] {
        errors.non_negative(&status.get(field));
    }
    for field in ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"] {
        if count(field) > count("replicas") {
            errors.invalid(&status.get(field), "cannot be greater than status.replicas");
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        errors.invalid(&status.get("availableReplicas"), "cannot be greater than readyReplicas");
    }
}

/// Upstream warns when the spec is new or has changed.
fn template_warnings(object: &Value, old: Option<&Value>, names_pods: bool) -> Vec<String> {
    if old.is_some_and(|old| old["spec"] == object["spec"]) {
        return Vec::new();
    }
    let root = At::root(object);
    let mut warnings = Vec::new();
    let complaints = names::dns1123_label(root.at("metadata.name").text());
    if names_pods && old.is_none() && !complaints.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{}]",
            complaints.join(" ")
        ));
    }
    warnings.extend(warnings::of_spec(&root.at("spec.template.spec")));
    warnings
}

#[cfg(test)]
#[path = "workloads_tests.rs"]
mod tests;
