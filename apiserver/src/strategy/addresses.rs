//! IPAddress and ServiceCIDR (upstream: ValidateIPAddress, ValidateServiceCIDR in pkg/apis/networking/validation).

use std::net::IpAddr;

use api::field::FieldError;
use api::names;
use serde_json::Value;

use super::Strategy;
use super::check::{At, Errors, IMMUTABLE, run};

/// See the module.
pub struct IpAddress;
/// See the module.
pub struct ServiceCidr;

/// Complaints about the name of an IPAddress: it is the address.
pub fn name_errors(name: &str) -> Vec<String> {
    match name.parse::<IpAddr>() {
        Err(_) => vec![format!("ParseAddr({name:?}): unable to parse IP")],
        Ok(address) if address.to_string() != name => vec!["must be a canonical format IP address".into()],
        Ok(_) => Vec::new(),
    }
}

impl Strategy for IpAddress {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let parent = At::root(object).at("spec.parentRef");
        run(|errors| {
            if !parent.present() {
                errors.required(&parent, "");
                return;
            }
            errors.named_if_any(&parent.get("group"), names::dns1123_subdomain);
            for field in ["resource", "name"] {
                let at = parent.get(field);
                if errors.filled(&at) {
                    errors.named(&at, names::path_segment);
                }
            }
            errors.named_if_any(&parent.get("namespace"), names::path_segment);
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let parent = |object| At::root(object).at("spec.parentRef");
        run(|errors| errors.unchanged(&parent(new), &parent(old)))
    }
}

fn family(text: &str) -> Option<bool> {
    text.split('/').next()?.parse::<IpAddr>().ok().map(|address| address.is_ipv4())
}

impl Strategy for ServiceCidr {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        let cidrs = spec.get("cidrs");
        run(|errors| {
            let families: Vec<_> = cidrs.items().map(|cidr| family(cidr.text())).collect();
            match families[..] {
                [] => errors.required(&cidrs, "at least one CIDR required"),
                [_] => ranges(&cidrs, errors),
                [one, other] if one != other => ranges(&cidrs, errors),
                [_, _] => {
                    let detail =
                        "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                    errors.invalid_as(&cidrs, spec.value.clone(), detail);
                }
                _ => errors.invalid_as(&cidrs, spec.value.clone(), "may only hold up to 2 values"),
            }
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let cidrs = |object| At::root(object).at("spec.cidrs");
        let (new, old) = (cidrs(new), cidrs(old));
        run(|errors| {
            // A second family may be added, nothing else changes.
            if new.len() != old.len() && (old.len(), new.len()) != (1, 2) {
                errors.invalid(&new, IMMUTABLE);
                return;
            }
            for (now, _) in new.items().zip(old.items()).filter(|(now, before)| now.value != before.value) {
                errors.invalid(&now, IMMUTABLE);
            }
        })
    }
}

fn ranges(cidrs: &At<'_>, errors: &mut Errors) {
    for cidr in cidrs.items() {
        let before = errors.0.len();
        errors.cidr(&cidr);
        if errors.0.len() == before
            && let Some(canonical) = canonical(cidr.text()).filter(|canonical| canonical != cidr.text())
        {
            errors.invalid(&cidr, format!("must be in canonical form (\"{canonical}\")"));
        }
    }
}

/// The range with the bits after its prefix cleared.
fn canonical(text: &str) -> Option<String> {
    let (base, bits) = text.split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    let base: IpAddr = match base.parse().ok()? {
        IpAddr::V4(base) => IpAddr::V4((u32::from(base) & u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into()),
        IpAddr::V6(base) => IpAddr::V6((u128::from(base) & u128::MAX.checked_shl(128 - bits).unwrap_or(0)).into()),
    };
    Some(format!("{base}/{bits}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::texts;
    use serde_json::json;

    #[test]
    fn names_are_canonical_addresses() {
        let table = [("10.0.0.1", 0), ("2001:db8::1", 0), ("2001:0db8::1", 1), ("10.0.0.256", 1), ("host", 1), ("", 1)];
        for (name, complaints) in table {
            assert_eq!(name_errors(name).len(), complaints, "{name}");
        }
    }

    #[test]
    fn an_address_belongs_to_somebody_for_life() {
        let address = |parent: Value| json!({"spec": {"parentRef": parent}});
        let good = address(json!({"resource": "services", "namespace": "a", "name": "b"}));
        assert_eq!(IpAddress.validate(&good), []);
        let table = [
            (json!({"spec": {}}), "spec.parentRef: Required value"),
            (address(json!({"name": "b"})), "spec.parentRef.resource: Required value"),
            (address(json!({"resource": "services"})), "spec.parentRef.name: Required value"),
        ];
        for (bad, message) in table {
            assert_eq!(texts(&IpAddress.validate(&bad)), [message]);
        }
        let other = address(json!({"resource": "services", "namespace": "a", "name": "c"}));
        assert_eq!(IpAddress.validate_update(&other, &good).len(), 1);
        assert_eq!(IpAddress.validate_update(&good, &good), []);
    }

    #[test]
    fn ranges_are_one_of_each_family_and_stay() {
        let cidr = |cidrs: Value| json!({"spec": {"cidrs": cidrs}});
        for good in [json!(["10.0.0.0/24"]), json!(["2001:db2::/64"]), json!(["10.0.0.0/24", "2001:db2::/64"])] {
            assert_eq!(ServiceCidr.validate(&cidr(good.clone())), [], "{good}");
        }
        let table = [
            (json!([]), "at least one CIDR required"),
            (json!(["10.0.0.0/24", "10.1.0.0/24"]), "may specify no more than one IP for each IP family"),
            (json!(["10.0.0.0/24", "2001:db2::/64", "10.1.0.0/24"]), "may only hold up to 2 values"),
            (json!(["10.0.0.1/24"]), "must be in canonical form (\"10.0.0.0/24\")"),
            (json!(["10.0.0.0/33"]), "spec.cidrs[0]: Invalid value"),
        ];
        for (bad, message) in table {
            let said = texts(&ServiceCidr.validate(&cidr(bad.clone())));
            assert!(said.len() == 1 && said[0].contains(message), "{bad}: {said:?}");
        }
        let old = cidr(json!(["10.0.0.0/24"]));
        let table = [
            (json!(["10.0.0.0/24"]), 0),
            (json!(["10.0.0.0/24", "2001:db2::/64"]), 0),
            (json!(["10.1.0.0/24"]), 1),
            (json!([]), 1),
        ];
        for (new, errors) in table {
            assert_eq!(ServiceCidr.validate_update(&cidr(new.clone()), &old).len(), errors, "{new}");
        }
    }
}
