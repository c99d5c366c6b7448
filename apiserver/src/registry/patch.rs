//! Patches: applied to the stored object as the client sees it (in the version of the request), again on each newer
//! version if somebody was faster (upstream: apiserver, pkg/endpoints/handlers/patch.go).

use api::kinds::{KindRef, Served};
use api::{Status, convert, object, patch};
use serde_json::Value;

use super::update::Change;
use super::{Call, Registry, Written};

/// The form of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own, driven by the schema.
    Strategic,
}

/// Checks a patched object against the schema of the version it was patched in; tells the warnings.
pub type Check<'a> = &'a (dyn Fn(&mut Value) -> Result<(), Status> + Send + Sync);

impl Registry {
    /// Patches an object served as `served`.
    ///
    /// # Errors
    /// As [`Registry::update`]; `BadRequest` or `Invalid` for a patch that does not fit.
    pub async fn patch(
        &self,
        call: &Call,
        change: &Change<'_>,
        served: &Served,
        form: Form,
        body: &Value,
        check: Check<'_>,
    ) -> Result<Written, Status> {
        let kind = change.kind;
        let mut edit = |old: &Value| {
            let shown = to_version(kind, old.clone(), served)?;
            let mut patched = apply(served.definition, shown, form, body)?;
            check(&mut patched)?;
            same_object(&patched, change.namespace, change.name)?;
            to_version(kind, patched, &kind.served())
        };
        self.modify(call, change, &mut edit).await
    }
}

/// The patched object.
///
/// # Errors
/// A patch that does not fit, in upstream's words.
pub fn apply(definition: &str, object: Value, form: Form, body: &Value) -> Result<Value, Status> {
    match form {
        Form::Json => patch::json_patch(object, body),
        Form::Merge => patch::merge_patch(object, body),
        Form::Strategic => patch::strategic_merge(definition, object, body.clone()),
    }
}

/// The object as another version of its kind; the identity if that is the version it has.
pub fn to_version(kind: KindRef, value: Value, to: &Served) -> Result<Value, Status> {
    let (group, version) = object::group_version(&value);
    if group == to.group && version == to.version { Ok(value) } else { convert::convert(kind, value, to) }
}

/// Whether name and namespace in the object are those of the URL (`checkName`).
///
/// # Errors
/// `BadRequest`.
pub fn same_object(object: &Value, namespace: &str, name: &str) -> Result<(), Status> {
    match object::name(object) {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        ))),
        own if own != name => Err(Status::bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({name})"
        ))),
        _ => match object::namespace(object) {
            own if own.is_empty() || namespace.is_empty() || own == namespace => Ok(()),
            own => Err(Status::bad_request(format!(
                "the namespace of the object ({own}) does not match the namespace on the request ({namespace})"
            ))),
        },
    }
}
