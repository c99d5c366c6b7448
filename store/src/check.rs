//! What makes a transaction acceptable at all, before the state is looked at: sizes, keys, and that no key is written twice.
//!
//! etcd: server/etcdserver/api/v3rpc/key.go, checkTxnRequest and checkIntervals.

use std::collections::HashSet;

use bytes::Bytes;

use crate::kv::{Error, Op, Range, Txn};
use crate::span::Span;

/// Deepest nesting of transactions. etcd has no such limit but its operations' count; the decoder of protobuf messages has
/// one, and a request that was logged must be readable.
const DEEPEST: usize = 32;

/// Checks a transaction; `max_ops` bounds the compares and the steps of a branch, those of the transactions around it
/// counted in.
pub(crate) fn check(txn: &Txn, max_ops: usize) -> Result<(), Error> {
    check_sizes(txn, max_ops, DEEPEST)?;
    // After the sizes: bounds what this looks at.
    intervals(&txn.then)?;
    intervals(&txn.otherwise).map(|_| ())
}

fn check_sizes(txn: &Txn, max_ops: usize, depth: usize) -> Result<(), Error> {
    let longest = txn.when.len().max(txn.then.len()).max(txn.otherwise.len());
    if longest > max_ops || depth == 0 {
        return Err(Error::TooManyOps);
    }
    if txn.when.iter().any(|compare| compare.key.is_empty()) {
        return Err(Error::EmptyKey);
    }
    txn.then.iter().chain(&txn.otherwise).try_for_each(|op| match op {
        Op::Range(Range { key, .. }) | Op::Put { key, .. } | Op::Update { key, .. } | Op::Delete { key, .. } => {
            if key.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
        }
        Op::Txn(inner) => check_sizes(inner, max_ops - longest, depth - 1),
    })
}

type Writes<'a> = (HashSet<&'a Bytes>, Vec<Span>);

/// What a branch puts and deletes; an error if it does both, or twice, to one key. The branches of one inner transaction
/// exclude each other, so both may put the same key.
fn intervals(ops: &[Op]) -> Result<Writes<'_>, Error> {
    let mut deleted: Vec<Span> = ops
        .iter()
        .filter_map(|op| if let Op::Delete { key, end } = op { Some(Span::of(key, end.as_ref())) } else { None })
        .collect();
    let mut put = HashSet::new();
    for op in ops {
        let Op::Txn(inner) = op else { continue };
        let (then, then_deleted) = intervals(&inner.then)?;
        let (otherwise, otherwise_deleted) = intervals(&inner.otherwise)?;
        let both: HashSet<&Bytes> = then.union(&otherwise).copied().collect();
        both.into_iter().try_for_each(|key| add(&mut put, &deleted, key))?;
        deleted.extend(then_deleted);
        deleted.extend(otherwise_deleted);
    }
    for op in ops {
        if let Op::Put { key, .. } | Op::Update { key, .. } = op {
            add(&mut put, &deleted, key)?;
        }
    }
    Ok((put, deleted))
}

fn add<'a>(put: &mut HashSet<&'a Bytes>, deleted: &[Span], key: &'a Bytes) -> Result<(), Error> {
    if !put.insert(key) || deleted.iter().any(|span| span.contains(key)) {
        return Err(Error::DuplicateKey);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `p` and `d` and a letter put and delete a key, `D` deletes all keys from the letter on; `(…|…)` is a transaction.
    fn parse(text: &mut std::str::Chars<'_>) -> Vec<Op> {
        let mut ops = Vec::new();
        while let Some(what) = text.next() {
            let mut key = || Bytes::from(text.next().unwrap().to_string());
            ops.push(match what {
                'p' => Op::Put { key: key(), value: Bytes::new(), lease: 0 },
                'u' => Op::Update { key: key(), value: None, lease: None },
                'd' => Op::Delete { key: key(), end: None },
                'D' => Op::Delete { key: key(), end: Some("\0".into()) },
                '(' => Op::Txn(Txn { when: Vec::new(), then: parse(text), otherwise: parse(text) }),
                _ => break,
            });
        }
        ops
    }

    #[test]
    fn no_key_is_written_twice() {
        let table = [
            ("papb", Ok(())),
            ("papa", Err(Error::DuplicateKey)),
            ("paua", Err(Error::DuplicateKey)),
            ("pada", Err(Error::DuplicateKey)),
            ("dapa", Err(Error::DuplicateKey)),
            ("dada", Ok(())),
            ("Dbpa", Ok(())),
            ("Dbpc", Err(Error::DuplicateKey)),
            ("(pa|pa)", Ok(())),
            ("(pa|pa)pb", Ok(())),
            ("(pa|pb)pa", Err(Error::DuplicateKey)),
            ("(pb|pa)pa", Err(Error::DuplicateKey)),
            ("(pa|)(pa|)", Err(Error::DuplicateKey)),
            ("(pa|)da", Err(Error::DuplicateKey)),
            ("(da|)pa", Err(Error::DuplicateKey)),
            ("(da|)(pa|)", Err(Error::DuplicateKey)),
            // As etcd: a delete in a later sibling is not compared with the puts of an earlier one.
            ("(pa|)(da|)", Ok(())),
            ("(|(pa|))pa", Err(Error::DuplicateKey)),
        ];
        for (text, expected) in table {
            let ops = parse(&mut text.chars());
            let txn = |then, otherwise| Txn { when: Vec::new(), then, otherwise };
            assert_eq!(check(&txn(ops.clone(), Vec::new()), 128), expected, "{text}");
            assert_eq!(check(&txn(Vec::new(), ops), 128), expected, "{text} otherwise");
        }
    }

    #[test]
    fn sizes_add_up_through_the_depths() {
        let nested = |depth: usize| {
            let innermost = Txn { then: parse(&mut "pa".chars()), ..Txn::default() };
            (0..depth).fold(innermost, |inner, _| Txn { then: vec![Op::Txn(inner)], ..Txn::default() })
        };
        assert_eq!(check(&nested(2), 3), Ok(()));
        assert_eq!(check(&nested(3), 3), Err(Error::TooManyOps));
        assert_eq!(check(&nested(DEEPEST - 1), 128), Ok(()));
        assert_eq!(check(&nested(DEEPEST), 128), Err(Error::TooManyOps), "could not be read from the log again");
        let wide = Txn { then: parse(&mut "dadada".chars()), ..Txn::default() };
        assert_eq!(check(&wide, 2), Err(Error::TooManyOps));
        let empty = Txn {
            then: vec![Op::Txn(Txn { then: vec![Op::Range(Range::default())], ..Txn::default() })],
            ..Txn::default()
        };
        assert_eq!(check(&empty, 128), Err(Error::EmptyKey));
    }
}
