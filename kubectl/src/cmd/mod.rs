//! The commands, one file per group.

pub mod apply;
pub mod create;
pub mod delete;
pub mod describe;
pub mod exec;
pub mod get;
pub mod logs;
mod pods;
pub mod write;
