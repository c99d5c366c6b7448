//! The node's own object: registration, status, lease.
//!
//! | file | what it does |
//! |---|---|
//! | [`context`] | what all that works for its pods shares |
//! | [`machine`] | reads what the machine has |
//! | [`object`] | pure: labels, capacity, conditions |
//! | [`status`] | registers and keeps the status true |
//! | [`lease`] | the heartbeat |

pub mod context;
pub mod lease;
pub mod machine;
pub mod object;
pub mod status;

pub use context::Node;
