//! What the writer is told, by the store's callers and by other members.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::kv::Error;
use crate::member::{Done, Input};

/// See the module's header.
pub(crate) enum Message {
    /// For the member.
    Input(Input<Ticket>),
    /// The same from another member, with its share of the memory that what it sends may take.
    Peer { input: Input<Ticket>, _share: OwnedSemaphorePermit },
    /// Finish, and let go of the directory.
    Close,
}

/// Somebody who waits for an answer.
pub(crate) struct Ticket {
    pub(crate) reply: oneshot::Sender<Result<Done, Error>>,
    /// His share of the memory that waiting requests may take.
    pub(crate) _share: Option<OwnedSemaphorePermit>,
}
