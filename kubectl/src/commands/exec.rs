//! `exec` (kubectl, pkg/cmd/exec).

use crate::command::{Call, Command, command, run};
use crate::common::{CONTAINER, RUNNING, TERMINAL};
use crate::error::{Result, fail};
use crate::flags::Takes::List;
use crate::flags::{Flag, flag};
use crate::pods;
use crate::remote::{pod, stream, stream_path, wires};
use crate::session::with_query;

const FLAGS: &[Flag] = &[flag("filename", "f", List, "File with the object whose pod is meant.")];

/// `exec`.
pub const COMMAND: Command = command(
    "exec",
    "(POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]",
    "Execute a command in a container",
    FLAGS,
    &[CONTAINER, TERMINAL, RUNNING],
    run!(exec),
);

async fn exec(call: Call) -> Result<()> {
    let session = &call.session;
    let (word, command) = match (call.args.split_first(), call.dash) {
        (None, _) | (_, Some(0)) if session.flags.list("filename").is_empty() => {
            return Err(fail!("pod, type/name or --filename must be specified"));
        }
        (Some((word, rest)), _) => (word.clone(), rest.to_vec()),
        _ => return Err(fail!("pod, type/name or --filename must be specified")),
    };
    if command.is_empty() {
        return Err(fail!("you must specify at least one command for the container"));
    }
    if call.dash.is_none() {
        return Err(fail!(
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\nSee 'kubectl exec -h' for help and examples"
        ));
    }
    let pod = pod(session, &word).await?;
    let phase = api::object::text(&pod, "/status/phase");
    if phase == "Succeeded" || phase == "Failed" {
        return Err(fail!("cannot exec into a container in a completed pod; current phase is {phase}"));
    }
    // The server judges the name of a container.
    let container = match session.flags.some("container") {
        Some(asked) => asked.to_string(),
        None => pods::container(&pod, "", session.flags.is("quiet"))?,
    };
    let wires = wires(session);
    let mut path = stream_path(&pod, "exec", &container, &wires);
    for word in &command {
        path = with_query(&path, &[("command", word)]);
        if word.is_empty() {
            path.push_str("&command=");
        }
    }
    stream(session, &path, wires).await
}
