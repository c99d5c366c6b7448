//! `create` (kubectl, pkg/cmd/create).

pub mod kinds;
mod make;

use http::Method;

use crate::cmd::apply::annotated;
use crate::cmd::write::{DryRun, Report, Write, validation};
use crate::error::{Result, all, fail};
use crate::files;
use crate::line::Call;
use crate::locate;
use crate::session::say;

/// Runs `create -f`.
pub async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if let Some(path) = flags.some("raw") {
        let [file] = flags.list("filename") else {
            return Err(call.usage("--raw can only use a single local file or stdin"));
        };
        let text =
            if file == "-" { std::io::read_to_string(std::io::stdin())? } else { std::fs::read_to_string(file)? };
        let body = Some(("application/json", text.into()));
        let answer = session.send(Method::POST, path, "*/*", body).await?;
        say(&String::from_utf8_lossy(answer.body()));
        return Ok(());
    }
    if flags.given("edit") || flags.given("kustomize") {
        return Err(fail!("--edit and --kustomize are not supported by mkubectl"));
    }
    if flags.list("filename").is_empty() {
        if !call.args.is_empty() {
            return Err(call.usage(&format!("Unexpected args: [{}]", call.args.join(" "))));
        }
        return Err(fail!("must specify one of -f and -k"));
    }
    let mut report = Report::of(flags)?;
    let manager = flags.some("field-manager").unwrap_or("kubectl-create");
    let write = Write { manager, dry: DryRun::of(flags)?, validation: validation(flags)? };
    let documents = files::read(flags.list("filename"), flags.is("recursive")).await?;
    let resources = session.resources().await?;
    let namespace = session.namespace()?;
    let mut errors = Vec::new();
    for document in documents {
        let result = async {
            let found = locate::identify(document, resources, &namespace, session.namespace_given())?;
            let object = if flags.is("save-config") { annotated(&found.object) } else { found.object };
            let created = match write.dry {
                DryRun::Client => object,
                _ => {
                    let created = write.create(session, &found.resource, &found.namespace, &object).await;
                    created.map_err(|error| error.when("creating", &found.source))?
                }
            };
            report.say(&found.resource, &created, "created")
        };
        if let Err(error) = result.await {
            errors.push(error);
        }
    }
    all(errors)
}
