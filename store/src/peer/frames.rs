//! What travels on a connection on which a member talks to another one: after one byte that says so, frames; each is its length
//! (4 bytes, big endian) and a message (proto/peer.proto). Pure.
//!
//! Not gRPC, as the other calls between members: a put to three members is six such messages and more, each of which went through
//! three tasks on both sides; without, puts of one client took 30 % less CPU, those of 8 and 64 15 and 8 %. (etcd's members talk
//! over bare streams, too: server/etcdserver/api/rafthttp.)

use bytes::{Buf, BufMut, BytesMut};
use prost::Message;

/// The first byte of a connection on which a member talks. HTTP/2's is `P` (RFC 9113, section 3.4).
pub(super) const TALK: u8 = b'T';
/// Bytes of a length.
const LENGTH: usize = 4;

/// Why what has come is no frame.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadFrame {
    #[error("a message of {0} bytes")]
    TooLong(usize),
    #[error("not a message: {0}")]
    Malformed(String),
}

/// Appends a frame.
pub(super) fn put(message: &impl Message, to: &mut BytesMut) {
    let length = message.encoded_len();
    to.reserve(LENGTH + length);
    to.put_u32(length as u32);
    // There is room for it.
    let _ = message.encode(to);
}

/// Takes a frame off the front, if a whole one has come: the message and its bytes. Copied out of the buffer: what raft keeps of it,
/// perhaps for as long as a key lives, must not keep all that came with it.
pub(super) fn take<M: Message + Default>(from: &mut BytesMut, most: usize) -> Result<Option<(M, usize)>, BadFrame> {
    let Some(length) = from.first_chunk::<LENGTH>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > most {
        return Err(BadFrame::TooLong(length));
    }
    if from.len() < LENGTH + length {
        return Ok(None);
    }
    let message = M::decode(&from[LENGTH..LENGTH + length]).map_err(|error| BadFrame::Malformed(error.to_string()))?;
    from.advance(LENGTH + length);
    Ok(Some((message, length)))
}

#[cfg(test)]
mod tests {
    use proto::peer::parcel::Body;
    use proto::peer::{Forward, Parcel, Placed};

    use super::*;

    fn placed(ticket: u64) -> Parcel {
        Parcel { body: Some(Body::Placed(Placed { ticket, term: 1, index: 1 << 40 })) }
    }

    #[test]
    fn frames_come_out_as_they_went_in_wherever_they_are_cut() {
        let messages = [placed(1), Parcel::default(), placed(u64::MAX)];
        let mut whole = BytesMut::new();
        messages.iter().for_each(|message| put(message, &mut whole));
        for cut in 0..=whole.len() {
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for part in [&whole[..cut], &whole[cut..]] {
                buffer.extend_from_slice(part);
                while let Some((message, bytes)) = take::<Parcel>(&mut buffer, 100).unwrap() {
                    assert_eq!(bytes, message.encoded_len());
                    found.push(message);
                }
            }
            assert_eq!(found, messages, "cut at {cut}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn what_is_kept_of_a_message_keeps_nothing_else() {
        let forward = |bytes| {
            let request = vec![7; bytes].into();
            Parcel { body: Some(Body::Forward(Forward { ticket: 1, request, ..Forward::default() })) }
        };
        let mut buffer = BytesMut::new();
        put(&forward(10), &mut buffer);
        put(&forward(100_000), &mut buffer);
        let whole = buffer.as_ptr_range();
        let Some((Parcel { body: Some(Body::Forward(kept)) }, _)) = take::<Parcel>(&mut buffer, 1000).unwrap() else {
            unreachable!("it was put there")
        };
        assert!(kept.request.len() == 10 && !whole.contains(&kept.request.as_ptr()));
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_kept() {
        let take = |bytes: &[u8], most| take::<Parcel>(&mut BytesMut::from(bytes), most).map(|found| found.is_some());
        assert_eq!(take(&[0, 0, 1, 0], 255), Err(BadFrame::TooLong(256)));
        assert_eq!(take(&[0, 0, 1, 0], 256), Ok(false));
        assert_eq!(take(&[0, 0, 0, 0], 0), Ok(true));
        assert!(matches!(take(&[0, 0, 0, 1, 0xff], 10), Err(BadFrame::Malformed(_))));
    }
}
