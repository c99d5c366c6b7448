//! `wait` (kubectl, pkg/cmd/wait): until a condition holds, a field has a value, an object is there or gone.

use std::time::Duration;

use api::jsonpath::JsonPath;
use serde_json::Value;

use crate::command::{Call, Command, command, run};
use crate::common::{ALL, EVERYWHERE, FIELDS, FILES_BELOW, LABELS, LOCAL, PRINT};
use crate::error::{Result, fail};
use crate::flags::Takes::{Duration as Time, Text};
use crate::flags::{Flag, flag};
use crate::locate::{self, Options, each};
use crate::output::{go, relaxed_path};
use crate::removal::gone;
use crate::session::Session;
use crate::watch::follow;
use crate::write::Report;

const FLAGS: &[Flag] = &[
    flag("for", "", Text(""), "create, delete, condition=NAME[=VALUE], or jsonpath='{PATH}'[=VALUE]."),
    flag("timeout", "", Time("30s"), "How long to wait; negative for a week."),
];

/// `wait`.
pub const COMMAND: Command = command(
    "wait",
    "([-f FILENAME] | resource.group/resource.name | resource.group [(-l label | --all)]) [--for=create|--for=delete|--for condition=available|--for=jsonpath='{}'[=value]]",
    "Experimental: Wait for a specific condition on one or many resources",
    FLAGS,
    &[PRINT, FILES_BELOW, LABELS, FIELDS, EVERYWHERE, ALL, LOCAL],
    run!(run),
);

const WEEK: Duration = Duration::from_secs(168 * 3600);

/// What is waited for.
#[derive(Debug)]
enum Until {
    Deleted,
    Created,
    Condition(String, String),
    Field(JsonPath, Option<String>),
}

impl Until {
    fn parse(text: &str) -> Result<Self> {
        let lower = text.to_lowercase();
        if lower == "delete" {
            return Ok(Self::Deleted);
        }
        if lower == "create" {
            return Ok(Self::Created);
        }
        if let Some(rest) = text.strip_prefix("condition=") {
            let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
            return Ok(Self::Condition(name.into(), value.into()));
        }
        if let Some(rest) = text.strip_prefix("jsonpath=") {
            let rest = rest.trim_matches('\'');
            let end = rest.rfind('}').map_or(rest.len(), |end| end + 1);
            let (path, value) = rest.split_at(end);
            let (path, value) = match value.trim_start_matches('\'').strip_prefix('=') {
                Some(value) => (path, Some(value.trim_matches(['\'', '"']).to_string())),
                None => match path.split_once('=').filter(|_| !path.ends_with('}')) {
                    Some((path, value)) => (path, Some(value.to_string())),
                    None => (path, None),
                },
            };
            if value.as_deref() == Some("") {
                return Err(fail!(
                    "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{{.status.readyReplicas}}'=3"
                ));
            }
            return Ok(Self::Field(relaxed_path(path)?.allow_missing_keys(true), value));
        }
        Err(fail!("unrecognized condition: {text:?}"))
    }

    /// Whether an object has it.
    fn holds(&self, object: &Value) -> Result<bool> {
        match self {
            Self::Deleted => Ok(false),
            Self::Created => Ok(true),
            Self::Condition(name, wanted) => {
                let all = api::object::list(object, "/status/conditions");
                let found =
                    all.iter().find(|one| one["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case(name)));
                let Some(found) = found else { return Ok(false) };
                let observed =
                    found["observedGeneration"].as_i64().or(api::object::integer(object, "/status/observedGeneration"));
                if observed.is_some_and(|observed| observed < api::object::generation(object)) {
                    return Ok(false);
                }
                Ok(found["status"].as_str().is_some_and(|status| status.eq_ignore_ascii_case(wanted)))
            }
            Self::Field(path, wanted) => {
                let found: Vec<Value> =
                    path.find(object).map_err(|error| fail!("{error}"))?.into_iter().flatten().collect();
                match (found.as_slice(), wanted) {
                    ([], _) => Ok(false),
                    (_, None) => Ok(true),
                    ([Value::Object(_) | Value::Array(_)], Some(_)) => {
                        Err(fail!("jsonpath leads to a nested object or list which is not supported"))
                    }
                    ([one], Some(wanted)) => Ok(go(one).trim() == wanted.trim()),
                    _ => Err(fail!("given jsonpath expression matches more than one value")),
                }
            }
        }
    }
}

async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let until = Until::parse(flags.text("for"))?;
    let limit = flags.duration("timeout");
    let limit = if limit.is_negative() { WEEK } else { Duration::try_from(limit).unwrap_or_default() };
    let deadline = tokio::time::Instant::now() + limit;
    let options = Options::of(session);
    let mut report = Report::of(flags)?;
    if let Until::Created = until {
        created(session, &call.args, &options, deadline).await?;
    }
    let (found, mut errors) = match flags.is("local") {
        true => locate::chosen(session, &call.args).await?,
        false => locate::live(session, &call.args, &options).await?,
    };
    if let Until::Deleted = until {
        errors.retain(|error| !error.is("NotFound"));
    } else if found.is_empty() && errors.is_empty() {
        return Err(fail!("no matching resources found"));
    }
    each(found, errors, async |found| {
        let mut object = found.object.clone();
        let waiting = async {
            let uid = api::object::uid(&found.object);
            if let Until::Deleted = until {
                return gone(session, &found.target(), uid, Some(WEEK)).await;
            }
            if flags.is("local") {
                return match until.holds(&found.object)? {
                    true => Ok(()),
                    false => std::future::pending().await,
                };
            }
            follow(session, &found.target(), |now| {
                object = now.cloned().unwrap_or_default();
                now.map_or(Ok(false), |now| until.holds(now))
            })
            .await
        };
        let late = || found.target().late();
        tokio::time::timeout_at(deadline, waiting).await.unwrap_or_else(|_| Err(late()))?;
        report.say(&found.resource, &object, "condition met")
    })
    .await
}

/// Waits until all that is named is there.
async fn created(session: &Session, words: &[String], options: &Options, deadline: tokio::time::Instant) -> Result<()> {
    if words.len() < 2 && !words.iter().any(|word| word.contains('/')) {
        return Ok(());
    }
    for target in locate::targets(words, session.resources().await?, &session.namespace()?, options)? {
        let waiting = follow(session, &target, |object| Ok(object.is_some()));
        tokio::time::timeout_at(deadline, waiting).await.unwrap_or_else(|_| Err(target.late()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_waited_for() {
        let pod = json!({"metadata": {"generation": 1}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        for (text, expected) in [
            ("condition=Ready", true),
            ("condition=ready=false", false),
            ("condition=Other", false),
            ("jsonpath={.status.phase}=Running", true),
            ("jsonpath='{.status.phase}'=Pending", false),
            ("jsonpath={.status.phase}", true),
            ("jsonpath={.status.nope}=x", false),
            ("delete", false),
            ("create", true),
        ] {
            assert_eq!(Until::parse(text).unwrap().holds(&pod).unwrap(), expected, "{text}");
        }
        assert_eq!(Until::parse("x").unwrap_err().to_string(), "unrecognized condition: \"x\"");
        assert!(Until::parse("jsonpath={.status}=x").unwrap().holds(&pod).is_err());
    }
}
