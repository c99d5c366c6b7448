//! The question that authorization answers, as a value, and its refusal in upstream's words
//! (apiserver, pkg/endpoints/handlers/responsewriters/errors.go: `forbiddenMessage`).

use api::Status;

use crate::request::{RequestInfo, User};

/// Who wants to do what to what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Who.
    pub user: User,
    /// The verb; for other paths than resources the lower-case method.
    pub verb: String,
    /// API group.
    pub group: String,
    /// API version; rules do not look at it.
    pub version: String,
    /// The plural.
    pub resource: String,
    /// Empty if none.
    pub subresource: String,
    /// Empty for cluster scope and for all namespaces.
    pub namespace: String,
    /// Empty for collections.
    pub name: String,
    /// The field selector of a list or watch; empty if none.
    pub field_selector: String,
    /// The path, for what is no resource.
    pub path: String,
    /// Whether it is about a resource.
    pub is_resource: bool,
}

impl Attributes {
    /// What a request needs.
    pub fn of(info: &RequestInfo, user: &User) -> Self {
        Self {
            user: user.clone(),
            verb: info.verb.clone(),
            group: info.api_group.clone(),
            version: info.api_version.clone(),
            resource: info.resource_name.clone(),
            subresource: info.subresource.clone(),
            namespace: info.namespace.clone(),
            name: info.name.clone(),
            field_selector: info.field_selector.clone(),
            path: info.path.clone(),
            is_resource: info.is_resource,
        }
    }

    /// `resource` or `resource/subresource`.
    pub fn qualified_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The refusal. `reason` is appended if the authorizer gave one.
    pub fn forbidden(&self, reason: &str) -> Status {
        let user = &self.user.name;
        let mut why = if self.is_resource {
            let what = self.qualified_resource();
            let scope = if self.namespace.is_empty() {
                "at the cluster scope".to_string()
            } else {
                format!("in the namespace \"{}\"", self.namespace)
            };
            format!("User \"{user}\" cannot {} resource \"{what}\" in API group \"{}\" {scope}", self.verb, self.group)
        } else {
            format!("User \"{user}\" cannot {} path \"{}\"", self.verb, self.path)
        };
        if !reason.is_empty() {
            why = format!("{why}: {reason}");
        }
        Status::forbidden(&self.group, &self.resource, &self.name, &why)
    }
}

/// What an authorizer says. A chain ends at the first that is not `NoOpinion`; nobody's opinion is a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, and why.
    Allow(String),
    /// Not by me, and why.
    NoOpinion(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn refusals_read_like_upstreams() {
        let table = [
            (
                "/api/v1/namespaces/default/pods",
                "pods is forbidden: User \"x\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
            ),
            (
                "/api/v1/nodes",
                "nodes is forbidden: User \"x\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
            ),
            (
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "deployments.apps \"d\" is forbidden: User \"x\" cannot get resource \"deployments/scale\" in API group \"apps\" in the namespace \"a\"",
            ),
            ("/foo", "forbidden: User \"x\" cannot get path \"/foo\""),
        ];
        for (path, message) in table {
            let info = RequestInfo::parse(&Method::GET, path, None);
            let status = Attributes::of(&info, &User::new("x", &[])).forbidden("");
            assert_eq!((status.code, status.message.as_str()), (403, message));
        }
        let info = RequestInfo::parse(&Method::GET, "/foo", None);
        let status = Attributes::of(&info, &User::new("x", &[])).forbidden("because");
        assert_eq!(status.message, "forbidden: User \"x\" cannot get path \"/foo\": because");
    }
}
