//! A backup of a running store as a file: the Maintenance snapshot stream, checked as it comes, under another name until it is
//! complete and durable. etcd: client/v3/snapshot/v3_snapshot.go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use sha2::{Digest, Sha256};
use tonic::transport::Channel;

use super::ToolError;
use super::backup::{TAIL, hex};
use super::flags::{Save, Source};
use crate::peer::connect_probing;

/// How long nothing may come before the connection is probed; etcd ends connections that probe every 5 s or oftener.
const PROBE: Duration = Duration::from_secs(10);
/// The largest message that is taken.
const MOST_BYTES: usize = 64 << 20;

/// Runs `snapshot save`.
pub(super) async fn save(flags: &Save) -> Result<String, ToolError> {
    let (endpoint, channel) = connect(&flags.source).await?;
    let part = Part::create(&flags.file)?;
    receive(&endpoint, channel, part).await?;
    Ok(format!("Snapshot saved at {}\n", flags.file.display()))
}

/// Connects to the first endpoint that answers.
pub(super) async fn connect(source: &Source) -> Result<(String, Channel), ToolError> {
    let mut failed = Err(ToolError::Usage("no endpoint".into()));
    for endpoint in &source.endpoints {
        match connect_probing(endpoint, &source.tls(), PROBE).await {
            Ok(channel) => return Ok((endpoint.clone(), channel)),
            Err(what) => failed = Err(ToolError::Remote { endpoint: endpoint.clone(), what }),
        }
    }
    failed
}

/// Takes the whole stream into the file.
pub(super) async fn receive(endpoint: &str, channel: Channel, mut part: Part) -> Result<(), ToolError> {
    let remote = |status: tonic::Status| ToolError::Remote { endpoint: endpoint.into(), what: status.message().into() };
    let mut client = MaintenanceClient::new(channel).max_decoding_message_size(MOST_BYTES);
    let mut stream = client.snapshot(pb::SnapshotRequest {}).await.map_err(remote)?.into_inner();
    while let Some(message) = stream.message().await.map_err(remote)? {
        part.take(&message.blob)?;
    }
    part.finish()
}

/// A file that becomes the backup once it is complete; removed otherwise.
pub(super) struct Part {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    hasher: Sha256,
    /// The last bytes, which may be the checksum: not hashed yet.
    tail: Vec<u8>,
    length: u64,
    done: bool,
}

impl Part {
    pub(super) fn create(path: &Path) -> Result<Self, ToolError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let temporary = PathBuf::from(name);
        // It holds secrets.
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| ToolError::io(&temporary, "create", error))?;
        let (path, hasher, tail) = (path.to_owned(), Sha256::new(), Vec::new());
        Ok(Self { path, temporary, file, hasher, tail, length: 0, done: false })
    }

    fn take(&mut self, blob: &Bytes) -> Result<(), ToolError> {
        self.file.write_all(blob).map_err(|error| ToolError::io(&self.temporary, "write", error))?;
        self.length += blob.len() as u64;
        self.tail.extend_from_slice(blob);
        let sure = self.tail.len().saturating_sub(TAIL as usize);
        self.hasher.update(&self.tail[..sure]);
        self.tail.drain(..sure);
        Ok(())
    }

    fn finish(mut self) -> Result<(), ToolError> {
        if self.length % 512 != TAIL {
            return Err(ToolError::damaged(&self.path, format!("sha256 checksum not found [bytes: {}]", self.length)));
        }
        let digest: [u8; 32] = std::mem::take(&mut self.hasher).finalize().into();
        if digest[..] != self.tail {
            let text = format!("expected sha256 {}, got {}: damaged on its way", hex(&self.tail), hex(&digest));
            return Err(ToolError::damaged(&self.path, text));
        }
        self.publish().map_err(|error| ToolError::io(&self.path, "finish", error))?;
        self.done = true;
        Ok(())
    }

    fn publish(&self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        base::files::sync_dir(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.done {
            // Best effort: it has another name than a backup.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
