//! What the scheduler knows: nodes with the sums of what their pods ask for, kept up to date by single steps, and the pods
//! that it has assumed onto nodes before the API server confirmed it. Plugins see it read-only.

mod cluster;
mod node;
mod pod;

pub use cluster::Cluster;
pub use node::NodeState;
pub use pod::{HostPort, PodFacts};

/// Something that happened to the cluster and may make room for a pod that found none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClusterEvent {
    /// A node appeared.
    NodeAdded,
    /// A node's allocatable resources changed.
    NodeResources,
    /// A node's labels changed.
    NodeLabels,
    /// A node's taints changed, or whether it takes new pods.
    NodeTaints,
    /// A pod left its node, or asks for less; also told to a waiting pod that itself asks for less.
    PodGone,
    /// A waiting pod's tolerations changed; told to that pod.
    PodTolerations,
}

#[cfg(test)]
pub(crate) mod testing {
    //! Short ways to make pods and nodes.

    use super::*;
    use k8s_openapi::serde_json::{Value, from_value, json};

    /// The facts of a pod written as JSON.
    pub(crate) fn pod(mut object: Value) -> PodFacts {
        let spec = &mut object["spec"];
        if spec.is_null() {
            *spec = json!({});
        }
        if spec["containers"].is_null() {
            spec["containers"] = json!([{"name": "c"}]);
        }
        PodFacts::of(&from_value(object).unwrap())
    }

    /// A node written as JSON.
    pub(crate) fn node(name: &str, mut object: Value) -> NodeState {
        object["metadata"]["name"] = json!(name);
        let mut state = NodeState::default();
        state.set(&from_value(object).unwrap());
        state
    }
}
