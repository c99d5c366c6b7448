//! `taint` (kubectl, pkg/cmd/taint).

use serde_json::{Value, json};

use crate::command::{Call, Command, command, run};
use crate::common::{ALL, DRY, LABELS, PRINT, VALIDATE, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::Bool;
use crate::flags::{Flag, flag};
use crate::locate::{self, Options, each};
use crate::write::{DryRun, MERGE, Report, Write};

const FLAGS: &[Flag] =
    &[manager("kubectl-taint"), flag("overwrite", "", Bool(false), "Taints that are there may be changed.")];

/// `taint`.
pub const COMMAND: Command = command(
    "taint",
    "NODE NAME KEY_1=VAL_1:TAINT_EFFECT_1 ... KEY_N=VAL_N:TAINT_EFFECT_N",
    "Update the taints on one or more nodes",
    FLAGS,
    &[PRINT, LABELS, ALL, DRY, VALIDATE],
    run!(taint),
);

/// A change to a node's taints.
#[derive(Debug, PartialEq)]
struct Taint {
    key: String,
    value: String,
    effect: String,
    remove: bool,
}

fn taint_of(text: &str) -> Result<Taint> {
    let (text, remove) = text.strip_suffix('-').map_or((text, false), |text| (text, true));
    let (pair, effect) = text.split_once(':').unwrap_or((text, ""));
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect);
    if !known && !effect.is_empty() {
        return Err(fail!("invalid taint effect: {effect}, unsupported taint effect"));
    }
    if !known && !remove {
        return Err(fail!("invalid taint spec: {text}"));
    }
    Ok(Taint { key: key.into(), value: value.into(), effect: effect.into(), remove })
}

async fn taint(call: Call) -> Result<()> {
    let session = &call.session;
    let is_taint = |word: &&String| word.contains(['=', ':']) || word.ends_with('-');
    let words: Vec<String> = call.args.iter().take_while(|word| !is_taint(word)).cloned().collect();
    let taints: Vec<Taint> = call.args[words.len()..]
        .iter()
        .map(|word| taint_of(word).map_err(|error| call.usage(&error.to_string())))
        .collect::<Result<_>>()?;
    if words.is_empty() {
        return Err(fail!("one or more resources must be specified as <resource> <name>"));
    }
    if taints.is_empty() {
        return Err(fail!("at least one taint update is required"));
    }
    let (found, errors) = locate::live(session, &words, &Options::of(session)).await?;
    let mut report = Report::of(&session.flags)?.unseparated();
    let write = Write::of(&session.flags)?;
    each(found, errors, async |node| {
        let old = api::object::list(&node.object, "/spec/taints");
        let (new, word) = tainted(old, &taints, session.flags.is("overwrite"), &node.name)?;
        let mut object = node.object.clone();
        match write.dry {
            DryRun::Client => api::object::set(&mut object, "/spec/taints", Value::Array(new)),
            _ => object = write.patch(session, &node.path(), MERGE, &json!({"spec": {"taints": new}})).await?,
        }
        report.say(&node.resource, &object, word)
    })
    .await
}

/// The taints afterwards, and what happened to them.
fn tainted(old: &[Value], changes: &[Taint], overwrite: bool, node: &str) -> Result<(Vec<Value>, &'static str)> {
    let mut new = old.to_vec();
    let (mut removed, mut replaced, mut added) = (false, false, false);
    for change in changes {
        let same = |taint: &Value| {
            taint["key"] == change.key.as_str()
                && (change.effect.is_empty() || taint["effect"] == change.effect.as_str())
        };
        let known = new.iter().any(same);
        if change.remove {
            if !known {
                let effect = if change.effect.is_empty() { String::new() } else { format!(":{}", change.effect) };
                return Err(fail!("taint \"{}{effect}\" not found", change.key));
            }
            new.retain(|taint| !same(taint));
            removed = true;
            continue;
        }
        if known && !overwrite {
            return Err(fail!(
                "node {node} already has {} taint(s) with same effect(s) and --overwrite is false",
                change.key
            ));
        }
        new.retain(|taint| !same(taint));
        (replaced, added) = (replaced || known, added || !known);
        let mut taint = json!({"key": change.key, "effect": change.effect});
        if !change.value.is_empty() {
            taint["value"] = json!(change.value);
        }
        new.push(taint);
    }
    let word = match (removed, replaced || added, replaced) {
        (true, true, _) | (false, true, true) => "modified",
        (true, false, _) => "untainted",
        _ => "tainted",
    };
    Ok((new, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_come_and_go() {
        let old = [json!({"key": "a", "effect": "NoSchedule"})];
        let change = |text: &str| [taint_of(text).unwrap()];
        assert_eq!(tainted(&old, &change("b=1:NoExecute"), false, "n").unwrap().1, "tainted");
        assert_eq!(tainted(&old, &change("a-"), false, "n").unwrap(), (vec![], "untainted"));
        assert_eq!(tainted(&old, &change("a=2:NoSchedule"), true, "n").unwrap().1, "modified");
        assert!(tainted(&old, &change("a=2:NoSchedule"), false, "n").is_err());
        assert_eq!(
            tainted(&old, &change("c:NoSchedule-"), false, "n").unwrap_err().to_string(),
            "taint \"c:NoSchedule\" not found"
        );
        assert!(taint_of("a=b:Foo").is_err());
    }
}
