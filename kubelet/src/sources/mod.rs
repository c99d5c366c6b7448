//! Which pods there are.
//!
//! | file | what it does |
//! |---|---|
//! | [`api`] | pods that the scheduler put on this node |
//! | [`manifest`] | pure: from the text of a file to a static pod |
//! | [`directory`] | follows a directory of manifests |
//! | [`mirror`] | shows static pods in the API |

pub mod api;
pub mod directory;
pub mod manifest;
pub mod mirror;
