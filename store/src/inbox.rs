//! What the writer is told, by the store's callers and by other members.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

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

/// Waits for messages, and takes up to `most`; no longer than `until`, if there is such a time. False: nobody is left to send any.
pub(crate) fn receive(
    inbox: &mut mpsc::UnboundedReceiver<Message>,
    messages: &mut Vec<Message>,
    most: usize,
    until: Option<Instant>,
) -> bool {
    let Some(end) = until else { return inbox.blocking_recv_many(messages, most) > 0 };
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(count) = inbox.poll_recv_many(&mut context, messages, most) {
            return count > 0;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_waits_hears_of_a_message_of_its_absence_and_of_the_end() {
        let (sender, mut inbox) = mpsc::unbounded_channel();
        let mut messages = Vec::new();
        let short = || Some(Instant::now() + Duration::from_millis(1));
        let long = || Some(Instant::now() + Duration::from_secs(3600));
        assert!(receive(&mut inbox, &mut messages, 8, short()) && messages.is_empty());
        for _ in 0..3 {
            sender.send(Message::Close).unwrap_or_else(|_| panic!("the inbox is open"));
        }
        assert!(receive(&mut inbox, &mut messages, 2, short()));
        assert_eq!(messages.len(), 2);
        assert!(receive(&mut inbox, &mut messages, 2, None));
        assert_eq!(messages.len(), 3);
        // Sent while it waits: it does not wait to the end of an hour.
        let sending = std::thread::spawn(move || sender.send(Message::Close).is_ok());
        assert!(receive(&mut inbox, &mut messages, 2, long()));
        assert_eq!((sending.join().ok(), messages.len()), (Some(true), 4));
        assert!(!receive(&mut inbox, &mut messages, 2, long()));
        assert!(!receive(&mut inbox, &mut messages, 2, None));
    }
}
