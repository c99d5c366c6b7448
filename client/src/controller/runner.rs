//! Runs a reconciler: triggers into its queue, workers out of it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::Instrument;

use base::Context;

use super::{Action, Pass, Queue, Reconciler};
use crate::cache::Caches;
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
        let result = reconciler.reconcile(&key, &pass).instrument(span).await;
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
