//! Of which families the addresses of a Service are (upstream: initIPFamilyFields in
//! pkg/registry/core/service/storage/alloc.go, on a cluster that has IPv4 only). Pure.

use std::net::IpAddr;

use api::{FieldError, Path, object};
use serde_json::{Value, json};

use crate::strategy::service;

const OURS: &str = "IPv4";
const OTHER: &str = "IPv6";
const SINGLE: &str = "SingleStack";
const BOTH: &str = "RequireDualStack";

/// Gives the Service its policy and families, by what it says and, where it says nothing, by what it was.
///
/// # Errors
/// What this cluster does not have, and what does not go together.
pub fn settle(service: &mut Value, old: Option<&Value>) -> Result<(), Vec<FieldError>> {
    if object::text(service, "/spec/type") == "ExternalName" || old.is_some_and(|old| prefers_as_before(service, old)) {
        return Ok(());
    }
    let no_selector = service["spec"]["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    let free = object::text(service, "/spec/clusterIP") == "None" && no_selector;
    if policy(service).is_empty() {
        let policy = match old.map(policy).filter(|policy| !policy.is_empty()) {
            Some(before) => before,
            None if free => BOTH,
            None => SINGLE,
        };
        service["spec"]["ipFamilyPolicy"] = json!(policy);
    }
    sound(service::address_errors(service))?;
    let mut errors = released(service, old);
    errors.extend(inferred(service));
    sound(errors)?;
    let (single, mut families) = (policy(service) == SINGLE, families(service));
    if free {
        // Its endpoints are somebody else's: they may have addresses that the cluster has not.
        if families.is_empty() {
            families.push(OURS.into());
        }
        if families.len() == 1 && !single {
            families.push(if families[0] == OURS { OTHER } else { OURS }.into());
        }
    } else {
        sound(missing(service))?;
        families = vec![OURS.into()];
    }
    service["spec"]["ipFamilies"] = json!(families);
    Ok(())
}

fn sound(errors: Vec<FieldError>) -> Result<(), Vec<FieldError>> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn policy(service: &Value) -> &str {
    object::text(service, "/spec/ipFamilyPolicy")
}

fn families(service: &Value) -> Vec<String> {
    object::list(service, "/spec/ipFamilies").iter().filter_map(|family| family.as_str().map(String::from)).collect()
}

fn invalid(path: &Path, value: &Value, why: impl std::fmt::Display) -> FieldError {
    FieldError::invalid(path, value, why)
}

/// Whoever prefers two families and does not change anything keeps what he has, whatever the cluster has now.
fn prefers_as_before(service: &Value, old: &Value) -> bool {
    let same = |field: &str| service["spec"].get(field) == old["spec"].get(field);
    policy(service) == "PreferDualStack" && ["ipFamilyPolicy", "type", "clusterIPs", "ipFamilies"].into_iter().all(same)
}

/// What an update gives up it must mean to give up; then the policy alone says so.
fn released(service: &mut Value, old: Option<&Value>) -> Vec<FieldError> {
    let (before, now) = (old.map(families).unwrap_or_default(), families(service));
    let path = Path::new("spec").child("ipFamilyPolicy");
    let said = json!(policy(service));
    let mut errors = Vec::new();
    if policy(service) != SINGLE {
        if !now.is_empty() && now.len() < before.len() {
            errors.push(invalid(&path, &said, "must be 'SingleStack' to release the secondary IP family"));
        }
        return errors;
    }
    if now.len() == 2 && now == before {
        service["spec"]["ipFamilies"] = json!([now[0]]);
    }
    for (field, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
        if object::list(service, &format!("/spec/{field}")).len() == 2 {
            let why = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
            errors.push(invalid(&path, &said, why));
        }
    }
    errors
}

/// An address says of which family it is, where nothing else does.
fn inferred(service: &Value) -> Vec<FieldError> {
    let (addresses, stated) = (&service["spec"]["clusterIPs"], families(service).len());
    let rest = object::list(service, "/spec/clusterIPs").iter().enumerate().skip(stated);
    let foreign = rest.filter(|(_, ip)| ip.as_str().is_some_and(|ip| matches!(ip.parse(), Ok(IpAddr::V6(_)))));
    let path = Path::new("spec").child("clusterIPs");
    foreign.map(|(at, _)| invalid(&path.index(at), addresses, "IPv6 is not configured on this cluster")).collect()
}

/// What is asked for and this cluster has not.
fn missing(service: &Value) -> Vec<FieldError> {
    let spec = Path::new("spec");
    let mut errors = Vec::new();
    if policy(service) == BOTH {
        let why = "this cluster is not configured for dual-stack services";
        errors.push(invalid(&spec.child("ipFamilyPolicy"), &json!(BOTH), why));
    }
    for (at, family) in families(service).iter().enumerate().filter(|(_, family)| *family != OURS) {
        let path = spec.child("ipFamilies").index(at);
        errors.push(invalid(&path, &json!(family), "not configured on this cluster"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policy and families that a Service ends up with, or why it does not.
    fn settled(spec: &Value, old: Option<&Value>) -> Result<(String, String), String> {
        let mut service = json!({ "spec": spec });
        let old = old.map(|spec| json!({ "spec": spec }));
        settle(&mut service, old.as_ref()).map_err(|errors| api::field::aggregate(&errors))?;
        Ok((policy(&service).to_string(), families(&service).join(" ")))
    }

    #[test]
    fn a_cluster_of_one_family_gives_that_one() {
        let refused = "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": \
                       this cluster is not configured for dual-stack services";
        let (v4, v6) = (json!("10.96.0.1"), json!("fd00::1"));
        let table = [
            (json!({}), Ok(("SingleStack", "IPv4"))),
            (json!({"ipFamilies": ["IPv4"]}), Ok(("SingleStack", "IPv4"))),
            (json!({"ipFamilyPolicy": "PreferDualStack"}), Ok(("PreferDualStack", "IPv4"))),
            (json!({"clusterIP": v4, "clusterIPs": [v4]}), Ok(("SingleStack", "IPv4"))),
            (json!({"ipFamilyPolicy": "RequireDualStack"}), Err(refused)),
            (
                json!({"ipFamilies": ["IPv6"]}),
                Err("spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"),
            ),
            (
                json!({"clusterIP": v6, "clusterIPs": [v6]}),
                Err("spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster"),
            ),
            (
                json!({"clusterIP": v6, "clusterIPs": [v6], "ipFamilies": ["IPv6"]}),
                Err("spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"),
            ),
            (
                json!({"clusterIP": v4, "clusterIPs": [v4, v6]}),
                Err("[spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or \
                     'PreferDualStack' when multiple cluster IPs are specified, \
                     spec.clusterIPs[1]: Invalid value: [\"10.96.0.1\",\"fd00::1\"]: IPv6 is not configured on this cluster]"),
            ),
            (
                json!({"ipFamilies": ["IPv4", "IPv6"]}),
                Err("spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or \
                     'PreferDualStack' when multiple IP families are specified"),
            ),
            (
                json!({"clusterIP": v4, "clusterIPs": [v4, v6], "ipFamilyPolicy": "PreferDualStack"}),
                Err(
                    "spec.clusterIPs[1]: Invalid value: [\"10.96.0.1\",\"fd00::1\"]: IPv6 is not configured on this cluster",
                ),
            ),
            (
                json!({"clusterIP": v4, "clusterIPs": [v4, "10.96.0.2"]}),
                Err("spec.clusterIPs: Invalid value: [\"10.96.0.1\",\"10.96.0.2\"]: \
                     may specify no more than one IP for each IP family"),
            ),
            (
                json!({"clusterIPs": [v4]}),
                Err("spec.clusterIPs: Invalid value: [\"10.96.0.1\"]: must be empty when `clusterIP` is not specified"),
            ),
            (
                json!({"clusterIP": v4, "clusterIPs": [v4], "ipFamilies": ["IPv6"]}),
                Err("spec.clusterIPs[0]: Invalid value: \"10.96.0.1\": \
                     expected an IPv6 value as indicated by `ipFamilies[0]`"),
            ),
        ];
        for (spec, expected) in table {
            let expected = expected.map(|(policy, families): (&str, &str)| (policy.into(), families.into()));
            assert_eq!(settled(&spec, None), expected.map_err(String::from), "{spec}");
        }
    }

    #[test]
    fn what_has_neither_address_nor_selector_may_be_of_any_family() {
        let headless = |more: Value| {
            let mut spec = json!({"clusterIP": "None", "clusterIPs": ["None"]});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            spec
        };
        let table = [
            (json!({}), "RequireDualStack", "IPv4 IPv6"),
            (json!({"selector": {}}), "RequireDualStack", "IPv4 IPv6"),
            (json!({"ipFamilies": ["IPv6"]}), "RequireDualStack", "IPv6 IPv4"),
            (json!({"ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"}), "SingleStack", "IPv6"),
            (json!({"ipFamilyPolicy": "SingleStack"}), "SingleStack", "IPv4"),
            (json!({"ipFamilyPolicy": "PreferDualStack"}), "PreferDualStack", "IPv4 IPv6"),
            // With a selector it is like any other.
            (json!({"selector": {"a": "b"}}), "SingleStack", "IPv4"),
        ];
        for (more, policy, families) in table {
            assert_eq!(settled(&headless(more.clone()), None), Ok((policy.into(), families.into())), "{more}");
        }
        let asked = headless(json!({"selector": {"a": "b"}, "ipFamilyPolicy": "RequireDualStack"}));
        assert!(settled(&asked, None).unwrap_err().ends_with("not configured for dual-stack services"));
    }

    #[test]
    fn an_update_keeps_what_it_does_not_mention_and_gives_up_what_it_means_to() {
        let both = json!({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack"});
        let preferring = json!({"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "PreferDualStack"});
        let table = [
            (&both, json!({"ipFamilies": null, "ipFamilyPolicy": null}), Ok(("RequireDualStack", "IPv4 IPv6"))),
            (&both, json!({"ipFamilyPolicy": "SingleStack"}), Ok(("SingleStack", "IPv4"))),
            (
                &both,
                json!({"ipFamilies": ["IPv4"]}),
                Err("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": \
                     must be 'SingleStack' to release the secondary IP family"),
            ),
            (&preferring, json!({"ipFamilyPolicy": null}), Ok(("PreferDualStack", "IPv4"))),
            (&preferring, json!({}), Ok(("PreferDualStack", "IPv4"))),
            (&preferring, json!({"type": "ExternalName"}), Ok(("PreferDualStack", "IPv4"))),
        ];
        for (old, change, expected) in table {
            let mut spec = old.clone();
            spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            spec.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            let expected = expected.map(|(policy, families)| (policy.to_string(), families.to_string()));
            assert_eq!(settled(&spec, Some(old)), expected.map_err(String::from), "{change}");
        }
    }
}
