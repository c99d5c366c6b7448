//! `serviceaccounts/token`: issues a token, bound to a pod, node or secret if asked to (upstream:
//! pkg/registry/core/serviceaccount/storage/token.go, pkg/apis/authentication/validation).

use api::field::{FieldError, Path};
use api::{Status, object};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Question;
use crate::admission::{Attributes, Operation};
use crate::auth::claims::{Claims, Kubernetes, Reference, WARN_ONLY_SECONDS};
use crate::auth::tokens::Tokens;
use crate::registry::timestamp;

const SHORTEST: i64 = 10 * 60;
const LONGEST: i64 = 1 << 32;
const USUAL: i64 = 60 * 60;

/// Answers a TokenRequest.
///
/// # Errors
/// 404 for a missing account or bound object, 409 for another UID, 422 for an unusable spec.
pub async fn answer(question: Question<'_>) -> Result<Value, Status> {
    let Question { front, info, user, mut body } = question;
    let tokens = &front.auth.tokens;
    let (namespace, name) = (info.namespace.as_str(), info.name.as_str());
    let own = object::name(&body);
    if !own.is_empty() && own != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({name})"
        )));
    }
    let account = tokens.object("serviceaccounts", namespace, name).await?;
    let account = account.ok_or_else(|| Status::not_found("", "serviceaccounts", name))?;
    fill(&mut body, tokens.audiences());
    let errors = check(&body);
    if !errors.is_empty() {
        return Err(Status::invalid("authentication.k8s.io", "TokenRequest", "", &errors));
    }
    if let Some(kind) = info.resource {
        let attributes = Attributes {
            operation: Operation::Create,
            kind,
            subresource: &info.subresource,
            namespace,
            name,
            user,
            dry_run: false,
            old: None,
        };
        let registry = &front.registry;
        registry.admission().admit(&attributes, &mut body).await?;
        registry.admission().validate(&attributes, &body).await?;
    }
    let private = bind(tokens, &body, namespace, name, object::uid(&account)).await?;
    issue(tokens, body, private)
}

fn issue(tokens: &Tokens, mut body: Value, private: Kubernetes) -> Result<Value, Status> {
    let audiences: Vec<String> =
        object::list(&body, "/spec/audiences").iter().filter_map(|a| a.as_str().map(Into::into)).collect();
    let seconds = object::integer(&body, "/spec/expirationSeconds").unwrap_or(USUAL);
    let now = tokens.now().as_second();
    let extend = private.pod.is_some() && seconds == WARN_ONLY_SECONDS && audiences.as_slice() == tokens.audiences();
    let claims = Claims::new(tokens.issuer(), private, audiences, now, seconds, extend);
    // The client is told the life that it asked for, so that it renews in time.
    let expires = Timestamp::from_second(now + seconds).map_err(Status::internal)?;
    let status = json!({"token": tokens.sign(&claims)?, "expirationTimestamp": timestamp(expires)});
    object::set(&mut body, "/status", status);
    let name = claims.kubernetes.serviceaccount.name;
    object::set_name(&mut body, &name);
    object::set_namespace(&mut body, &claims.kubernetes.namespace);
    object::set_meta(&mut body, "creationTimestamp", &timestamp(tokens.now()));
    Ok(body)
}

/// Defaults (upstream: pkg/apis/authentication/v1/defaults.go).
fn fill(body: &mut Value, audiences: &[String]) {
    if object::integer(body, "/spec/expirationSeconds").is_none() {
        object::set(body, "/spec/expirationSeconds", json!(USUAL));
    }
    if object::list(body, "/spec/audiences").is_empty() {
        object::set(body, "/spec/audiences", json!(audiences));
    }
}

fn check(body: &Value) -> Vec<FieldError> {
    let path = Path::new("spec").child("expirationSeconds");
    let seconds = object::integer(body, "/spec/expirationSeconds").unwrap_or(USUAL);
    let refuse = |why: &str| vec![FieldError::invalid(&path, &json!(seconds), why)];
    match seconds {
        seconds if seconds < SHORTEST => refuse("may not specify a duration less than 10 minutes"),
        seconds if seconds > LONGEST => refuse("may not specify a duration larger than 2^32 seconds"),
        _ => Vec::new(),
    }
}

/// The private claims: the account and what the token is bound to.
async fn bind(tokens: &Tokens, body: &Value, namespace: &str, name: &str, uid: &str) -> Result<Kubernetes, Status> {
    let mut private = Kubernetes {
        namespace: namespace.into(),
        serviceaccount: Reference { name: name.into(), uid: uid.into() },
        ..Kubernetes::default()
    };
    let Some(reference) = object::at(body, "/spec/boundObjectRef").filter(|reference| !reference.is_null()) else {
        return Ok(private);
    };
    let text = |pointer: &str| object::text(reference, pointer);
    let (plural, place) = match (text("/apiVersion"), text("/kind")) {
        ("v1", "Pod") => ("pods", namespace),
        ("v1", "Secret") => ("secrets", namespace),
        ("v1", "Node") => ("nodes", ""),
        (version, kind) => {
            return Err(Status::bad_request(format!("cannot bind token to object of type {version}, Kind={kind}")));
        }
    };
    let bound = text("/name").to_string();
    let found = tokens.object(plural, place, &bound).await?;
    let found = found.ok_or_else(|| Status::not_found("", plural, &bound))?;
    let (wanted, actual) = (text("/uid"), object::uid(&found).to_string());
    if !wanted.is_empty() && wanted != actual {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict("", plural, &bound, &why));
    }
    let reference = Some(Reference { name: bound, uid: actual });
    match plural {
        "secrets" => private.secret = reference,
        "nodes" => private.node = reference,
        _ => {
            if object::text(&found, "/spec/serviceAccountName") != name {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {name:?} to pod running with different serviceaccount name."
                )));
            }
            private.pod = reference;
            private.node = node_of(tokens, object::text(&found, "/spec/nodeName")).await?;
        }
    }
    Ok(private)
}

async fn node_of(tokens: &Tokens, node: &str) -> Result<Option<Reference>, Status> {
    if node.is_empty() {
        return Ok(None);
    }
    let uid = tokens.object("nodes", "", node).await?.map(|node| object::uid(&node).to_string());
    Ok(Some(Reference { name: node.into(), uid: uid.unwrap_or_default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_bounded_and_default_to_an_hour() {
        let mut body = json!({});
        fill(&mut body, &["api".into()]);
        assert_eq!(body, json!({"spec": {"expirationSeconds": 3600, "audiences": ["api"]}}));
        for (seconds, text) in [
            (600, None),
            (599, Some("spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes")),
            (
                (1_i64 << 32) + 1,
                Some(
                    "spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
                ),
            ),
        ] {
            let errors = check(&json!({"spec": {"expirationSeconds": seconds}}));
            assert_eq!(errors.first().map(ToString::to_string).as_deref(), text);
        }
    }
}
