//! The program under test. Tests of another package get no `CARGO_BIN_EXE_mkube`: the file beside the test's own profile
//! directory is taken, and built first when it is missing or older than one of its sources.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context as _, bail, ensure};

/// The `mkube` program: `MKUBE_BIN`, or the workspace's own, built when it has to be.
///
/// # Errors
/// When it cannot be built.
pub fn mkube() -> anyhow::Result<PathBuf> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.clone().map_err(anyhow::Error::msg)
}

fn find() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("MKUBE_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().context("own executable")?;
    // target/<profile>/deps/<test>, or target/<profile>/<bench program>.
    let mut profile = own.parent().context("no parent")?;
    if profile.ends_with("deps") || profile.ends_with("examples") {
        profile = profile.parent().context("no parent")?;
    }
    let program = profile.join("mkube");
    if is_stale(&program) {
        build(profile)?;
    }
    ensure!(program.exists(), "{} was not built", program.display());
    Ok(program)
}

/// Whether a source named in cargo's dependency file is newer than the program, or there is no program.
fn is_stale(program: &Path) -> bool {
    let Some(built) = modified(program) else { return true };
    let Ok(list) = std::fs::read_to_string(program.with_extension("d")) else { return true };
    sources(&list).iter().any(|source| modified(source).is_none_or(|changed| changed > built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

/// Paths after the colon of a dependency file; a space in a path is written `\ `.
fn sources(list: &str) -> Vec<PathBuf> {
    let paths = list.split_once(": ").map_or("", |(_, paths)| paths).trim();
    let joined = paths.replace("\\ ", "\0");
    joined.split_whitespace().map(|path| PathBuf::from(path.replace('\0', " "))).collect()
}

fn build(profile: &Path) -> anyhow::Result<()> {
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    // The whole workspace is selected so that dependencies are built with the features that `cargo test --workspace` uses.
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--bin", "mkube", "--profile", name, "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(profile.parent().context("no target directory")?)
        .output()
        .context("running cargo")?;
    if !output.status.success() {
        bail!("building mkube: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Whether scenarios can run here; where not, says so past the test runner's capturing.
pub fn can_run(scenario: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        say(&format!("SKIPPED: {scenario} needs root (network namespaces, mounts, cgroups)"));
    }
    root
}

/// The real kubectl: `MKUBE_TEST_KUBECTL`, or the one on PATH; says loudly when there is none.
pub fn kubectl(scenario: &str) -> Option<PathBuf> {
    let found = std::env::var_os("MKUBE_TEST_KUBECTL").map(PathBuf::from).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join("kubectl")).find(|file| file.is_file())
    });
    if found.is_none() {
        say(&format!("SKIPPED in part: {scenario} has no kubectl (set MKUBE_TEST_KUBECTL)"));
    }
    found
}

/// Says something on stderr that the test runner does not swallow.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "\n{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_file_names_its_sources() {
        let list = "/t/debug/mkube: /w/a.rs /w/with\\ space/b.rs\n";
        assert_eq!(sources(list), [PathBuf::from("/w/a.rs"), PathBuf::from("/w/with space/b.rs")]);
        assert!(sources("").is_empty());
    }

    #[test]
    fn a_program_is_stale_when_a_source_is_newer() {
        let dir = tempfile::tempdir().unwrap();
        let (program, source) = (dir.path().join("mkube"), dir.path().join("main.rs"));
        assert!(is_stale(&program), "there is none");
        std::fs::write(&source, "").unwrap();
        std::fs::write(&program, "").unwrap();
        std::fs::write(dir.path().join("mkube.d"), format!("{}: {}\n", program.display(), source.display())).unwrap();
        let file = std::fs::File::options().write(true).open(&source).unwrap();
        let now = SystemTime::now();
        file.set_modified(now - std::time::Duration::from_secs(60)).unwrap();
        assert!(!is_stale(&program));
        file.set_modified(now + std::time::Duration::from_secs(60)).unwrap();
        assert!(is_stale(&program));
    }
}
