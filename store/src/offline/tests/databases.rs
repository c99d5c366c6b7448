//! bbolt files by hand: pages, trees, buckets within leaves; and each thing that can be wrong with one.

use std::fs::File;
use std::io::Write as _;

use super::super::bolt::{Bolt, fnv};

const PAGE: usize = 512;

/// An element of a leaf: flags, key, value.
type Element<'a> = (u32, &'a [u8], Vec<u8>);

fn header(id: u64, flags: u16, count: usize, overflow: u32) -> Vec<u8> {
    let mut page = id.to_le_bytes().to_vec();
    page.extend(flags.to_le_bytes());
    page.extend(u16::try_from(count).unwrap().to_le_bytes());
    page.extend(overflow.to_le_bytes());
    page
}

fn leaf(id: u64, elements: &[Element<'_>]) -> Vec<u8> {
    let (mut heads, mut data) = (Vec::new(), Vec::new());
    for (at, (flags, key, value)) in elements.iter().enumerate() {
        let place = (elements.len() - at) * 16 + data.len();
        for word in [*flags as usize, place, key.len(), value.len()] {
            heads.extend(u32::try_from(word).unwrap().to_le_bytes());
        }
        data.extend_from_slice(key);
        data.extend_from_slice(value);
    }
    let pages = (16 + heads.len() + data.len()).div_ceil(PAGE);
    let overflow = u32::try_from(pages - 1).unwrap();
    let mut page = [header(id, 2, elements.len(), overflow), heads, data].concat();
    page.resize(pages * PAGE, 0);
    page
}

fn branch(id: u64, children: &[u64]) -> Vec<u8> {
    let mut page = header(id, 1, children.len(), 0);
    for child in children {
        page.extend([0; 8]);
        page.extend(child.to_le_bytes());
    }
    page.resize(PAGE, 0);
    page
}

fn meta(id: u64, root: u64, pages: u64, transaction: u64) -> Vec<u8> {
    let mut meta = Vec::new();
    for word in [0xED0C_DAED_u32, 2, PAGE as u32, 0] {
        meta.extend(word.to_le_bytes());
    }
    for long in [root, 0, 2, pages, transaction] {
        meta.extend(long.to_le_bytes());
    }
    meta.extend(fnv(&meta).to_le_bytes());
    let mut page = [header(id, 4, 0, 0), meta].concat();
    page.resize(PAGE, 0);
    page
}

/// A bucket's value: where its tree begins.
fn bucket(root: u64) -> Vec<u8> {
    [root.to_le_bytes(), [0; 8]].concat()
}

/// Keys of the bucket "key" in the file, or what is wrong with it.
fn keys(bytes: &[u8]) -> Result<String, String> {
    let path = tempfile::NamedTempFile::new().unwrap();
    let mut file = File::options().write(true).read(true).open(path.path()).unwrap();
    file.write_all(bytes).unwrap();
    let mut found = Vec::new();
    let there = Bolt::open(&file, bytes.len() as u64)?.bucket(b"key", &mut |key, value| {
        found.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
        Ok(())
    })?;
    if there { Ok(found.join(" ")) } else { Err("no bucket".into()) }
}

/// A file of these pages behind two metas of which the second is the newer one.
fn file(root: u64, pages: &[Vec<u8>]) -> Vec<u8> {
    let body = pages.concat();
    let count = 2 + (body.len() / PAGE) as u64;
    [meta(0, 1, 2, 4), meta(1, root, count, 5), body].concat()
}

fn pair(key: &'static str, value: &str) -> Element<'static> {
    (0, key.as_bytes(), value.as_bytes().to_vec())
}

#[test]
fn trees_of_every_shape_are_walked_in_order() {
    let long = "v".repeat(1500);
    let inline = [bucket(0), leaf(0, &[pair("a", "1"), pair("b", "2")])].concat();
    // (what, root, pages from 2 on, keys)
    let table: Vec<(&str, u64, Vec<Vec<u8>>, String)> = vec![
        ("within the leaf", 2, vec![leaf(2, &[(1, b"key", inline)])], "a=1 b=2".into()),
        ("a leaf", 2, vec![leaf(2, &[(1, b"key", bucket(3))]), leaf(3, &[pair("a", "1")])], "a=1".into()),
        ("an empty leaf", 2, vec![leaf(2, &[(1, b"key", bucket(3))]), leaf(3, &[])], String::new()),
        (
            "beside others",
            2,
            vec![
                leaf(2, &[(1, b"aaa", bucket(3)), (1, b"key", bucket(4)), (0, b"key2", vec![1])]),
                leaf(3, &[]),
                leaf(4, &[pair("a", "")]),
            ],
            "a=".into(),
        ),
        (
            "branches",
            2,
            vec![
                leaf(2, &[(1, b"key", bucket(3))]),
                branch(3, &[4, 5]),
                branch(4, &[6, 7]),
                leaf(5, &[pair("d", "4")]),
                leaf(6, &[pair("a", "1")]),
                leaf(7, &[pair("b", "2"), pair("c", "3")]),
            ],
            "a=1 b=2 c=3 d=4".into(),
        ),
        (
            "overflow pages, and a bucket within",
            2,
            vec![
                leaf(2, &[(1, b"key", bucket(3))]),
                leaf(3, &[pair("a", &long), (1, b"deeper", bucket(9)), pair("z", "1")]),
            ],
            format!("a={long} z=1"),
        ),
    ];
    for (what, root, pages, expected) in table {
        assert_eq!(keys(&file(root, &pages)), Ok(expected), "{what}");
    }
    assert_eq!(keys(&file(2, &[leaf(2, &[pair("key", "no bucket")])])), Err("no bucket".into()));
}

#[test]
fn the_newest_good_meta_counts() {
    let body = [
        leaf(2, &[(1, b"key", bucket(4))]),
        leaf(3, &[(1, b"key", bucket(5))]),
        leaf(4, &[pair("old", "")]),
        leaf(5, &[pair("new", "")]),
    ]
    .concat();
    let broken = |mut meta: Vec<u8>| {
        meta[16 + 60] ^= 1;
        meta
    };
    let (old, new) = (meta(0, 2, 6, 8), meta(1, 3, 6, 9));
    let at = |id: u64, mut meta: Vec<u8>| {
        meta[..8].copy_from_slice(&id.to_le_bytes());
        meta
    };
    for (what, first, second, expected) in [
        ("both", old.clone(), new.clone(), Ok("new=")),
        ("both, the other way round", at(0, new.clone()), at(1, old.clone()), Ok("new=")),
        ("the newer one broken", old.clone(), broken(new.clone()), Ok("old=")),
        ("the first one broken", broken(old.clone()), new.clone(), Ok("new=")),
        ("both broken", broken(old), broken(new), Err("the checksum of the database's first page is wrong")),
    ] {
        let found = keys(&[first, second, body.clone()].concat());
        assert_eq!(found.as_deref(), expected.map_err(str::to_owned).as_ref().copied(), "{what}");
    }
}

#[test]
fn whatever_is_wrong_is_said() {
    let good = || vec![leaf(2, &[(1, b"key", bucket(3))]), leaf(3, &[pair("a", "1")])];
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut pages = good();
        change(&mut pages);
        file(2, &pages)
    };
    let set = |page: &mut Vec<u8>, at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    let metas = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut first = meta(0, 2, 4, 5);
        change(&mut first);
        let sum = fnv(&first[16..72]);
        first[72..80].copy_from_slice(&sum.to_le_bytes());
        [first, vec![0; PAGE], good().concat()].concat()
    };
    let deep: Vec<Vec<u8>> = (3..80).map(|id| branch(id, &[id + 1])).chain([leaf(80, &[])]).collect();
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "too short for a database"),
        ("a part of a page", vec![1; 40], "too short for a database"),
        ("no magic", metas(&|meta| set(meta, 16, &[0; 4])), "not a database of an etcd"),
        ("no meta page", metas(&|meta| set(meta, 8, &[2, 0])), "not a database of an etcd"),
        ("another version", metas(&|meta| set(meta, 20, &[3])), "format version 3, this program reads version 2"),
        ("pages of no size", metas(&|meta| set(meta, 24, &[0; 4])), "pages of 0 bytes"),
        ("pages of an odd size", metas(&|meta| set(meta, 24, &[1])), "pages of 513 bytes"),
        ("a root beyond", metas(&|meta| set(meta, 32, &[99])), "has no page 99"),
        ("a bucket beyond", with(&|pages| pages[0] = leaf(2, &[(1, b"key", bucket(99))])), "has no page 99"),
        ("a page of another number", with(&|pages| set(&mut pages[1], 0, &[4])), "says that it is another"),
        ("a page of no kind", with(&|pages| set(&mut pages[1], 8, &[64])), "of no known kind (64)"),
        ("an overflow beyond", with(&|pages| set(&mut pages[1], 12, &[9])), "cut short"),
        ("more elements than room", with(&|pages| set(&mut pages[1], 10, &[200])), "cut short"),
        ("a key beyond its page", with(&|pages| set(&mut pages[1], 16 + 8, &[0, 9])), "lies outside of its page"),
        ("a value beyond its page", with(&|pages| set(&mut pages[1], 16 + 12, &[0, 9])), "lies outside of its page"),
        ("a place beyond its page", with(&|pages| set(&mut pages[1], 16 + 4, &[0xff; 4])), "lies outside of its page"),
        ("a branch to itself", with(&|pages| pages[1] = branch(3, &[3])), "goes in circles"),
        (
            "two branches in a circle",
            with(&|pages| {
                pages[1] = branch(3, &[4]);
                pages.push(branch(4, &[3]));
            }),
            "goes in circles",
        ),
        ("a bucket of no size", with(&|pages| pages[0] = leaf(2, &[(1, b"key", vec![1])])), "cut short"),
        ("a tree too deep", file(2, &[vec![leaf(2, &[(1, b"key", bucket(3))])], deep].concat()), "too deep"),
    ];
    for (what, bytes, said) in table {
        let error = keys(&bytes).unwrap_err();
        assert!(error.contains(said), "{what}: {error}");
    }
    assert_eq!(keys(&file(2, &good())), Ok("a=1".into()));
    // Cut anywhere: an error, or (behind what is walked) nothing.
    let whole = file(2, &good());
    for length in (0..whole.len()).step_by(7) {
        assert!(keys(&whole[..length]).is_err(), "cut to {length}");
    }
}
