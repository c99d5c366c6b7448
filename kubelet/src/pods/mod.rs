//! The life of pods on this node: one task per pod, driven by events.
//!
//! | file | what it does |
//! |---|---|
//! | [`admission`] | pure: whether a pod fits on this node |
//! | [`manager`] | one worker per pod; tells them what changed |
//! | [`operations`] | what runs beside the worker: starts, stops, volumes, sandboxes |
//! | [`messages`] | termination messages |
//! | [`finish`] | the end of a pod |
//! | [`report`] | writes the status to the API |
//! | [`worker`] | observes, plans, acts, reports, until the pod is gone |
//! | `acting` | begins the plan's actions, takes what came of them |
//! | `tending` | probes, garbage |
//! | [`mailbox`] | what happened since the worker last looked |
//! | [`plan`] | pure: what to do next |
//! | [`launch`] | starts a container: image, configuration, hooks |
//! | [`hooks`] | postStart and preStop |
//! | [`pressure`] | what the node runs short of, and the pod that ends for it |
//! | [`unsupported`] | pure: what pods may ask for and is refused |
//! | [`supplies`] | makes and renews volumes and tokens |

mod acting;
pub mod admission;
pub mod finish;
pub mod hooks;
pub mod launch;
pub mod mailbox;
pub mod manager;
pub mod messages;
pub mod operations;
pub mod plan;
pub mod pressure;
pub mod report;
pub mod supplies;
mod tending;
pub mod unsupported;
pub mod worker;

#[cfg(test)]
mod tests;
