//! The life of a component: every task is spawned in a [`Context`], hears its stop signal and is waited for.
//!
//! A component's `run(options, context)` spawns what it needs and returns when the context is stopped and its tasks have
//! ended, so the same code runs as a process, as a subcommand and inside a test.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Where tasks live. Clones share the tasks and the stop signal.
#[derive(Clone, Debug, Default)]
pub struct Context {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Context {
    /// A context that nothing has stopped yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A context that stops at SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When the process cannot install signal handlers.
    pub fn until_signal() -> std::io::Result<Self> {
        let context = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = context.token.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            token.cancel();
        });
        Ok(context)
    }

    /// A context that stops with this one, but can be stopped, and waited for, alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token(), tasks: TaskTracker::new() }
    }

    /// Runs `future` as a task named `name` in logs. The task is dropped at its next await when the context stops;
    /// a task with something to finish uses [`Context::spawn_graceful`].
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        let span = tracing::debug_span!("task", name);
        self.tasks.spawn(async move { token.run_until_cancelled(future).await }.instrument(span));
    }

    /// Runs `future` to its end: it must watch [`Context::stopped`] itself.
    pub fn spawn_graceful<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(future.instrument(tracing::debug_span!("task", name)));
    }

    /// Resolves once the context is stopped.
    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// Whether the context is stopped.
    pub fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Tells every task to stop.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// The stop signal as a token, for libraries that take one.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Stops, then waits for the tasks for at most `patience`. Returns whether all ended in time.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        self.stop();
        self.tasks.close();
        tokio::time::timeout(patience, self.tasks.wait()).await.is_ok()
    }

    /// Waits until the context is stopped by someone else, then for its tasks for at most `patience`.
    pub async fn run_to_end(&self, patience: Duration) -> bool {
        self.stopped().await;
        self.shutdown(patience).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn stop_ends_tasks_and_is_waited_for() {
        let context = Context::new();
        let finished = Arc::new(AtomicBool::new(false));
        context.spawn("forever", std::future::pending());
        let (inner, flag) = (context.clone(), finished.clone());
        context.spawn_graceful("graceful", async move {
            inner.stopped().await;
            flag.store(true, Ordering::SeqCst);
        });
        assert!(context.shutdown(Duration::from_secs(5)).await);
        assert!(finished.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_says_when_a_task_does_not_end() {
        let context = Context::new();
        context.spawn_graceful("stuck", std::future::pending());
        assert!(!context.shutdown(Duration::from_secs(1)).await);
    }

    #[tokio::test]
    async fn a_child_stops_with_its_parent_but_not_the_other_way_round() {
        let parent = Context::new();
        let child = parent.child();
        child.stop();
        assert!(!parent.is_stopped());
        let other = parent.child();
        parent.stop();
        assert!(other.is_stopped());
    }
}
