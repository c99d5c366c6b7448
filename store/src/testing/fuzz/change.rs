//! Changes an input: bits, bytes, numbers, lengths; pieces left out, doubled, moved, taken from another input. Pure.

use super::Input;
use crate::random::SplitMix;

/// Numbers at which programs go wrong.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// One change.
pub(super) fn change(input: &mut Input, other: &Input, random: &mut SplitMix) {
    let pieces = input.0.len() as u64;
    if pieces == 0 || random.below(12) == 0 {
        return rearrange(input, other, random);
    }
    let at = random.below(pieces) as usize;
    let name = input.0[at].0.clone();
    let alike = other.0.iter().filter(|(other, _)| *other == name).map(|(_, bytes)| bytes.as_slice());
    let alike: Vec<&[u8]> = alike.collect();
    let alike = alike.get(random.below(alike.len() as u64) as usize).copied().unwrap_or_default();
    change_bytes(&mut input.0[at].1, alike, random);
}

fn rearrange(input: &mut Input, other: &Input, random: &mut SplitMix) {
    let pieces = &mut input.0;
    let at = random.below(pieces.len() as u64) as usize;
    let foreign = random.below(other.0.len() as u64) as usize;
    match random.below(5) {
        0 if pieces.len() > 1 => drop(pieces.remove(at)),
        1 if !pieces.is_empty() => pieces.insert(at, pieces[at].clone()),
        2 if !pieces.is_empty() => {
            let to = random.below(pieces.len() as u64) as usize;
            pieces.swap(at, to);
        }
        3 if !pieces.is_empty() && !other.0.is_empty() => pieces[at].1 = other.0[foreign].1.clone(),
        _ if !other.0.is_empty() => pieces.insert(at, other.0[foreign].clone()),
        _ => {}
    }
}

fn change_bytes(bytes: &mut Vec<u8>, other: &[u8], random: &mut SplitMix) {
    let length = bytes.len() as u64;
    let at = random.below(length) as usize;
    match random.below(11) {
        _ if bytes.is_empty() => bytes.extend_from_slice(&random.next().to_le_bytes()),
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.next() as u8,
        3 => bytes[at] = bytes[at].wrapping_add([1, 255][random.below(2) as usize]),
        4 => overwrite(bytes, at, &number(random).to_le_bytes()[..[1, 2, 4, 8][random.below(4) as usize]]),
        // A field's number as protobuf writes it, over or between.
        5 => overwrite(bytes, at, &varint(number(random))),
        6 => drop(bytes.splice(at..at + 1, varint(number(random)))),
        7 => bytes.truncate(at),
        8 => {
            let end = at + 1 + a_length(random).min(length - at as u64 - 1) as usize;
            drop(bytes.drain(at..end));
        }
        9 => {
            let end = (at + 1 + a_length(random) as usize).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            let to = random.below(length) as usize;
            drop(bytes.splice(to..to, copy));
        }
        _ if !other.is_empty() => {
            let from = random.below(other.len() as u64) as usize;
            let end = (from + 1 + a_length(random) as usize).min(other.len());
            drop(bytes.splice(at..at, other[from..end].iter().copied()));
        }
        _ => bytes.push(random.next() as u8),
    }
}

/// Small more often than large.
fn a_length(random: &mut SplitMix) -> u64 {
    let most = [4, 16, 64, 600][random.below(4) as usize];
    random.below(most)
}

fn number(random: &mut SplitMix) -> u64 {
    match random.below(3) {
        0 => random.below(64),
        1 => random.next(),
        _ => NUMBERS[random.below(NUMBERS.len() as u64) as usize],
    }
}

fn varint(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(number, &mut bytes);
    bytes
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (place, byte) in bytes[at..].iter_mut().zip(with) {
        *place = *byte;
    }
}
