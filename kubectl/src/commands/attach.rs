//! `attach` (kubectl, pkg/cmd/attach).

use std::io::IsTerminal;

use crate::command::{Call, Command, command, run};
use crate::common::{CONTAINER, RUNNING, TERMINAL};
use crate::error::{Result, fail};
use crate::pods;
use crate::remote::{pod, stream, stream_path, wires};

/// `attach`.
pub const COMMAND: Command = command(
    "attach",
    "(POD | TYPE/NAME) -c CONTAINER",
    "Attach to a running container",
    &[],
    &[CONTAINER, TERMINAL, RUNNING],
    run!(attach),
);

async fn attach(call: Call) -> Result<()> {
    let session = &call.session;
    let [word] = call.args.as_slice() else {
        return Err(call.usage("at least 1 argument is required for attach"));
    };
    let pod = pod(session, word).await?;
    let phase = api::object::text(&pod, "/status/phase");
    if phase == "Succeeded" || phase == "Failed" {
        return Err(fail!("cannot attach a container in a completed pod; current phase is {phase}"));
    }
    let container = pods::container(&pod, session.flags.text("container"), session.flags.is("quiet"))?;
    let mut wires = wires(session);
    let has_tty = api::object::list(&pod, "/spec/containers")
        .iter()
        .any(|one| one["name"] == container.as_str() && one["tty"] == true);
    if wires.tty && !has_tty {
        wires.tty = false;
        if !session.flags.is("quiet") {
            eprintln!("error: Unable to use a TTY - container {container} did not allocate one");
        }
    } else if has_tty && wires.stdin {
        wires.tty = std::io::stdin().is_terminal();
    }
    if !session.flags.is("quiet") && wires.stdin {
        eprintln!("If you don't see a command prompt, try pressing enter.");
    }
    let path = stream_path(&pod, "attach", &container, &wires);
    stream(session, &path, wires).await
}
