//! Jobs and CronJobs (upstream: pkg/apis/batch/validation, pkg/registry/batch/job/strategy.go).

use api::field::FieldError;
use api::selector::{self, LabelSelector};
use api::{names, object};
use serde_json::{Value, json};

use super::check::{At, Errors, run};
use super::pod::{spec, warnings};
use super::{Strategy, schedule, semantic};

const CONTROLLER: &str = "batch.kubernetes.io/controller-uid";
const SPEC: &str = "io.k8s.api.batch.v1.JobSpec";
/// The names of a CronJob's jobs are eleven characters longer.
const LONGEST_CRON_NAME: usize = 52;

/// See the module.
pub struct Job;
/// See the module.
pub struct CronJob;

impl Strategy for Job {
    fn default(&self, object: &mut Value) {
        own_labels(object);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            job_spec(&spec, errors);
            let (selector, template) = (spec.get("selector"), spec.get("template"));
            if !selector.present() {
                return errors.required(&selector, "");
            }
            errors.0.extend(selector::validate(selector.value, &selector.path));
            let labels = template.at("metadata.labels");
            if LabelSelector::from_value(selector.value).is_ok_and(|parsed| !parsed.matches_map(labels.map())) {
                errors.invalid(&labels, "`selector` does not match template `labels`");
            }
        })
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        let own = json!({"matchLabels": {CONTROLLER: object::uid(object)}});
        run(|errors| {
            if !spec.get("manualSelector").flag() && spec.get("selector").value != &own {
                errors.invalid(&spec.get("selector"), "`selector` not auto-generated");
            }
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let clean = |object: &Value| semantic::canonical(SPEC, &object["spec"]);
        let (after, before) = (clean(new), clean(old));
        let shown = At::root(new).get("spec");
        // An indexed job may grow and shrink as long as all its pods run at once.
        let elastic = after["completionMode"] == "Indexed" && after["completions"] == after["parallelism"];
        // The template of a job that has not begun may be directed elsewhere.
        let waiting = before["suspend"] == true && old.pointer("/status/startTime").is_none_or(Value::is_null);
        run(|errors| {
            for (field, may_change) in
                [("completions", elastic), ("selector", false), ("template", waiting), ("completionMode", false)]
            {
                if !may_change && after[field] != before[field] {
                    errors.invalid(&shown.get(field), super::check::IMMUTABLE);
                }
            }
        })
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_some_and(|old| old["spec"] == object["spec"]) {
            return Vec::new();
        }
        warnings::of_spec(&At::root(object).at("spec.template.spec"))
    }
}

/// A job tells its pods by its UID, unless its author does so otherwise (generateSelector).
fn own_labels(object: &mut Value) {
    let (uid, name) = (object::uid(object).to_string(), object::name(object).to_string());
    let by_hand = object::flag(object, "/spec/manualSelector");
    if uid.is_empty() || name.is_empty() || by_hand || object::at(object, "/spec/selector").is_some() {
        return;
    }
    if object::at(object, "/spec/template").is_none() {
        return;
    }
    for (label, value) in
        [("controller-uid", &uid), (CONTROLLER, &uid), ("job-name", &name), ("batch.kubernetes.io/job-name", &name)]
    {
        let escaped = label.replace('/', "~1");
        object::set(object, &format!("/spec/template/metadata/labels/{escaped}"), json!(value));
    }
    object::set(object, "/spec/selector", json!({"matchLabels": {CONTROLLER: uid}}));
}

/// What jobs and the templates of jobs have in common.
fn job_spec(spec: &At<'_>, errors: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        errors.non_negative(&spec.get(field));
    }
    let mode = spec.get("completionMode");
    if mode.present() {
        errors.supported(&mode, &["NonIndexed", "Indexed"]);
    }
    let indexed = mode.text() == "Indexed";
    if indexed && !spec.get("completions").present() {
        errors.required(&spec.get("completions"), "when completion mode is Indexed");
    }
    if indexed && spec.get("parallelism").int().is_some_and(|pods| pods > 100_000) {
        let detail = "must be less than or equal to 100000 when completion mode is Indexed";
        errors.invalid(&spec.get("parallelism"), detail);
    }
    if !indexed && spec.get("backoffLimitPerIndex").present() {
        errors.invalid(&spec.get("backoffLimitPerIndex"), "requires indexed completion mode");
    }
    let replacement = spec.get("podReplacementPolicy");
    if replacement.present() {
        errors.supported(&replacement, &["Failed", "TerminatingOrFailed"]);
    }
    let template = spec.get("template");
    self::spec::template(&template, errors);
    let restart = template.at("spec.restartPolicy");
    match restart.text() {
        "Always" | "" => errors.required(&restart, "valid values: \"OnFailure\", \"Never\""),
        _ => errors.supported(&restart, &["OnFailure", "Never"]),
    }
}

impl Strategy for CronJob {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        let spec = root.get("spec");
        run(|errors| {
            let when = spec.get("schedule");
            if errors.filled(&when)
                && let Err(why) = schedule::check(when.text())
            {
                errors.invalid(&when, why);
            }
            errors.non_negative(&spec.get("startingDeadlineSeconds"));
            errors.one_of(&spec.get("concurrencyPolicy"), &["Allow", "Forbid", "Replace"]);
            errors.non_negative(&spec.get("successfulJobsHistoryLimit"));
            errors.non_negative(&spec.get("failedJobsHistoryLimit"));
            let template = spec.get("jobTemplate");
            errors.labels(&At { path: template.get("labels").path, ..template.at("metadata.labels") });
            let notes = template.at("metadata.annotations");
            errors.0.extend(names::validate_annotations(notes.map(), &template.get("annotations").path));
            job_spec(&template.get("spec"), errors);
        })
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let name = At::root(object).at("metadata.name");
        run(|errors| {
            if name.text().len() > LONGEST_CRON_NAME {
                errors.invalid(&name, format!("must be no more than {LONGEST_CRON_NAME} characters"));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::defaults;
    use crate::strategy::testing::texts;
    use api::kinds;

    fn made(plural: &str, mut object: Value) -> Value {
        let (kind, _) = kinds::find("batch", "v1", plural).unwrap();
        object["metadata"] = json!({"name": "j", "uid": "u"});
        defaults::apply(kind, &mut object);
        crate::strategy::of(kind).default(&mut object);
        object
    }

    fn job(more: Value) -> Value {
        let mut job = json!({"spec": {"template": {"spec":
            {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
        job["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        job
    }

    #[test]
    fn jobs() {
        let table = [
            (json!({}), vec![]),
            (
                json!({"parallelism": -1}),
                vec!["spec.parallelism: Invalid value: -1: must be greater than or equal to 0"],
            ),
            (
                json!({"completionMode": "Indexed", "parallelism": 1}),
                vec!["spec.completions: Required value: when completion mode is Indexed"],
            ),
            (
                json!({"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}),
                vec!["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
            ),
            (
                json!({"selector": {"matchLabels": {"a": "b"}}}),
                vec![
                    "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
                    "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` not auto-generated",
                ],
            ),
        ];
        for (more, expected) in table {
            let object = made("jobs", job(more.clone()));
            let mut errors = Job.validate(&object);
            errors.extend(Job.validate_create(&object));
            assert_eq!(texts(&errors), expected, "{more}");
        }
    }

    #[test]
    fn a_job_knows_its_pods() {
        let object = made("jobs", job(json!({})));
        assert_eq!(object["spec"]["selector"], json!({"matchLabels": {CONTROLLER: "u"}}));
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        assert_eq!((&labels["job-name"], &labels["controller-uid"]), (&json!("j"), &json!("u")));
    }

    #[test]
    fn what_a_job_keeps() {
        let old = made("jobs", job(json!({})));
        let mut new = old.clone();
        new["spec"]["completions"] = json!(5);
        new["spec"]["parallelism"] = json!(7);
        assert_eq!(texts(&Job.validate_update(&new, &old)), ["spec.completions: Invalid value: 5: field is immutable"]);
    }

    #[test]
    fn cron_jobs() {
        let table = [
            ("*/5 * * * *", vec![]),
            ("", vec!["spec.schedule: Required value"]),
            ("* *", vec!["spec.schedule: Invalid value: \"* *\": expected exactly 5 fields, found 2: [* *]"]),
        ];
        for (when, expected) in table {
            let cron = made("cronjobs", json!({"spec": {"schedule": when, "jobTemplate": job(json!({}))}}));
            assert_eq!(texts(&CronJob.validate(&cron)), expected, "{when}");
        }
    }
}
