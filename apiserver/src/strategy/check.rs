//! The tools of validation: a value together with its path, and a list that errors are written to. Validation reads
//! objects whose field types have been checked at the door, so that a value of a wrong type reads as missing.

use std::fmt::Display;
use std::net::IpAddr;

use api::field::{FieldError, Path};
use api::names;
use serde_json::{Map, Value, json};

/// What upstream says of numbers below zero.
pub const NEGATIVE: &str = "must be greater than or equal to 0";
/// What upstream says of a field that never changes.
pub const IMMUTABLE: &str = "field is immutable";
/// The protocols of ports.
pub const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

static NULL: Value = Value::Null;

/// A value and where it stands in the object. What is missing is null.
#[derive(Clone)]
pub struct At<'a> {
    /// The value.
    pub value: &'a Value,
    /// Its path.
    pub path: Path,
}

impl<'a> At<'a> {
    /// A whole object.
    pub fn root(value: &'a Value) -> Self {
        Self { value, path: Path::root() }
    }

    /// The field `name`.
    pub fn get(&self, name: &'static str) -> Self {
        Self { value: self.value.get(name).unwrap_or(&NULL), path: self.path.child(name) }
    }

    /// The field at `a.b.c`.
    pub fn at(&self, names: &'static str) -> Self {
        names.split('.').fold(self.clone(), |at, name| at.get(name))
    }

    /// Whether it is there at all.
    pub fn present(&self) -> bool {
        !self.value.is_null()
    }

    /// The elements of a list.
    pub fn items(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let path = self.path.clone();
        let list = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().enumerate().map(move |(index, value)| At { value, path: path.index(index) })
    }

    /// How many elements a list or map has.
    pub fn len(&self) -> usize {
        match self.value {
            Value::Array(list) => list.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        }
    }

    /// The values of a map under `path[key]`.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, At<'a>)> + use<'a> {
        let path = self.path.clone();
        self.map().into_iter().flatten().map(move |(key, value)| (key.as_str(), At { value, path: path.key(key) }))
    }

    /// As a map.
    pub fn map(&self) -> Option<&'a Map<String, Value>> {
        self.value.as_object()
    }

    /// As text; missing is empty.
    pub fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// As an integer, if it is there.
    pub fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// As a flag; missing is false.
    pub fn flag(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }
}

/// What is wrong so far.
#[derive(Default)]
pub struct Errors(pub Vec<FieldError>);

impl Errors {
    /// `Required value: <detail>`.
    pub fn required(&mut self, at: &At<'_>, detail: &str) {
        self.0.push(FieldError::required(&at.path, detail));
    }

    /// `Invalid value: <the value>: <detail>`.
    pub fn invalid(&mut self, at: &At<'_>, detail: impl Display) {
        self.0.push(FieldError::invalid(&at.path, at.value, detail));
    }

    /// The same, showing another value.
    pub fn invalid_as(&mut self, at: &At<'_>, shown: impl Into<Value>, detail: impl Display) {
        self.0.push(FieldError::invalid(&at.path, &shown.into(), detail));
    }

    /// `Forbidden: <detail>`.
    pub fn forbidden(&mut self, at: &At<'_>, detail: impl Display) {
        self.0.push(FieldError::forbidden(&at.path, detail));
    }

    /// `Duplicate value: <the value>`.
    pub fn duplicate(&mut self, at: &At<'_>) {
        self.0.push(FieldError::duplicate(&at.path, at.value));
    }

    /// `Duplicate value: <text>` of a struct that upstream prints under the names it has in Go.
    pub fn duplicate_struct(&mut self, at: &At<'_>, text: &str, detail: &str) {
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let message = format!("Duplicate value: {text}{detail}");
        self.0.push(FieldError { field: at.path.to_string(), reason: "FieldValueDuplicate", message });
    }

    /// `Not found: <the value>`.
    pub fn not_found(&mut self, at: &At<'_>) {
        self.0.push(FieldError::not_found(&at.path, &json!(at.text())));
    }

    /// `Unsupported value`, if it is none of `supported`, named in upstream's order; missing is unsupported too.
    pub fn supported(&mut self, at: &At<'_>, supported: &[&str]) {
        if !supported.contains(&at.text()) {
            self.0.push(FieldError::not_supported(&at.path, &json!(at.text()), supported));
        }
    }

    /// The same, where a missing value is `Required`.
    pub fn one_of(&mut self, at: &At<'_>, supported: &[&str]) {
        if self.filled(at) {
            self.supported(at, supported);
        }
    }

    /// `Required value` if the text is missing or empty; answers whether it is there.
    pub fn filled(&mut self, at: &At<'_>) -> bool {
        let filled = !at.text().is_empty();
        if !filled {
            self.required(at, "");
        }
        filled
    }

    /// Each complaint of a check of [`names`] about the text.
    pub fn named(&mut self, at: &At<'_>, rule: fn(&str) -> Vec<String>) {
        self.0.extend(names::invalid(&at.path, at.text(), rule(at.text())));
    }

    /// The same for a text that may be missing.
    pub fn named_if_any(&mut self, at: &At<'_>, rule: fn(&str) -> Vec<String>) {
        if !at.text().is_empty() {
            self.named(at, rule);
        }
    }

    /// The same for a text that must be there.
    pub fn named_required(&mut self, at: &At<'_>, rule: fn(&str) -> Vec<String>) {
        if self.filled(at) {
            self.named(at, rule);
        }
    }

    /// A number that is not below zero, if it is there.
    pub fn non_negative(&mut self, at: &At<'_>) {
        if at.int().is_some_and(|number| number < 0) {
            self.invalid(at, NEGATIVE);
        }
    }

    /// A port number; missing is 0.
    pub fn port(&mut self, at: &At<'_>) {
        let number = at.int().unwrap_or_default();
        for complaint in names::port_number(number) {
            self.invalid_as(at, number, complaint);
        }
    }

    /// The number of a port, or its name.
    pub fn port_or_name(&mut self, at: &At<'_>) {
        if at.value.is_string() { self.named(at, names::port_name) } else { self.port(at) }
    }

    /// An address.
    pub fn ip(&mut self, at: &At<'_>) {
        if parse_ip(at.text()).is_none() {
            self.invalid_as(at, at.text(), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
    }

    /// A range of addresses.
    pub fn cidr(&mut self, at: &At<'_>) {
        let fits = |(ip, bits): (&str, &str)| match (parse_ip(ip), bits.parse::<u8>()) {
            (Some(ip), Ok(bits)) => bits <= if ip.is_ipv4() { 32 } else { 128 },
            _ => false,
        };
        if !at.text().split_once('/').is_some_and(fits) {
            self.invalid_as(at, at.text(), "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        }
    }

    /// An address that other machines can reach (ValidateNonSpecialIP).
    pub fn ordinary_ip(&mut self, at: &At<'_>) {
        let Some(ip) = parse_ip(at.text()) else {
            return self.invalid_as(at, at.text(), "must be a valid IP address");
        };
        if ip.is_unspecified() {
            self.invalid(at, format!("may not be unspecified ({})", at.text()));
        }
        if ip.is_loopback() {
            self.invalid(at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
        }
        let (local, multicast) = match ip {
            IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
            IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.segments()[0] & 0xff0f == 0xff02),
        };
        if local {
            self.invalid(at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
        }
        if multicast {
            self.invalid(at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
        }
    }

    /// A map of labels.
    pub fn labels(&mut self, at: &At<'_>) {
        self.0.extend(names::validate_labels(at.map(), &at.path));
    }

    /// A path within something: relative, without steps back (validateLocalDescendingPath).
    pub fn descending_path(&mut self, at: &At<'_>) {
        if at.text().starts_with('/') {
            self.invalid(at, "must be a relative path");
        }
        self.no_backsteps(at);
    }

    /// A path without `..` (validatePathNoBacksteps).
    pub fn no_backsteps(&mut self, at: &At<'_>) {
        if at.text().split('/').any(|part| part == "..") {
            self.invalid(at, "must not contain '..'");
        }
    }

    /// A number of pods, or a share of them (ValidatePositiveIntOrPercent).
    pub fn count_or_percent(&mut self, at: &At<'_>) {
        if at.value.is_string() { self.named(at, names::percent) } else { self.non_negative(at) }
    }

    /// A share of at most all (IsNotMoreThan100Percent).
    pub fn at_most_all(&mut self, at: &At<'_>) {
        if percent(at).is_some_and(|share| share > 100) {
            self.invalid(at, "must not be greater than 100%");
        }
    }

    /// A field that stays as it is.
    pub fn unchanged(&mut self, new: &At<'_>, old: &At<'_>) {
        if new.value != old.value {
            self.invalid(new, IMMUTABLE);
        }
    }
}

/// The number before the `%`.
pub fn percent(at: &At<'_>) -> Option<i64> {
    at.text().strip_suffix('%')?.parse().ok()
}

/// An address as Go reads it: leading zeros in IPv4 parts are allowed.
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    let parts: Option<Vec<u8>> = text.split('.').map(decimal_byte).collect();
    let octets: [u8; 4] = parts?.try_into().ok()?;
    Some(IpAddr::from(octets))
}

fn decimal_byte(part: &str) -> Option<u8> {
    let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if digits { part.parse().ok() } else { None }
}

/// Runs a check and answers what it found.
pub fn run(check: impl FnOnce(&mut Errors)) -> Vec<FieldError> {
    let mut errors = Errors::default();
    check(&mut errors);
    errors.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(value: &Value, check: fn(&mut Errors, &At<'_>)) -> Vec<String> {
        let at = At { value, path: Path::new("x") };
        run(|errors| check(errors, &at)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn single_values() {
        type Check = fn(&mut Errors, &At<'_>);
        let ip = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        let table: &[(Value, Check, &[&str])] = &[
            (json!("10.0.0.1"), Errors::ip, &[]),
            (json!("010.0.0.1"), Errors::ip, &[]),
            (json!("fe80::1"), Errors::ip, &[]),
            (json!("10.0.0"), Errors::ip, &[&format!("x: Invalid value: \"10.0.0\": {ip}")]),
            (json!("10.0.0.256"), Errors::ip, &[&format!("x: Invalid value: \"10.0.0.256\": {ip}")]),
            (json!("10.0.0.0/8"), Errors::cidr, &[]),
            (
                json!("10.0.0.0/33"),
                Errors::cidr,
                &["x: Invalid value: \"10.0.0.0/33\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"],
            ),
            (
                json!("127.0.0.1"),
                Errors::ordinary_ip,
                &["x: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"],
            ),
            (
                json!("169.254.1.1"),
                Errors::ordinary_ip,
                &["x: Invalid value: \"169.254.1.1\": may not be in the link-local range (169.254.0.0/16, fe80::/10)"],
            ),
            (
                json!("0.0.0.0"),
                Errors::ordinary_ip,
                &["x: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)"],
            ),
            (json!(0), Errors::port, &["x: Invalid value: 0: must be between 1 and 65535, inclusive"]),
            (json!(-1), Errors::non_negative, &["x: Invalid value: -1: must be greater than or equal to 0"]),
            (json!("/a"), Errors::descending_path, &["x: Invalid value: \"/a\": must be a relative path"]),
            (json!("a/../b"), Errors::descending_path, &["x: Invalid value: \"a/../b\": must not contain '..'"]),
            (json!("25%"), Errors::count_or_percent, &[]),
            (
                json!("25"),
                Errors::count_or_percent,
                &[
                    "x: Invalid value: \"25\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
                ],
            ),
            (json!("101%"), Errors::at_most_all, &["x: Invalid value: \"101%\": must not be greater than 100%"]),
        ];
        for (value, check, expected) in table {
            assert_eq!(texts(value, *check), *expected, "{value}");
        }
    }

    #[test]
    fn a_value_knows_its_path() {
        let object = json!({"spec": {"ports": [{"name": "a"}]}});
        let ports = At::root(&object).at("spec.ports");
        let port = ports.items().next().unwrap();
        assert_eq!(port.get("name").path.to_string(), "spec.ports[0].name");
        assert!(!port.get("missing").present());
        assert_eq!(ports.len(), 1);
    }
}
