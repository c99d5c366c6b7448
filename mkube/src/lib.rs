//! One file that is every component, and a local multi-node cluster of them: up, down, status.
