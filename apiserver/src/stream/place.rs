//! Which container of a pod is meant. Pure (upstream: pkg/registry/core/pod/strategy.go).

use api::{Status, object};
use serde_json::Value;

fn names(pod: &Value, field: &str) -> Vec<String> {
    let containers = object::list(pod, field).iter();
    containers.map(|container| object::text(container, "/name").to_string()).collect()
}

/// The container that is meant: the only one if none is named.
///
/// # Errors
/// 400 if that is not clear, or there is no such container.
pub fn container(pod: &Value, wanted: &str) -> Result<String, Status> {
    let (own, init) = (names(pod, "/spec/containers"), names(pod, "/spec/initContainers"));
    let name = object::name(pod);
    if !wanted.is_empty() {
        let ephemeral = names(pod, "/spec/ephemeralContainers");
        if own.iter().chain(&init).chain(&ephemeral).any(|container| container == wanted) {
            return Ok(wanted.to_string());
        }
        return Err(Status::bad_request(format!("container {wanted} is not valid for pod {name}")));
    }
    match own.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        many => {
            let mut why =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", many.join(" "));
            if !init.is_empty() {
                why.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_container_must_be_clear() {
        let pod = |names: &[&str], init: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>();
            json!({"metadata": {"name": "p"}, "spec": {"containers": list(names), "initContainers": list(init)}})
        };
        let table = [
            (pod(&["a"], &[]), "", Ok("a")),
            (pod(&["a"], &["i"]), "", Ok("a")),
            (pod(&["a", "b"], &["i"]), "i", Ok("i")),
            (pod(&["a", "b"], &[]), "", Err("a container name must be specified for pod p, choose one of: [a b]")),
            (
                pod(&["a", "b"], &["i"]),
                "",
                Err(
                    "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]",
                ),
            ),
            (pod(&["a"], &[]), "c", Err("container c is not valid for pod p")),
            (pod(&[], &[]), "", Err("a container name must be specified for pod p")),
        ];
        for (pod, wanted, expected) in table {
            let got = container(&pod, wanted).map_err(|status| status.message);
            assert_eq!(got.as_deref().map_err(String::as_str), expected);
        }
    }
}
