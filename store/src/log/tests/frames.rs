//! The bytes of headers and frames, one by one: what is written is read again, and nothing else is.

use proto::log::{Entry, HardState};

use super::super::frame::{
    FileHeader, FileKind, FrameBuilder, HEADER, Verdict, file_header, judge, newer_version, read_file_header,
    read_frame_header,
};

const KINDS: [FileKind; 3] = [FileKind::Log, FileKind::Snapshot, FileKind::Manifest];

/// With the checksum that the bytes should have.
fn sealed(mut header: [u8; HEADER]) -> [u8; HEADER] {
    let crc = crc32c::crc32c(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    header
}

fn frame(first: u64, chain: u32, entries: &[&[u8]]) -> (Vec<u8>, u32) {
    let mut builder = FrameBuilder::default();
    builder.begin(first);
    for (index, request) in (first..).zip(entries) {
        builder.push(&Entry { term: 1, index, request: request.to_vec().into(), kind: 0 });
    }
    let (bytes, crc) = builder.finish(chain);
    (bytes.to_vec(), crc)
}

#[test]
fn file_headers_come_back() {
    for kind in KINDS {
        for number in [0, 1, 4711, (1 << 31) - 1] {
            for (fresh, first, chain) in [(false, 0, 0), (true, 1, u32::MAX), (false, u64::MAX, 7)] {
                let head = FileHeader { number, fresh, first, chain };
                assert_eq!(read_file_header(kind, &file_header(kind, head)), Ok(head), "{kind:?}");
            }
        }
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            let refused = read_file_header(kind, &file_header(other, FileHeader::default()));
            assert_eq!(refused, Err("the file does not begin as one of the store's".into()), "{other:?} as {kind:?}");
        }
    }
}

#[test]
fn a_file_header_that_is_changed_or_cut_is_refused() {
    for kind in KINDS {
        let whole = file_header(kind, FileHeader { number: 3, fresh: true, first: 9, chain: 5 });
        for length in 0..HEADER {
            assert_eq!(read_file_header(kind, &whole[..length]), Err("the file header is cut short".into()));
            assert_eq!(newer_version(kind, &whole[..length]), None);
        }
        for at in 0..HEADER * 8 {
            let mut header = whole;
            header[at / 8] ^= 1 << (at % 8);
            let said = read_file_header(kind, &header).unwrap_err();
            let expected = match at / 8 {
                0..8 => "does not begin",
                8..12 => "format version",
                _ => "checksum is wrong",
            };
            assert!(said.contains(expected), "bit {at}: {said}");
            assert_eq!(newer_version(kind, &header), None, "a flipped bit is no later version");
        }
    }
}

#[test]
fn later_versions_are_told_from_damage() {
    for (kind, own) in [(FileKind::Log, 2), (FileKind::Snapshot, 2), (FileKind::Manifest, 1)] {
        for version in [0_u32, 1, 2, 3, 100, u32::MAX] {
            let mut header = file_header(kind, FileHeader::default());
            header[8..12].copy_from_slice(&version.to_le_bytes());
            let header = sealed(header);
            assert_eq!(newer_version(kind, &header), (version > own).then_some(version), "{kind:?} {version}");
            assert_eq!(read_file_header(kind, &header).is_ok(), version == own, "{kind:?} {version}");
        }
    }
}

#[test]
fn frames_come_back_and_fill_up_to_eight() {
    for size in 0..40 {
        let request = vec![b'x'; size];
        for entries in [&[][..], &[&request[..]], &[&request[..], b"", &request[..]]] {
            let (bytes, crc) = frame(7, 99, entries);
            let header = read_frame_header(&bytes).unwrap();
            assert_eq!((header.first, header.count as usize, header.chain, header.crc), (7, entries.len(), 99, crc));
            assert_eq!((bytes.len(), bytes.len() % 8), (header.span(), 0), "{size}");
            let (payload, zeros) = bytes[HEADER..].split_at(header.length);
            assert_eq!(crc32c::crc32c(payload), header.payload_crc);
            assert!(zeros.len() < 8 && zeros.iter().all(|byte| *byte == 0));
            let mut rest = bytes::Bytes::copy_from_slice(payload);
            for (index, request) in (7..).zip(entries) {
                let entry = <Entry as prost::Message>::decode_length_delimited(&mut rest).unwrap();
                assert_eq!((entry.index, entry.request.as_ref()), (index, *request));
            }
            assert!(rest.is_empty());
        }
    }
}

#[test]
fn a_frame_header_that_is_changed_is_none() {
    let (bytes, _) = frame(7, 99, &[b"abc"]);
    for at in 0..HEADER * 8 {
        let mut changed = bytes.clone();
        changed[at / 8] ^= 1 << (at % 8);
        assert_eq!(read_frame_header(&changed), None, "bit {at}");
    }
    assert!((0..HEADER).all(|length| read_frame_header(&bytes[..length]).is_none()));
    assert!(read_frame_header(&bytes[..HEADER]).is_some(), "the payload is not looked at");
}

#[test]
fn a_builder_that_is_used_again_remembers_nothing() {
    let mut builder = FrameBuilder::default();
    builder.begin(1);
    builder.push(&Entry { request: vec![1; 3 << 20].into(), ..Entry::default() });
    builder.push_extra(&HardState { term: 5, vote: 6, commit: 7 });
    let (long, _) = builder.finish(1);
    assert_eq!(read_frame_header(long).map(|header| header.count), Some(1), "what is no entry is not counted");
    builder.begin(9);
    builder.push(&Entry { term: 1, index: 9, request: b"abc".to_vec().into(), kind: 0 });
    let (short, _) = builder.finish(99);
    assert_eq!(short, frame(9, 99, &[b"abc"]).0);
}

#[test]
fn what_follows_decides_what_the_end_is() {
    let (one, chain) = frame(5, 0, &[b"one"]);
    let (two, chain) = frame(6, chain, &[b"two"]);
    let (long, _) = frame(7, chain, &[&[b'l'; 1500]]);
    let broken = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[HEADER] ^= 1;
        bytes
    };
    let zeros = |count: usize| vec![0; count];
    let good_follows = |next| Verdict::Damaged { what: "a checksum is wrong, and good entries follow", next };
    let bad_frame = Verdict::Damaged { what: "a frame's checksum is wrong", next: None };
    // (what, bytes from 64 on, the index that should come, verdict)
    let table = [
        ("nothing", vec![], 5, Verdict::End),
        ("zeros", zeros(5000), 5, Verdict::End),
        ("one byte", vec![1], 5, Verdict::Torn),
        ("less than a header", one[..31].to_vec(), 5, Verdict::Torn),
        ("a header alone", one[..HEADER].to_vec(), 5, Verdict::Torn),
        ("half a frame", one[..one.len() - 8].to_vec(), 5, Verdict::Torn),
        ("a bad frame", broken(&one), 5, bad_frame.clone()),
        ("a bad frame and zeros", [broken(&one), zeros(600)].concat(), 5, bad_frame.clone()),
        ("a bad frame and a good one", [broken(&one), two.clone()].concat(), 5, good_follows(Some(6))),
        ("a bad frame and half a one", [broken(&one), two[..40].to_vec()].concat(), 5, bad_frame),
        (
            "two bad frames and a good one",
            [broken(&one), broken(&two), long.clone()].concat(),
            5,
            good_follows(Some(7)),
        ),
        ("a good one that replaces", [broken(&two), one.clone()].concat(), 6, good_follows(None)),
        ("zeros and a good frame", [zeros(64), two.clone()].concat(), 5, good_follows(Some(6))),
        (
            "a sector of a long frame lost",
            [long[..448].to_vec(), zeros(512), long[960..].to_vec()].concat(),
            7,
            Verdict::Torn,
        ),
        ("the rest of a long frame lost", [long[..448].to_vec(), zeros(long.len() - 448)].concat(), 7, Verdict::Torn),
    ];
    for (what, bytes, expected, verdict) in table {
        assert_eq!(judge(&bytes, 64, expected), verdict, "{what}");
    }
}
