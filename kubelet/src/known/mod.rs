//! What is known of one pod: the ground that its status and its plan both stand on. Pure data.
//!
//! | file | what it holds |
//! |---|---|
//! | [`observed`] | what the runtime has of the pod |
//! | [`memory`] | what the worker remembers |

pub mod memory;
pub mod observed;
