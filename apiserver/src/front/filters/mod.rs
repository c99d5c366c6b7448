//! One small file per filter; their order is the table in `chain.rs`.

pub mod access;
pub mod audit_id;
pub mod authentication;
pub mod authorization;
pub mod body_limit;
pub mod impersonation;
pub mod inflight;
pub mod panic;
pub mod timeout;
