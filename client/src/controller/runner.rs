//! Runs a reconciler: triggers into its queue, workers out of it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::Instrument;

use base::Context;
use base::panics::catch_in;

use super::{Action, Pass, Queue, Reconciler};
use crate::cache::Caches;
use crate::error::Error;
use crate::object::Key;

/// Runs `reconciler` with `workers` keys at a time in `context`; returns at once.
pub fn run<R: Reconciler>(context: &Context, caches: &Caches, reconciler: R, workers: usize) {
    let reconciler = Arc::new(reconciler);
    let queue = Arc::new(Queue::default());
    let triggers = reconciler.triggers(caches);
    let passes: Arc<Mutex<HashMap<Key, Pass>>> = Arc::default();
    let inner = context.clone();
    context.spawn("controller", async move {
        let mut waits = Vec::new();
        for trigger in triggers {
            (trigger.start)(queue.clone());
            waits.push(trigger.synced);
        }
        futures::future::join_all(waits).await;
        tracing::debug!(controller = reconciler.name(), "caches synced");
        for _ in 0..workers {
            inner.spawn("worker", work(reconciler.clone(), queue.clone(), passes.clone()));
        }
    });
}

async fn work<R: Reconciler>(reconciler: Arc<R>, queue: Arc<Queue>, passes: Arc<Mutex<HashMap<Key, Pass>>>) {
    loop {
        let key = queue.next().await;
        let before = passes.lock().remove(&key);
        if let Some(before) = before
            && !before.caught_up().await
        {
            tracing::warn!(controller = reconciler.name(), %key, "cache is behind own writes");
        }
        let span = tracing::info_span!("reconcile", controller = reconciler.name(), %key);
        let pass = Pass::default();
        // One object that no code expects does not keep the controller from all others.
        let result = catch_in(reconciler.reconcile(&key, &pass).instrument(span)).await;
        let result = result.unwrap_or_else(|panic| Err(Error::Panicked(panic)));
        if !pass.is_empty() {
            passes.lock().insert(key.clone(), pass);
        }
        match result {
            Ok(action) => {
                queue.forget(&key);
                if let Action::After(delay) = action {
                    queue.add_after(key.clone(), delay);
                }
            }
            Err(error) => {
                // Conflicts are the normal way of losing a race: the next look decides on newer facts.
                if error.is_conflict() {
                    tracing::debug!(controller = reconciler.name(), %key, error = error.chain(), "trying again");
                } else {
                    tracing::warn!(controller = reconciler.name(), %key, error = error.chain(), "reconcile failed");
                }
                queue.add_backed_off(key.clone());
            }
        }
        queue.done(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does not expect the object `odd` when it sees it first.
    #[derive(Default)]
    struct Surprised(Mutex<Vec<String>>);

    impl Reconciler for Surprised {
        fn name(&self) -> &'static str {
            "surprised"
        }

        fn triggers(&self, _: &Caches) -> Vec<super::super::Trigger> {
            Vec::new()
        }

        async fn reconcile(&self, key: &Key, _: &Pass) -> Result<Action, Error> {
            let mut seen = self.0.lock();
            let first = !seen.contains(&key.name);
            seen.push(key.name.clone());
            drop(seen);
            assert!(!first || key.name != "odd", "not expected");
            Ok(Action::Done)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_over_one_key_is_tried_again_and_stops_no_other() {
        let (reconciler, queue) = (Arc::new(Surprised::default()), Arc::new(Queue::default()));
        for name in ["odd", "even"] {
            queue.add(Key::new("", name));
        }
        let working = work(reconciler.clone(), queue.clone(), Arc::default());
        let _ = tokio::time::timeout(std::time::Duration::from_secs(60), working).await;
        assert_eq!(*reconciler.0.lock(), ["odd", "even", "odd"]);
    }
}
