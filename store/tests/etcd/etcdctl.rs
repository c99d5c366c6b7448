//! Every command group of etcdctl but auth and the offline ones, run against our server and a real etcd with the same words;
//! what they print must be the same once numbers that each server chooses for itself have been given names.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use store::testing::etcd::{self, Etcd};

use super::server::{PATIENCE, Server};

/// One of the two servers, and the names for what it chose.
struct Side {
    endpoint: String,
    names: BTreeMap<String, String>,
    dir: tempfile::TempDir,
}

fn etcdctl(endpoint: &str) -> Command {
    let mut command = Command::new("etcdctl");
    command
        .env("ETCDCTL_API", "3")
        .arg(format!("--endpoints={endpoint}"))
        .args(["--dial-timeout=5s", "--command-timeout=10s"]);
    command
}

impl Side {
    fn new(endpoint: String) -> Self {
        Self { endpoint, names: BTreeMap::new(), dir: tempfile::tempdir().unwrap() }
    }

    /// Arguments with names replaced by what they stand for.
    fn words(&self, line: &str) -> Vec<String> {
        let meant = |word: &str| {
            let word = word.replace("%DIR", &self.dir.path().display().to_string()).replace("%EMPTY", "");
            self.names.iter().fold(word, |word, (value, name)| word.replace(&format!("${name}"), value))
        };
        line.split(' ').map(meant).collect()
    }

    fn run(&mut self, line: &str, input: &str) -> String {
        let mut command = etcdctl(&self.endpoint);
        command.args(self.words(line)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Fails if it ended without reading.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = format!(
            "{}{}exit {}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            output.status.code().unwrap_or(-1)
        );
        self.learn(&text);
        self.normal(&text)
    }

    /// Names the leases that were granted.
    fn learn(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("lease ")
                && let Some((id, _)) = rest.split_once(" granted")
            {
                let name = format!("lease{}", self.names.len() + 1);
                self.names.insert(id.to_owned(), name);
            }
        }
    }

    fn normal(&self, text: &str) -> String {
        // What etcdctl logs of itself is not the server's answer.
        let lines = text.lines().filter(|line| !line.starts_with("{\"level\""));
        let mut text = lines.collect::<Vec<_>>().join("\n").replace(&self.endpoint, "ENDPOINT");
        text = text.replace(&self.dir.path().display().to_string(), "%DIR");
        for (value, name) in &self.names {
            text = text.replace(value, name);
        }
        for field in FIELDS {
            text = blank_after(&text, field);
        }
        text
    }

    /// Starts a command that goes on until it is ended; what it prints goes to a file.
    fn begin(&self, line: &str) -> Running {
        let path = self.dir.path().join(format!("out-{}", line.replace([' ', '/'], "-")));
        let file = std::fs::File::create(&path).unwrap();
        let mut command = etcdctl(&self.endpoint);
        let child =
            command.args(self.words(line)).stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).spawn().unwrap();
        Running { child, path }
    }
}

struct Running {
    child: Child,
    path: std::path::PathBuf,
}

impl Running {
    /// What it has printed, once that satisfies.
    fn until(&self, enough: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&self.path).unwrap();
            if enough(&text) {
                return text;
            }
            assert!(Instant::now() < deadline, "it printed only {text:?}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Replaces what follows `field` up to the next delimiter.
fn blank_after(text: &str, field: &str) -> String {
    let mut parts = text.split(field);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([',', '}', '\n']).unwrap_or(part.len());
        whole.push_str(field);
        whole.push('_');
        whole.push_str(&part[end..]);
    }
    whole
}

/// What is followed by something that each server chooses, or that is a matter of time.
const FIELDS: &[&str] = &[
    "\"cluster_id\":",
    "\"member_id\":",
    "\"raft_term\":",
    "\"ClusterID\" :",
    "\"MemberID\" :",
    "\"RaftTerm\" :",
    "\"Lease\" :",
    "took = ",
];

/// (arguments, standard input)
const SCRIPT: &[(&str, &str)] = &[
    // put
    ("put a 1", ""),
    ("put a 2 --prev-kv", ""),
    ("put b", "from stdin"),
    ("put a 3 -w json", ""),
    ("put c 1", ""),
    ("put missing --ignore-value", ""),
    ("put a --ignore-value", ""),
    ("put a 4 --ignore-lease", ""),
    ("put a 4 --lease=1234", ""),
    ("put %EMPTY x", ""),
    // get
    ("get a", ""),
    ("get a -w json", ""),
    ("get a -w fields", ""),
    ("get a --print-value-only", ""),
    ("get nothing", ""),
    ("get a c", ""),
    ("get --prefix %EMPTY", ""),
    ("get --from-key b", ""),
    ("get --prefix %EMPTY --keys-only", ""),
    ("get --prefix %EMPTY --limit=2 -w json", ""),
    ("get --prefix %EMPTY --print-value-only", ""),
    ("get --prefix %EMPTY --sort-by=MODIFY --order=DESCEND", ""),
    ("get --prefix %EMPTY --sort-by=VALUE --order=ASCEND", ""),
    ("get --prefix %EMPTY --sort-by=CREATE --order=DESCEND --limit=1", ""),
    ("get --prefix %EMPTY --sort-by=VERSION", ""),
    ("get --prefix %EMPTY --sort-by=VALUE --keys-only", ""),
    ("get a --rev=2", ""),
    ("get a --rev=99", ""),
    ("get a --consistency=s", ""),
    // txn
    ("txn", "mod(\"a\") > \"0\"\nvalue(\"b\") = \"from stdin\"\n\nput t 1\nget t\n\nput t 2\n\n"),
    ("txn", "version(\"none\") = \"1\"\n\nput t 1\n\nget a\nget b\ndel c\n\n"),
    ("txn", "create(\"a\") = \"2\"\n\ndel t --prev-kv\n\n\n"),
    ("txn", "\nput d 1\nput d 2\n\n\n"),
    ("txn", "\nput d 1\ndel d\n\n\n"),
    ("txn", "c(\"none\") < \"1\"\n\nget a\n\n\n"),
    ("txn -w json", "mod(\"a\") < \"0\"\n\n\nput e 1\n\n"),
    ("get --prefix %EMPTY -w json", ""),
    // del
    ("del nothing", ""),
    ("put k1 v", ""),
    ("put k2 v", ""),
    ("put k3 v", ""),
    ("del k1 --prev-kv", ""),
    ("del --prefix k", ""),
    ("del a -w json", ""),
    ("endpoint hashkv -w json", ""),
    // compaction
    ("put a 5", ""),
    ("compaction 7", ""),
    ("compaction 7", ""),
    ("compaction 999", ""),
    ("get a --rev=6", ""),
    ("get --prefix %EMPTY --rev=7 -w json", ""),
    ("endpoint hashkv -w json", ""),
    ("compaction 12 --physical", ""),
    ("endpoint hashkv -w json", ""),
    ("endpoint hashkv --rev=15 -w json", ""),
    // lease
    ("lease grant 500", ""),
    ("lease grant 400", ""),
    ("lease grant 99999999999", ""),
    ("put l1 v --lease=$lease1", ""),
    ("put l2 v --lease=$lease1", ""),
    ("put l1 w --ignore-lease", ""),
    ("get l1 -w fields", ""),
    ("lease keep-alive --once $lease1", ""),
    ("lease keep-alive --once 1234", ""),
    ("lease timetolive 1234", ""),
    ("lease revoke $lease1", ""),
    ("lease revoke $lease1", ""),
    ("get --prefix l", ""),
    ("lease timetolive $lease1", ""),
    ("lease list", ""),
    ("lease revoke $lease2", ""),
    ("lease list", ""),
    // lock, elect
    ("lock l echo held", ""),
    ("get --prefix l/ --keys-only", ""),
    // alarm
    ("alarm list", ""),
    ("alarm disarm", ""),
    // defrag, health, snapshot
    ("defrag", ""),
    ("endpoint health", ""),
    ("snapshot save %DIR/backup", ""),
    ("version", ""),
];

fn installed() -> bool {
    let etcdctl = Command::new("etcdctl").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !etcdctl || !etcd::is_installed() {
        eprintln!("SKIPPED the tests with etcdctl: no etcdctl and etcd in the PATH (Debian: etcd-client, etcd-server)");
    }
    etcdctl && etcd::is_installed()
}

/// Ours and a real one.
fn sides(dir: &Path) -> (Server, Etcd, [Side; 2]) {
    let (ours_dir, theirs_dir) = (dir.join("ours"), dir.join("theirs"));
    std::fs::create_dir(&ours_dir).unwrap();
    std::fs::create_dir(&theirs_dir).unwrap();
    let ours = Server::start(&ours_dir, &[]);
    let theirs = Etcd::start(&theirs_dir).unwrap();
    let their_endpoint = theirs.url().trim_start_matches("http://").to_owned();
    let deadline = Instant::now() + PATIENCE;
    while !etcdctl(&their_endpoint).args(["get", "x"]).stderr(Stdio::null()).status().unwrap().success() {
        assert!(Instant::now() < deadline, "etcd does not answer");
    }
    let sides = [Side::new(ours.endpoint()), Side::new(their_endpoint)];
    (ours, theirs, sides)
}

#[test]
fn etcdctl_sees_no_difference() {
    if !installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_ours, _theirs, mut sides) = sides(dir.path());
    let mut differences = Vec::new();
    for (line, input) in SCRIPT {
        let [ours, theirs] = sides.each_mut().map(|side| side.run(line, input));
        if ours != theirs {
            differences.push(format!("etcdctl {line}\n--- ours\n{ours}\n--- etcd's\n{theirs}\n"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    // What has to differ, or is not a server's alone.
    let ours = &mut sides[0];
    let status = ours.run("endpoint status", "");
    assert!(status.starts_with("ENDPOINT, ") && status.contains(", 3.5.21, "), "{status}");
    let members = ours.run("member list", "");
    assert!(
        members.contains(", started, default, http://127.0.0.1:") && members.contains("http://ENDPOINT, false"),
        "{members}"
    );
    assert!(ours.run("member remove 1", "").contains("etcdserver: member not found"));
    assert!(ours.run("member promote 1", "").contains("etcdserver: member not found"));
    let added = ours.run("member add other --learner --peer-urls=http://127.0.0.1:1", "");
    let id = added.strip_prefix("Member ").and_then(|rest| rest.trim().split_once(' ')).map(|(id, _)| id.to_owned());
    let id = id.unwrap_or_else(|| panic!("{added}"));
    assert!(ours.run("member list", "").contains(&format!("{id}, unstarted, , http://127.0.0.1:1, , true")));
    let again = ours.run("member add third --learner --peer-urls=http://127.0.0.1:1", "");
    assert!(again.contains("etcdserver: Peer URLs already exists"), "{again}");
    let updated = ours.run(&format!("member update {id} --peer-urls=http://127.0.0.1:2"), "");
    assert!(updated.contains("updated in cluster"), "{updated}");
    assert!(ours.run(&format!("member remove {id}"), "").contains("removed from cluster"));
    let moved = ours.run("move-leader 1", "");
    assert!(moved.contains("exit"), "{moved}");
    assert!(ours.run("auth enable", "").contains("users and roles are not supported"));
}

#[test]
fn servers_may_be_named_by_urls() {
    if !installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_ours, _theirs, sides) = sides(dir.path());
    for side in sides {
        let url = format!("http://{}", side.endpoint);
        // By the URL that is given, and by that which the member gives.
        for line in
            ["endpoint status", "endpoint hashkv", "endpoint status --cluster", "endpoint hashkv --cluster", "defrag"]
        {
            let output = etcdctl(&url).args(line.split(' ')).output().unwrap();
            assert!(output.status.success(), "{line} of {url}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn etcdctl_watches_locks_and_elects() {
    if !installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_ours, _theirs, mut sides) = sides(dir.path());
    let shown = sides.each_mut().map(|side| {
        for line in ["put w/a 1", "put w/b 1", "del w/a", "put x 1", "put w/a 2"] {
            side.run(line, "");
        }
        let mut shown = Vec::new();
        // (watch, lines that it prints)
        for (line, lines) in [
            ("watch --prefix w/ --rev=2", 12),
            ("watch --prefix w/ --rev=2 --prev-kv", 14),
            ("watch w/a --rev=4", 6),
            ("watch w/a w/c --rev=5", 3),
        ] {
            let watch = side.begin(line);
            shown.push(watch.until(|text| text.lines().count() >= lines));
        }
        // Told what happens from now on: once it is shown that the watch is in place.
        let watch = side.begin("watch --prefix later/");
        let deadline = Instant::now() + PATIENCE;
        while std::fs::read_to_string(&watch.path).unwrap().is_empty() && Instant::now() < deadline {
            side.run("put later/x 1", "");
        }
        shown.push(watch.until(|text| text.lines().count() >= 3).lines().take(3).collect());

        let first = side.begin("elect e one");
        first.until(|text| text.ends_with("one\n"));
        let second = side.begin("elect e two");
        let listener = side.begin("elect -l e");
        listener.until(|text| text.ends_with("one\n"));
        assert!(std::fs::read_to_string(&second.path).unwrap().is_empty(), "one leader at a time");
        side.run("del --prefix e/", "");
        drop((first, second, listener));
        let holder = side.begin("lock m");
        holder.until(|text| text.starts_with("m/"));
        let waiter = side.begin("lock m echo mine");
        let queue = |side: &mut Side| side.run("get --prefix m/ -w fields", "").contains("\"Count\" : 2");
        let deadline = Instant::now() + PATIENCE;
        while !queue(side) {
            assert!(Instant::now() < deadline, "nobody waits");
        }
        assert!(std::fs::read_to_string(&waiter.path).unwrap().is_empty());
        let held = std::fs::read_to_string(&holder.path).unwrap();
        side.run(&format!("del {}", held.trim()), "");
        shown.push(waiter.until(|text| text.ends_with("mine\n")));
        shown
    });
    assert_eq!(shown[0], shown[1]);
}

#[test]
fn a_mirror_is_made_to_and_from_etcd() {
    if !installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_ours, _theirs, mut sides) = sides(dir.path());
    for (from, to) in [(0, 1), (1, 0)] {
        let key = format!("mirror{from}/k");
        sides[from].run(&format!("put {key} old"), "");
        let mirror = sides[from].begin(&format!("make-mirror --prefix mirror{from}/ {}", sides[to].endpoint.clone()));
        let deadline = Instant::now() + PATIENCE;
        while !sides[to].run(&format!("get {key}"), "").contains("old") {
            assert!(Instant::now() < deadline, "what was there did not arrive");
        }
        sides[from].run(&format!("put {key} new"), "");
        while !sides[to].run(&format!("get {key}"), "").contains("new") {
            assert!(Instant::now() < deadline, "what came later did not arrive");
        }
        drop(mirror);
    }
}
