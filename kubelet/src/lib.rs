//! Runs pods on a node: sources, workers, probes, volumes, runtimes.
//!
//! | module | what it does |
//! |---|---|
//! | [`options`] | the flags |
//! | [`sources`] | which pods there are: from the API, from a directory |
//! | [`known`] | what is known of a pod: what the runtime has, what its worker remembers |
//! | [`pods`] | the life of each pod: observe, plan, act, report |
//! | [`status`] | pure: the status of a pod |
//! | [`probes`] | startup, liveness, readiness |
//! | [`env`] | environment and arguments of containers |
//! | [`eviction`] | pure: when the node runs short, what its conditions are and which pod goes |
//! | [`volumes`] | volumes, mounts, /etc/hosts |
//! | [`objects`] | config maps and secrets that pods refer to |
//! | [`cluster`] | what workers need of the API server; [`cluster_api`] asks the real one |
//! | [`node`] | the node's own object, lease and conditions; what all that works on it shares |
//! | [`logs`] | the format of container logs, written and read |
//! | [`server`] | logs, exec, attach and more over HTTPS |
//! | [`runtime`] | the contract: runs containers |
//! | [`process`] | the runtime that runs them as processes, by way of [`shim`], [`netns`], [`cgroup`], [`sys`] |
//! | [`pod`], [`resources`], [`backoff`], [`tls`] | helpers, mostly pure |

pub mod backoff;
pub mod cgroup;
pub mod cluster;
pub mod cluster_api;
pub mod env;
pub mod eviction;
#[cfg(test)]
mod fake;
pub mod known;
pub mod logs;
pub mod netns;
pub mod node;
pub mod objects;
pub mod options;
pub mod pod;
pub mod pods;
pub mod probes;
pub mod process;
pub mod resources;
pub mod run;
pub mod runtime;
pub mod server;
pub mod shim;
pub mod sources;
pub mod status;
pub mod sys;
pub mod tls;
pub mod volumes;

pub use options::Options;
pub use run::run;
