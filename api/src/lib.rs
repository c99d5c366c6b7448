//! The Kubernetes API as data: kinds, schema, Status, selectors, patches, transcoding. Pure: no I/O, no tokio.
