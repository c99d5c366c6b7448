//! `create deployment`.

use serde_json::{Value, json};

use super::{MADE, metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::error::{Result, fail};
use crate::flags::Takes::{Int, List};
use crate::flags::{Flag, Flags, flag};

const FLAGS: &[Flag] = &[
    flag("image", "", List, "Image of a container; several make several containers."),
    flag("replicas", "r", Int(1), "How many pods."),
    flag("port", "", Int(-1), "Port of the containers."),
];

/// `create deployment`.
pub const DEPLOYMENT: Command = command(
    "deployment",
    "NAME --image=image -- [COMMAND] [args...]",
    "Create a deployment with the specified name",
    FLAGS,
    MADE,
    run!(deployment),
)
.also(&["deploy"]);

async fn deployment(call: Call) -> Result<()> {
    if !call.session.flags.given("image") {
        return Err(fail!("required flag(s) \"image\" not set"));
    }
    let (name, command) = call.name_and_command()?;
    let object = make(name, metadata(&call, name)?, &call.session.flags, command)?;
    submit(&call, object, "deployment", "created").await
}

/// The name of a container made from its image.
fn container_name(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split([':', '@']).next().unwrap_or_default().to_string()
}

/// A Deployment with one container per image.
fn make(name: &str, metadata: Value, flags: &Flags, command: &[String]) -> Result<Value> {
    let images = flags.list("image");
    if images.len() > 1 && !command.is_empty() {
        return Err(fail!("cannot specify multiple --image options and command"));
    }
    let labels = json!({"app": name});
    let containers: Vec<Value> = images
        .iter()
        .map(|image| {
            let mut container = json!({"image": image, "name": container_name(image), "resources": {}});
            if !command.is_empty() {
                container["command"] = json!(command);
            }
            if flags.int("port") > 0 {
                container["ports"] = json!([{"containerPort": flags.int("port")}]);
            }
            container
        })
        .collect();
    let mut meta = metadata;
    meta["labels"] = labels.clone();
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
        "spec": {
            "replicas": flags.int("replicas"), "selector": {"matchLabels": labels}, "strategy": {},
            "template": {"metadata": {"creationTimestamp": null, "labels": labels}, "spec": {"containers": containers}},
        },
        "status": {},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn given(line: &str) -> Flags {
        parse(FLAGS, &line.split_whitespace().map(str::to_string).collect::<Vec<_>>()).unwrap().flags
    }

    #[test]
    fn deployments_have_a_container_per_image() {
        let made = make("d", json!({}), &given("--image=a/b:1,c --replicas=2 --port=80"), &[]).unwrap();
        let containers = &made["spec"]["template"]["spec"]["containers"];
        assert_eq!((containers[0]["name"].as_str(), containers[1]["name"].as_str()), (Some("b"), Some("c")));
        assert_eq!((&made["spec"]["replicas"], &containers[0]["ports"][0]["containerPort"]), (&json!(2), &json!(80)));
        assert!(make("d", json!({}), &given("--image=a,b"), &["c".into()]).is_err());
    }
}
