//! The store's errors as gRPC's. Codes and texts are etcd's (api/v3rpc/rpctypes/error.go), because clients match on them.

use tonic::{Code, Status};

use crate::kv::{ClusterError, Error};

/// An error as a client of etcd knows it.
pub(super) fn status(error: Error) -> Status {
    let code = match &error {
        Error::Compacted(_) | Error::Future(_) | Error::TtlTooLarge => Code::OutOfRange,
        Error::DuplicateKey | Error::EmptyKey | Error::NoKey | Error::TooManyOps | Error::TooLarge => {
            Code::InvalidArgument
        }
        Error::NoLease => Code::NotFound,
        Error::LeaseExists => Code::FailedPrecondition,
        Error::NoSpace => Code::ResourceExhausted,
        Error::Corrupt(_) | Error::CorruptCluster => Code::DataLoss,
        Error::Cluster(ClusterError::NoMember) => Code::NotFound,
        Error::Cluster(ClusterError::LeaderChanged | ClusterError::Unhealthy) => Code::Unavailable,
        Error::Cluster(_) => Code::FailedPrecondition,
        Error::Unavailable(_) | Error::TimedOut => Code::Unavailable,
    };
    let text = match &error {
        Error::Unavailable(text) if text.starts_with("etcdserver: ") => text.clone(),
        _ => format!("etcdserver: {error}"),
    };
    Status::new(code, text)
}

/// A request that is wrong by itself.
pub(super) fn invalid(text: &str) -> Status {
    Status::invalid_argument(format!("etcdserver: {text}"))
}

/// For a member that knows no leader.
pub(super) fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}

/// For a learner, which answers for nobody but itself. (Unavailable in 3.5, so that clients ask another member;
/// FailedPrecondition from 3.6 on.)
pub(super) fn not_for_learners() -> Status {
    Status::unavailable("etcdserver: rpc not supported for learner")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_texts_are_etcds() {
        let table = [
            (Error::EmptyKey, Code::InvalidArgument, "etcdserver: key is not provided"),
            (Error::NoKey, Code::InvalidArgument, "etcdserver: key not found"),
            (Error::TooManyOps, Code::InvalidArgument, "etcdserver: too many operations in txn request"),
            (Error::DuplicateKey, Code::InvalidArgument, "etcdserver: duplicate key given in txn request"),
            (Error::Compacted(7), Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            (Error::Future(7), Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision"),
            (Error::NoSpace, Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            (Error::NoLease, Code::NotFound, "etcdserver: requested lease not found"),
            (Error::LeaseExists, Code::FailedPrecondition, "etcdserver: lease already exists"),
            (Error::TtlTooLarge, Code::OutOfRange, "etcdserver: too large lease TTL"),
            (Error::TooLarge, Code::InvalidArgument, "etcdserver: request is too large"),
            (Error::TimedOut, Code::Unavailable, "etcdserver: request timed out"),
            (ClusterError::LeaderChanged.into(), Code::Unavailable, "etcdserver: leader changed"),
            (ClusterError::NotLeader.into(), Code::FailedPrecondition, "etcdserver: not leader"),
            (ClusterError::Unhealthy.into(), Code::Unavailable, "etcdserver: unhealthy cluster"),
            (ClusterError::NoMember.into(), Code::NotFound, "etcdserver: member not found"),
            (
                ClusterError::TooManyLearners.into(),
                Code::FailedPrecondition,
                "etcdserver: too many learner members in cluster",
            ),
            (ClusterError::UrlExists.into(), Code::FailedPrecondition, "etcdserver: Peer URLs already exists"),
            (Error::CorruptCluster, Code::DataLoss, "etcdserver: corrupt cluster"),
        ];
        for (error, code, text) in table {
            let status = status(error);
            assert_eq!((status.code(), status.message()), (code, text));
        }
    }
}
