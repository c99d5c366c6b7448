//! Compares the transcoder with upstream's own examples, the `testdata` of the repository kubernetes/api: pairs of `X.json`
//! and `X.pb` for every kind with every field set.
//!
//! ```text
//! cargo run -p api --example check_fixtures -- .../kubernetes/api/testdata/HEAD
//! ```
//!
//! Each message must decode to the JSON beside it and encode to the same bytes, and the JSON must pass the check of fields
//! as it is.

use std::path::Path;

use serde_json::Value;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let directory = std::env::args().nth(1).ok_or("usage: check_fixtures DIRECTORY")?;
    let (mut good, mut bad, mut unknown) = (0, 0, vec![]);
    let mut files: Vec<_> = std::fs::read_dir(&directory)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::path);
    for file in files {
        let path = file.path();
        if path.extension().is_none_or(|extension| extension != "pb") {
            continue;
        }
        match check(&path) {
            Ok(()) => good += 1,
            Err(error) if error.to_string().starts_with("no kind") => unknown.push(error.to_string()),
            Err(error) => {
                bad += 1;
                println!("{}: {error}", path.display());
            }
        }
    }
    println!("{good} agree, {bad} do not, {} are of kinds that are not served", unknown.len());
    Ok(())
}

fn check(path: &Path) -> Result<(), Error> {
    let bytes = std::fs::read(path)?;
    let mut expected = api::decode::parse(&std::fs::read(path.with_extension("json"))?)?;
    drop_nulls(&mut expected);
    let decoded = api::protobuf::decode(&bytes)?;
    if let Some(difference) = difference("", &expected, &decoded) {
        return Err(difference.into());
    }
    let text = |key: &str| decoded[key].as_str().unwrap_or_default().to_owned();
    let def = api::schema::of_object(&text("apiVersion"), &text("kind")).ok_or("no definition")?;
    let mut checked = decoded.clone();
    let reports = api::validate::prune(def, &mut checked)?;
    if let Some(report) = reports.first() {
        return Err(report.clone().into());
    }
    if let Some(difference) = difference("", &decoded, &checked) {
        return Err(format!("checked: {difference}").into());
    }
    let encoded = api::protobuf::encode(&decoded)?;
    if encoded != bytes {
        return Err(format!("{} bytes became {}", bytes.len(), encoded.len()).into());
    }
    Ok(())
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(drop_nulls);
        }
        Value::Array(array) => array.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn difference(path: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let keys: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
            keys.into_iter().find_map(|key| {
                let at = |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or(Value::Null);
                difference(&format!("{path}.{key}"), &at(expected), &at(found))
            })
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => expected
            .iter()
            .zip(found)
            .enumerate()
            .find_map(|(i, (expected, found))| difference(&format!("{path}[{i}]"), expected, found)),
        _ if expected == found => None,
        _ => Some(format!("{path}: expected {expected}, found {found}")),
    }
}
