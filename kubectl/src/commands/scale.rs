//! `scale` (kubectl, pkg/cmd/scale and pkg/scale).

use std::time::Duration;

use serde_json::{Value, json};

use crate::command::{Call, Command, command, run};
use crate::common::{ALL, DRY, FILES, LABELS, PRINT};
use crate::error::{Result, fail};
use crate::flags::Takes::{Duration as Time, Int, Text};
use crate::flags::{Flag, Flags, flag};
use crate::locate::{self, Found, Options, each};
use crate::session::Session;
use crate::write::{DryRun, MERGE, Report, Write};

const FLAGS: &[Flag] = &[
    flag("replicas", "", Int(0), "How many there shall be. Required."),
    flag("current-replicas", "", Int(-1), "Scale only if there are so many; -1 for any number."),
    flag("resource-version", "", Text(""), "Scale only an object of this version."),
    flag("timeout", "", Time("0s"), "How long to wait until there are so many; 0 for not at all."),
];

/// `scale`.
pub const COMMAND: Command = command(
    "scale",
    "[--resource-version=version] [--current-replicas=count] --replicas=COUNT (-f FILENAME | TYPE NAME)",
    "Set a new size for a deployment, replica set, or replication controller",
    FLAGS,
    &[PRINT, FILES, LABELS, ALL, DRY],
    run!(scale),
);

/// How often the size is looked at while it is waited for (pkg/cmd/scale: 1 s).
const INTERVAL: Duration = Duration::from_secs(1);

async fn scale(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if !flags.given("replicas") {
        return Err(fail!("required flag(s) \"replicas\" not set"));
    }
    if flags.int("replicas") < 0 {
        return Err(fail!("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0"));
    }
    if flags.int("current-replicas") < -1 {
        return Err(fail!("The --current-replicas must specify an integer of -1 or greater"));
    }
    let (found, errors) = locate::live(session, &call.args, &Options::of(session)).await?;
    if found.is_empty() {
        let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
        return Err(fail!("no objects passed to scale {}", why.join(" ")));
    }
    if found.len() > 1 && flags.some("resource-version").is_some() {
        return Err(fail!("cannot use --resource-version with multiple resources"));
    }
    let mut report = Report::of(flags)?;
    let write = Write { manager: "", dry: DryRun::of(flags)?, validation: "" };
    each(found, errors, async |found| {
        if write.dry != DryRun::Client {
            resize(session, &write, &found).await?;
        }
        report.say(&found.resource, &found.object, "scaled")
    })
    .await
}

async fn resize(session: &Session, write: &Write<'_>, found: &Found) -> Result<()> {
    let flags = &session.flags;
    let path = format!("{}/scale", found.path());
    let replicas = flags.int("replicas");
    if flags.int("current-replicas") >= 0 || flags.some("resource-version").is_some() {
        let mut current = session.get(&path).await?;
        expected(&current, flags)?;
        api::object::set(&mut current, "/spec/replicas", json!(replicas));
        write.replace(session, &path, &current).await?;
    } else {
        write.patch(session, &path, MERGE, &json!({"spec": {"replicas": replicas}})).await?;
    }
    let limit = Duration::try_from(flags.duration("timeout")).unwrap_or_default();
    if limit.is_zero() || write.dry != DryRun::No {
        return Ok(());
    }
    let waiting = async {
        loop {
            let now = session.get(&path).await?;
            let number = |pointer: &str| api::object::integer(&now, pointer).unwrap_or(0);
            if number("/spec/replicas") == replicas && number("/status/replicas") == replicas {
                return Ok(());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    let waited = tokio::time::timeout(limit, waiting).await;
    waited.unwrap_or_else(|_| Err(fail!("timed out waiting for {:?} to be synced", found.name)))
}

/// Whether the scale is what the flags demand.
fn expected(current: &Value, flags: &Flags) -> Result<()> {
    let (size, wanted) = (api::object::integer(current, "/spec/replicas").unwrap_or(0), flags.int("current-replicas"));
    if wanted >= 0 && size != wanted {
        return Err(fail!("Expected replicas to be {wanted}, was {size}"));
    }
    let version = api::object::resource_version(current).unwrap_or_default();
    match flags.some("resource-version") {
        Some(wanted) if wanted != version => Err(fail!("Expected resource version to be {wanted}, was {version}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn preconditions_name_what_they_found() {
        let current = json!({"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 3}});
        for (line, error) in [
            ("--current-replicas=3 --resource-version=7", None),
            ("--current-replicas=2", Some("Expected replicas to be 2, was 3")),
            ("--resource-version=6", Some("Expected resource version to be 6, was 7")),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_string).collect();
            let got = expected(&current, &parse(FLAGS, &words).unwrap().flags).err().map(|error| error.to_string());
            assert_eq!(got.as_deref(), error, "{line}");
        }
    }
}
