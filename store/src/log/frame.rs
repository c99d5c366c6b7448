//! The bytes of a log file: pure functions, no I/O.
//!
//! A file is a 32-byte file header and then frames, each beginning at a multiple of 8. One frame is one group of
//! concurrent writes: it is written by one call and made durable by one sync, and the next frame is not written before.
//! So at most the last frame of the last file can be torn, which is what lets [`judge`] tell a tear from damage.
//!
//! ```text
//! file   "MKUBELOG" | version 2 | chain u32 | first index u64 | number u32 (top bit: fresh) | crc u32
//! frame  "MKFR" | payload length u32 | payload crc u32 | chain u32 | first index u64 | count u32 | header crc u32
//!        payload: count × (varint length, Entry), then perhaps (varint length, HardState) | zeros up to a multiple of 8
//! ```
//! `chain` is the header crc of the frame before (in the file before, for a file header), so that a lost, repeated or
//! swapped frame is seen. The header has its own crc, so that a flipped bit in a length is not taken for a short file.
//! A frame whose first index is not beyond the last entry replaces the entries from there on (raft's conflicting suffix);
//! one without entries only says what the member's hard state (term, vote, commit) is now. The first frame of a file holds a
//! `SegmentHead` instead: what is needed of the files before, which may go. A *fresh* file goes on behind a snapshot
//! that another member sent, or behind nothing: not behind the file before it.
//!
//! Worked example: two groups, of entries 1-3 (payload of 100 bytes) and 4 (50 bytes):
//! ```text
//! 0    file header, first index 1, chain 0
//! 32   frame: first 1, count 0, length 40, chain 0        header crc A; payload (the head) at 64, ends at 104
//! 104  frame: first 1, count 3, length 100, chain A       header crc B; payload at 136, ends at 236, zeros up to 240
//! 240  frame: first 4, count 1, length 50, chain B        payload at 272, ends at 322, zeros up to 328
//! 328  end of file, or zeros
//! ```

use crate::disk::SECTOR;

/// Size of a file header and of a frame header.
pub(crate) const HEADER: usize = 32;
const FRAME_MAGIC: &[u8; 4] = b"MKFR";
const FRESH: u32 = 1 << 31;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Log,
    Snapshot,
    Manifest,
}

impl FileKind {
    /// What its files begin with.
    pub(crate) fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Log => b"MKUBELOG",
            Self::Snapshot => b"MKUBESNP",
            Self::Manifest => b"MKUBEMAN",
        }
    }

    /// Of the format that this program writes; it reads no other.
    fn version(self) -> u32 {
        match self {
            Self::Log => 2,
            // 1 held the keys of the compact revision and nothing since.
            Self::Snapshot => 2,
            Self::Manifest => 1,
        }
    }
}

/// A frame's header, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) length: usize,
    pub(crate) payload_crc: u32,
    pub(crate) chain: u32,
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) crc: u32,
}

impl FrameHeader {
    /// Bytes from this header to the next one.
    pub(crate) fn span(&self) -> usize {
        (HEADER + self.length).next_multiple_of(8)
    }
}

/// What the header of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FileHeader {
    /// Which file of the log it is, counted from 1; 0 for a snapshot.
    pub(crate) number: u32,
    /// Whether it follows no other file.
    pub(crate) fresh: bool,
    /// Its first entry.
    pub(crate) first: u64,
    /// The header crc of the frame before.
    pub(crate) chain: u32,
}

/// The bytes of a file header.
pub(crate) fn file_header(kind: FileKind, head: FileHeader) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(kind.magic());
    header[8..12].copy_from_slice(&kind.version().to_le_bytes());
    header[12..16].copy_from_slice(&head.chain.to_le_bytes());
    header[16..24].copy_from_slice(&head.first.to_le_bytes());
    let number = head.number | if head.fresh { FRESH } else { 0 };
    header[24..28].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c(&header[..28]);
    header[28..32].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Reads a file header, or says what is wrong with it.
pub(crate) fn read_file_header(kind: FileKind, header: &[u8]) -> Result<FileHeader, String> {
    if header.len() < HEADER {
        return Err("the file header is cut short".into());
    }
    if &header[..8] != kind.magic() {
        return Err("the file does not begin as one of the store's".into());
    }
    // Before the checksum: another version may have it elsewhere.
    match word(header, 8) {
        version if version == kind.version() => {}
        other => {
            return Err(format!("the file has format version {other}, this program reads version {}", kind.version()));
        }
    }
    if word(header, 28) != crc32c::crc32c(&header[..28]) {
        return Err("the file header's checksum is wrong".into());
    }
    let number = word(header, 24);
    Ok(FileHeader {
        number: number & !FRESH,
        fresh: number & FRESH != 0,
        first: long(header, 16),
        chain: word(header, 12),
    })
}

/// The version of a file of this kind, if a later program wrote it. Every version keeps the header's form, so that a flipped bit
/// is not taken for one.
pub(crate) fn newer_version(kind: FileKind, header: &[u8]) -> Option<u32> {
    let whole = header.len() >= HEADER && header.starts_with(kind.magic());
    let good = whole && word(header, 28) == crc32c::crc32c(&header[..28]);
    good.then(|| word(header, 8)).filter(|version| *version > kind.version())
}

/// Builds frames in a buffer that is used again.
#[derive(Default)]
pub(crate) struct FrameBuilder {
    bytes: Vec<u8>,
    first: u64,
    count: u32,
}

impl FrameBuilder {
    /// Begins a frame whose first entry is `first`.
    pub(crate) fn begin(&mut self, first: u64) {
        // One huge group must not hold its memory for ever.
        if self.bytes.capacity() > 1 << 20 {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.bytes.resize(HEADER, 0);
        (self.first, self.count) = (first, 0);
    }

    /// Adds an entry.
    pub(crate) fn push(&mut self, entry: &impl prost::Message) {
        self.push_extra(entry);
        self.count += 1;
    }

    /// Adds what is not an entry, behind the entries.
    pub(crate) fn push_extra(&mut self, message: &impl prost::Message) {
        let length = message.encoded_len();
        prost::encoding::encode_varint(length as u64, &mut self.bytes);
        self.bytes.reserve(length);
        message.encode_raw(&mut self.bytes);
    }

    /// Ends the frame: its bytes and its header crc, the next frame's chain.
    pub(crate) fn finish(&mut self, chain: u32) -> (&[u8], u32) {
        let length = self.bytes.len() - HEADER;
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let payload_crc = crc32c::crc32c(&self.bytes[HEADER..HEADER + length]);
        let header = &mut self.bytes[..HEADER];
        header[..4].copy_from_slice(FRAME_MAGIC);
        header[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        header[8..12].copy_from_slice(&payload_crc.to_le_bytes());
        header[12..16].copy_from_slice(&chain.to_le_bytes());
        header[16..24].copy_from_slice(&self.first.to_le_bytes());
        header[24..28].copy_from_slice(&self.count.to_le_bytes());
        let crc = crc32c::crc32c(&header[..28]);
        header[28..32].copy_from_slice(&crc.to_le_bytes());
        (&self.bytes, crc)
    }
}

/// Reads a frame header; `None` if there is none.
pub(crate) fn read_frame_header(bytes: &[u8]) -> Option<FrameHeader> {
    let header = bytes.get(..HEADER)?;
    if &header[..4] != FRAME_MAGIC || word(header, 28) != crc32c::crc32c(&header[..28]) {
        return None;
    }
    Some(FrameHeader {
        length: word(header, 4) as usize,
        payload_crc: word(header, 8),
        chain: word(header, 12),
        first: long(header, 16),
        count: word(header, 24),
        crc: word(header, 28),
    })
}

/// What follows the last good frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: the end of the file, or zeros up to it.
    End,
    /// A frame that was being written when the machine stopped; never acknowledged.
    Torn,
    /// Something that was acknowledged is not what was written. `next` is the first entry that can be read again.
    Damaged { what: &'static str, next: Option<u64> },
}

/// Judges the bytes from `at` to the end of the file, where no good frame begins; `expected` is the index that should
/// have come.
pub(crate) fn judge(rest: &[u8], at: u64, expected: u64) -> Verdict {
    if rest.iter().all(|byte| *byte == 0) {
        return Verdict::End;
    }
    if let Some(next) = next_good_frame(rest) {
        // One that replaces entries says nothing about how far the bad one went.
        let next = Some(next).filter(|next| *next > expected);
        return Verdict::Damaged { what: "a checksum is wrong, and good entries follow", next };
    }
    if rest.len() < HEADER {
        return Verdict::Torn;
    }
    let sector_end = SECTOR - (at % SECTOR as u64) as usize;
    let Some(header) = read_frame_header(rest) else {
        let (left, right) = rest[..HEADER].split_at(sector_end.min(HEADER));
        let lost = |part: &[u8]| !part.is_empty() && part.iter().all(|byte| *byte == 0);
        return match lost(left) || lost(right) {
            true => Verdict::Torn,
            false => Verdict::Damaged { what: "a frame header's checksum is wrong", next: None },
        };
    };
    if header.span() > rest.len() {
        return Verdict::Torn;
    }
    // The header's own sector was written, so a lost one lies after it.
    let mut from = sector_end.min(HEADER + header.length);
    while from < HEADER + header.length {
        let to = (from + SECTOR).min(HEADER + header.length);
        if rest[from..to].iter().all(|byte| *byte == 0) {
            return Verdict::Torn;
        }
        from = to;
    }
    Verdict::Damaged { what: "a frame's checksum is wrong", next: None }
}

/// The first index of the first good frame after the one at the beginning of `rest`.
fn next_good_frame(rest: &[u8]) -> Option<u64> {
    (8..rest.len()).step_by(8).find_map(|at| {
        let header = read_frame_header(&rest[at..])?;
        let payload = rest.get(at + HEADER..at + HEADER + header.length)?;
        (crc32c::crc32c(payload) == header.payload_crc).then_some(header.first)
    })
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
