//! The same steps by each real kubectl that is there: `kubectl.1.NN` beside `MKUBE_TEST_KUBECTL`, or that one alone. The steps are
//! data (`kubectl/versions.txt`); each kubectl has a namespace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use e2e::program;

use crate::{nodes, scenario};

const STEPS: &str = include_str!("kubectl/versions.txt");
/// The oldest minor version that must work.
const OLDEST: u32 = 30;

/// Each kubectl, by a name.
fn all(found: &Path) -> Vec<(String, PathBuf)> {
    let entries = found.parent().and_then(|dir| dir.read_dir().ok()).into_iter().flatten().flatten();
    let version = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix("kubectl.1.")?.to_owned();
        let recent = name.parse::<u32>().ok()? >= OLDEST;
        recent.then(|| (format!("v1-{name}"), path.clone()))
    };
    let mut several: Vec<_> = entries.filter_map(|entry| version(entry.path())).collect();
    several.sort();
    if several.is_empty() { vec![("kubectl".into(), found.to_owned())] } else { several }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kubectl_can_do_it() {
    let Some(found) = program::kubectl("kubectl of several versions") else { return };
    scenario("kubectl of several versions", nodes(2), async |cluster| {
        for (name, kubectl) in all(&found.canonicalize()?) {
            let dir = tempfile::tempdir()?;
            std::os::unix::fs::symlink(&kubectl, dir.path().join("kubectl"))?;
            let kubeconfig = dir.path().join("kubeconfig");
            std::fs::copy(cluster.layout().kubeconfig(), &kubeconfig)?;
            let shell = Shell { dir: dir.path(), kubeconfig: &kubeconfig };
            shell.run(&format!("kubectl create namespace {name} :: created"))?;
            shell.run(&format!("kubectl config set-context --current --namespace={name} :: modified"))?;
            let steps = STEPS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            let (mut count, mut failed) = (0, Vec::new());
            for step in steps {
                count += 1;
                failed.extend(shell.run(step).err().map(|error| format!("{error:#}")));
            }
            ensure!(failed.is_empty(), "{name}: {} of {count} steps failed:\n{}", failed.len(), failed.join("\n"));
            program::say(&format!("{name}: {count} steps, none failed"));
            shell.run(&format!("kubectl delete namespace {name} :: deleted"))?;
        }
        Ok(())
    })
    .await;
}

/// Where the steps of one kubectl run.
struct Shell<'a> {
    dir: &'a Path,
    kubeconfig: &'a Path,
}

impl Shell<'_> {
    /// Runs a step.
    ///
    /// # Errors
    /// If it fails, or does not print what it must.
    fn run(&self, step: &str) -> anyhow::Result<()> {
        let mut parts = step.split(" :: ");
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/examples/deploy.yaml");
        let line = parts.next().unwrap_or_default().replace("EXAMPLE", example);
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("timeout")
            .args(["120", "sh", "-c", &line])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/kubectl"))
            .env("PATH", format!("{}:{path}", self.dir.display()))
            .env("KUBECONFIG", self.kubeconfig)
            .env("HOME", self.dir)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {line}"))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(output.status.success(), "{line}: {}\n{said}", output.status);
        for wanted in parts {
            ensure!(said.contains(wanted.trim()), "{line}: {wanted:?} is missing\n{said}");
        }
        Ok(())
    }
}
