//! What an unsuccessful call means: whether the server decided, whether the request can have had an effect, and whether the
//! member that was asked is of any use. Pure; the texts are etcd's (api/v3rpc/rpctypes/error.go).

use tonic::{Code, ConnectError, Status};

use crate::kv::Error;

/// Outcome of a call that brought no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server refused: nothing was done, and asking again would change nothing.
    Refused(Error),
    /// The request never left: it may be sent to another member.
    Unsent(String),
    /// It may have been done or not. A read may be asked again.
    Unknown(String),
}

/// Texts of etcd that say which error it is. What they carry beside (revisions) has to be asked for.
const REFUSALS: &[(&str, Error)] = &[
    ("required revision has been compacted", Error::Compacted(0)),
    ("required revision is a future revision", Error::Future(0)),
    ("duplicate key given in txn request", Error::DuplicateKey),
    ("key is not provided", Error::EmptyKey),
    ("too many operations in txn request", Error::TooManyOps),
    ("request is too large", Error::TooLarge),
    ("larger than max", Error::TooLarge),
    ("etcdserver: key not found", Error::NoKey),
    ("requested lease not found", Error::NoLease),
    ("lease already exists", Error::LeaseExists),
    ("too large lease TTL", Error::TtlTooLarge),
    ("database space exceeded", Error::NoSpace),
];

/// What a status means.
pub(crate) fn of(status: &Status) -> Failure {
    let message = status.message();
    if is_unsent(status) {
        return Failure::Unsent(message.to_owned());
    }
    let decided = matches!(
        status.code(),
        Code::OutOfRange | Code::InvalidArgument | Code::NotFound | Code::ResourceExhausted | Code::FailedPrecondition
    );
    if decided && let Some((_, error)) = REFUSALS.iter().find(|(text, _)| message.contains(text)) {
        return Failure::Refused(error.clone());
    }
    match status.code() {
        // "too many requests": refused before it was proposed.
        Code::ResourceExhausted
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::InvalidArgument
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::OutOfRange => Failure::Refused(Error::Unavailable(message.to_owned())),
        Code::DataLoss => Failure::Refused(Error::Corrupt(message.to_owned())),
        _ => Failure::Unknown(said(status)),
    }
}

/// What the server said, or why it could not: tonic's own text for a broken connection is only "transport error".
fn said(status: &Status) -> String {
    let Some(mut cause) = std::error::Error::source(status) else { return status.message().to_owned() };
    while let Some(source) = cause.source() {
        cause = source;
    }
    format!("{}: {cause}", status.message())
}

/// Whether the connection was gone before the request was written to it.
fn is_unsent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_etcd_means() {
        let refused = Failure::Refused;
        let unknown = |text: &str| Failure::Unknown(text.into());
        // (code, text, meaning)
        let table = [
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", refused(Error::Compacted(0))),
            (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision", refused(Error::Future(0))),
            (Code::InvalidArgument, "etcdserver: duplicate key given in txn request", refused(Error::DuplicateKey)),
            (Code::InvalidArgument, "etcdserver: key is not provided", refused(Error::EmptyKey)),
            (Code::InvalidArgument, "etcdserver: too many operations in txn request", refused(Error::TooManyOps)),
            (Code::ResourceExhausted, "grpc: received message larger than max (4 vs. 2)", refused(Error::TooLarge)),
            (Code::NotFound, "etcdserver: requested lease not found", refused(Error::NoLease)),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", refused(Error::NoSpace)),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                refused(Error::Unavailable("etcdserver: too many requests".into())),
            ),
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                refused(Error::Unavailable("etcdserver: permission denied".into())),
            ),
            (Code::Unavailable, "etcdserver: request timed out", unknown("etcdserver: request timed out")),
            (Code::Unavailable, "etcdserver: no leader", unknown("etcdserver: no leader")),
            (Code::DeadlineExceeded, "late", unknown("late")),
            (Code::Unknown, "broken pipe", unknown("broken pipe")),
        ];
        for (code, text, meaning) in table {
            assert_eq!(of(&Status::new(code, text)), meaning, "{text}");
        }
        let unsent = Status::from_error(Box::new(ConnectError("refused".into())));
        assert!(matches!(of(&unsent), Failure::Unsent(_)), "{unsent:?}");
    }
}
