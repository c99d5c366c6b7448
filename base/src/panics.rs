//! What a panic ends. A task or a thread that is gone leaves a process that looks alive and no longer does its work: nobody
//! would start it again. So in a daemon a panic ends the whole process (upstream: `HandleCrash`, `ReallyCrash`), except where it
//! is caught, which is where one client, one pod or one object is all that it concerns: [`catch`], [`catch_with`], [`catch_in`],
//! [`spawn`], [`blocking`], [`CatchingExecutor`].

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::task::JoinHandle;

thread_local! {
    /// How many calls of [`catch`] this thread is in.
    static CATCHERS: Cell<usize> = const { Cell::new(0) };
}

/// Names of threads whose panics are caught by who watches them.
static WATCHED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// From now on a panic that nobody catches ends this process by SIGABRT. Whatever panics is logged.
pub(crate) fn end_the_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        set_hook(Box::new(|panic| {
            let (thread, at) = (std::thread::current(), panic.location().map(ToString::to_string));
            let thread = thread.name().unwrap_or_default();
            let caught = CATCHERS.get() > 0 || WATCHED.lock().iter().any(|name| thread.starts_with(name));
            let backtrace = Backtrace::capture();
            let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
            let message = message(panic.payload());
            tracing::error!(message, caught, thread, at, backtrace, "panic");
            if !caught {
                std::process::abort();
            }
        }));
    });
}

/// Does `work`, whose panic ends only that (not one of a thread or task that it starts). What it shares with others must be right
/// whichever statement was its last.
///
/// # Errors
/// The panic's message.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    CATCHERS.set(CATCHERS.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(work));
    CATCHERS.set(CATCHERS.get() - 1);
    result.map_err(|panic| message(&*panic))
}

/// [`catch`] that lets threads panic whose name begins with `threads`: a library starts them, and catches that itself.
///
/// # Errors
/// The message of a panic on this thread, which is what the library makes of theirs.
pub fn catch_with<T>(threads: &'static str, work: impl FnOnce() -> T) -> Result<T, String> {
    WATCHED.lock().push(threads);
    let result = catch(work);
    let mut watched = WATCHED.lock();
    let at = watched.iter().position(|name| *name == threads);
    at.map(|at| watched.swap_remove(at));
    result
}

/// [`catch`] for the life of `future`, whose output is the panic's message then.
pub fn catch_in<F: Future>(future: F) -> Caught<F> {
    Caught(Some(Box::pin(future)))
}

/// See [`catch_in`].
pub struct Caught<F>(Option<Pin<Box<F>>>);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self.0.take().expect("polled after its panic");
        // After a panic it is dropped while that unwinds, as libraries expect that notice a panic so (h2 panics again otherwise).
        match catch(move || (future.as_mut().poll(context), future)) {
            Ok((polled, future)) => {
                self.0 = Some(future);
                polled.map(Ok)
            }
            Err(message) => Poll::Ready(Err(message)),
        }
    }
}

impl<F> Drop for Caught<F> {
    fn drop(&mut self) {
        let future = self.0.take();
        let _ = catch(|| drop(future));
    }
}

/// Runs `future` as a task whose panic ends only that.
pub fn spawn<F>(future: F) -> JoinHandle<()>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(async { drop(catch_in(future).await) })
}

/// Does `work` where it may block. Its panic ends only that.
///
/// # Errors
/// The panic's message, or that the runtime ends.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(|| catch(work)).await.map_err(|error| error.to_string())?
}

/// Runs what an HTTP/2 connection does for each of its streams by [`spawn`].
#[derive(Clone, Copy, Debug)]
pub struct CatchingExecutor;

impl<F> hyper::rt::Executor<F> for CatchingExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        spawn(stream);
    }
}

/// What `panic!` was given, as far as it is text.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, exit};

    use super::*;

    const VICTIM: &str = "BASE_PANICS_VICTIM";

    #[test]
    fn a_panic_that_nobody_catches_ends_the_process() {
        if let Ok(victim) = std::env::var(VICTIM) {
            live_on(&victim);
        }
        for (victim, ends) in [("task", true), ("thread", true), ("beside a catcher", true), ("nobody", false)] {
            let name = "panics::tests::a_panic_that_nobody_catches_ends_the_process";
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.args(["--exact", name, "--nocapture"]).env(VICTIM, victim).env("RUST_BACKTRACE", "0");
            let output = again.output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            // SIGABRT.
            let expected = if ends { (Some(6), None) } else { (None, Some(0)) };
            assert_eq!((output.status.signal(), output.status.code()), expected, "{victim}: {errors}");
            assert!(errors.contains("panic that is caught, in a stream"), "{victim}: {errors}");
            assert_eq!(errors.contains("nobody's panic"), ends, "{victim}: {errors}");
        }
    }

    /// Panics, and again when it is dropped, but not while it notices that it panics.
    struct Sore;

    impl Future for Sore {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("panic that is caught, in a future")
        }
    }

    impl Drop for Sore {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "panic that is caught, when it is dropped");
        }
    }

    /// A daemon's life, that ends well unless a panic ends it.
    fn live_on(victim: &str) -> ! {
        crate::logging::init("info", crate::logging::Format::Text);
        end_the_process();
        assert_eq!(catch(|| panic!("panic that is caught, {}", 1)), Err::<(), _>("panic that is caught, 1".into()));
        assert_eq!(catch(|| 2), Ok(2));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let failed = catch_in(async {
                tokio::task::yield_now().await;
                panic!("panic that is caught, in a future")
            });
            assert_eq!(failed.await, Err::<(), _>("panic that is caught, in a future".into()));
            hyper::rt::Executor::execute(&CatchingExecutor, async { panic!("panic that is caught, in a stream") });
            tokio::task::yield_now().await;
            let library = || {
                let thread = std::thread::Builder::new().name("library-7".into());
                thread.spawn(|| panic!("panic that is caught, by a library")).unwrap().join().is_err()
            };
            assert_eq!(catch_with("library-", library), Ok(true));
            // Once after the panic, then by who gives up waiting.
            for begun in [true, false] {
                let mut sore = Box::pin(catch_in(Sore));
                if begun {
                    assert_eq!(sore.as_mut().await, Err::<(), _>("panic that is caught, in a future".into()));
                }
            }
            let nobodys = async { panic!("nobody's panic") };
            match victim {
                "task" => drop(tokio::spawn(nobodys).await),
                "thread" => drop(std::thread::spawn(|| panic!("nobody's panic")).join()),
                // On the same thread as one who would catch another panic, but now waits.
                "beside a catcher" => {
                    let waiting = tokio::spawn(catch_in(std::future::pending::<()>()));
                    tokio::task::yield_now().await;
                    let _ = tokio::spawn(nobodys).await;
                    waiting.abort();
                }
                _ => {}
            }
        });
        exit(0);
    }
}
