//! What is read of Go's struct declarations.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::Error;

/// What Go's declarations say.
#[derive(Default)]
pub(super) struct GoFacts {
    /// By definition and protobuf number.
    pub(super) fields: HashMap<(String, u32), GoField>,
    /// Structs with `+structType=atomic`.
    pub(super) atomic: BTreeSet<String>,
}

#[derive(Default, Clone)]
pub(super) struct GoField {
    pub(super) pointer: bool,
    pub(super) omit_empty: bool,
    pub(super) omit_zero: bool,
    pub(super) ty: String,
}

pub(super) fn read_go(root: &Path) -> Result<GoFacts, Error> {
    let mut facts = GoFacts::default();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
            if path.is_dir() && !["testdata", "testapigroup", "testing"].contains(&name) {
                directories.push(path);
            } else if name.ends_with(".go") && !["zz_", "generated", "conversion"].iter().any(|p| name.starts_with(p)) {
                let package = package_of(&path, root);
                read_structs(&std::fs::read_to_string(&path)?, &package, &mut facts);
            }
        }
    }
    Ok(facts)
}

fn package_of(file: &Path, root: &Path) -> String {
    let relative = file.parent().and_then(|p| p.strip_prefix(root).ok()).unwrap_or(file);
    format!("io.k8s.{}", relative.to_string_lossy().replace('/', "."))
}

fn read_structs(text: &str, package: &str, facts: &mut GoFacts) {
    let (mut current, mut atomic) = (None, false);
    for line in text.lines() {
        let was_atomic = atomic;
        atomic = line.starts_with("// +structType=atomic") || atomic && line.starts_with("//");
        if let Some(name) = line.strip_prefix("type ").and_then(|l| l.strip_suffix(" struct {")) {
            current = Some(format!("{package}.{name}"));
            if was_atomic {
                facts.atomic.extend(current.clone());
            }
        } else if line == "}" {
            current = None;
        }
        let (Some(message), Some((number, field))) = (&current, read_field(line)) else { continue };
        facts.fields.insert((message.clone(), number), field);
    }
}

/// `Name Type` followed by a tag in backquotes; embedded types have no name.
fn read_field(line: &str) -> Option<(u32, GoField)> {
    let line = line.trim();
    if line.starts_with("//") {
        return None;
    }
    let (declaration, tag) = line.split_once('`')?;
    let number = tag.split_once("protobuf:\"")?.1.split(',').nth(1)?.parse().ok()?;
    let ty = declaration.split_whitespace().last()?;
    let json = tag.split_once("json:\"").map_or("", |(_, rest)| rest.split('"').next().unwrap_or(""));
    let field = GoField {
        pointer: ty.starts_with('*'),
        omit_empty: json.split(',').any(|o| o == "omitempty"),
        omit_zero: json.split(',').any(|o| o == "omitzero"),
        ty: ty.trim_start_matches('*').into(),
    };
    Some((number, field))
}
