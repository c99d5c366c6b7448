//! The wire format of protobuf: varints, tags, lengths. Only what proto2 messages without groups need; groups are skipped.

/// A field's number and wire type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) field: u32,
    pub(crate) wire: u8,
}

pub(crate) const VARINT: u8 = 0;
pub(crate) const FIXED64: u8 = 1;
pub(crate) const LENGTH: u8 = 2;
const START_GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

/// Groups in groups, at most; nothing in Kubernetes writes any.
const MAX_GROUPS: u32 = 16;

/// Reads one message.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next tag; `None` at the end.
    pub(crate) fn tag(&mut self) -> Result<Option<Tag>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = u32::try_from(key >> 3).map_err(|_| "proto: illegal tag")?;
        if field == 0 {
            return Err(format!("proto: illegal tag {field} (wire type {key})"));
        }
        Ok(Some(Tag { field, wire: (key & 7) as u8 }))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or("unexpected EOF")?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".into())
    }

    pub(crate) fn fixed64(&mut self) -> Result<u64, String> {
        let (head, rest) = self.rest.split_first_chunk::<8>().ok_or("unexpected EOF")?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*head))
    }

    /// The bytes of a field with a length.
    pub(crate) fn bytes(&mut self, tag: Tag) -> Result<&'a [u8], String> {
        if tag.wire != LENGTH {
            return Err(format!("proto: wrong wireType = {} for field {}", tag.wire, tag.field));
        }
        let length = usize::try_from(self.varint()?).map_err(|_| "proto: negative length found during unmarshaling")?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or("unexpected EOF")?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn string(&mut self, tag: Tag) -> Result<String, String> {
        text(self.bytes(tag)?)
    }

    /// Passes over the value of a field that is not known.
    pub(crate) fn skip(&mut self, tag: Tag) -> Result<(), String> {
        self.skip_nested(tag, MAX_GROUPS)
    }

    fn skip_nested(&mut self, tag: Tag, groups: u32) -> Result<(), String> {
        match tag.wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            LENGTH => self.bytes(tag).map(drop),
            FIXED32 => {
                self.rest = self.rest.get(4..).ok_or("unexpected EOF")?;
                Ok(())
            }
            START_GROUP if groups > 0 => loop {
                match self.tag()? {
                    None => return Err("unexpected EOF".into()),
                    Some(Tag { wire: END_GROUP, .. }) => return Ok(()),
                    Some(inner) => self.skip_nested(inner, groups - 1)?,
                }
            },
            wire => Err(format!("proto: illegal wireType {wire}")),
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "proto: field contains invalid UTF-8".into())
}

/// Writes one message.
#[derive(Default)]
pub(crate) struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    /// Goes on behind what is there.
    pub(crate) fn onto(buffer: Vec<u8>) -> Self {
        Self { buffer }
    }

    pub(crate) fn with_prefix(prefix: &[u8], capacity: usize) -> Self {
        let mut buffer = Vec::with_capacity(prefix.len() + capacity);
        buffer.extend_from_slice(prefix);
        Self { buffer }
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.buffer
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.buffer.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.push(value as u8);
    }

    fn tag(&mut self, field: u32, wire: u8) {
        self.raw_varint(u64::from(field) << 3 | u64::from(wire));
    }

    pub(crate) fn varint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.raw_varint(value);
    }

    pub(crate) fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    /// Tag and length of a field whose bytes follow.
    pub(crate) fn begin(&mut self, field: u32, length: usize) {
        self.tag(field, LENGTH);
        self.raw_varint(length as u64);
    }

    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.begin(field, value.len());
        self.buffer.extend_from_slice(value);
    }

    /// A message in a field.
    pub(crate) fn nested<R>(&mut self, field: u32, write: impl FnOnce(&mut Self) -> R) -> R {
        self.tag(field, LENGTH);
        // Most messages are shorter than 128 bytes: one byte is kept free for the length, longer ones are moved.
        let start = self.buffer.len();
        self.buffer.push(0);
        let result = write(self);
        let length = self.buffer.len() - start - 1;
        if let Ok(short @ 0..0x80) = u8::try_from(length) {
            self.buffer[start] = short;
            return result;
        }
        // The length goes behind the message, and the two change places.
        let end = self.buffer.len();
        self.raw_varint(length as u64);
        let prefix = self.buffer.len() - end;
        let mut digits = [0; 10];
        digits[..prefix].copy_from_slice(&self.buffer[end..]);
        self.buffer.copy_within(start + 1..end, start + prefix);
        self.buffer[start..start + prefix].copy_from_slice(&digits[..prefix]);
        self.buffer.truncate(start + prefix + length);
        result
    }
}

#[cfg(test)]
mod tests;
