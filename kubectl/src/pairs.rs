//! Words on a command line that set and remove: `pods x a=b c-`.

use crate::error::{Result, fail};

/// Words that are resources, pairs to set, keys to remove.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Resources.
    pub words: Vec<String>,
    /// What to set.
    pub set: Vec<(String, String)>,
    /// What to remove.
    pub remove: Vec<String>,
}

/// Splits `pods x a=b c-`.
pub fn changes(args: &[String], what: &str) -> Result<Changes> {
    let mut found = Changes::default();
    let mut pairs = false;
    for arg in args {
        if let Some((key, value)) = arg.split_once('=').filter(|(key, _)| !key.is_empty()) {
            pairs = true;
            found.set.push((key.to_string(), value.to_string()));
        } else if let Some(key) = arg.strip_suffix('-').filter(|key| !key.is_empty()) {
            pairs = true;
            found.remove.push(key.to_string());
        } else if pairs {
            return Err(fail!("all resources must be specified before {what} changes: {arg}"));
        } else {
            found.words.push(arg.clone());
        }
    }
    if found.set.iter().any(|(key, _)| found.remove.contains(key)) {
        return Err(fail!("can not both modify and remove a {what} in the same command"));
    }
    Ok(found)
}

/// `a=b` texts, each perhaps several with commas between them, as a map.
pub fn map_of(pairs: &[String]) -> Result<serde_json::Value> {
    let mut map = serde_json::Map::new();
    for pair in pairs.iter().flat_map(|list| list.split(',')) {
        let (key, value) = pair.split_once('=').ok_or_else(|| fail!("unexpected label spec: {pair}"))?;
        map.insert(key.into(), value.into());
    }
    Ok(serde_json::Value::Object(map))
}

/// Whether a name matches a pattern in which `*` stands for anything.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            let Some(rest) = name.strip_prefix(before) else { return false };
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(after, &rest[at..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Result<Changes> {
        changes(&line.split_whitespace().map(str::to_string).collect::<Vec<_>>(), "label")
    }

    #[test]
    fn pairs_follow_resources() {
        let found = split("pods x a=b c-").unwrap();
        assert_eq!(found.words, ["pods", "x"]);
        assert_eq!((found.set, found.remove), (vec![("a".into(), "b".into())], vec!["c".to_string()]));
        assert!(split("a=b pods").is_err() && split("pods x a=b a-").is_err());
        assert_eq!(map_of(&["a=b,c=d=e".into()]).unwrap(), serde_json::json!({"a": "b", "c": "d=e"}));
        assert!(map_of(&["a".into()]).is_err());
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, expected) in [
            ("*", "x", true),
            ("a*", "ab", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("a", "ab", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
