//! Subresources: what stands below the name of an object in a path, with the kind of body each one takes
//! (upstream: the `storage` maps in pkg/registry/*/rest, as seen in its discovery documents).

use super::Kind;

/// One subresource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subresource {
    /// Approving or denying a certificate signing request.
    Approval,
    /// A stream to the main process of a container.
    Attach,
    /// Assigning a pod to a node.
    Binding,
    /// Containers added for debugging.
    EphemeralContainers,
    /// Deletion that respects disruption budgets.
    Eviction,
    /// A stream to a new process in a container.
    Exec,
    /// Removing the finalizers of a namespace's spec.
    Finalize,
    /// Container logs.
    Log,
    /// TCP through a stream.
    PortForward,
    /// HTTP through the API server.
    Proxy,
    /// Changing a running pod's resources.
    Resize,
    /// The number of replicas, in one form for all kinds.
    Scale,
    /// The status, written by controllers.
    Status,
    /// A token of a service account.
    Token,
}

impl Subresource {
    /// Every subresource.
    pub const ALL: &'static [Self] = &[
        Self::Approval,
        Self::Attach,
        Self::Binding,
        Self::EphemeralContainers,
        Self::Eviction,
        Self::Exec,
        Self::Finalize,
        Self::Log,
        Self::PortForward,
        Self::Proxy,
        Self::Resize,
        Self::Scale,
        Self::Status,
        Self::Token,
    ];

    /// Its name in paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Attach => "attach",
            Self::Binding => "binding",
            Self::EphemeralContainers => "ephemeralcontainers",
            Self::Eviction => "eviction",
            Self::Exec => "exec",
            Self::Finalize => "finalize",
            Self::Log => "log",
            Self::PortForward => "portforward",
            Self::Proxy => "proxy",
            Self::Resize => "resize",
            Self::Scale => "scale",
            Self::Status => "status",
            Self::Token => "token",
        }
    }

    /// The subresource of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|subresource| subresource.name() == name)
    }

    /// The verbs, in the order of discovery documents.
    pub const fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Approval | Self::EphemeralContainers | Self::Resize | Self::Scale | Self::Status => {
                &["get", "patch", "update"]
            }
            Self::Attach | Self::Exec | Self::PortForward => &["create", "get"],
            Self::Binding | Self::Eviction | Self::Token => &["create"],
            Self::Finalize => &["update"],
            Self::Log => &["get"],
            Self::Proxy => &["create", "delete", "get", "patch", "update"],
        }
    }

    /// Group, version and kind of the body below `parent`; `None` if it is the parent's own.
    pub fn body(self, parent: &Kind) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::Attach => Some(("", "v1", "PodAttachOptions")),
            Self::Binding => Some(("", "v1", "Binding")),
            Self::Eviction => Some(("policy", "v1", "Eviction")),
            Self::Exec => Some(("", "v1", "PodExecOptions")),
            Self::PortForward => Some(("", "v1", "PodPortForwardOptions")),
            Self::Proxy => Some(("", "v1", proxy_options(parent.kind))),
            Self::Scale => Some(("autoscaling", "v1", "Scale")),
            Self::Token => Some(("authentication.k8s.io", "v1", "TokenRequest")),
            _ => None,
        }
    }

    /// Whether it carries a stream of bytes, so that it is not answered with an object.
    pub const fn streams(self) -> bool {
        matches!(self, Self::Attach | Self::Exec | Self::Log | Self::PortForward | Self::Proxy)
    }
}

fn proxy_options(kind: &str) -> &'static str {
    match kind {
        "Node" => "NodeProxyOptions",
        "Service" => "ServiceProxyOptions",
        _ => "PodProxyOptions",
    }
}

#[cfg(test)]
mod tests;
