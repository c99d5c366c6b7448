//! `create` (kubectl, pkg/cmd/create): from files, and the table of generators. A generator is a pure function from flags to an
//! object, with the empty fields that kubectl's typed objects print in a dry run.

mod account;
mod config;
mod ingress;
mod job;
mod policy;
mod rbac;
mod service;
mod workload;

use http::Method;
use serde_json::{Value, json};

use crate::applied::annotated;
use crate::command::{Call, Command, command, parent, run};
use crate::common::{DRY, FILES, LABELS, PRINT, SAVE, VALIDATE, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag, refused};
use crate::locate::{self, each};
use crate::session::say;
use crate::write::{DryRun, Report, Write};

const FLAGS: &[Flag] = &[
    manager("kubectl-create"),
    flag("raw", "", Text(""), "Path to POST the file to."),
    flag("edit", "", Bool(false), "Edit the objects before they are created."),
    refused("windows-line-endings", "", Bool(false), "editors get lines that end with a line feed"),
];

/// `create`.
pub const COMMAND: Command = command(
    "create",
    "-f FILENAME",
    "Create a resource from a file or from stdin",
    FLAGS,
    &[SAVE, PRINT, FILES, LABELS, DRY, VALIDATE],
    run!(run),
)
.with(&[
    rbac::CLUSTER_ROLE,
    rbac::CLUSTER_ROLE_BINDING,
    config::CONFIG_MAP,
    job::CRON_JOB,
    workload::DEPLOYMENT,
    ingress::COMMAND,
    job::JOB,
    account::NAMESPACE,
    policy::DISRUPTION_BUDGET,
    policy::PRIORITY_CLASS,
    policy::QUOTA,
    rbac::ROLE,
    rbac::ROLE_BINDING,
    parent("secret", "Create a secret using a specified subcommand", config::SECRETS),
    parent("service", "Create a service using a specified subcommand", service::SERVICES).also(&["svc"]),
    account::SERVICE_ACCOUNT,
    account::TOKEN,
]);

/// Flags of all generators beside their own.
const MADE: &[&[Flag]] = &[&[manager("kubectl-create")], SAVE, PRINT, DRY, VALIDATE];

async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if let Some(path) = flags.some("raw") {
        say(&session.send_file(Method::POST, path, |message| call.usage(message)).await?);
        return Ok(());
    }
    if flags.list("filename").is_empty() {
        call.no_args()?;
        return Err(fail!("must specify one of -f and -k"));
    }
    let mut report = Report::of(flags)?;
    let write = Write::of(flags)?;
    let (mut found, errors) = locate::local_each(session).await?;
    if flags.is("edit") {
        found = crate::edit::documents(found)?;
    }
    if found.is_empty() && errors.is_empty() {
        return Err(fail!("no objects passed to create"));
    }
    each(found, errors, async |found| {
        let object = if flags.is("save-config") { annotated(&found.object) } else { found.object };
        let created = match write.dry {
            DryRun::Client => object,
            _ => {
                let created = write.create(session, &found.resource, &found.namespace, &object).await;
                created.map_err(|error| error.when("creating", &found.source))?
            }
        };
        report.say(&found.resource, &created, "created")
    })
    .await
}

/// Sends what a generator made, says so. `what` is how errors call it.
pub async fn submit(call: &Call, object: Value, what: &str, word: &str) -> Result<()> {
    submit_to(&mut Report::of(&call.session.flags)?, call, object, what, word).await
}

/// The same for one of several objects.
pub async fn submit_to(report: &mut Report, call: &Call, object: Value, what: &str, word: &str) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let write = Write::of(flags)?;
    let resources = session.resources().await?;
    let (api_version, kind) = (api::object::api_version(&object), api::object::kind(&object));
    let resource = resources
        .of_kind(api_version, kind)
        .ok_or_else(|| fail!("no matches for kind {kind:?} in version {api_version:?}"))?;
    let mut object = if flags.is("save-config") { annotated(&object) } else { object };
    if write.dry != DryRun::Client {
        let namespace = session.namespace()?;
        let made = write.create(session, &resource, &namespace, &object).await;
        object = made.map_err(|error| match what.is_empty() {
            true => error,
            false => error.plain(&format!("failed to create {what}: ")),
        })?;
    }
    report.say(&resource, &object, word)
}

/// `metadata` of a new object; in the namespace said, or the configured one where it is not the default.
pub fn metadata(call: &Call, name: &str) -> Result<Value> {
    let session = &call.session;
    let namespace = session.namespace()?;
    Ok(match session.namespace_given() || namespace != "default" {
        true => in_namespace(name, &namespace),
        false => bare(name),
    })
}

/// `metadata` in a namespace.
fn in_namespace(name: &str, namespace: &str) -> Value {
    json!({"creationTimestamp": null, "name": name, "namespace": namespace})
}

/// `metadata` of what lives in no namespace.
pub fn bare(name: &str) -> Value {
    json!({"creationTimestamp": null, "name": name})
}
