//! The wire format: round trips, unknown fields, damage.

use super::*;

#[test]
fn varints_round_trip() {
    for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
        let mut writer = Writer::default();
        writer.varint(1, value);
        let bytes = writer.done();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.tag().unwrap(), Some(Tag { field: 1, wire: VARINT }));
        assert_eq!(reader.varint().unwrap(), value);
    }
}

#[test]
fn lengths_of_nested_messages_are_right() {
    for size in [0usize, 1, 127, 128, 129, 16_383, 16_384, 100_000] {
        let mut writer = Writer::default();
        writer.nested(3, |w| w.buffer.extend(std::iter::repeat_n(7, size)));
        let bytes = writer.done();
        let mut reader = Reader::new(&bytes);
        let tag = reader.tag().unwrap().unwrap();
        assert_eq!((tag.field, reader.bytes(tag).unwrap().len()), (3, size));
        assert!(reader.is_empty());
    }
}

#[test]
fn unknown_fields_of_every_wire_type_are_skipped() {
    let table: [&[u8]; 5] = [
        &[0x08, 0x96, 0x01],
        &[0x09, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x0a, 2, 1, 2],
        &[0x0d, 1, 2, 3, 4],
        &[0x0b, 0x10, 1, 0x0c],
    ];
    for bytes in table {
        let mut reader = Reader::new(bytes);
        let tag = reader.tag().unwrap().unwrap();
        reader.skip(tag).unwrap();
        assert!(reader.is_empty());
    }
}

#[test]
fn damage_is_an_error() {
    let table: [&[u8]; 6] = [&[0x80], &[0xff; 11], &[0x0a, 5, 1], &[0x00], &[0x0f], &[0x0b, 0x0b]];
    for bytes in table {
        let mut reader = Reader::new(bytes);
        let result = reader.tag().and_then(|tag| match tag {
            Some(tag) => reader.skip(tag),
            None => Ok(()),
        });
        assert!(result.is_err(), "{bytes:?}");
    }
    assert!(text(&[0xff]).is_err());
}
