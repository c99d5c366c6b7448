//! Who asks, and whether they may.
//!
//! | module | what it decides |
//! |---|---|
//! | [`attributes`] | the question to authorization, and the words of a refusal |
//! | [`rbac`] | roles and bindings, pure |
//! | [`jwt`] | signed tokens and their keys |
//! | [`claims`] | what stands in service account tokens, pure |
//! | [`x509`] | client certificates |

pub mod attributes;
pub mod claims;
pub mod jwt;
pub mod rbac;
pub mod x509;

pub use attributes::{Attributes, Decision};
