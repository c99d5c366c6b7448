//! The protobuf message of an object, kept beside its JSON once somebody has listed it: making it costs several times what sending it
//! does. Who lists in protobuf lists again (client-go's informers do), who never does pays nothing. All entries of the process share
//! one budget; what does not fit is made anew for each list, as before.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// What is kept in the process: at most the messages of some 20,000 pods.
static SHARED: Budget = Budget { most: 16 << 20, kept: AtomicUsize::new(0) };

/// Bytes that may be kept, and that are.
#[derive(Debug)]
struct Budget {
    most: usize,
    kept: AtomicUsize,
}

/// What is known of an entry's message. A copy of the entry may be said to be of another revision: it knows nothing.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Its length, once it is known; it is never 0.
    length: AtomicU32,
    kept: OnceLock<Kept>,
}

/// Bytes within a budget.
#[derive(Debug)]
struct Kept {
    bytes: Box<[u8]>,
    budget: &'static Budget,
}

impl Kept {
    fn new(bytes: &[u8], budget: &'static Budget) -> Option<Self> {
        let fits = |kept: usize| kept.checked_add(bytes.len()).filter(|sum| *sum <= budget.most);
        budget.kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Self { bytes: bytes.into(), budget })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.budget.kept.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Clone for Message {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Message {
    /// How long it is, if somebody has made it before.
    pub(super) fn len(&self) -> Option<usize> {
        Some(self.length.load(Ordering::Relaxed) as usize).filter(|length| *length > 0)
    }

    /// The message, if it is kept.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.kept.get().map(|kept| &*kept.bytes)
    }

    /// Remembers its length, and itself while there is room.
    pub(super) fn remember(&self, bytes: &[u8]) {
        self.remember_within(&SHARED, bytes);
    }

    fn remember_within(&self, budget: &'static Budget, bytes: &[u8]) {
        self.length.store(u32::try_from(bytes.len()).unwrap_or(0), Ordering::Relaxed);
        if self.kept.get().is_none()
            && let Some(kept) = Kept::new(bytes, budget)
        {
            // Somebody else was faster: the same bytes.
            let _ = self.kept.set(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_kept_within_the_budget_and_given_back() {
        static BUDGET: Budget = Budget { most: 2500, kept: AtomicUsize::new(0) };
        let bytes = [7; 1000];
        let all: Vec<Message> = (0..3).map(|_| Message::default()).collect();
        assert_eq!((all[0].len(), all[0].bytes()), (None, None));
        // Again is not once more.
        all.iter().chain(&all).for_each(|message| message.remember_within(&BUDGET, &bytes));
        let kept: Vec<_> = all.iter().map(|message| (message.len(), message.bytes().is_some())).collect();
        assert_eq!(kept, [(Some(1000), true), (Some(1000), true), (Some(1000), false)]);
        assert_eq!((all[0].bytes(), all[0].clone().bytes()), (Some(bytes.as_slice()), None));
        assert_eq!(BUDGET.kept.load(Ordering::Relaxed), 2000);
        drop(all);
        assert_eq!(BUDGET.kept.load(Ordering::Relaxed), 0);
    }
}
