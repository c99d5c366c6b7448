//! Raft, as tables and as small clusters whose messages arrive at once. The ideas are those of etcd's raft tests and of the
//! figures of the thesis; the seeded simulation is in `sim`.

mod campaigns;
mod changes;
mod election;
mod flow;
mod logs;
pub(super) mod net;
mod paper;
mod progress;
mod reads;
mod replication;
mod snapshots;
mod strangers;
mod transfer;
