//! `replace` (kubectl, pkg/cmd/replace).

use std::time::Duration;

use http::Method;

use crate::applied::annotated;
use crate::command::{Call, Command, command, run};
use crate::common::{DELETING, DRY, FILES, PRINT, SAVE, VALIDATE, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag};
use crate::locate::{self, Found, each};
use crate::removal::{Removal, gone};
use crate::session::{Session, line, say};
use crate::write::{DryRun, Report, Write};

const FLAGS: &[Flag] = &[
    manager("kubectl-replace"),
    flag("raw", "", Text(""), "Path to PUT the file to."),
    flag("subresource", "", Text(""), "Replace this subresource."),
    flag("wait", "", Bool(false), "With --force: wait until the old object is gone; it always is."),
];

/// `replace`.
pub const COMMAND: Command = command(
    "replace",
    "-f FILENAME",
    "Replace a resource by file name or stdin",
    FLAGS,
    &[DELETING, PRINT, FILES, DRY, VALIDATE, SAVE],
    run!(replace),
);

async fn replace(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if let Some(path) = flags.some("raw") {
        let answer = session.send_file(Method::PUT, path, |message| call.usage(message)).await?;
        say(&answer);
        return Ok(());
    }
    if flags.is("force") && DryRun::of(flags)? != DryRun::No {
        return Err(fail!("--dry-run can not be used when --force is set"));
    }
    if !flags.is("force") && (flags.given("grace-period") || flags.given("timeout")) {
        let which = if flags.given("grace-period") { "--grace-period" } else { "--timeout" };
        return Err(fail!("{which} must have --force specified"));
    }
    if flags.list("filename").is_empty() {
        return Err(fail!("must specify one of -f and -k"));
    }
    let mut report = Report::of(flags)?;
    let write = Write::of(flags)?;
    let (found, errors) = locate::local_each(session).await?;
    if found.is_empty() && errors.is_empty() {
        return Err(fail!("no objects passed to replace"));
    }
    if flags.is("force") {
        clear(session, &found).await?;
    }
    each(found, errors, async |mut found| {
        if flags.is("save-config") {
            found.object = annotated(&found.object);
        }
        let object = match flags.is("force") {
            true => write.create(session, &found.resource, &found.namespace, &found.object).await,
            false => put(session, &write, &found).await,
        };
        report.say(&found.resource, &object.map_err(|error| error.when("replacing", &found.source))?, "replaced")
    })
    .await
}

/// Puts an object in the place of the live one, whatever its version.
async fn put(session: &Session, write: &Write<'_>, found: &Found) -> Result<serde_json::Value> {
    let mut object = found.object.clone();
    let path = session.flags.some("subresource").map_or(found.path(), |sub| format!("{}/{sub}", found.path()));
    if write.dry == DryRun::Client {
        return Ok(object);
    }
    if api::object::resource_version(&object).is_none() {
        let live = session.get(&found.path()).await?;
        api::object::set_resource_version(&mut object, api::object::resource_version(&live).unwrap_or_default());
    }
    write.replace(session, &path, &object).await
}

/// Deletes the live objects, all of them before the first new one is made, and waits until they are gone.
async fn clear(session: &Session, found: &[Found]) -> Result<()> {
    let removal = Removal::of(&session.flags)?;
    let limit = Duration::try_from(session.flags.duration("timeout")).ok().filter(|limit| !limit.is_zero());
    let mut going = Vec::new();
    for found in found {
        let target = found.target();
        match removal.delete(session, &target).await {
            Ok(uid) => {
                line(&format!("{} {:?} deleted", found.resource.one(), found.name));
                going.push((target, uid));
            }
            Err(error) if error.is("NotFound") => {}
            Err(error) => return Err(error),
        }
    }
    for (target, uid) in &going {
        gone(session, target, uid, limit).await?;
    }
    Ok(())
}
