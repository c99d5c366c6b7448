//! The commands, one file per group.

pub mod apply;
pub mod create;
pub mod delete;
pub mod get;
pub mod write;
