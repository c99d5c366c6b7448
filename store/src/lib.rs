//! Revisioned key-value store with ordered watches on a crash-safe log. Knows nothing of Kubernetes.
