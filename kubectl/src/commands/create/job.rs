//! `create job` and `create cronjob`.

use serde_json::{Value, json};

use super::{MADE, metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::error::{Result, fail};
use crate::flags::Takes::Text;
use crate::flags::{Flag, flag};
use crate::locate;

const IMAGE: Flag = flag("image", "", Text(""), "Image of the container.");

/// `create job`.
pub const JOB: Command = command(
    "job",
    "NAME --image=image [--from=cronjob/name] -- [COMMAND] [args...]",
    "Create a job with the specified name",
    &[IMAGE, flag("from", "", Text(""), "CronJob whose template to take: cronjob/NAME.")],
    MADE,
    run!(job),
);
/// `create cronjob`.
pub const CRON_JOB: Command = command(
    "cronjob",
    "NAME --image=image --schedule='0/5 * * * ?' -- [COMMAND] [args...]",
    "Create a cron job with the specified name",
    &[
        IMAGE,
        flag("restart", "", Text(""), "OnFailure or Never."),
        flag("schedule", "", Text(""), "When to run, in cron's form. Required."),
    ],
    MADE,
    run!(cron_job),
)
.also(&["cj"]);

async fn job(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let (name, command) = call.name_and_command()?;
    let object = match (flags.some("image"), flags.some("from")) {
        (Some(image), None) => {
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(&call, name)?,
                "spec": {"template": template(name, image, "Never", command)}, "status": {}})
        }
        (None, Some(_)) if !command.is_empty() => return Err(fail!("cannot specify --from and command")),
        (None, Some(from)) => {
            let found = locate::one(&call.session, &[from.to_string()], "").await?;
            if found.resource.kind != "CronJob" {
                return Err(fail!("from must be an existing cronjob"));
            }
            of_cron_job(metadata(&call, name)?, &found.object)
        }
        _ => return Err(fail!("either --image or --from must be specified")),
    };
    submit(&call, object, "job", "created").await
}

async fn cron_job(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let missing: Vec<String> =
        ["image", "schedule"].iter().filter(|flag| !flags.given(flag)).map(|flag| format!("{flag:?}")).collect();
    if !missing.is_empty() {
        return Err(fail!("required flag(s) {} not set", missing.join(", ")));
    }
    let (name, command) = call.name_and_command()?;
    let restart = flags.some("restart").unwrap_or("OnFailure");
    let template = template(name, flags.text("image"), restart, command);
    let object = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata(&call, name)?,
        "spec": {
            "jobTemplate": {"metadata": {"creationTimestamp": null, "name": name}, "spec": {"template": template}},
            "schedule": flags.text("schedule"),
        },
        "status": {}});
    submit(&call, object, "cronjob", "created").await
}

/// A pod template of one container.
fn template(name: &str, image: &str, restart: &str, command: &[String]) -> Value {
    let mut container = json!({"image": image, "name": name, "resources": {}});
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    json!({"metadata": {"creationTimestamp": null}, "spec": {"containers": [container], "restartPolicy": restart}})
}

/// The Job that a CronJob would make, marked as made by hand.
fn of_cron_job(mut metadata: Value, cron_job: &Value) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.insert("cronjob.kubernetes.io/instantiate".into(), json!("manual"));
    metadata["annotations"] = Value::Object(annotations);
    if template["metadata"]["labels"].is_object() {
        metadata["labels"] = template["metadata"]["labels"].clone();
    }
    metadata["ownerReferences"] = json!([{"apiVersion": "batch/v1", "controller": true, "kind": "CronJob",
        "name": api::object::name(cron_job), "uid": api::object::uid(cron_job)}]);
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"], "status": {}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_a_cron_job_is_owned_by_it() {
        let cron_job = json!({"metadata": {"name": "c", "uid": "u"}, "spec": {"jobTemplate": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"template": template("c", "i", "Never", &["x".into()])}}}});
        let job = of_cron_job(json!({"name": "j"}), &cron_job);
        assert_eq!(job["metadata"]["annotations"], json!({"cronjob.kubernetes.io/instantiate": "manual"}));
        assert_eq!(
            (&job["metadata"]["labels"], &job["metadata"]["ownerReferences"][0]["uid"]),
            (&json!({"a": "b"}), &json!("u"))
        );
        assert_eq!(job["spec"]["template"]["spec"]["containers"][0]["command"], json!(["x"]));
    }
}
