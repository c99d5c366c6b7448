//! Acting as somebody else: `Impersonate-User`, `-Group`, `-Uid` and `-Extra-<key>`; each needs the verb `impersonate`
//! (upstream: apiserver, pkg/endpoints/filters/impersonation).

use api::Status;
use http::{HeaderMap, Response};

use super::access::Asker;
use crate::answer;
use crate::auth::claims::split_user_name;
use crate::auth::{Attributes, Decision};
use crate::front::chain::Next;
use crate::request::{self, Body, User};
use crate::state::Exchange;

/// See the module.
pub async fn filter(mut exchange: Exchange, next: Next) -> Response<Body> {
    let wanted = match wanted(exchange.request.headers()) {
        Ok(None) => return next.run(exchange).await,
        Ok(Some(wanted)) => wanted,
        Err(status) => return answer::status(&status),
    };
    for asked in questions(&exchange.user, &wanted) {
        match exchange.front.auth.authorize(&asked).await {
            Ok(Decision::Allow(_)) => {}
            Ok(Decision::NoOpinion(reason)) => return answer::status(&asked.forbidden(&reason)),
            Err(status) => return answer::status(&status),
        }
    }
    let headers = exchange.request.headers_mut();
    let names: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    let asker = Asker(format!("{} as {}", exchange.user.name, wanted.name));
    exchange.user = complete(wanted);
    let mut response = next.run(exchange).await;
    response.extensions_mut().insert(asker);
    response
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Whom the headers name; `None` without such headers.
fn wanted(headers: &HeaderMap) -> Result<Option<User>, Status> {
    let mut user = User { name: headers.get("impersonate-user").map(text).unwrap_or_default(), ..User::default() };
    user.uid = headers.get("impersonate-uid").map(text).unwrap_or_default();
    user.groups = headers.get_all("impersonate-group").iter().map(text).collect();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix("impersonate-extra-") {
            user.extra.entry(request::decode(key, false)).or_default().push(text(value));
        }
    }
    if user == User::default() {
        return Ok(None);
    }
    if user.name.is_empty() {
        let mut status = Status::internal("");
        status.message = "Internal error occurred: requested impersonation without impersonating a user".into();
        return Err(status);
    }
    Ok(Some(user))
}

/// What the real user must be allowed to do.
fn questions(real: &User, wanted: &User) -> Vec<Attributes> {
    let ask = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| Attributes {
        user: real.clone(),
        verb: "impersonate".into(),
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
        is_resource: true,
        ..Attributes::default()
    };
    let mut questions = vec![match split_user_name(&wanted.name) {
        Some((namespace, name)) => ask("", "serviceaccounts", "", namespace, name),
        None => ask("", "users", "", "", &wanted.name),
    }];
    questions.extend(wanted.groups.iter().map(|group| ask("", "groups", "", "", group)));
    if !wanted.uid.is_empty() {
        questions.push(ask("authentication.k8s.io", "uids", "", "", &wanted.uid));
    }
    for (key, values) in &wanted.extra {
        questions.extend(values.iter().map(|value| ask("authentication.k8s.io", "userextras", key, "", value)));
    }
    questions
}

/// The groups that everybody (or every service account) is in.
fn complete(mut user: User) -> User {
    if let Some((namespace, _)) = split_user_name(&user.name)
        && user.groups.is_empty()
    {
        user.groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
    }
    let implied = if user.name == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    if !user.in_group(implied) && !user.in_group("system:unauthenticated") {
        user.groups.push(implied.into());
    }
    user
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn headers_name_whom_to_be() {
        assert_eq!(wanted(&headers(&[("accept", "x")])).unwrap(), None);
        assert!(wanted(&headers(&[("impersonate-group", "devs")])).is_err());
        let user = wanted(&headers(&[
            ("impersonate-user", "ann"),
            ("impersonate-group", "devs"),
            ("impersonate-group", "ops"),
            ("impersonate-extra-scope%2fa", "1"),
        ]));
        let user = user.unwrap().unwrap();
        assert_eq!((user.groups.len(), user.extra["scope/a"][0].as_str()), (2, "1"));
        let asked: Vec<String> =
            questions(&User::new("bob", &[]), &user).iter().map(Attributes::qualified_resource).collect();
        assert_eq!(asked, ["users", "groups", "groups", "userextras/scope/a"]);
        assert!(complete(user).in_group("system:authenticated"));
    }

    #[test]
    fn service_accounts_bring_their_groups() {
        let user = complete(User::new("system:serviceaccount:a:robot", &[]));
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
    }
}
