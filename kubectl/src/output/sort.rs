//! `--sort-by` (kubectl, pkg/cmd/get/sorter.go).

use serde_json::Value;

use super::{go, relaxed_path};
use crate::error::{Result, fail};

/// Sorts by what a JSONPath finds; quantities, times and numbers by value (kubectl, pkg/cmd/get/sorter.go).
pub fn sort_by(items: &mut [Value], path: &str, object: impl Fn(&Value) -> &Value) -> Result<()> {
    let parsed = relaxed_path(path)?;
    let mut keys = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let found = parsed.find(object(item)).map_err(|error| fail!("{error}"))?;
        keys.push((found.into_iter().flatten().next(), index));
    }
    if !items.is_empty() && keys.iter().all(|(key, _)| key.is_none()) {
        let shown =
            if path.starts_with('{') { path.to_string() } else { format!("{{.{}}}", path.trim_start_matches('.')) };
        return Err(fail!("couldn't find any field with path \"{shown}\" in the list of objects"));
    }
    keys.sort_by(|(a, _), (b, _)| compare(a.as_ref(), b.as_ref()));
    let sorted: Vec<Value> = keys.iter().map(|(_, index)| items[*index].clone()).collect();
    items.clone_from_slice(&sorted);
    Ok(())
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => {
            match (api::quantity::Quantity::parse(a), api::quantity::Quantity::parse(b)) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.cmp(b),
            }
        }
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(std::cmp::Ordering::Equal)
        }
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (None, None) => std::cmp::Ordering::Equal,
        (None, _) => std::cmp::Ordering::Less,
        (_, None) => std::cmp::Ordering::Greater,
        (Some(a), Some(b)) => go(a).cmp(&go(b)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sorting_knows_numbers_quantities_and_names() {
        let mut items: Vec<Value> = [("b10", "1Gi", 3), ("b9", "20Mi", 20), ("a", "100", 1)]
            .iter()
            .map(|(name, size, count)| json!({"metadata": {"name": name}, "size": size, "count": count}))
            .collect();
        for (path, expected) in [(".metadata.name", "a b10 b9"), ("{.size}", "a b9 b10"), ("count", "a b10 b9")] {
            sort_by(&mut items, path, |item| item).unwrap();
            let names: Vec<&str> = items.iter().map(api::object::name).collect();
            assert_eq!(names.join(" "), expected, "{path}");
        }
        let error = sort_by(&mut items, ".nothing", |item| item).unwrap_err().to_string();
        assert_eq!(error, "couldn't find any field with path \"{.nothing}\" in the list of objects");
    }
}
