//! `attach` (kubectl, pkg/cmd/attach).

use crate::command::{Call, Command, command, run};
use crate::common::{CONTAINER, RUNNING, TERMINAL};
use crate::error::{Result, fail};
use crate::remote;

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
    let [word] = call.args.as_slice() else {
        return Err(fail!("at least 1 argument is required for attach"));
    };
    remote::attach(&call.session, &remote::pod(&call.session, word).await?).await
}
