//! `certificate approve` and `certificate deny` (kubectl, pkg/cmd/certificates).

use serde_json::{Value, json};

use crate::command::{Call, Command, command, parent, run};
use crate::common::{FILES, PRINT};
use crate::error::{Result, fail};
use crate::flags::Takes::Bool;
use crate::flags::{Flag, flag};
use crate::locate::{self, Options, each};
use crate::write::{DryRun, Report, Write};

const FLAGS: &[Flag] = &[flag("force", "", Bool(false), "Decide again what is decided.")];

/// `certificate`.
pub const COMMAND: Command = parent(
    "certificate",
    "Modify certificate resources",
    &[
        command(
            "approve",
            "(-f FILENAME | NAME)",
            "Approve a certificate signing request",
            FLAGS,
            &[PRINT, FILES],
            run!(decide),
        ),
        command(
            "deny",
            "(-f FILENAME | NAME)",
            "Deny a certificate signing request",
            FLAGS,
            &[PRINT, FILES],
            run!(decide),
        ),
    ],
);

async fn decide(call: Call) -> Result<()> {
    let session = &call.session;
    let (kind, done) = if call.word() == "approve" { ("Approved", "approved") } else { ("Denied", "denied") };
    if call.args.is_empty() && session.flags.list("filename").is_empty() {
        return Err(fail!("one or more CSRs must be specified as <name> or -f <filename>"));
    }
    let name =
        |word: &String| if word.contains('/') { word.clone() } else { format!("certificatesigningrequests/{word}") };
    let words: Vec<String> = call.args.iter().map(name).collect();
    let (found, errors) = locate::live(session, &words, &Options::default()).await?;
    let mut report = Report::of(&session.flags)?;
    let write = Write { manager: "", dry: DryRun::No, validation: "" };
    each(found, errors, async |found| {
        let mut object = found.object.clone();
        if !decided(&mut object, kind, session.flags.is("force"))? {
            object = write.replace(session, &format!("{}/approval", found.path()), &object).await?;
        }
        report.say(&found.resource, &object, done)
    })
    .await
}

/// Writes the decision into the conditions; whether it was there.
fn decided(object: &mut Value, kind: &str, force: bool) -> Result<bool> {
    let name = api::object::name(object).to_string();
    let mut conditions = api::object::list(object, "/status/conditions").to_vec();
    let is = |condition: &Value, kind: &str| condition["type"] == kind;
    if conditions.iter().any(|condition| is(condition, kind)) && !force {
        return Ok(true);
    }
    let other = if kind == "Approved" { "Denied" } else { "Approved" };
    if conditions.iter().any(|condition| is(condition, other)) {
        return Err(fail!("certificate signing request {name:?} is already {}", other.to_lowercase()));
    }
    conditions.retain(|condition| !is(condition, kind));
    let verb = if kind == "Approved" { "approve" } else { "deny" };
    conditions.push(json!({"type": kind, "status": "True", "reason": format!("Kubectl{}", if verb == "deny" { "Deny" } else { "Approve" }),
        "message": format!("This CSR was {} by kubectl certificate {verb}.", kind.to_lowercase()),
        "lastUpdateTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()}));
    api::object::set(object, "/status/conditions", Value::Array(conditions));
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_made_once() {
        let mut csr = json!({"metadata": {"name": "c"}});
        assert!(!decided(&mut csr, "Approved", false).unwrap());
        assert_eq!(csr["status"]["conditions"][0]["reason"], "KubectlApprove");
        assert!(decided(&mut csr, "Approved", false).unwrap());
        assert!(!decided(&mut csr, "Approved", true).unwrap());
        assert_eq!(csr["status"]["conditions"].as_array().unwrap().len(), 1);
        assert!(decided(&mut csr, "Denied", false).is_err());
    }
}
