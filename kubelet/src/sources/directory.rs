//! Follows a directory of manifests with inotify. A file that breaks keeps its last good pod running; a file that vanishes
//! takes its pod with it. While the directory does not exist it is looked for once a second.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use k8s_openapi::api::core::v1::Pod;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::manifest;
use crate::pod;

/// Static pods by their UID.
pub type StaticPods = BTreeMap<String, Arc<Pod>>;

/// How often a missing directory is looked for.
const MISSING: Duration = Duration::from_secs(1);
/// A burst of changes is read once.
const SETTLE: Duration = Duration::from_millis(10);
/// Larger files are no manifests.
const MOST_BYTES: u64 = 3 << 20;

/// The directory as last read.
pub struct Directory {
    path: PathBuf,
    node: String,
    clock: Arc<dyn Clock>,
    files: BTreeMap<OsString, Arc<Pod>>,
    /// What was complained about, so that it is said once.
    complaints: BTreeMap<OsString, String>,
}

impl Directory {
    /// Of static pods for `node`.
    pub fn new(path: PathBuf, node: String, clock: Arc<dyn Clock>) -> Self {
        Self { path, node, clock, files: BTreeMap::new(), complaints: BTreeMap::new() }
    }

    /// Reads the directory; returns the pods that shall run.
    ///
    /// # Errors
    /// When the directory cannot be read; what ran goes on.
    pub fn scan(&mut self) -> io::Result<StaticPods> {
        let mut files = BTreeMap::new();
        let mut complaints = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with('.') || !fs::metadata(entry.path()).is_ok_and(|m| m.is_file()) {
                continue;
            }
            let before = self.files.get(&name);
            match self.read(&entry.path()) {
                Ok(fresh) => {
                    let same = before.filter(|b| pod::uid(b) == pod::uid(&fresh)).cloned();
                    files.insert(name, same.unwrap_or_else(|| Arc::new(fresh)));
                }
                Err(why) => {
                    if self.complaints.get(&name) != Some(&why) {
                        tracing::error!(file = %entry.path().display(), why, "not a manifest of a pod");
                    }
                    complaints.insert(name.clone(), why);
                    files.extend(before.map(|b| (name, b.clone())));
                }
            }
        }
        (self.files, self.complaints) = (files, complaints);
        Ok(self.files.values().map(|pod| (pod::uid(pod).to_string(), pod.clone())).collect())
    }

    fn read(&self, path: &Path) -> Result<Pod, String> {
        let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
        if length > MOST_BYTES {
            return Err(format!("it has {length} bytes, more than {MOST_BYTES}"));
        }
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        manifest::read(&text, &path.to_string_lossy(), &self.node, self.clock.now())
    }

    /// Follows the directory forever; `pods` holds `None` until it was read for the first time.
    pub async fn follow(mut self, pods: watch::Sender<Option<StaticPods>>) {
        loop {
            let events = match Events::new(&self.path) {
                Ok(events) => Some(events),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => {
                    tracing::warn!(%error, path = %self.path.display(), "manifests are not watched but read every second");
                    None
                }
            };
            self.publish(&pods);
            let Some(events) = events else {
                tokio::time::sleep(MISSING).await;
                continue;
            };
            while let Ok(Heard::Changed) = events.next().await {
                tokio::time::sleep(SETTLE).await;
                self.publish(&pods);
            }
            // The directory itself went.
            tokio::time::sleep(SETTLE).await;
        }
    }

    fn publish(&mut self, pods: &watch::Sender<Option<StaticPods>>) {
        let found = match self.scan() {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.files.clear();
                StaticPods::new()
            }
            Err(error) => return tracing::error!(%error, path = %self.path.display(), "manifests cannot be read"),
        };
        pods.send_if_modified(|before| {
            let changed = before.as_ref() != Some(&found);
            *before = Some(found);
            changed
        });
    }
}

enum Heard {
    Changed,
    Gone,
}

struct Events {
    fd: AsyncFd<rustix::fd::OwnedFd>,
}

impl Events {
    fn new(path: &Path) -> io::Result<Self> {
        use inotify::{CreateFlags, WatchFlags};
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&fd, path, flags)?;
        // An owned descriptor stays open as long as the AsyncFd: what its successor guards against cannot happen.
        #[allow(deprecated)]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd })
    }

    /// Waits for something to happen and takes all that has.
    async fn next(&self) -> io::Result<Heard> {
        let mut guard = self.fd.readable().await?;
        let mut gone = false;
        let mut space = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.fd.get_ref(), &mut space);
        loop {
            match reader.next() {
                Ok(event) => {
                    use inotify::ReadFlags;
                    gone |=
                        event.events().intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED);
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        guard.clear_ready();
        Ok(if gone { Heard::Gone } else { Heard::Changed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::SystemClock;

    fn manifest(name: &str, image: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - {{name: c, image: \"{image}\"}}\n"
        )
    }

    async fn until(pods: &mut watch::Receiver<Option<StaticPods>>, expected: &[&str]) -> StaticPods {
        let wanted = |found: &Option<StaticPods>| {
            let mut images: Vec<_> = found
                .iter()
                .flatten()
                .map(|(_, pod)| format!("{}={}", pod::name(pod), pod::image(&pod::containers(pod)[0])))
                .collect();
            images.sort();
            found.is_some() && images == expected
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), pods.wait_for(wanted)).await;
        let found = waited.ok().map(|found| found.unwrap().clone().unwrap());
        found.unwrap_or_else(|| panic!("expected {expected:?}, have {:?}", pods.borrow().clone()))
    }

    #[tokio::test]
    async fn files_appear_change_break_and_vanish() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("manifests");
        let (sender, mut pods) = watch::channel(None);
        let follow = Directory::new(dir.clone(), "n".into(), SystemClock::shared()).follow(sender);
        let task = tokio::spawn(follow);
        until(&mut pods, &[]).await;
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a.yaml"), manifest("a", "1")).unwrap();
        let first = until(&mut pods, &["a-n=1"]).await;
        fs::write(dir.join("b.yaml"), manifest("b", "1")).unwrap();
        fs::write(dir.join(".hidden"), manifest("h", "1")).unwrap();
        let both = until(&mut pods, &["a-n=1", "b-n=1"]).await;
        assert!(first.keys().all(|uid| both.contains_key(uid)), "what did not change keeps its UID");
        fs::write(dir.join("b.yaml"), manifest("b", "2")).unwrap();
        until(&mut pods, &["a-n=1", "b-n=2"]).await;
        fs::write(dir.join("b.yaml"), "{ broken").unwrap();
        fs::write(dir.join("c.yaml"), manifest("c", "1")).unwrap();
        until(&mut pods, &["a-n=1", "b-n=2", "c-n=1"]).await;
        fs::remove_file(dir.join("b.yaml")).unwrap();
        fs::rename(dir.join("c.yaml"), dir.join(".c")).unwrap();
        until(&mut pods, &["a-n=1"]).await;
        fs::remove_dir_all(&dir).unwrap();
        until(&mut pods, &[]).await;
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a.yaml"), manifest("a", "3")).unwrap();
        until(&mut pods, &["a-n=3"]).await;
        task.abort();
    }
}
