//! `version` (kubectl, pkg/cmd/version).

use serde_json::json;

use crate::command::{Call, Command, command, run};
use crate::error::{Result, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag};
use crate::output;
use crate::session::{line, say};

const FLAGS: &[Flag] = &[
    flag("client", "", Bool(false), "Only our own version: no server is asked."),
    flag("output", "o", Text(""), "yaml or json."),
];

/// `version`.
pub const COMMAND: Command =
    command("version", "", "Print the client and server version information", FLAGS, &[], run!(version));

async fn version(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    let ours = format!("v{}+mkube", env!("CARGO_PKG_VERSION"));
    let mut document = json!({"clientVersion": {"gitVersion": ours, "major": "1", "minor": "33", "platform": "linux/amd64"}, "kustomizeVersion": "none"});
    // A server that cannot be reached is complained of after what is known has been said, as kubectl does.
    let server = if flags.is("client") { Ok(None) } else { call.session.get("/version").await.map(Some) };
    if let Ok(Some(server)) = &server {
        document["serverVersion"] = server.clone();
    }
    match flags.text("output") {
        "" => {
            line(&format!("Client Version: {ours}\nKustomize Version: none"));
            if let Ok(Some(server)) = &server {
                line(&format!("Server Version: {}", server["gitVersion"].as_str().unwrap_or_default()));
            }
        }
        "json" => line(&output::json(&document).replace("    ", "  ")),
        "yaml" => say(&api::yaml::write(&document)),
        _ => return Err(fail!("--output must be 'yaml' or 'json'")),
    }
    server.map(|_| ())
}
