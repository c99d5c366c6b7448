//! The Kubernetes API server: filters, handlers, registry, strategies, admission, storage with its watch cache.
//!
//! The way of a request, which is the order of the modules (arrows point down only):
//!
//! | module | what it does |
//! |---|---|
//! | [`start`], [`run()`], [`options`] | put the server together; its flags |
//! | `open` | the store that the flags name |
//! | [`front`] | connections, TLS, filters, paths that are no resources |
//! | [`stream`] | logs, exec, proxies: on to kubelets, pods and services |
//! | [`posted`] | kinds that are posted, answered and forgotten: reviews, token requests |
//! | [`state`], [`dialer`], [`answer`] | what requests share; connections onwards; plain answers |
//! | [`upkeep`] | what the server keeps right for as long as it runs, beside other servers |
//! | [`bootstrap`], [`expiry`] | the objects that every cluster starts with; events end |
//! | [`handlers`] | HTTP ↔ verbs: encodings, options, watches |
//! | [`registry`] | the verbs, once for all kinds |
//! | [`admission`], [`strategy`] | rules that span kinds; what is special about one |
//! | [`allocation`] | addresses and node ports of Services |
//! | [`auth`] | who asks, and whether they may |
//! | [`storage`] | objects over the store, with a watch cache per kind |
//! | [`request`] | what is asked and who asks, as values |
//! | [`testing`] | all of it over a store in memory, for component tests of others |

pub mod admission;
pub mod allocation;
pub mod answer;
pub mod auth;
pub mod bootstrap;
pub mod dialer;
pub mod expiry;
pub mod front;
pub mod handlers;
mod open;
pub mod options;
pub mod posted;
pub mod registry;
pub mod request;
mod run;
pub mod state;
pub mod storage;
pub mod strategy;
pub mod stream;
pub mod testing;
pub mod upkeep;

pub use options::Options;
pub use run::{Running, run, start};
