//! For fuzzing (`testing::fuzz`): calls as bytes, and the bytes of their answers, without a server.

use prost::Message as _;
use proto::etcd::etcdserverpb as pb;
use tonic::Status;

use super::convert::{delete, delete_body, put, put_body, txn, txn_body};
use super::range::{arrange, to_range};
use crate::kv::{Op, OpReply, Txn, TxnReply};

/// A call, as it was asked.
pub(crate) enum Call {
    Range(pb::RangeRequest),
    Put(pb::PutRequest),
    Delete(pb::DeleteRangeRequest),
    Txn(pb::TxnRequest),
}

/// Reads a call of a method; what the store would be asked for.
pub(crate) fn asked(method: &str, bytes: &[u8]) -> Result<(Call, Txn), String> {
    let undecoded = |error: prost::DecodeError| error.to_string();
    let refused = |status: Status| status.message().to_owned();
    let one = |op: Op| Txn { then: vec![op], ..Txn::default() };
    match method {
        "range" => {
            let request = pb::RangeRequest::decode(bytes).map_err(undecoded)?;
            let range = to_range(&request).map_err(refused)?;
            Ok((Call::Range(request), one(Op::Range(range))))
        }
        "put" => {
            let request = pb::PutRequest::decode(bytes).map_err(undecoded)?;
            let op = put(&request).map_err(refused)?;
            Ok((Call::Put(request), one(op)))
        }
        "delete" => {
            let request = pb::DeleteRangeRequest::decode(bytes).map_err(undecoded)?;
            let op = delete(&request).map_err(refused)?;
            Ok((Call::Delete(request), one(op)))
        }
        _ => {
            let request = pb::TxnRequest::decode(bytes).map_err(undecoded)?;
            let asked = txn(&request).map_err(refused)?;
            Ok((Call::Txn(request), asked))
        }
    }
}

/// The answer, encoded and in short.
pub(crate) fn answer(call: &Call, reply: TxnReply) -> String {
    let revision = reply.revision;
    let last = reply.replies.last().cloned();
    let length = match (call, last) {
        (Call::Txn(request), _) => txn_body(request, reply).encode_to_vec().len(),
        (Call::Range(request), Some(OpReply::Range(page))) => {
            let page = arrange(request, page);
            page.kvs.len()
        }
        (Call::Put(request), Some(OpReply::Put(prev))) => put_body(request, prev, revision).encode_to_vec().len(),
        (Call::Delete(request), Some(OpReply::Delete(prevs))) => {
            delete_body(request, prevs, revision).encode_to_vec().len()
        }
        (_, last) => panic!("answered by {last:?}"),
    };
    format!("{}{length}", if length == 0 { "-" } else { "+" })
}
