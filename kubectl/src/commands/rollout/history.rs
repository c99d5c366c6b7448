//! `rollout history` (kubectl, pkg/polymorphichelpers/history.go): the ReplicaSets of a Deployment by revision.

use serde_json::Value;

use super::workloads;
use crate::command::{Call, Command, command, run};
use crate::common::{FILES, LABELS, PRINT};
use crate::describe::{Out, REVISION, template};
use crate::error::{Result, fail};
use crate::flags::Takes::Int;
use crate::flags::{Flag, flag};
use crate::locate::{self, Found, Options, Target, each};
use crate::output::tab::Tabs;
use crate::output::{Documents, Format};
use crate::pods;
use crate::session::{JSON, Session, say};

const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
const FLAGS: &[Flag] = &[flag("revision", "", Int(0), "Show the template of this revision.")];

/// `rollout history`.
pub const COMMAND: Command = command(
    "history",
    "(TYPE NAME | TYPE/NAME)",
    "View rollout history",
    FLAGS,
    &[PRINT, FILES, LABELS],
    run!(history),
);

/// The ReplicaSets of a Deployment by revision, oldest first.
pub async fn revisions(session: &Session, found: &Found) -> Result<Vec<(i64, Value)>> {
    let resource = session.resources().await?.find("replicasets.apps")?;
    let options = Options { labels: pods::selector(&found.object)?, ..Options::default() };
    let target = Target { resource: resource.clone(), namespace: found.namespace.clone(), name: None };
    let pages = locate::fetch(session, &target, &options, JSON, &[]).await?;
    let uid = api::object::uid(&found.object);
    let sets = pages.into_iter().flat_map(|page| locate::unlist(&resource, page)).map(|set| set.object);
    let ours = sets.filter(|set| api::object::controller_of(set).is_some_and(|owner| owner["uid"] == uid));
    let numbered = ours.filter_map(|set| Some((api::object::annotation(&set, REVISION)?.parse().ok()?, set)));
    let mut all: Vec<(i64, Value)> = numbered.collect();
    all.sort_by_key(|(revision, _)| *revision);
    Ok(all)
}

async fn history(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let wanted = flags.int("revision");
    if wanted < 0 {
        return Err(fail!("revision must be a positive integer: {wanted}"));
    }
    let format = Format::of(flags)?;
    let mut documents = Documents::new(format.clone(), flags);
    let (found, errors) = workloads(&call, "history").await?;
    each(found, errors, async |found| {
        let all = revisions(&call.session, &found).await?;
        if format.human() {
            let text = told(&all, wanted)?;
            let with = if wanted > 0 { format!("with revision #{wanted}") } else { String::new() };
            say(&format!("{} {with}\n{text}\n", found.title()));
            return Ok(());
        }
        if wanted > 0 && !all.iter().any(|(revision, _)| *revision == wanted) {
            return Err(fail!("unable to find the specified revision"));
        }
        for (_, set) in all.iter().filter(|(revision, _)| wanted == 0 || *revision == wanted) {
            say(&documents.next(set)?);
        }
        Ok(())
    })
    .await
}

fn told(all: &[(i64, Value)], wanted: i64) -> Result<String> {
    if all.is_empty() {
        return Ok("No rollout history found.".into());
    }
    if wanted > 0 {
        let Some((_, set)) = all.iter().find(|(revision, _)| *revision == wanted) else {
            return Err(fail!("unable to find the specified revision"));
        };
        let mut out = Out::default();
        let mut copy = set["spec"]["template"].clone();
        if let Some(cause) = api::object::annotation(set, CHANGE_CAUSE) {
            api::object::set_annotation(&mut copy, CHANGE_CAUSE, cause);
        }
        template(&mut out, &copy);
        // This one kubectl prints without aligning its columns.
        return Ok(out.0);
    }
    let mut text = "REVISION\tCHANGE-CAUSE\n".to_string();
    for (revision, set) in all {
        text += &format!("{revision}\t{}\n", api::object::annotation(set, CHANGE_CAUSE).unwrap_or("<none>"));
    }
    Ok(Tabs::describe().align(&text))
}
