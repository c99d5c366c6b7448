//! What the writer is told, by the store's callers and by other members.
//!
//! A queue behind a lock, not a lock-free channel: the writer's thread is a real-time one (see `turn`), and whoever sends may be
//! interrupted by it at any instruction. A channel whose receiver spins until such a sender has finished (as that of tokio does while
//! one wakes it) then keeps the sender from its processor; here the thread sleeps until the lock is free.

use std::collections::VecDeque;
use std::collections::vec_deque::Drain;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::kv::Error;
use crate::member::{Done, Input};

/// Something for the member.
pub(crate) struct Message {
    pub(crate) input: Input<Ticket>,
    /// What another member sent has a share of the memory that all from its connection may take; given back once it is done.
    /// (The last of several that came together has that of all.)
    pub(crate) share: Option<OwnedSemaphorePermit>,
}

/// Somebody who waits for an answer.
pub(crate) struct Ticket {
    pub(crate) reply: oneshot::Sender<Result<Done, Error>>,
    /// His share of the memory that waiting requests may take.
    pub(crate) _share: Option<OwnedSemaphorePermit>,
}

/// The writer takes no more.
#[derive(Debug)]
pub(crate) struct Closed;

/// Where messages are put. Unbounded by itself: what is large has a share of some memory; whoever asks for something small (a
/// read, a change of the membership) waits for the answer before he asks again.
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    came: Condvar,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    closed: bool,
}

impl Inbox {
    /// An empty one, and its other end.
    pub(crate) fn new() -> (Arc<Self>, Outlet) {
        let inbox = Arc::new(Self { queue: Mutex::default(), came: Condvar::new() });
        (Arc::clone(&inbox), Outlet { inbox, taken: VecDeque::new() })
    }

    /// Puts a message in, unless the inbox is closed.
    pub(crate) fn send(&self, input: Input<Ticket>) -> Result<(), Closed> {
        self.send_all([Message { input, share: None }])
    }

    /// The same with several, which the writer receives together if it waits.
    pub(crate) fn send_all(&self, messages: impl IntoIterator<Item = Message>) -> Result<(), Closed> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Closed);
        }
        queue.messages.extend(messages);
        drop(queue);
        self.came.notify_one();
        Ok(())
    }

    /// Takes no more. What is in it is still received.
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.came.notify_one();
    }
}

/// Where the writer takes messages out. Closes the inbox when it is dropped, and drops what is in it.
pub(crate) struct Outlet {
    inbox: Arc<Inbox>,
    /// Taken out of the inbox and not yet received.
    taken: VecDeque<Message>,
}

impl Outlet {
    /// Waits for messages, and takes up to `most`; no longer than `until`, if there is such a time. `None`: closed, and all were received.
    pub(crate) fn receive(&mut self, most: usize, until: Option<Instant>) -> Option<Drain<'_, Message>> {
        if self.taken.is_empty() {
            let mut queue = self.inbox.queue.lock();
            while queue.messages.is_empty() {
                if queue.closed {
                    return None;
                }
                match until {
                    None => self.inbox.came.wait(&mut queue),
                    Some(until) if self.inbox.came.wait_until(&mut queue, until).timed_out() => break,
                    Some(_) => {}
                }
            }
            std::mem::swap(&mut self.taken, &mut queue.messages);
        }
        Some(self.taken.drain(..most.min(self.taken.len())))
    }

    /// Messages that wait.
    pub(crate) fn len(&self) -> usize {
        self.taken.len() + self.inbox.queue.lock().messages.len()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.inbox.close();
        // Dropped without the lock: with them go those who wait for answers.
        let left = std::mem::take(&mut self.inbox.queue.lock().messages);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn receive(outlet: &mut Outlet, most: usize, until: Option<Instant>) -> Option<usize> {
        outlet.receive(most, until).map(|messages| messages.len())
    }

    #[test]
    fn who_waits_hears_of_a_message_of_its_absence_and_of_the_end() {
        let (inbox, mut outlet) = Inbox::new();
        let short = || Some(Instant::now() + Duration::from_millis(1));
        let long = || Some(Instant::now() + Duration::from_secs(3600));
        assert_eq!(receive(&mut outlet, 8, short()), Some(0));
        for _ in 0..3 {
            inbox.send(Input::Tick).unwrap();
        }
        assert_eq!(outlet.len(), 3);
        assert_eq!(receive(&mut outlet, 2, short()), Some(2));
        inbox.send(Input::Tick).unwrap();
        assert_eq!(outlet.len(), 2);
        assert_eq!(receive(&mut outlet, 2, None), Some(1));
        assert_eq!(receive(&mut outlet, 2, None), Some(1));
        // Sent while it waits: it does not wait to the end of an hour.
        for until in [long(), None] {
            let sender = Arc::clone(&inbox);
            let sending = std::thread::spawn(move || sender.send(Input::Tick).is_ok());
            assert_eq!(receive(&mut outlet, 2, until), Some(1));
            assert_eq!(sending.join().ok(), Some(true));
        }
        inbox.send(Input::Tick).unwrap();
        inbox.close();
        assert!(inbox.send(Input::Tick).is_err(), "it is closed");
        assert_eq!(receive(&mut outlet, 2, long()), Some(1), "what came before is received");
        assert_eq!(receive(&mut outlet, 2, long()), None);
        assert_eq!(receive(&mut outlet, 2, None), None);
    }

    #[test]
    fn who_waits_for_an_answer_hears_that_nobody_takes_messages_any_more() {
        let (inbox, mut outlet) = Inbox::new();
        let ask = || {
            let (reply, answer) = oneshot::channel();
            (inbox.send(Input::Read(Ticket { reply, _share: None })), answer)
        };
        let asked: Vec<_> = (0..3).map(|_| ask()).collect();
        // One is received, one is taken out, and one comes afterwards.
        assert_eq!(receive(&mut outlet, 1, None), Some(1));
        let last = ask();
        drop(outlet);
        for (sent, answer) in asked.into_iter().chain([last]) {
            assert!(sent.is_ok());
            assert!(answer.blocking_recv().is_err());
        }
        let (sent, answer) = ask();
        assert!(sent.is_err() && answer.blocking_recv().is_err());
    }

    #[test]
    fn each_sender_s_messages_come_in_order() {
        let (inbox, mut outlet) = Inbox::new();
        let senders: Vec<_> = (1..=4)
            .map(|sender: u64| {
                let inbox = Arc::clone(&inbox);
                let sent = move |index| inbox.send(Input::Sent { to: sender, term: 1, index, ok: true }).is_ok();
                std::thread::spawn(move || (0..1000).all(sent))
            })
            .collect();
        let mut counts = [0; 4];
        while counts.iter().sum::<u64>() < 4000 {
            for message in outlet.receive(7, None).into_iter().flatten() {
                let Input::Sent { to, index, .. } = message.input else { unreachable!("nothing else was sent") };
                let count = &mut counts[to as usize - 1];
                assert_eq!(index, *count, "of sender {to}");
                *count += 1;
            }
        }
        assert!(senders.into_iter().all(|sender| sender.join().is_ok_and(|sent| sent)));
    }
}
