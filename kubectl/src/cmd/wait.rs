//! `wait` (kubectl, pkg/cmd/wait): until a condition holds, a field has a value, an object is there or gone.

use std::time::Duration;

use api::jsonpath::JsonPath;
use serde_json::Value;

use crate::cmd::get::events;
use crate::error::{Result, all, fail};
use crate::line::Call;
use crate::locate::{self, Found, Options, Target};
use crate::output::{go, relaxed_path};
use crate::session::{JSON, Session, line};

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
                    "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{{.status.phase}}'=Running"
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

/// Runs `wait`.
pub async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let until = Until::parse(flags.text("for"))?;
    let limit = flags.duration("timeout");
    let limit = if limit.is_negative() {
        Duration::from_secs(168 * 3600)
    } else {
        Duration::try_from(limit).unwrap_or_default()
    };
    let deadline = tokio::time::Instant::now() + limit;
    let options = Options::of(session);
    if let Until::Created = until {
        created(session, &call.args, &options, deadline).await?;
    }
    let (found, mut errors) = locate::live(session, &call.args, &options).await?;
    if let Until::Deleted = until {
        errors.retain(|error| !error.is("NotFound"));
    } else if found.is_empty() && errors.is_empty() {
        return Err(fail!("no matching resources found"));
    }
    for found in found {
        let waiting = until_it_holds(session, &found, &until);
        match tokio::time::timeout_at(deadline, waiting).await {
            Ok(Ok(())) => line(&format!("{} condition met", found.title())),
            Ok(Err(error)) => errors.push(error),
            Err(_) => {
                errors.push(fail!("timed out waiting for the condition on {}/{}", found.resource.plural, found.name))
            }
        }
    }
    all(errors)
}

/// Waits until all that is named is there.
async fn created(session: &Session, words: &[String], options: &Options, deadline: tokio::time::Instant) -> Result<()> {
    if words.len() < 2 && !words.iter().any(|word| word.contains('/')) {
        return Ok(());
    }
    for target in locate::targets(words, session.resources().await?, &session.namespace()?, options)? {
        let waiting = async {
            loop {
                let name = target.name.clone().unwrap_or_default();
                let fields = Options { fields: format!("metadata.name={name}"), ..Options::default() };
                let list = Target { name: None, ..target.clone() };
                let page = locate::fetch(session, &list, &fields, JSON, &[]).await?.remove(0);
                if page["items"].as_array().is_some_and(|items| !items.is_empty()) {
                    return Ok(());
                }
                let version = api::object::resource_version(&page).unwrap_or_default().to_string();
                let mut lines = events(session, &target, &Options::default(), JSON, &version).await?;
                while let Some(event) = lines.next().await? {
                    if event.starts_with(b"{\"type\":\"ADDED\"") {
                        return Ok(());
                    }
                }
            }
        };
        let name = target.name.clone().unwrap_or_default();
        let late = || fail!("timed out waiting for the condition on {}/{name}", target.resource.plural);
        tokio::time::timeout_at(deadline, waiting).await.unwrap_or_else(|_| Err(late()))?;
    }
    Ok(())
}

async fn until_it_holds(session: &Session, found: &Found, until: &Until) -> Result<()> {
    if let Until::Deleted = until {
        let uid = api::object::uid(&found.object);
        return super::delete::gone(session, &found.resource, &found.namespace, &found.name, uid, None).await;
    }
    let target =
        Target { resource: found.resource.clone(), namespace: found.namespace.clone(), name: Some(found.name.clone()) };
    let mut object = found.object.clone();
    loop {
        if until.holds(&object)? {
            return Ok(());
        }
        let version = api::object::resource_version(&object).unwrap_or_default().to_string();
        let mut lines = events(session, &target, &Options::default(), JSON, &version).await?;
        while let Some(event) = lines.next().await? {
            let event: Value =
                serde_json::from_slice(&event).map_err(|error| fail!("decoding a watch event: {error}"))?;
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") if until.holds(&event["object"])? => return Ok(()),
                Some("ERROR") => break,
                _ => {}
            }
        }
        object = session.get(&found.path()).await?;
    }
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
