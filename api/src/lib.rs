//! The Kubernetes API as data: the table of kinds, Status, field errors, schema facts, selectors, patches, transcoding.
//! Pure: no I/O, no tokio. Objects are `serde_json::Value` (maps sorted by key), because built-in and custom kinds share
//! one path; typed structs (k8s-openapi) are for components.

pub mod columns;
pub mod convert;
pub mod decode;
pub mod discovery;
pub mod duration;
pub mod field;
pub mod jsonpath;
pub mod kinds;
pub mod names;
pub mod object;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod status;
pub mod toleration;
pub mod validate;
pub mod view;
pub mod yaml;

pub use field::{FieldError, Path};
pub use status::Status;
pub use validate::{FieldValidation, validate_fields};
