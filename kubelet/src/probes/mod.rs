//! Probes: whether a container has started, lives, and is ready for traffic.
//!
//! | file | what it does |
//! |---|---|
//! | [`machine`] | pure: thresholds |
//! | [`http`] | HTTP GET in upstream's words |
//! | [`grpc`] | gRPC health checks |
//! | [`prober`] | one task per probe |

pub mod grpc;
pub mod http;
pub mod machine;
pub mod prober;

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Until it passes, the others wait; when it fails, the container is restarted.
    Startup,
    /// When it fails, the container is restarted.
    Liveness,
    /// While it fails, the pod gets no traffic.
    Readiness,
}

impl ProbeKind {
    /// As events name it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}
