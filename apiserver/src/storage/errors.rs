//! What goes wrong in the storage, in upstream's words (apiserver, pkg/storage/errors.go and storage/etcd3/errors.go).

use api::Status;
use api::status::{Cause, Details};
use store::{Error, Revision};

use super::token;

/// An error of the store as the API says it. Whether a write happened is unknown after `Unavailable`.
pub(super) fn from_store(error: Error) -> Status {
    match error {
        Error::Compacted(_) => Status::expired("The resourceVersion for the provided list is too old."),
        Error::Future(current) => too_large(current + 1, current),
        Error::TooLarge => Status::too_large(format!("etcdserver: {error}")),
        Error::Unavailable(_) => Status::service_unavailable(error.to_string()),
        Error::TimedOut | Error::Cluster(_) => Status::internal(format_args!("etcdserver: {error}")),
        Error::NoSpace => Status::internal(format_args!("etcdserver: {error}")),
        Error::DuplicateKey
        | Error::EmptyKey
        | Error::NoKey
        | Error::TooManyOps
        | Error::NoLease
        | Error::LeaseExists
        | Error::TtlTooLarge
        | Error::Corrupt(_)
        | Error::CorruptCluster => Status::internal(error),
    }
}

/// 504: a revision that has not happened yet was asked for. Clients know it by its cause.
pub(super) fn too_large(asked: Revision, current: Revision) -> Status {
    let mut status = Status::timeout(format!("Too large resource version: {asked}, current: {current}"));
    let cause = Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    };
    status.details = Some(Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() });
    status
}

/// 410 for a watch.
pub(super) fn too_old(asked: Revision, oldest: Revision) -> Status {
    Status::expired(format!("too old resource version: {asked} ({oldest})"))
}

/// 410 for a list; one that is continued gets a token with which it can go on at another revision.
pub(super) fn expired_list(after_key: Option<&str>) -> Status {
    let Some(start) = after_key else {
        return Status::expired("The resourceVersion for the provided list is too old.");
    };
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.metadata.continue_ = token::encode(None, start);
    status
}

/// 429: the cache of this kind is not there yet.
pub(super) fn initializing() -> Status {
    Status::too_many_requests("storage is (re)initializing", 1)
}

/// The server is stopping.
pub(super) fn stopping() -> Status {
    Status::service_unavailable("the server is shutting down")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_find_what_they_look_for() {
        let status = too_large(9, 7);
        assert_eq!((status.code, status.message.as_str()), (504, "Timeout: Too large resource version: 9, current: 7"));
        let details = status.details.unwrap();
        assert_eq!((details.retry_after_seconds, details.causes[0].reason.as_str()), (1, "ResourceVersionTooLarge"));
        assert_eq!(too_old(3, 5).message, "too old resource version: 3 (5)");
        let list = expired_list(Some("ns/a\0"));
        assert_eq!((list.code, list.reason.as_str()), (410, "Expired"));
        let token = token::decode(&list.metadata.continue_).unwrap();
        assert_eq!((token.revision, token.start.as_str()), (None, "ns/a\0"));
        assert_eq!(expired_list(None).metadata.continue_, "");
        for error in [Error::Compacted(3), Error::TooLarge, Error::Unavailable("x".into()), Error::NoSpace] {
            assert!(!from_store(error).is_success());
        }
    }
}
