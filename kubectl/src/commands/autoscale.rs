//! `autoscale` (kubectl, pkg/cmd/autoscale): a HorizontalPodAutoscaler for what can be scaled.

use serde_json::{Value, json};

use super::create::{metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::common::{DRY, FILES, PRINT, SAVE, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::{Int, Text};
use crate::flags::{Flag, Flags, flag};
use crate::locate::{self, Found, Options, each};

const FLAGS: &[Flag] = &[
    manager("kubectl-autoscale"),
    flag(
        "cpu-percent",
        "",
        Int(-1),
        "How busy the pods shall be, in percent of what they request; -1 for the default.",
    ),
    flag("max", "", Int(-1), "Most pods. Required."),
    flag("min", "", Int(-1), "Fewest pods; -1 for the default."),
    flag("name", "", Text(""), "Name of the autoscaler; else that of the object."),
];

/// `autoscale`.
pub const COMMAND: Command = command(
    "autoscale",
    "(-f FILENAME | TYPE NAME | TYPE/NAME) [--min=MINPODS] --max=MAXPODS [--cpu-percent=CPU]",
    "Auto-scale a deployment, replica set, stateful set, or replication controller",
    FLAGS,
    &[FILES, SAVE, PRINT, DRY],
    run!(autoscale),
);

async fn autoscale(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if !flags.given("max") {
        return Err(fail!("required flag(s) \"max\" not set"));
    }
    let (least, most) = (flags.int("min"), flags.int("max"));
    if most < 1 {
        return Err(fail!("--max=MAXPODS is required and must be at least 1, max: {most}"));
    }
    if most < least {
        return Err(fail!("--max=MAXPODS must be larger or equal to --min=MINPODS, max: {most}, min: {least}"));
    }
    if call.args.is_empty() && flags.list("filename").is_empty() {
        return Err(fail!("{}", locate::NOTHING_NAMED));
    }
    let (found, errors) = locate::live(session, &call.args, &Options::default()).await?;
    each(found, errors, async |found| {
        if !found.resource.subresources.iter().any(|sub| sub == "scale") {
            let (kind, plural) = (&found.resource.kind, &found.resource.plural);
            let version = format!("{}/{}", found.resource.group, found.resource.version);
            return Err(fail!(
                "cannot autoscale a {kind}: could not find scale subresource for {version}, Resource={plural} in discovery information"
            ));
        }
        let name = flags.some("name").unwrap_or(&found.name).to_string();
        submit(&call, make(&found, metadata(&call, &name)?, flags), "", "autoscaled").await
    })
    .await
}

fn make(found: &Found, metadata: Value, flags: &Flags) -> Value {
    let mut spec = json!({"maxReplicas": flags.int("max"),
        "scaleTargetRef": {"apiVersion": found.resource.api_version(), "kind": found.resource.kind, "name": found.name}});
    if flags.int("min") > 0 {
        spec["minReplicas"] = json!(flags.int("min"));
    }
    if flags.int("cpu-percent") >= 0 {
        let target = json!({"averageUtilization": flags.int("cpu-percent"), "type": "Utilization"});
        spec["metrics"] = json!([{"resource": {"name": "cpu", "target": target}, "type": "Resource"}]);
    }
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec,
        "status": {"currentMetrics": null, "desiredReplicas": 0}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;
    use crate::resources::tests::served;

    #[test]
    fn an_autoscaler_names_its_target() {
        let found = Found::live(&served().find("deploy").unwrap(), json!({"metadata": {"name": "d"}}));
        let flags = parse(FLAGS, &["--max=3".into(), "--min=2".into(), "--cpu-percent=50".into()]).unwrap().flags;
        assert_eq!(
            make(&found, json!({}), &flags)["spec"],
            json!({"maxReplicas": 3, "minReplicas": 2,
                "metrics": [{"resource": {"name": "cpu", "target": {"averageUtilization": 50, "type": "Utilization"}}, "type": "Resource"}],
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}})
        );
    }
}
