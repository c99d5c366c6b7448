//! The rules of the house, checked on every run: which crate may use which, no circles between modules, no file out of
//! shape, no file without a word on what it is for, one example manifest per kind.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crate → crates it may use, as drawn in ARCHITECTURE.md. Floors: an arrow never leads up.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("proto", &[]),
    ("api", &[]),
    ("store", &["base", "proto"]),
    ("client", &["api", "base"]),
    ("apiserver", &["api", "base", "client", "store"]),
    ("scheduler", &["api", "base", "client"]),
    ("controller-manager", &["api", "base", "client"]),
    ("kube-proxy", &["api", "base", "client"]),
    ("kubectl", &["api", "base", "client"]),
    ("kubelet", &["api", "base", "client"]),
    (
        "mkube",
        &[
            "api",
            "apiserver",
            "base",
            "client",
            "controller-manager",
            "kube-proxy",
            "kubectl",
            "kubelet",
            "scheduler",
            "store",
        ],
    ),
];
/// Crates that decide things: at least half of their lines are tests.
const HALF_TESTS: &[&str] = &["api", "scheduler", "controller-manager", "store"];
/// Folders and files that hold tests only, though not by the name of `tests`: suites that the tests of other crates use too, and
/// simulations.
const SUITES: &[&str] = &["testing", "sim"];
/// Nobody may open a longer file; aim at half of it.
const MOST_LINES: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn crates() -> Vec<String> {
    let mut names: Vec<String> = ARROWS.iter().map(|(name, _)| (*name).to_string()).collect();
    names.push("e2e".into());
    names
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn crates_use_only_what_lies_below_them() {
    let known = crates();
    let mut wrong = Vec::new();
    for (name, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let used = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if section == "[dependencies]" && known.iter().any(|k| k == used) && !allowed.contains(&used) {
                wrong.push(format!("{name} -> {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that lead up or aside: {wrong:#?}");
}

#[test]
fn files_keep_their_shape_and_say_what_they_are_for() {
    let mut wrong = Vec::new();
    for name in crates() {
        for file in rust_files(&root().join(&name)) {
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().count();
            if lines > MOST_LINES {
                wrong.push(format!("{}: {lines} lines, at most {MOST_LINES}", shown(&file)));
            }
            if !text.starts_with("//!") {
                wrong.push(format!("{}: does not open by saying what it is for", shown(&file)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Lines of a file that are tests: all of them below `tests/` or one of [`SUITES`] and in files named for it, else those from
/// the first module that is only compiled for tests on.
fn test_lines(file: &Path, text: &str) -> usize {
    let named = |name: &std::ffi::OsStr| name == "tests" || SUITES.iter().any(|suite| name == *suite);
    let in_tests = file.with_extension("").components().any(|part| named(part.as_os_str()));
    if in_tests || file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests")) {
        return text.lines().count();
    }
    let lines: Vec<&str> = text.lines().collect();
    let opens = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{');
    lines.windows(2).position(opens).map_or(0, |place| lines.len() - place)
}

#[test]
fn crates_that_decide_things_are_tests_by_half() {
    let mut wrong = Vec::new();
    for name in HALF_TESTS {
        let (mut all, mut tests) = (0, 0);
        let home = root().join(name);
        for file in rust_files(&home) {
            let text = fs::read_to_string(&file).unwrap();
            all += text.lines().count();
            tests += test_lines(file.strip_prefix(&home).unwrap(), &text);
        }
        if tests < all - tests {
            wrong.push(format!("{name}: {tests} lines of tests, {} others", all - tests));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What counts as tests must not be what the programs run by. (Examples are for whoever works on this, and e2e is tests.)
#[test]
fn suites_and_simulations_are_used_by_tests_only() {
    let mut wrong = Vec::new();
    for (name, _) in ARROWS {
        let home = root().join(name);
        for file in rust_files(&home.join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            let own = text.lines().count() - test_lines(file.strip_prefix(&home).unwrap(), &text);
            let code = text.lines().take(own).filter(|line| !line.trim_start().starts_with("//"));
            let named = code.filter(|line| SUITES.iter().any(|suite| line.contains(&format!("::{suite}"))));
            wrong.extend(named.map(|line| format!("{}: {line}", shown(&file))));
        }
        for (module, used) in module_arrows(&home.join("src")) {
            let named = used.iter().filter(|used| !SUITES.contains(&&*module) && SUITES.contains(&&***used));
            wrong.extend(named.map(|used| format!("{name}: {module} -> {used}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The part of a file that is not its test module.
fn production(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests").map_or(text, |end| &text[..end])
}

/// Top-level modules of a crate that each top-level module names as `crate::other`.
fn module_arrows(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let module_of = |file: &Path| {
        let first = file.strip_prefix(source).ok()?.components().next()?;
        let name = first.as_os_str().to_str()?.trim_end_matches(".rs").to_string();
        (name != "lib" && name != "main" && name != "bin").then_some(name)
    };
    let files = rust_files(source);
    let modules: BTreeSet<String> = files.iter().filter_map(|file| module_of(file)).collect();
    for file in &files {
        let Some(module) = module_of(file) else { continue };
        let suite = file.iter().any(|part| SUITES.iter().any(|suite| part == *suite));
        let is_test = suite || file.to_string_lossy().contains("test") || file.ends_with("fake.rs");
        if is_test {
            continue;
        }
        let text = fs::read_to_string(file).unwrap();
        let lines = production(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        let code: String = lines.collect::<Vec<_>>().join("\n");
        for (place, _) in code.match_indices("crate::") {
            let rest = &code[place + "crate::".len()..];
            // `crate::{a::X, b}` names several.
            let named: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default().split(',').map(str::trim).collect(),
                None => vec![rest],
            };
            for name in named {
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
                let used = &name[..end];
                if modules.contains(used) && used != module {
                    arrows.entry(module.clone()).or_default().insert(used.to_string());
                }
            }
        }
    }
    arrows
}

/// A circle through `from`, if there is one.
fn circle(arrows: &BTreeMap<String, BTreeSet<String>>, from: &str) -> Option<Vec<String>> {
    let mut paths = vec![vec![from.to_string()]];
    let mut seen = BTreeSet::new();
    while let Some(path) = paths.pop() {
        for next in path.last().and_then(|last| arrows.get(last)).into_iter().flatten() {
            if next == from {
                return Some(path);
            }
            if seen.insert(next.clone()) {
                paths.push(path.iter().cloned().chain([next.clone()]).collect());
            }
        }
    }
    None
}

#[test]
fn modules_do_not_go_in_circles() {
    let mut wrong = Vec::new();
    for name in crates() {
        let arrows = module_arrows(&root().join(&name).join("src"));
        wrong
            .extend(arrows.keys().filter_map(|module| circle(&arrows, module)).map(|path| format!("{name}: {path:?}")));
    }
    assert!(wrong.is_empty(), "circles: {wrong:#?}");
}

#[test]
fn every_kind_has_one_example_that_is_valid() {
    let mut examples: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("manifests/kinds")).unwrap().flatten() {
        let file = entry.path();
        let text = fs::read_to_string(&file).unwrap();
        for mut object in api::yaml::read_documents(&text).unwrap_or_else(|error| panic!("{}: {error}", shown(&file))) {
            let (version, kind) =
                (api::object::api_version(&object).to_string(), api::object::kind(&object).to_string());
            match api::kinds::by_api_version(&version, &kind) {
                None => wrong.push(format!("{}: unknown kind {version} {kind}", shown(&file))),
                Some((row, _)) => {
                    let strict = api::validate::FieldValidation::Strict;
                    if let Err(status) =
                        api::validate::validate_fields(row_definition(row.definition), &mut object, strict)
                    {
                        wrong.push(format!("{}: {status}", shown(&file)));
                    }
                }
            }
            examples.entry((version, kind)).or_default().push(shown(&file));
        }
    }
    for row in api::kinds::stored() {
        let key = (row.api_version(), row.kind.to_string());
        match examples.get(&key).map_or(0, Vec::len) {
            1 => {}
            0 => wrong.push(format!("no example of {} {}", key.0, key.1)),
            _ => wrong.push(format!("several examples of {} {}: {:?}", key.0, key.1, examples[&key])),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn row_definition(name: &str) -> &'static api::schema::Def {
    api::schema::def(name).unwrap_or_else(|| panic!("no schema of {name}"))
}
