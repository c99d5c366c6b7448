//! What a checkpoint's directory holds, with a digest of each file: written last, so that one with a manifest is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use proto::log::{Manifest, ManifestFile};
use sha2::{Digest, Sha256};

use super::damaged;
use crate::disk::{Disk, RealDisk};
use crate::log::frame::{FileHeader, FileKind, FrameBuilder, file_header};
use crate::log::reader::{Found, Reader};
use crate::options::OpenError;

const NAME: &str = "MANIFEST";
const BUFFER: usize = 1 << 20;

/// Where the database's files are.
pub(super) fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// Makes every file of the database durable, and describes them; calls `rest` after every MiB. Nobody writes to them any more.
pub(super) fn seal(dir: &Path, index: u64, bytes: u64, rest: &dyn Fn()) -> io::Result<()> {
    let data = data(dir);
    let mut manifest = Manifest { index, bytes, files: Vec::new() };
    let mut dirs = vec![data.clone()];
    let mut at = 0;
    while let Some(current) = dirs.get(at).cloned() {
        at += 1;
        for entry in fs::read_dir(&current)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let (size, sha256) = digest(&path, |_| {
                rest();
                Ok(())
            })?;
            File::open(&path)?.sync_all()?;
            let name = path.strip_prefix(&data).map_err(io::Error::other)?.to_string_lossy().into_owned();
            manifest.files.push(ManifestFile { name, size, sha256 });
        }
    }
    manifest.files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    dirs.iter().rev().try_for_each(|dir| base::files::sync_dir(dir))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(NAME))?;
    file.write_all(&encode(&manifest))?;
    file.sync_all()?;
    base::files::sync_dir(dir)
}

/// The manifest's file.
pub(super) fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut frame = FrameBuilder::default();
    frame.begin(0);
    frame.push(manifest);
    [&file_header(FileKind::Manifest, FileHeader::default())[..], frame.finish(0).0].concat()
}

/// Reads the manifest of the checkpoint at entry `index`.
pub(super) fn read(dir: &Path, index: u64) -> Result<Manifest, OpenError> {
    let path = dir.join(NAME);
    let file = match RealDisk.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(&path, index, "the manifest is missing".into()));
        }
        file => file.map_err(|error| OpenError::io(&path, "open", error))?,
    };
    let wrong = |what: &str| damaged(&path, index, what.into());
    let mut reader = Reader::open(FileKind::Manifest, &path, &*file)?;
    let Found::Frame(header, mut payload) = reader.next()? else { return Err(wrong("the manifest is cut short")) };
    let manifest = Manifest::decode_length_delimited(&mut payload).ok().filter(|_| header.count == 1);
    let manifest = manifest.ok_or_else(|| wrong("the manifest cannot be decoded"))?;
    if manifest.index != index {
        return Err(wrong("the manifest is of another checkpoint"));
    }
    // A copy of them is made elsewhere.
    let inside = |name: &str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !manifest.files.iter().all(|file| !file.name.is_empty() && inside(&file.name)) {
        return Err(wrong("the manifest names a file that is not the database's"));
    }
    Ok(manifest)
}

/// Copies the database's files to a new directory, and makes sure that they are what was written.
pub(super) fn copy(manifest: &Manifest, from: &Path, to: &Path) -> Result<(), OpenError> {
    for file in &manifest.files {
        let (source, target) = (data(from).join(&file.name), to.join(&file.name));
        let copied = (|| {
            fs::create_dir_all(target.parent().unwrap_or(to))?;
            let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
            digest(&source, |bytes| target.write_all(bytes))
        })();
        match copied {
            Ok(found) if found == (file.size, file.sha256.clone()) => {}
            Ok(_) => return Err(damaged(&source, manifest.index, "the file is not what was written".into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(&source, manifest.index, "the file is missing".into()));
            }
            Err(error) => return Err(OpenError::io(&source, "copy", error)),
        }
    }
    Ok(())
}

/// Reads a file and gives it to `sink`, a MiB at a time; its size and its digest.
fn digest(path: &Path, mut sink: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, Bytes)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, Bytes::copy_from_slice(&hasher.finalize())));
        }
        hasher.update(&buffer[..read]);
        sink(&buffer[..read])?;
        size += read as u64;
    }
}
