//! The commands, one file per group.

pub mod apply;
pub mod change;
pub mod config;
pub mod create;
pub mod delete;
pub mod describe;
pub mod exec;
pub mod explain;
pub mod get;
pub mod info;
pub mod logs;
pub mod nodes;
mod pods;
pub mod rollout;
pub mod wait;
pub mod write;
