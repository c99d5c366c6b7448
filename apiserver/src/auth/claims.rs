//! The claims of service account tokens: what is written into a token and what must hold when one is read. Pure.
//!
//! Names and rules are upstream's (pkg/serviceaccount/claims.go, pkg/registry/core/serviceaccount/storage/token.go).

use serde::{Deserialize, Serialize};

use crate::request::User;

/// A name and the UID that it had when the token was issued.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// The private part of the claims.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kubernetes {
    /// Namespace of the service account.
    pub namespace: String,
    /// The node of the pod, or a node that the token is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Reference>,
    /// The pod that the token is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    /// The secret that the token is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    /// The account.
    pub serviceaccount: Reference,
    /// From when on the use of the token is worth a warning: it should have been renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

/// All claims.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// For whom.
    pub aud: Vec<String>,
    /// Until when.
    pub exp: i64,
    /// Since when.
    pub iat: i64,
    /// By whom.
    pub iss: String,
    /// The token's own id.
    pub jti: String,
    /// The private part.
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Kubernetes,
    /// From when on.
    pub nbf: i64,
    /// `system:serviceaccount:<namespace>:<name>`.
    pub sub: String,
}

/// Pods ask for this odd life time; they get a year, and a warning from then on, so that old clients that never reread their
/// token go on working (`WarnOnlyBoundTokenExpirationPeriod`, `ExpirationExtensionSeconds`).
pub const WARN_ONLY_SECONDS: i64 = 60 * 60 + 7;
const EXTENDED_SECONDS: i64 = 365 * 24 * 60 * 60;

/// `system:serviceaccount:<namespace>:<name>`.
pub fn user_name(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Namespace and name of a service account's user name.
pub fn split_user_name(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

impl Claims {
    /// The claims of a token that is issued at `now` (seconds). `extend`: it is a pod's, for this API.
    pub fn new(
        issuer: &str,
        private: Kubernetes,
        audiences: Vec<String>,
        now: i64,
        seconds: i64,
        extend: bool,
    ) -> Self {
        let mut kubernetes = private;
        let mut life = seconds;
        if extend && seconds == WARN_ONLY_SECONDS {
            (life, kubernetes.warnafter) = (EXTENDED_SECONDS, Some(now + seconds));
        }
        Self {
            aud: audiences,
            exp: now + life,
            iat: now,
            iss: issuer.into(),
            jti: uuid::Uuid::new_v4().to_string(),
            sub: user_name(&kubernetes.namespace, &kubernetes.serviceaccount.name),
            nbf: now,
            kubernetes,
        }
    }

    /// Whether the token holds at `now` for one of `audiences`; the audiences that it shares with them.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, issuer: &str, audiences: &[String], now: i64) -> Result<Vec<String>, String> {
        if self.iss != issuer {
            return Err("token was issued by somebody else".into());
        }
        if now < self.nbf {
            return Err("service account token is not valid yet".into());
        }
        if now >= self.exp {
            return Err("service account token has expired".into());
        }
        let shared: Vec<String> = self.aud.iter().filter(|audience| audiences.contains(audience)).cloned().collect();
        if shared.is_empty() {
            return Err(format!("token audiences {:?} is invalid for the target audiences {audiences:?}", self.aud));
        }
        let expected = user_name(&self.kubernetes.namespace, &self.kubernetes.serviceaccount.name);
        if self.kubernetes.namespace.is_empty() || self.sub != expected {
            return Err("service account name claim does not match the subject".into());
        }
        Ok(shared)
    }

    /// The user that the token speaks for (upstream: pkg/serviceaccount/util.go, `ServiceAccountInfo`).
    pub fn user(&self) -> User {
        let private = &self.kubernetes;
        let mut user = User {
            name: self.sub.clone(),
            uid: private.serviceaccount.uid.clone(),
            groups: vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{}", private.namespace),
                "system:authenticated".into(),
            ],
            ..User::default()
        };
        let mut extra = |key: &str, value: String| {
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
        };
        if !self.jti.is_empty() {
            extra("credential-id", format!("JTI={}", self.jti));
        }
        for (what, reference) in [("node", &private.node), ("pod", &private.pod)] {
            if let Some(reference) = reference {
                extra(&format!("{what}-name"), reference.name.clone());
                if !reference.uid.is_empty() {
                    extra(&format!("{what}-uid"), reference.uid.clone());
                }
            }
        }
        user
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(extend: bool, seconds: i64) -> Claims {
        let private = Kubernetes {
            namespace: "a".into(),
            serviceaccount: Reference { name: "robot".into(), uid: "u".into() },
            pod: Some(Reference { name: "p".into(), uid: "pu".into() }),
            ..Kubernetes::default()
        };
        Claims::new("iss", private, vec!["api".into()], 1000, seconds, extend)
    }

    #[test]
    fn claims_have_upstreams_shape() {
        let value = serde_json::to_value(claims(false, 600)).unwrap();
        assert_eq!(value["kubernetes.io"]["serviceaccount"], serde_json::json!({"name": "robot", "uid": "u"}));
        assert_eq!((value["exp"].as_i64(), value["sub"].as_str()), (Some(1600), Some("system:serviceaccount:a:robot")));
        assert!(value["kubernetes.io"].get("node").is_none());
        assert_eq!(serde_json::from_value::<Claims>(value.clone()).unwrap().jti, value["jti"].as_str().unwrap());
    }

    #[test]
    fn only_the_odd_life_time_of_pods_is_extended() {
        assert_eq!(claims(true, 3607).kubernetes.warnafter, Some(4607));
        assert_eq!(claims(true, 3607).exp, 1000 + 365 * 24 * 3600);
        assert_eq!(claims(true, 3600).exp, 4600);
        assert_eq!(claims(false, 3607).exp, 4607);
    }

    #[test]
    fn checks_issuer_times_audience_and_subject() {
        let api = ["api".to_string()];
        let other = ["vault".to_string()];
        let good = claims(false, 600);
        let forged = Claims { sub: "system:serviceaccount:kube-system:root".into(), ..good.clone() };
        let table: [(&Claims, &str, &[String], i64, bool); 7] = [
            (&good, "iss", &api, 1000, true),
            (&good, "iss", &api, 1599, true),
            (&good, "iss", &api, 1600, false),
            (&good, "iss", &api, 999, false),
            (&good, "other", &api, 1000, false),
            (&good, "iss", &other, 1000, false),
            (&forged, "iss", &api, 1000, false),
        ];
        for (claims, issuer, audiences, now, ok) in table {
            assert_eq!(claims.check(issuer, audiences, now).is_ok(), ok, "{issuer} {audiences:?} {now}");
        }
    }

    #[test]
    fn users_are_those_of_upstream() {
        let user = claims(false, 600).user();
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
        assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["p"]);
        assert_eq!(user.extra["authentication.kubernetes.io/pod-uid"], ["pu"]);
        assert!(user.extra["authentication.kubernetes.io/credential-id"][0].starts_with("JTI="));
        assert_eq!(split_user_name(&user.name), Some(("a", "robot")));
        assert_eq!(split_user_name("system:serviceaccount:a:"), None);
        assert_eq!(split_user_name("ann"), None);
    }
}
