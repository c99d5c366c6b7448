//! Raft, as tables and as small clusters whose messages arrive at once. The ideas are those of etcd's raft tests and of the
//! figures of the thesis; the seeded simulation is in `sim`.

mod changes;
mod election;
pub(super) mod net;
mod reads;
mod replication;
mod strangers;
