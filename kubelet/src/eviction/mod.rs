//! When the node runs short of something that cannot be shared out (memory, disk, process numbers), pods that take more than
//! they asked for are made to end before the kernel ends somebody at random (pkg/kubelet/eviction).
//!
//! | file | what it is |
//! |---|---|
//! | [`thresholds`] | the flags: signals, amounts, grace periods |
//! | [`signals`] | what there is and what is left of it, read off the machine |
//! | [`plan`] | which thresholds are met, which conditions the node has, what is to be reclaimed |
//! | [`rank`] | which pod goes first, and what it is told |
//!
//! Nothing here acts: the task that does is [`crate::pods::pressure`].

pub mod plan;
pub mod rank;
pub mod signals;
pub mod thresholds;
