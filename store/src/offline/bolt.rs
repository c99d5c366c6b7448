//! Reads etcd's database file (bbolt): pages, a B+ tree per bucket. Only what is needed to walk a bucket in key order; whatever
//! does not fit is an error, never a panic, a circle or unbounded memory.
//!
//! ```text
//! page     id u64 | flags u16 | count u16 | overflow u32 | elements      little-endian; `overflow` more pages belong to it
//! meta     magic u32 | version u32 | page size u32 | flags u32 | root u64 | sequence u64 | freelist u64 | pages u64 | txid u64 | FNV-1a u64
//! branch   (pos u32 | key size u32 | page u64) × count                   `pos` counts from the element itself
//! leaf     (flags u32 | pos u32 | key size u32 | value size u32) × count
//! bucket   a leaf's value: root u64 | sequence u64 | the page itself if root is 0
//! ```
//! bbolt: page.go, bucket.go, db.go.

use std::fs::File;
use std::os::unix::fs::FileExt;

const PAGE_HEADER: usize = 16;
const ELEMENT: usize = 16;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const META_BYTES: usize = 64;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const META: u16 = 4;
/// Flag of a leaf's element whose value is a bucket.
const BUCKET: u32 = 1;
/// Deeper than any tree of 64-bit pages.
const DEPTH: usize = 64;

type Walked = Result<(), String>;
/// Takes an element of a leaf: its flags, key and value.
type Take<'a> = dyn FnMut(u32, &[u8], &[u8]) -> Walked + 'a;

/// An open database file.
pub(super) struct Bolt<'a> {
    file: &'a File,
    size: u64,
    page_size: u64,
    root: u64,
    /// Pages there are: none beyond, and no walk reads more.
    pages: u64,
}

struct Meta {
    page_size: u64,
    root: u64,
    pages: u64,
    transaction: u64,
}

impl<'a> Bolt<'a> {
    /// Opens the newest good state of the file; the first `size` bytes are the database.
    pub(super) fn open(file: &'a File, size: u64) -> Result<Self, String> {
        let first = read_meta(file, 0);
        let second = match &first {
            Ok(meta) => read_meta(file, meta.page_size),
            // The second meta stands behind one page of a size that only the first one says.
            Err(_) => (9..17).map(|bits| read_meta(file, 1 << bits)).find(Result::is_ok).unwrap_or(Err(String::new())),
        };
        let meta = match (first, second) {
            (Ok(one), Ok(two)) => {
                if two.transaction > one.transaction {
                    two
                } else {
                    one
                }
            }
            (Ok(meta), Err(_)) | (Err(_), Ok(meta)) => meta,
            (Err(what), Err(_)) => return Err(what),
        };
        // What it says of itself must not make a walk through a small file a long one.
        let pages = meta.pages.min(size / meta.page_size);
        Ok(Self { file, size, page_size: meta.page_size, root: meta.root, pages })
    }

    /// Gives every key and value of a bucket to `take`, in order of the keys. `false`: there is no such bucket.
    pub(super) fn bucket(&self, name: &[u8], take: &mut dyn FnMut(&[u8], &[u8]) -> Walked) -> Result<bool, String> {
        let mut found = None;
        self.walk(self.root, &mut |flags, key, value| {
            if flags & BUCKET != 0 && key == name {
                found = Some(value.to_vec());
            }
            Ok(())
        })?;
        let Some(bucket) = found else { return Ok(false) };
        let mut pairs =
            |flags: u32, key: &[u8], value: &[u8]| if flags & BUCKET == 0 { take(key, value) } else { Ok(()) };
        match long(&bucket, 0)? {
            0 => leaf(bucket.get(16..).unwrap_or_default(), &mut pairs)?,
            root => self.walk(root, &mut pairs)?,
        }
        Ok(true)
    }

    fn walk(&self, root: u64, take: &mut Take<'_>) -> Walked {
        let mut left = self.pages;
        self.descend(root, DEPTH, &mut left, take)
    }

    fn descend(&self, id: u64, depth: usize, left: &mut u64, take: &mut Take<'_>) -> Walked {
        let depth = depth.checked_sub(1).ok_or("the database's tree is too deep")?;
        *left = left.checked_sub(1).ok_or("the database's tree goes in circles")?;
        let page = self.page(id)?;
        match short(&page, 8)? {
            flags if flags & LEAF != 0 => leaf(&page, take),
            flags if flags & BRANCH != 0 => {
                for at in 0..usize::from(short(&page, 10)?) {
                    let child = long(&page, PAGE_HEADER + at * ELEMENT + 8)?;
                    self.descend(child, depth, left, take)?;
                }
                Ok(())
            }
            flags => Err(format!("page {id} of the database is of no known kind ({flags})")),
        }
    }

    /// A page with its overflow.
    fn page(&self, id: u64) -> Result<Vec<u8>, String> {
        if id >= self.pages {
            return Err(format!("the database has no page {id}"));
        }
        let at = id.checked_mul(self.page_size).ok_or("a page number is too large")?;
        let mut header = [0; PAGE_HEADER];
        self.file.read_exact_at(&mut header, at).map_err(|error| format!("page {id}: {error}"))?;
        if long(&header, 0)? != id {
            return Err(format!("page {id} of the database says that it is another"));
        }
        let length = (u64::from(word(&header, 12)?) + 1) * self.page_size;
        if at + length > self.size {
            return Err(format!("page {id} of the database is cut short"));
        }
        let mut page = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
        self.file.read_exact_at(&mut page, at).map_err(|error| format!("page {id}: {error}"))?;
        Ok(page)
    }
}

fn leaf(page: &[u8], take: &mut Take<'_>) -> Walked {
    for number in 0..usize::from(short(page, 10)?) {
        let at = PAGE_HEADER + number * ELEMENT;
        let begin = at + word(page, at + 4)? as usize;
        let middle = begin + word(page, at + 8)? as usize;
        let end = middle + word(page, at + 12)? as usize;
        let (Some(key), Some(value)) = (page.get(begin..middle), page.get(middle..end)) else {
            return Err("an element of the database lies outside of its page".into());
        };
        take(word(page, at)?, key, value)?;
    }
    Ok(())
}

fn read_meta(file: &File, at: u64) -> Result<Meta, String> {
    let mut bytes = [0; PAGE_HEADER + META_BYTES];
    file.read_exact_at(&mut bytes, at).map_err(|_| "too short for a database of an etcd")?;
    let meta = &bytes[PAGE_HEADER..];
    if short(&bytes, 8)? & META == 0 || word(meta, 0)? != MAGIC {
        return Err("not a database of an etcd".into());
    }
    if word(meta, 4)? != VERSION {
        return Err(format!(
            "the database has format version {}, this program reads version {VERSION}",
            word(meta, 4)?
        ));
    }
    if long(meta, 56)? != fnv(&meta[..56]) {
        return Err("the checksum of the database's first page is wrong".into());
    }
    let page_size = u64::from(word(meta, 8)?);
    if !page_size.is_power_of_two() || page_size < 512 {
        return Err(format!("the database has pages of {page_size} bytes"));
    }
    Ok(Meta { page_size, root: long(meta, 16)?, pages: long(meta, 40)?, transaction: long(meta, 48)? })
}

/// 64-bit FNV-1a.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], String> {
    let part = bytes.get(at..at + N).and_then(|part| part.try_into().ok());
    part.ok_or_else(|| "a page of the database is cut short".to_owned())
}

fn short(bytes: &[u8], at: usize) -> Result<u16, String> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn word(bytes: &[u8], at: usize) -> Result<u32, String> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> Result<u64, String> {
    array(bytes, at).map(u64::from_le_bytes)
}
