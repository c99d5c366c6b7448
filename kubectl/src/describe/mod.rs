//! What `describe` says about objects. Descriptions are pure: object and what belongs to it in, text with tabs out; what is
//! fetched for which kind is in `cmd::describe`.

pub mod generic;
pub mod node;
pub mod pod;
pub mod simple;
pub mod text;
mod volumes;
