//! What every daemon needs and nothing of Kubernetes.
//!
//! | module | what it gives |
//! |---|---|
//! | [`clock`] | wall and monotonic time that tests can set |
//! | [`context`] | the life of a process: tasks that are waited for, one stop signal |
//! | [`files`] | files that are either the old or the new version after a crash |
//! | [`gather`] | a TCP connection that sends at once what is written at one time |
//! | [`health`] | the health and metrics port of the smaller daemons |
//! | [`logging`] | tracing to stderr, as text or JSON |
//! | [`panics`] | a panic ends the process, except where it is caught |
//! | [`pki`] | a certificate authority and the certificates it signs, as PEM files |
//! | [`process`] | a component as a process: flags, threads, exit code |
//! | [`tcp`] | what every TCP connection is told |
//! | [`tls`] | TLS configurations out of PEM |

pub mod clock;
pub mod context;
pub mod files;
pub mod gather;
pub mod health;
pub mod logging;
pub mod panics;
pub mod pki;
pub mod process;
pub mod tcp;
pub mod tls;

pub use clock::{Clock, ManualClock, RuntimeClock, SystemClock};
pub use context::Context;
