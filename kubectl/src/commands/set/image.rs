//! `set image` (kubectl, pkg/cmd/set/set_image.go).

use serde_json::{Value, json};

use super::{pod_spec, update};
use crate::command::{Call, Command, command, run};
use crate::common::{ALL, DRY, FILES, LABELS, LOCAL, PRINT, manager};
use crate::error::{Result, fail};
use crate::pairs::changes;

/// `set image`.
pub const COMMAND: Command = command(
    "image",
    "(-f FILENAME | TYPE NAME) CONTAINER_NAME_1=CONTAINER_IMAGE_1 ... CONTAINER_NAME_N=CONTAINER_IMAGE_N",
    "Update the image of a pod template",
    &[manager("kubectl-set")],
    &[PRINT, FILES, LABELS, ALL, DRY, LOCAL],
    run!(image),
);

async fn image(call: Call) -> Result<()> {
    let changes = changes(&call.args, "image")?;
    if changes.words.is_empty() && call.session.flags.list("filename").is_empty() {
        return Err(fail!("{}", crate::locate::NOTHING_NAMED));
    }
    if changes.set.is_empty() {
        return Err(fail!("at least one image update is required"));
    }
    update(&call, &changes.words, "image", "image updated", |object| with_images(object, &changes.set)).await
}

/// The object with other images in its containers; `*` means all of them.
fn with_images(object: &Value, images: &[(String, String)]) -> Result<Value> {
    let mut wanted = object.clone();
    let base = pod_spec(object)?;
    for (name, image) in images {
        let mut hit = false;
        for list in ["containers", "initContainers"] {
            let containers = wanted.pointer_mut(&format!("{base}/{list}")).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter(|one| name == "*" || one["name"] == name.as_str())
            {
                container["image"] = json!(image);
                hit = true;
            }
        }
        if !hit {
            return Err(fail!("unable to find container named {name:?}"));
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_set_by_container() {
        let object = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "1"}]}}}});
        let wanted = with_images(&object, &[("c".into(), "2".into())]).unwrap();
        assert_eq!(wanted["spec"]["template"]["spec"]["containers"][0]["image"], "2");
        assert!(with_images(&object, &[("x".into(), "2".into())]).is_err());
    }
}
