//! Names and amounts of resources (upstream: validateResourceRequirements and the helpers of pkg/apis/core/helper).

use api::names;
use api::quantity::Quantity;

use crate::strategy::check::{At, Errors, NEGATIVE};

/// What a quota can count, besides what containers ask for.
const STANDARD: &[&str] = &[
    "configmaps",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "storage",
];
const OF_CONTAINERS: &[&str] = &["cpu", "ephemeral-storage", "memory"];
/// Counted in whole things.
const WHOLE: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

fn huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether the name belongs to Kubernetes itself.
fn native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether the name is one that a device plugin or an administrator made up.
fn extended(name: &str) -> bool {
    !native(name) && !name.starts_with("requests.") && names::qualified_name(&format!("requests.{name}")).is_empty()
}

fn shared(name: &str) -> bool {
    native(name) && !huge_pages(name)
}

/// A resource name of any use (validateResourceName).
pub fn name(at: &At<'_>, name: &str, errors: &mut Errors) -> bool {
    let complaints = names::qualified_name(name);
    let mut fine = complaints.is_empty();
    errors.0.extend(names::invalid(&at.path, name, complaints));
    let known = STANDARD.contains(&name) || OF_CONTAINERS.contains(&name) || huge_pages(name);
    if fine && !name.contains('/') && !known {
        errors.invalid_as(at, name, "must be a standard resource type or fully qualified");
        fine = false;
    }
    fine
}

fn container_name(at: &At<'_>, resource: &str, errors: &mut Errors) {
    name(at, resource, errors);
    if !resource.contains('/') {
        if !OF_CONTAINERS.contains(&resource) && !huge_pages(resource) {
            errors.invalid_as(at, resource, "must be a standard resource for containers");
        }
    } else if !native(resource) && !extended(resource) {
        errors.invalid_as(at, resource, "doesn't follow extended resource name standard");
    }
}

/// An amount of a resource (ValidateResourceQuantityValue). What is no quantity has been refused by the schema.
pub fn amount(at: &At<'_>, name: &str, errors: &mut Errors) -> Option<Quantity> {
    let amount = Quantity::from_value(at.value).ok()?;
    if amount.sign() < 0 {
        errors.invalid_as(at, amount.to_string(), NEGATIVE);
    }
    if (WHOLE.contains(&name) || extended(name)) && amount.milli_value() % 1000 != 0 {
        errors.invalid_as(at, amount.to_string(), "must be an integer");
    }
    Some(amount)
}

/// `resources` of a container; `claims` are the names of the pod's resource claims.
pub fn of_container(resources: &At<'_>, claims: &[&str], errors: &mut Errors) {
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    let mut compute = false;
    let mut huge = false;
    for (name, limit) in limits.entries() {
        container_name(&limit, name, errors);
        huge_value(&limit, name, amount(&limit, name, errors), errors);
        (compute, huge) = (compute || matches!(name, "cpu" | "memory"), huge || huge_pages(name));
    }
    for (name, request) in requests.entries() {
        container_name(&request, name, errors);
        let asked = amount(&request, name, errors);
        let limit = limits.value.get(name).and_then(|limit| Quantity::from_value(limit).ok());
        match (asked, limit) {
            (Some(asked), Some(limit)) if asked != limit && !shared(name) => {
                errors.invalid_as(&requests, asked.to_string(), format!("must be equal to {name} limit of {limit}"));
            }
            (Some(asked), Some(limit)) if asked > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                errors.invalid_as(&requests, asked.to_string(), detail);
            }
            (_, None) if !shared(name) => {
                errors.required(&limits, "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
        huge_value(&request, name, asked, errors);
        (compute, huge) = (compute || matches!(name, "cpu" | "memory"), huge || huge_pages(name));
    }
    if huge && !compute {
        errors.forbidden(resources, "HugePages require cpu or memory");
    }
    claim_names(&resources.get("claims"), claims, errors);
}

fn huge_value(at: &At<'_>, name: &str, amount: Option<Quantity>, errors: &mut Errors) {
    let Some(size) = name.strip_prefix("hugepages-") else { return };
    let (Some(amount), Ok(size)) = (amount, Quantity::parse(size)) else { return };
    if size.value() <= 0 || amount.value() % size.value() != 0 {
        errors.invalid_as(at, amount.to_string(), format!("{amount} is not positive integer multiple of {name}"));
    }
}

fn claim_names(list: &At<'_>, claims: &[&str], errors: &mut Errors) {
    let mut seen = Vec::new();
    for claim in list.items() {
        let name = claim.get("name").text();
        let key = (name, claim.get("request").text());
        if name.is_empty() {
            errors.required(&claim, "");
            continue;
        }
        if seen.contains(&key) {
            errors.duplicate(&At { value: claim.get("name").value, path: claim.path.clone() });
        }
        seen.push(key);
        if !claims.contains(&name) {
            let place = At { value: claim.get("name").value, path: claim.path.clone() };
            errors.not_found(&place);
            if let Some(error) = errors.0.last_mut() {
                let known =
                    if claims.is_empty() { " which is empty".into() } else { format!(": {}", claims.join(", ")) };
                error.message += &format!(": must be one of the names in pod.spec.resourceClaims{known}");
            }
        }
    }
}

/// An overhead: limits by another name.
pub fn overhead(list: &At<'_>, errors: &mut Errors) {
    for (name, value) in list.entries() {
        let value = At { value: value.value, path: list.get("limits").path.key(name) };
        container_name(&value, name, errors);
        amount(&value, name, errors);
    }
}
