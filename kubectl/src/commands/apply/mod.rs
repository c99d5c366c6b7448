//! `apply` (kubectl, pkg/cmd/apply): three-way merge between what was last applied (an annotation), what is wanted, and what is
//! live.

mod view;

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::missing::unsupported;
use crate::applied::{LAST_APPLIED, annotated, last_applied, three_way};
use crate::command::{Call, Command, command, run};
use crate::common::{ALL, DELETING, DRY, FILES, LABELS, PRINT, VALIDATE};
use crate::error::{Error, Result, all, fail};
use crate::flags::Takes::{Array, Bool, Text};
use crate::flags::{Flag, Flags, flag, refused};
use crate::locate::{self, Found};
use crate::output;
use crate::removal::{Removal, gone};
use crate::session::{JSON, Session, with_query};
use crate::write::{DryRun, MERGE, Report, STRATEGIC, Write};

const FLAGS: &[Flag] = &[
    flag("field-manager", "", Text("kubectl-client-side-apply"), "Who owns the written fields."),
    flag("force-conflicts", "", Bool(false), "With --server-side: take fields that others own."),
    flag("openapi-patch", "", Bool(true), "Merge by the schema; the built-in one is always used."),
    flag(
        "overwrite",
        "",
        Bool(true),
        "Overwrite what others changed since the last apply; with =false that is an error.",
    ),
    refused("prune", "", Bool(false), "delete what is no longer wanted with delete -l"),
    refused("prune-allowlist", "", Array, "delete what is no longer wanted with delete -l"),
    flag("server-side", "", Bool(false), "Let the server merge."),
    flag("subresource", "", Text(""), "With --server-side: apply to this subresource."),
    flag("wait", "", Bool(false), "With --force: wait until the old object is gone; it always is."),
];

/// `apply`.
pub const COMMAND: Command = command(
    "apply",
    "(-f FILENAME | -k DIRECTORY)",
    "Apply a configuration to a resource by file name or stdin",
    FLAGS,
    &[PRINT, FILES, LABELS, ALL, DRY, VALIDATE, DELETING],
    run!(run),
)
.with(&[
    unsupported(
        "edit-last-applied",
        "Edit latest last-applied-configuration annotations of a resource/object",
        "edit the manifest and apply it",
    ),
    unsupported(
        "set-last-applied",
        "Set the last-applied-configuration annotation on a live object to match the contents of a file",
        "apply the manifest",
    ),
    view::COMMAND,
]);

/// How often a conflicting patch is made anew.
const TRIES: usize = 5;

async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    call.no_args()?;
    refuse(flags)?;
    let mut report = Report::of(flags)?;
    let write = Write { manager: manager(flags), ..Write::of(flags)? };
    if flags.is("server-side") && write.dry == DryRun::Client {
        return Err(fail!("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)"));
    }
    let (documents, mut errors) = locate::local_each(session).await?;
    if documents.is_empty() && errors.is_empty() {
        return Err(fail!("no objects passed to apply"));
    }
    let mut done = Vec::new();
    for found in documents {
        match apply(session, &write, &found).await {
            Ok((object, _)) if report.whole() => done.push(object),
            Ok((object, word)) => report.say(&found.resource, &object, word)?,
            Err(error) => errors.push(error),
        }
    }
    if !done.is_empty() {
        let whole = if done.len() == 1 { done.remove(0) } else { output::list(done) };
        let mut documents = output::Documents::new(output::Format::of(flags)?, flags);
        crate::session::say(&documents.next(&whole)?);
    }
    all(errors)
}

fn refuse(flags: &Flags) -> Result<()> {
    if flags.list("filename").is_empty() {
        return Err(fail!("must specify one of -f and -k"));
    }
    if flags.is("force-conflicts") && !flags.is("server-side") {
        return Err(fail!("--force-conflicts only works with --server-side"));
    }
    if flags.is("force") && flags.is("server-side") {
        return Err(fail!("--force cannot be used with --server-side"));
    }
    if flags.some("subresource").is_some() && !flags.is("server-side") {
        return Err(fail!("--subresource can only be specified for --server-side"));
    }
    if flags.is("force") && DryRun::of(flags)? == DryRun::Server {
        return Err(fail!("--dry-run=server cannot be used with --force"));
    }
    Ok(())
}

fn manager(flags: &Flags) -> &str {
    match flags.given("field-manager") || !flags.is("server-side") {
        true => flags.text("field-manager"),
        false => "kubectl",
    }
}

/// Applies one object; says what it became and with which word.
async fn apply(session: &Session, write: &Write<'_>, found: &Found) -> Result<(Value, &'static str)> {
    if found.name.is_empty() {
        if !api::object::generate_name(&found.object).is_empty() {
            let name = api::object::generate_name(&found.object);
            return Err(fail!("from {name}: cannot use generate name with apply"));
        }
        return Err(fail!(
            "error when retrieving current configuration of:\n{}\nfrom server for: {:?}: resource name may not be empty",
            describe(found),
            found.source
        ));
    }
    if session.flags.is("server-side") {
        return server_side(session, write, found).await;
    }
    let wanted = annotated(&found.object);
    let live = match session.json(Method::GET, &found.path(), JSON, None).await {
        Ok(live) => live,
        Err(error) if error.is("NotFound") => {
            if write.dry == DryRun::Client {
                return Ok((wanted, "created"));
            }
            let created = write.create(session, &found.resource, &found.namespace, &wanted).await;
            return Ok((created.map_err(|error| error.when("creating", &found.source))?, "created"));
        }
        Err(error) => {
            let words = format!("retrieving current configuration of:\n{}\nfrom server for:", describe(found));
            return Err(error.before(&format!("error when {words} {:?}: ", found.source)));
        }
    };
    if api::object::annotation(&live, LAST_APPLIED).is_none() {
        eprintln!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
            found.resource.plural, found.name
        );
    }
    if write.dry == DryRun::Client {
        return Ok((live, "configured"));
    }
    patch(session, write, found, &wanted, live).await
}

/// Patches the live object until nobody interferes.
async fn patch(
    session: &Session,
    write: &Write<'_>,
    found: &Found,
    wanted: &Value,
    mut live: Value,
) -> Result<(Value, &'static str)> {
    let mut tries = 0;
    loop {
        let patch = patch_to(session, found, wanted, &live)?;
        if patch.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok((live, "unchanged"));
        }
        let media_type = if found.resource.definition().is_some() { STRATEGIC } else { MERGE };
        match write.patch(session, &found.path(), media_type, &patch).await {
            Ok(object) => {
                let same = api::object::resource_version(&object) == api::object::resource_version(&live);
                return Ok((object, if same && write.dry == DryRun::No { "unchanged" } else { "configured" }));
            }
            Err(error) if error.is("Conflict") && tries < TRIES => {
                tries += 1;
                live = session.json(Method::GET, &found.path(), JSON, None).await?;
            }
            Err(error) if session.flags.is("force") && (error.is("Conflict") || error.is("Invalid")) => {
                return replace(session, write, found, wanted).await;
            }
            Err(error) => {
                let error = error.when("patching", &found.source);
                let words = format!("applying patch:\n{patch}\nto:\n{}\nfor:", describe(found));
                return Err(error.before(&format!("error when {words} {:?}: ", found.source)));
            }
        }
    }
}

/// `--force`: deletes the object and creates it again.
async fn replace(session: &Session, write: &Write<'_>, found: &Found, wanted: &Value) -> Result<(Value, &'static str)> {
    let uid = Removal::of(&session.flags)?.delete(session, &found.target()).await?;
    let limit = Duration::try_from(session.flags.duration("timeout")).ok().filter(|limit| !limit.is_zero());
    gone(session, &found.target(), &uid, limit).await?;
    let created = write.create(session, &found.resource, &found.namespace, wanted).await?;
    Ok((created, "configured"))
}

/// The patch that leads from live to wanted; with `--overwrite=false` it is refused where it undoes what others did.
fn patch_to(session: &Session, found: &Found, wanted: &Value, live: &Value) -> Result<Value> {
    let definition = found.resource.definition();
    let about = |error: String| fail!("creating patch with:\n{}\nfor: {:?}: {error}", describe(found), found.source);
    let last = last_applied(live).map_err(|error| about(error.to_string()))?;
    let patch = three_way(last.as_ref(), wanted, live, definition).map_err(|error| about(error.to_string()))?;
    if let (Some(last), false) = (&last, session.flags.is("overwrite")) {
        let changed = api::patch::create_two_way(last, live, definition).map_err(|error| about(error.to_string()))?;
        if crate::applied::conflict(&patch, &changed) {
            let (patch, changed) = (api::yaml::write(&patch), api::yaml::write(&changed));
            return Err(about(format!(
                "patch:\n{patch}\nconflicts with changes made from original to current:\n{changed}\n"
            )));
        }
    }
    Ok(patch)
}

/// The server merges; it says so itself where it does not know how.
async fn server_side(session: &Session, write: &Write<'_>, found: &Found) -> Result<(Value, &'static str)> {
    let force = if session.flags.is("force-conflicts") { "true" } else { "" };
    let path = session.flags.some("subresource").map_or(found.path(), |sub| format!("{}/{sub}", found.path()));
    let path = with_query(&path, &[("force", force)]);
    let applied = write.patch(session, &path, "application/apply-patch+yaml", &found.object).await;
    match applied {
        Ok(object) => Ok((object, "serverside-applied")),
        Err(error @ Error::Status(_)) => Err(error),
        Err(error) => Err(error.when("applying", &found.source)),
    }
}

/// How kubectl shows what an error is about.
fn describe(found: &Found) -> String {
    let resource = &found.resource;
    let group = format!("{}/{}", resource.group, resource.version);
    format!(
        "Resource: \"{group}, Resource={}\", GroupVersionKind: \"{group}, Kind={}\"\nName: {:?}, Namespace: {:?}",
        resource.plural, resource.kind, found.name, found.namespace
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::tests::served;

    #[test]
    fn errors_show_what_they_are_about() {
        let found = Found::live(&served().find("cm").unwrap(), json!({"metadata": {"name": "x", "namespace": "d"}}));
        assert_eq!(
            describe(&found),
            "Resource: \"/v1, Resource=configmaps\", GroupVersionKind: \"/v1, Kind=ConfigMap\"\nName: \"x\", Namespace: \"d\""
        );
    }
}
