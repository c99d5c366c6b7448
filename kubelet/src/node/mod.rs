//! The node's own object: registration, status, lease.
//!
//! | file | what it does |
//! |---|---|
//! | [`machine`] | reads what the machine has |
//! | [`object`] | pure: labels, capacity, conditions |
//! | [`status`] | registers and keeps the status true |
//! | [`lease`] | the heartbeat |

pub mod lease;
pub mod machine;
pub mod object;
pub mod status;
