//! etcd's API as clients see it: real etcdctl side by side with a real etcd, the calls of a Kubernetes API server, the suite of
//! the contract through a client, crate etcd-client, TLS, and what survives kill -9.
#![allow(clippy::unwrap_used)]

mod backup;
mod calls;
mod crate_client;
mod etcdctl;
mod health;
mod kubernetes;
mod learner;
mod members;
mod metrics;
mod server;
mod streams;
mod suite;
mod survival;
mod tls;
mod twins;
