//! Container logs in the CRI format: written by the shim, read for `kubectl logs` and termination messages.
//!
//! | file | what it does |
//! |---|---|
//! | [`write`] | pure: output as log lines |
//! | [`read`] | log lines as text: tail, since, limits |

pub mod read;
pub mod write;
