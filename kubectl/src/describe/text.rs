//! The pieces that descriptions are made of: indented lines, maps as lines, times, events. Cells end with tabs; the caller
//! aligns them (kubectl, pkg/describe/describe.go and interface.go).

use api::duration::age;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::output::go;

/// Annotations longer than this are broken into lines.
const LONG_ANNOTATION: usize = 140;

/// A description while it is written.
#[derive(Default)]
pub struct Out(pub String);

impl Out {
    /// A line at an indentation of so many levels.
    pub fn line(&mut self, level: usize, text: &str) {
        self.0.push_str(&"  ".repeat(level));
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// `Name:\tvalue`.
    pub fn field(&mut self, level: usize, name: &str, value: &str) {
        self.line(level, &format!("{name}:\t{value}"));
    }

    /// A field if there is something to say.
    pub fn optional(&mut self, level: usize, name: &str, value: &str) {
        if !value.is_empty() {
            self.field(level, name, value);
        }
    }

    /// Lines under a title; `<none>` if there are none.
    pub fn lines(&mut self, indent: &str, title: &str, lines: &[String]) {
        let first = lines.first().map_or("<none>", String::as_str);
        self.line(0, &format!("{indent}{title}:\t{first}"));
        for line in lines.iter().skip(1) {
            self.line(0, &format!("\t{line}"));
        }
    }

    /// Labels.
    pub fn labels(&mut self, indent: &str, title: &str, labels: Option<&Map<String, Value>>) {
        let pairs = labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", go(value)));
        self.lines(indent, title, &pairs.collect::<Vec<_>>());
    }

    /// Annotations but the one that apply keeps.
    pub fn annotations(&mut self, indent: &str, annotations: Option<&Map<String, Value>>) {
        let mut lines = Vec::new();
        for (key, value) in annotations.into_iter().flatten() {
            if key == crate::applied::LAST_APPLIED {
                continue;
            }
            let value = go(value);
            let value = value.strip_suffix('\n').unwrap_or(&value);
            if value.len() + key.len() < LONG_ANNOTATION && !value.contains('\n') {
                lines.push(format!("{key}: {value}"));
                continue;
            }
            lines.push(format!("{key}:"));
            for part in value.split('\n') {
                let short: String = part.chars().take(LONG_ANNOTATION - 2).collect();
                let dots = if short.len() < part.len() { "..." } else { "" };
                lines.push(format!("  {short}{dots}"));
            }
        }
        self.lines(indent, "Annotations", &lines);
    }

    /// Name, namespace, labels and annotations.
    pub fn head(&mut self, object: &Value) {
        self.field(0, "Name", api::object::name(object));
        if !api::object::namespace(object).is_empty() {
            self.field(0, "Namespace", api::object::namespace(object));
        }
        self.labels("", "Labels", api::object::labels(object));
        self.annotations("", api::object::annotations(object));
    }

    /// The table of events.
    pub fn events(&mut self, events: &[Value], now: Timestamp) {
        if events.is_empty() {
            self.field(0, "Events", "<none>");
            return;
        }
        self.line(0, "Events:");
        self.line(1, "Type\tReason\tAge\tFrom\tMessage");
        self.line(1, "----\t------\t----\t----\t-------");
        for event in events {
            let text = |pointer: &str| api::object::text(event, pointer);
            let source = [text("/source/component"), text("/reportingComponent")];
            let source = source.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            let message = text("/message").trim();
            let cells = [text("/type"), text("/reason"), &interval(event, now), source, message].join("\t");
            self.line(1, &cells);
        }
    }
}

/// How long ago, and how often: `5m (x3 over 10m)`.
pub fn interval(event: &Value, now: Timestamp) -> String {
    let text = |pointer: &str| api::object::text(event, pointer).to_string();
    let ago = |time: String| if time.is_empty() { "<unknown>".to_string() } else { age(&time, now) };
    let first = match text("/eventTime") {
        time if time.is_empty() => ago(text("/firstTimestamp")),
        time => ago(time),
    };
    let series = api::object::integer(event, "/series/count");
    let count = api::object::integer(event, "/count").unwrap_or(0);
    match series {
        Some(times) => format!("{} (x{times} over {first})", ago(text("/series/lastObservedTime"))),
        None if count > 1 => format!("{} (x{count} over {first})", ago(text("/lastTimestamp"))),
        None => first,
    }
}

/// `Fri, 20 Nov 2026 20:06:01 +0000`.
pub fn time(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
        Err(_) => "<unset>".into(),
    }
}

/// The value, or `<none>`.
pub fn or_none(text: &str) -> &str {
    if text.is_empty() { "<none>" } else { text }
}

/// `True`, `False`.
pub fn title(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

/// Tolerations as lines.
pub fn tolerations(list: &[Value]) -> Vec<String> {
    let mut sorted: Vec<&Value> = list.iter().collect();
    sorted.sort_by_key(|one| one["key"].as_str().unwrap_or_default().to_string());
    let one = |toleration: &Value| {
        let text = |key: &str| toleration[key].as_str().unwrap_or_default();
        let mut line = text("key").to_string();
        if !text("value").is_empty() {
            line += &format!("={}", text("value"));
        }
        if !text("effect").is_empty() {
            line += &format!(":{}", text("effect"));
        }
        if text("operator") == "Exists" && text("value").is_empty() {
            line += if line.is_empty() { "op=Exists" } else { " op=Exists" };
        }
        if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
            line += &format!(" for {seconds}s");
        }
        line
    };
    sorted.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_and_intervals() {
        assert_eq!(time("2026-11-20T20:06:01Z"), "Fri, 20 Nov 2026 20:06:01 +0000");
        assert_eq!(time(""), "<unset>");
        let now: Timestamp = "2026-11-20T20:10:00Z".parse().unwrap();
        let event =
            json!({"firstTimestamp": "2026-11-20T20:00:00Z", "lastTimestamp": "2026-11-20T20:09:55Z", "count": 3});
        assert_eq!(interval(&event, now), "5s (x3 over 10m)");
        let event = json!({"firstTimestamp": "2026-11-20T20:00:00Z", "count": 1});
        assert_eq!(interval(&event, now), "10m");
    }

    #[test]
    fn tolerations_read_as_kubectl_s() {
        let list = json!([
            {"key": "b", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "a", "value": "v", "effect": "NoSchedule"}, {"operator": "Exists"},
        ]);
        assert_eq!(
            tolerations(list.as_array().unwrap()),
            ["op=Exists", "a=v:NoSchedule", "b:NoExecute op=Exists for 300s"]
        );
    }

    #[test]
    fn annotations_are_lines() {
        let mut out = Out::default();
        let long = format!("{{\n{}\n", "x".repeat(200));
        let annotations = json!({"a": "1", "b": long, "kubectl.kubernetes.io/last-applied-configuration": "{}"});
        out.annotations("", annotations.as_object());
        let expected = format!("Annotations:\ta: 1\n\tb:\n\t  {{\n\t  {}...\n", "x".repeat(138));
        assert_eq!(out.0, expected);
    }
}
