//! Certificate signing requests: who asks is written by the server, never by the client, and what is asked never changes
//! (upstream: pkg/registry/certificates/certificates/strategy.go).

use api::{FieldError, kinds, object};
use serde_json::{Value, json};

use super::{Cx, Strategy, required};

/// See the module.
pub struct SigningRequest;

impl Strategy for SigningRequest {
    fn prepare_create(&self, cx: &Cx<'_>, object: &mut Value) {
        let user = cx.user;
        let asks = [
            ("username", json!(user.name), user.name.is_empty()),
            ("uid", json!(user.uid), user.uid.is_empty()),
            ("groups", json!(user.groups), user.groups.is_empty()),
            ("extra", json!(user.extra), user.extra.is_empty()),
        ];
        let spec = object::child_map_mut(object::as_map(object), "spec");
        for (field, value, empty) in asks {
            spec.remove(field);
            if !empty {
                spec.insert(field.into(), value);
            }
        }
    }

    fn prepare_update(&self, _cx: &Cx<'_>, new: &mut Value, old: &Value) {
        new["spec"] = old["spec"].clone();
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let kind = kinds::find("certificates.k8s.io", "v1", "certificatesigningrequests");
        kind.map(|(kind, _)| required::check(kind, object)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::User;

    #[test]
    fn the_server_says_who_asks() {
        let (kind, _) = kinds::find("certificates.k8s.io", "v1", "certificatesigningrequests").unwrap();
        let user = User::new("jane", &["system:authenticated"]);
        let cx = Cx { kind, user: &user, now: jiff::Timestamp::UNIX_EPOCH };
        let forged = json!({"request": "cQ==", "username": "root", "uid": "0", "groups": ["system:masters"], "extra": {"a": ["b"]}});
        let mut object = json!({"spec": forged});
        SigningRequest.prepare_create(&cx, &mut object);
        let expected = json!({"request": "cQ==", "username": "jane", "groups": ["system:authenticated"]});
        assert_eq!(object["spec"], expected);
        let mut changed = json!({"spec": {"request": "eA==", "username": "root"}});
        SigningRequest.prepare_update(&cx, &mut changed, &object);
        assert_eq!(changed, object);
    }

    #[test]
    fn what_is_missing_is_named() {
        let errors = SigningRequest.validate(&json!({"spec": {"request": "cQ=="}}));
        assert!(errors.iter().any(|error| error.field == "spec.signerName"), "{errors:?}");
    }
}
