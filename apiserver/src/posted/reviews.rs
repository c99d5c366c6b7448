//! The review kinds: may this user do that, what may I do, whose token is this, who am I (upstream: pkg/registry/authorization,
//! pkg/registry/authentication).

use std::collections::BTreeMap;

use api::field::{FieldError, Path};
use api::{Status, object};
use serde_json::{Map, Value, json};

use super::Question;
use crate::auth::{Attributes, Decision, node};
use crate::request::User;

/// TokenReview.
///
/// # Errors
/// 400 without a token.
pub async fn token(question: Question<'_>) -> Result<Value, Status> {
    let mut body = question.body;
    let token = object::text(&body, "/spec/token").to_string();
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let tokens = &question.front.auth.tokens;
    let asked: Vec<String> =
        object::list(&body, "/spec/audiences").iter().filter_map(|a| a.as_str().map(Into::into)).collect();
    let audiences = if asked.is_empty() { tokens.audiences().to_vec() } else { asked };
    let status = match tokens.review(&token, &audiences).await {
        Ok((user, audiences)) => json!({"authenticated": true, "user": user_info(&user), "audiences": audiences}),
        Err(why) => json!({"user": {}, "error": why}),
    };
    object::set(&mut body, "/status", status);
    Ok(body)
}

/// SelfSubjectReview.
///
/// # Errors
/// None.
pub async fn self_subject(question: Question<'_>) -> Result<Value, Status> {
    let mut body = question.body;
    object::set(&mut body, "/status", json!({"userInfo": user_info(question.user)}));
    Ok(body)
}

/// SubjectAccessReview.
///
/// # Errors
/// 422 if the spec does not say who and what.
pub async fn access(question: Question<'_>) -> Result<Value, Status> {
    review(question, "SubjectAccessReview", true).await
}

/// LocalSubjectAccessReview.
///
/// # Errors
/// 422 as [`access`]; 400 if it names another namespace.
pub async fn local_access(question: Question<'_>) -> Result<Value, Status> {
    let wanted = object::text(&question.body, "/spec/resourceAttributes/namespace");
    if wanted != question.info.namespace {
        let why = format!(
            "spec.resourceAttributes.namespace must match namespace: {wanted:?} is not {:?}",
            question.info.namespace
        );
        return Err(Status::bad_request(why));
    }
    review(question, "LocalSubjectAccessReview", true).await
}

/// SelfSubjectAccessReview.
///
/// # Errors
/// 422 if the spec does not say what.
pub async fn self_access(question: Question<'_>) -> Result<Value, Status> {
    review(question, "SelfSubjectAccessReview", false).await
}

async fn review(question: Question<'_>, kind: &str, names_user: bool) -> Result<Value, Status> {
    let mut body = question.body;
    let spec = body.get("spec").cloned().unwrap_or(Value::Null);
    let errors = check(&spec, names_user);
    if !errors.is_empty() {
        return Err(Status::invalid("authorization.k8s.io", kind, "", &errors));
    }
    let user = if names_user { user_of(&spec) } else { question.user.clone() };
    let asked = attributes(&spec, user);
    let status = match question.front.auth.authorize(&asked).await? {
        Decision::Allow(reason) => verdict(true, &reason),
        Decision::NoOpinion(reason) => verdict(false, &reason),
    };
    object::set(&mut body, "/status", status);
    Ok(body)
}

fn verdict(allowed: bool, reason: &str) -> Value {
    if reason.is_empty() { json!({ "allowed": allowed }) } else { json!({"allowed": allowed, "reason": reason}) }
}

/// Upstream: pkg/apis/authorization/validation.
fn check(spec: &Value, names_user: bool) -> Vec<FieldError> {
    let path = Path::new("spec");
    let mut errors = Vec::new();
    let (resource, other) = (spec.get("resourceAttributes"), spec.get("nonResourceAttributes"));
    if resource.is_some() && other.is_some() {
        let why = "cannot be specified in combination with resourceAttributes";
        errors.push(FieldError::invalid(&path.child("nonResourceAttributes"), &json!({}), why));
    }
    if resource.is_none() && other.is_none() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.push(FieldError::invalid(&path.child("resourceAttributes"), &Value::Null, why));
    }
    if names_user && object::text(spec, "/user").is_empty() && object::list(spec, "/groups").is_empty() {
        let why = "at least one of user or group must be specified";
        errors.push(FieldError::invalid(&path.child("user"), &json!(""), why));
    }
    errors
}

fn user_of(spec: &Value) -> User {
    let texts =
        |values: &Value| values.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(Into::into)).collect();
    let extra: BTreeMap<String, Vec<String>> = object::map(spec, "/extra")
        .into_iter()
        .flatten()
        .map(|(key, values)| (key.to_lowercase(), texts(values)))
        .collect();
    User {
        name: object::text(spec, "/user").into(),
        uid: object::text(spec, "/uid").into(),
        groups: spec.get("groups").map(texts).unwrap_or_default(),
        extra,
    }
}

fn attributes(spec: &Value, user: User) -> Attributes {
    if let Some(other) = spec.get("nonResourceAttributes") {
        let (verb, path) = (object::text(other, "/verb").into(), object::text(other, "/path").into());
        return Attributes { user, verb, path, ..Attributes::default() };
    }
    let text = |field: &str| object::text(spec, &format!("/resourceAttributes/{field}")).to_string();
    let requirements = object::list(spec, "/resourceAttributes/fieldSelector/requirements");
    let terms: Vec<String> = requirements.iter().filter_map(term).collect();
    let field_selector = match text("fieldSelector/rawSelector") {
        raw if raw.is_empty() => terms.join(","),
        raw => raw,
    };
    Attributes {
        user,
        verb: text("verb"),
        group: text("group"),
        version: text("version"),
        resource: text("resource"),
        subresource: text("subresource"),
        namespace: text("namespace"),
        name: text("name"),
        field_selector,
        is_resource: true,
        ..Attributes::default()
    }
}

/// `key=value` of a requirement `In [value]`.
fn term(requirement: &Value) -> Option<String> {
    let values = object::list(requirement, "/values");
    let single = object::text(requirement, "/operator") == "In" && values.len() == 1;
    single.then(|| format!("{}={}", object::text(requirement, "/key"), values[0].as_str().unwrap_or_default()))
}

/// SelfSubjectRulesReview.
///
/// # Errors
/// 400 without a namespace.
pub async fn self_rules(question: Question<'_>) -> Result<Value, Status> {
    let mut body = question.body;
    let namespace = object::text(&body, "/spec/namespace").to_string();
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (mut resources, mut others) = (Vec::new(), Vec::new());
    for rule in question.front.auth.policy().rules_for(question.user, &namespace) {
        if rule.non_resource_urls.is_empty() {
            resources.push(rule_value(&[
                ("verbs", &rule.verbs),
                ("apiGroups", &rule.api_groups),
                ("resources", &rule.resources),
                ("resourceNames", &rule.resource_names),
            ]));
        } else {
            others.push(rule_value(&[("verbs", &rule.verbs), ("nonResourceURLs", &rule.non_resource_urls)]));
        }
    }
    let mut status = json!({"resourceRules": resources, "nonResourceRules": others, "incomplete": false});
    if node::node_of(question.user).is_some() {
        status["incomplete"] = json!(true);
        status["evaluationError"] = json!("node authorizer does not support user rule resolution");
    }
    object::set(&mut body, "/status", status);
    Ok(body)
}

fn rule_value(fields: &[(&str, &Vec<String>)]) -> Value {
    let fields = fields.iter().filter(|(_, items)| !items.is_empty());
    Value::Object(fields.map(|(name, items)| ((*name).to_string(), json!(items))).collect::<Map<_, _>>())
}

/// `authentication/v1 UserInfo`.
pub fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_say_who_and_what() {
        let resource = json!({"verb": "get", "resource": "pods"});
        let table = [
            (json!({"user": "a", "resourceAttributes": resource}), true, 0),
            (json!({"groups": ["g"], "nonResourceAttributes": {"verb": "get", "path": "/x"}}), true, 0),
            (json!({"resourceAttributes": resource}), true, 1),
            (json!({"resourceAttributes": resource}), false, 0),
            (json!({"resourceAttributes": resource, "nonResourceAttributes": {}}), false, 1),
            (Value::Null, true, 2),
        ];
        for (spec, names_user, wrong) in table {
            assert_eq!(check(&spec, names_user).len(), wrong, "{spec}");
        }
    }

    #[test]
    fn specs_become_questions() {
        let spec = json!({"user": "a", "extra": {"Scope": ["x"]}, "resourceAttributes": {
            "verb": "list", "group": "apps", "resource": "deployments", "subresource": "scale", "namespace": "n",
            "fieldSelector": {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]}}});
        let asked = attributes(&spec, user_of(&spec));
        assert_eq!((asked.verb.as_str(), asked.qualified_resource().as_str()), ("list", "deployments/scale"));
        assert_eq!(asked.field_selector, "spec.nodeName=n1");
        assert_eq!(asked.user.extra["scope"], ["x"]);
        let other = attributes(&json!({"nonResourceAttributes": {"verb": "get", "path": "/x"}}), User::default());
        assert!(!other.is_resource && other.path == "/x");
    }

    #[test]
    fn users_read_as_upstreams() {
        let info = user_info(&User::new("a", &["g"]));
        assert_eq!(info, json!({"username": "a", "groups": ["g"]}));
    }
}
