//! Kinds that are posted, answered and forgotten: access and token reviews, and token requests. A table from resource to
//! answer; bodies and answers are in the encodings that all other kinds have.
//!
//! | module | what it answers |
//! |---|---|
//! | [`reviews`] | may this user do that, what may I do, whose token is this, who am I |
//! | [`token_request`] | a token for a service account |

pub mod reviews;
pub mod token_request;

use api::kinds::{self, KindRef};
use api::{FieldValidation, Status};
use futures::future::BoxFuture;
use http::{Response, StatusCode, header};
use serde_json::{Value, json};

use crate::answer;
use crate::handlers::respond::{encode, warn};
use crate::handlers::{decode, negotiate};
use crate::registry::Call;
use crate::request::{Body, RequestInfo, User};
use crate::state::{Exchange, Front};

/// What an answer may depend on.
pub struct Question<'a> {
    /// The server.
    pub front: &'a Front,
    /// The path.
    pub info: &'a RequestInfo,
    /// Who asks.
    pub user: &'a User,
    /// What was posted.
    pub body: Value,
}

type Answer = for<'a> fn(Question<'a>) -> BoxFuture<'a, Result<Value, Status>>;

struct Row {
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// The kind that is posted, by group and name; all of them are v1.
    posted: (&'static str, &'static str),
    answer: Answer,
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

static TABLE: &[Row] = &[
    row(AUTHENTICATION, "tokenreviews", "TokenReview", |q| Box::pin(reviews::token(q))),
    row(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview", |q| Box::pin(reviews::self_subject(q))),
    row(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview", |q| Box::pin(reviews::access(q))),
    row(AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", |q| Box::pin(reviews::local_access(q))),
    row(AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview", |q| Box::pin(reviews::self_access(q))),
    row(AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview", |q| Box::pin(reviews::self_rules(q))),
    Row {
        group: "",
        resource: "serviceaccounts",
        subresource: "token",
        posted: (AUTHENTICATION, "TokenRequest"),
        answer: |q| Box::pin(token_request::answer(q)),
    },
];

const fn row(group: &'static str, resource: &'static str, kind: &'static str, answer: Answer) -> Row {
    Row { group, resource, subresource: "", posted: (group, kind), answer }
}

fn find(info: &RequestInfo) -> Option<&'static Row> {
    TABLE.iter().find(|row| {
        row.group == info.api_group && row.resource == info.resource_name && row.subresource == info.subresource
    })
}

/// Whether the request is about such a kind.
pub fn serves(info: &RequestInfo) -> bool {
    info.resource.is_some() && find(info).is_some()
}

/// Answers it.
pub async fn serve(exchange: Exchange) -> Response<Body> {
    answer(exchange).await.unwrap_or_else(|status| answer::status(&status))
}

async fn answer(exchange: Exchange) -> Result<Response<Body>, Status> {
    let Exchange { front, info, user, request, .. } = exchange;
    let row = find(&info).ok_or_else(Status::no_such_path)?;
    if info.verb != "create" || (row.subresource.is_empty() && info.named) {
        return Err(Status::method_not_supported(&info.api_group, &info.qualified_resource(), &info.verb));
    }
    let (parts, body) = request.into_parts();
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepted = negotiate::negotiate(text(header::ACCEPT), false)?;
    let (kind, served) =
        kinds::by_kind(row.posted.0, "v1", row.posted.1).ok_or_else(|| Status::internal("kind without a row"))?;
    let bytes = decode::read(body).await?;
    let call = Call::new(user.clone());
    let content_type = text(header::CONTENT_TYPE);
    let body = decode::typed(&call, kind.kind, &served, content_type, &bytes, FieldValidation::Warn)?;
    let mut answered = (row.answer)(Question { front: &front, info: &info, user: &user, body }).await?;
    complete(kind, &mut answered);
    let bytes = encode(accepted.encoding, accepted.pretty, &answered)?;
    let mut response = answer::bytes_of(StatusCode::CREATED, accepted.encoding.media_type(), bytes);
    warn(&mut response, &call.take_warnings());
    Ok(response)
}

/// apiVersion, kind and metadata as every answer has them.
fn complete(kind: KindRef, object: &mut Value) {
    let map = api::object::as_map(object);
    map.insert("apiVersion".into(), json!(kind.api_version()));
    map.insert("kind".into(), json!(kind.kind));
    map.entry("metadata").or_insert_with(|| json!({}));
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn every_row_is_a_kind_of_the_table() {
        for row in TABLE {
            assert!(kinds::by_kind(row.posted.0, "v1", row.posted.1).is_some(), "{:?}", row.posted);
            assert!(kinds::find(row.group, "v1", row.resource).is_some(), "{}", row.resource);
        }
        let info = |path| RequestInfo::parse(&Method::POST, path, None);
        assert!(serves(&info("/api/v1/namespaces/a/serviceaccounts/s/token")));
        assert!(!serves(&info("/api/v1/namespaces/a/serviceaccounts")));
        assert!(serves(&info("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")));
    }
}
