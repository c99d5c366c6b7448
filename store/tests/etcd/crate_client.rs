//! Crate etcd-client's calls (`e2e/etcd-client`, a package of its own: it wants an installed protoc) against our server, one member
//! and three, and against a real etcd.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use store::testing::etcd::{self, Etcd};

use super::members::cluster;
use super::server::{PATIENCE, Server};

/// Builds the program, if protoc is there.
fn program() -> Option<PathBuf> {
    let protoc = std::env::var("PROTOC").unwrap_or_else(|_| "protoc".into());
    // With protobuf's own files.
    let usable = Command::new(protoc).args(["-o", "/dev/null", "google/protobuf/descriptor.proto"]).output();
    if !usable.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "SKIPPED crate etcd-client's calls: no protoc with its files (Debian: protobuf-compiler, libprotobuf-dev)"
        );
        return None;
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/etcd-client/Cargo.toml");
    let target = Path::new(env!("CARGO_BIN_EXE_mkube-store")).parent().unwrap().parent().unwrap().join("etcd-client");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let fetched = Command::new(&cargo).args(["fetch", "--locked", "--manifest-path"]).arg(&manifest).output().unwrap();
    if !fetched.status.success() {
        let why = String::from_utf8_lossy(&fetched.stderr);
        eprintln!("SKIPPED crate etcd-client's calls: its crates cannot be had here: {why}");
        return None;
    }
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(target.join("debug/etcd-client-calls"))
}

fn calls(program: &Path, urls: &[String]) {
    let output = Command::new(program).arg(urls.join(",")).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("ok\n"), "{urls:?}: {said}");
}

#[test]
fn crate_etcd_client_is_served() {
    let Some(program) = program() else { return };
    let dir = tempfile::tempdir().unwrap();
    let one = dir.path().join("one");
    std::fs::create_dir(&one).unwrap();
    let server = Server::start(&one, &[]);
    calls(&program, &[server.url()]);
    let servers = cluster(dir.path());
    let urls: Vec<String> = servers.iter().map(Server::url).collect();
    urls.iter().for_each(|url| serves(url));
    calls(&program, &urls);
    if etcd::is_installed() {
        let real = dir.path().join("etcd");
        std::fs::create_dir(&real).unwrap();
        let server = Etcd::start(&real).unwrap();
        serves(server.url());
        calls(&program, &[server.url().to_owned()]);
    }
}

/// Waits until a member is healthy: it knows a leader.
fn serves(url: &str) {
    let deadline = Instant::now() + PATIENCE;
    let healthy = || {
        let answer = Command::new("curl").args(["-s", "-m", "2", &format!("{url}/health")]).output();
        answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.stdout).contains("\"health\":\"true\""))
    };
    while !healthy() {
        assert!(Instant::now() < deadline, "{url} is not healthy");
        std::thread::yield_now();
    }
}
