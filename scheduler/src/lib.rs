//! Assigns pods to nodes: framework, plugins, queue, binding.
