//! Commands through a real kubectl 1.33 and through `mkube kubectl` against one cluster: what they print and their exit codes
//! must be equal. The commands are data (`kubectl/commands.txt`, `kubectl/bad_input.txt`); a command whose output may differ
//! stands in [`EXPLAINED`] with the reason. And: every command and flag that kubectl's help knows, ours knows, too.
//!
//! `MKUBE_TEST_ONLY=text` runs only the commands that contain the text.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use base::pki::Pair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::{Cluster, objects, program};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

use crate::tour::EXAMPLE;
use crate::{PATIENCE, nodes, scenario};

const COMMANDS: &str = include_str!("kubectl/commands.txt");
const BAD_INPUT: &str = include_str!("kubectl/bad_input.txt");

/// Commands whose output differs, and why. A row is part of `kubectl COMMAND$`.
const EXPLAINED: &[(&str, &str)] = &[
    ("kubectl version$", "each says its own version"),
    ("kubectl version -o", "each says its own version"),
    ("--help", "our help is made from the table of commands, in our own sentences"),
    ("kubectl help nope$", "our help is made from the table of commands, in our own sentences"),
    ("kubectl describe nodes$", "kubectl sorts events of the same second unstably"),
    ("KUBECONFIG=DIR/refused version", "each says its own version"),
    ("KUBECONFIG=DIR/refused apply", "kubectl asks for the schema before it asks for the object"),
    ("config view -o json", "kubectl writes the fields in the order of its Go type, we sort them"),
    ("--save-config -o jsonpath", "kubectl writes what it generates in the order of its Go type, we sort the fields"),
    ("--expose --port=80 --dry-run=client -o yaml", "kubectl writes the separator between the two objects twice"),
    ("EDITOR=data/empty.sh", "kubectl calls the empty file invalid and keeps it; we cancel, as its header promises"),
    ("create -f data/two.yaml --dry-run$", "kubectl's warning that the bare flag is deprecated is a log line"),
    ("data/badkind.yaml", "kubectl asks for the schema in protobuf before it looks whether the kind exists"),
    ("data/tab.yaml", "our YAML reader finds the same mistake one token earlier"),
    ("-k data", "kustomizations are refused, with what to do instead"),
    ("custom-columns=A:.x[", "kubectl prints the header before it reads the path"),
    ("--client-certificate=/nowhere", "kubectl lists everything that is odd about the flags, we name the file"),
    ("KUBECONFIG=DIR/broken", "the two YAML readers give different lines"),
    ("KUBECONFIG=DIR/not-yaml", "kubectl names a type of its own program"),
    ("KUBECONFIG=DIR/anonymous", "kubectl asks for a user name on the terminal; the server knows none"),
    ("KUBECONFIG=DIR/no-cluster", "kubectl falls back to localhost:8080; we say which cluster is missing"),
];

/// What a command said.
#[derive(Debug, PartialEq)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Two programs and where they run.
struct Pit {
    real: PathBuf,
    ours: PathBuf,
    kubeconfig: PathBuf,
    /// Kubeconfigs that are wrong, and kubectl's home.
    dir: tempfile::TempDir,
}

/// Words as a shell splits them, without its other magic: quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for char in line.chars() {
        match char {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            other => word.push(other),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// A line of klog, with time and process number: `E1128 16:20:43.838913 10129 memcache.go:265] …`.
fn is_log(line: &str) -> bool {
    let mut chars = line.chars();
    chars.next().is_some_and(|level| "IWEF".contains(level)) && chars.take(4).filter(char::is_ascii_digit).count() == 4
}

impl Pit {
    fn run(&self, real: bool, line: &str) -> anyhow::Result<Said> {
        let mut command = match real {
            true => Command::new(&self.real),
            false => Command::new(&self.ours),
        };
        if !real {
            command.arg("kubectl");
        }
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/kubectl"));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.dir.path()).stdin(Stdio::null());
        let line = line.replace("DIR/", &format!("{}/", self.dir.path().display()));
        let all = words(&line);
        let variable = |word: &&String| {
            word.split_once('=').is_some_and(|(name, _)| name.chars().all(|char| char.is_ascii_uppercase()))
        };
        let variables: Vec<&String> = all.iter().take_while(variable).collect();
        command.envs(variables.iter().filter_map(|word| word.split_once('=')));
        let output = command.args(&all[variables.len()..]).output().with_context(|| format!("running {line}"))?;
        let err = String::from_utf8_lossy(&output.stderr);
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: err.split_inclusive('\n').filter(|line| !is_log(line)).collect(),
        })
    }

    /// Does what has to be done first, by the real kubectl; `;` between several.
    fn prepare(&self, before: &str) -> anyhow::Result<()> {
        for line in before.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            let said = self.run(true, line)?;
            let tolerated = line.starts_with("delete") || line.starts_with("create") || line.starts_with("label");
            ensure!(said.code == Some(0) || tolerated || line.starts_with("annotate"), "{line}: {said:?}");
        }
        Ok(())
    }

    /// The differences of one table, each told.
    fn differences(&self, table: &str) -> anyhow::Result<(usize, Vec<String>)> {
        let only = std::env::var("MKUBE_TEST_ONLY").unwrap_or_default();
        let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#') && line.contains(&only));
        let (mut count, mut different) = (0, Vec::new());
        for line in lines {
            count += 1;
            let (before, run) = line.rsplit_once(" => ").unwrap_or(("", line));
            // Ages may tick between the two runs: only a difference that stays is one.
            let mut seen = None;
            for _ in 0..3 {
                self.prepare(before)?;
                let expected = self.run(true, run)?;
                self.prepare(before)?;
                let got = self.run(false, run)?;
                seen = (expected != got).then_some((expected, got));
                if seen.is_none() {
                    break;
                }
            }
            let Some((expected, got)) = seen else { continue };
            if EXPLAINED.iter().any(|(part, _)| format!("kubectl {run}$").contains(part)) {
                continue;
            }
            let told = |said: &Said| format!("({:?})\n{}{}", said.code, said.out, said.err);
            different.push(format!("=== kubectl {run}\n--- kubectl {}\n--- mkubectl {}", told(&expected), told(&got)));
        }
        Ok((count, different))
    }
}

/// kubectl 1.33, or nothing with a word about it.
fn real(what: &str) -> Option<PathBuf> {
    let found = program::kubectl(what)?;
    let output = Command::new(&found).args(["version", "--client"]).output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    if version.contains("v1.33.") {
        return Some(found);
    }
    program::say(&format!("SKIPPED: {what} wants kubectl 1.33, not {}", version.lines().next().unwrap_or_default()));
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_say_what_kubectl_says() {
    let Some(found) = real("comparing mkubectl with kubectl") else { return };
    scenario("mkubectl beside kubectl", nodes(2), async |cluster| {
        let client = cluster.client()?;
        objects::apply(&client, EXAMPLE).await?;
        objects::rolled_out(&client, "echo", PATIENCE).await?;
        let dir = tempfile::tempdir()?;
        // Some of its messages name the file that it was started from.
        let real = dir.path().join("kubectl");
        std::os::unix::fs::symlink(&found, &real)?;
        let (ours, kubeconfig) = (cluster.program().to_path_buf(), cluster.layout().kubeconfig());
        let pit = Pit { real, ours, kubeconfig, dir };
        wrong_kubeconfigs(cluster, pit.dir.path())?;
        pit.prepare("create secret generic s --from-literal=a=b; create configmap d")?;
        let (commands, mut different) = pit.differences(COMMANDS)?;
        let (bad, more) = pit.differences(BAD_INPUT)?;
        different.extend(more);
        program::say(&format!("{commands} commands and {bad} mistakes say what kubectl says"));
        ensure!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
        Ok(())
    })
    .await;
}

/// Kubeconfigs of which each has something wrong, by name.
fn wrong_kubeconfigs(cluster: &Cluster, dir: &Path) -> anyhow::Result<()> {
    let pki = cluster.layout().root().join("pki");
    let pair = Pair::read(&pki, "ca")?.context("no authority")?;
    let own = Issuer::from_ca_cert_pem(&pair.cert, KeyPair::from_pem(&pair.key)?)?;
    let other = base::pki::Authority::create("other")?.pair().clone();
    let foreign = Issuer::from_ca_cert_pem(&other.cert, KeyPair::from_pem(&other.key)?)?;
    let server = format!("https://127.0.0.1:{}", cluster.facts().port);
    let user = |issuer: &Issuer<'_, KeyPair>, days: i64| -> anyhow::Result<String> {
        let (key, mut params) = (KeyPair::generate()?, CertificateParams::new(Vec::<String>::new())?);
        params.distinguished_name.push(DnType::CommonName, "admin");
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        params.not_before = time::OffsetDateTime::now_utc() - time::Duration::days(2);
        params.not_after = params.not_before + time::Duration::days(days);
        let (cert, key) = (params.signed_by(&key, issuer)?.pem(), key.serialize_pem());
        let (cert, key) = (STANDARD.encode(cert), STANDARD.encode(key));
        Ok(format!("{{client-certificate-data: {cert}, client-key-data: {key}}}"))
    };
    let write = |name: &str, server: &str, authority: &str, user: &str, cluster: &str| {
        let authority = STANDARD.encode(authority);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters: [{{name: c, cluster: {{server: \"{server}\", certificate-authority-data: {authority}}}}}]\n\
             contexts: [{{name: x, context: {{cluster: {cluster}, user: u}}}}]\nusers: [{{name: u, user: {user}}}]\n"
        );
        fs::write(dir.join(name), text)
    };
    write("refused", "https://127.0.0.1:1", &pair.cert, "{token: x}", "c")?;
    write("anonymous", &server, &pair.cert, "{}", "c")?;
    write("wrong-token", &server, &pair.cert, "{token: wrong}", "c")?;
    write("expired", &server, &pair.cert, &user(&own, 1)?, "c")?;
    write("foreign", &server, &pair.cert, &user(&foreign, 4)?, "c")?;
    write("foreign-authority", &server, &other.cert, "{token: x}", "c")?;
    write("no-cluster", &server, &pair.cert, "{}", "nope")?;
    fs::write(dir.join("broken"), "apiVersion: v1\nkind: Config\nclusters: [\n")?;
    Ok(fs::write(dir.join("not-yaml"), "just text\n")?)
}

/// Flags in a help text: name → shorthand and default.
fn flags(help: &str) -> BTreeMap<String, (String, String)> {
    let flag = |line: &str| {
        let rest = line.strip_prefix("    ")?;
        let (short, rest) = match rest.strip_prefix('-').filter(|rest| !rest.starts_with('-')) {
            Some(rest) => rest.split_once(", ")?,
            None => ("", rest),
        };
        let (name, default) = rest.strip_prefix("--")?.strip_suffix(':')?.split_once('=')?;
        Some((name.to_string(), (short.to_string(), default.trim_matches('\'').to_string())))
    };
    help.lines().filter_map(flag).collect()
}

/// Commands that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut listing = false;
    for line in help.lines() {
        match line.strip_prefix("  ").filter(|row| listing && row.starts_with(|char: char| char.is_ascii_lowercase())) {
            Some(row) => found.extend(row.split_whitespace().next().map(str::to_string)),
            None => listing = line.ends_with(':') && line.contains("Commands"),
        }
    }
    found
}

#[test]
fn every_flag_of_kubectl_is_known() {
    let Some(real) = real("comparing mkubectl's flags") else { return };
    let ours = program::mkube().unwrap();
    let help = |program: &Path, words: &[String]| {
        let output = Command::new(program).args(words).arg("--help").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (mut pending, mut missing, mut count): (Vec<Vec<String>>, Vec<String>, usize) =
        (vec![Vec::new()], Vec::new(), 0);
    while let Some(path) = pending.pop() {
        let wanted = help(&real, &path);
        pending.extend(subcommands(&wanted).into_iter().map(|sub| [path.clone(), vec![sub]].concat()));
        if path.is_empty() {
            continue;
        }
        let words = [vec!["kubectl".to_string()], path.clone()].concat();
        let (got, shown) = (help(&ours, &words), path.join(" "));
        if !got.contains(&format!("kubectl {shown} ")) {
            missing.push(shown);
            continue;
        }
        // A command that only says what to do instead takes any flag.
        if !got.contains("\nOptions:\n") && got.contains(" [options]") && help_refuses(&ours, &words) {
            continue;
        }
        let known = flags(&got);
        for (name, form) in flags(&wanted) {
            count += 1;
            if known.get(&name) != Some(&form) {
                missing.push(format!("{shown} --{name}: kubectl has {form:?}, we have {:?}", known.get(&name)));
            }
        }
    }
    program::say(&format!("{count} flags are implemented, or refused by name"));
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether the command says that it is not there.
fn help_refuses(ours: &Path, words: &[String]) -> bool {
    let said = Command::new(ours).args(words).env("KUBECONFIG", "/dev/null").stdin(Stdio::null()).output();
    said.is_ok_and(|output| {
        let err = String::from_utf8_lossy(&output.stderr);
        err.contains("is not supported by mkubectl") || err.contains("Metrics API not available")
    })
}

#[test]
fn lines_become_words() {
    assert_eq!(words("A=b get 'x y'  z"), ["A=b", "get", "x y", "z"]);
    assert!(is_log("E1128 16:20:43.8 10129 memcache.go:265] x") && !is_log("Error from server") && !is_log("W"));
    let help =
        "Available Commands:\n  approve   Approve\n\nOptions:\n    -f, --filename=[]:\n\ttext\n\n    --force=false:\n";
    assert_eq!(subcommands(help), ["approve"]);
    assert_eq!(flags(help)["filename"], ("f".to_string(), "[]".to_string()));
    assert_eq!(flags(help)["force"], (String::new(), "false".to_string()));
}
