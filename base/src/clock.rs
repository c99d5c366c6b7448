//! Time as a value that is passed in: wall time for what is written into objects and certificates, monotonic time for
//! what is measured. Timers stay with tokio, whose time tests can pause.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

/// Tells the time. Cheap to call; implementations never go back in [`Clock::monotonic`].
pub trait Clock: Send + Sync + 'static {
    /// Wall time, UTC.
    fn now(&self) -> Timestamp;
    /// Time since an arbitrary origin of this process.
    fn monotonic(&self) -> Duration;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic origin is now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// The same, behind the pointer in which components carry their clock.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Wall time that moves with tokio's time: where a test pauses and advances that, both move together.
#[derive(Debug, Clone, Copy)]
pub struct RuntimeClock {
    wall: Timestamp,
    origin: tokio::time::Instant,
}

impl RuntimeClock {
    /// A clock that agrees with the operating system's now.
    pub fn new() -> Self {
        Self { wall: Timestamp::now(), origin: tokio::time::Instant::now() }
    }

    /// The same, behind the pointer in which components carry their clock.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self::new())
    }
}

impl Default for RuntimeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.wall + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only when a test says so.
#[derive(Debug, Clone)]
pub struct ManualClock {
    state: Arc<Mutex<(Timestamp, Duration)>>,
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { state: Arc::new(Mutex::new((start, Duration::ZERO))) }
    }

    /// Moves both the wall and the monotonic time forward by `step`.
    pub fn advance(&self, step: Duration) {
        let mut state = self.state.lock();
        state.0 += step;
        state.1 += step;
    }
}

impl Default for ManualClock {
    /// Stands at the Unix epoch.
    fn default() -> Self {
        Self::new(Timestamp::UNIX_EPOCH)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.state.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        clock.advance(Duration::from_secs(90));
        assert_eq!(clock.now().as_second(), 90);
        assert_eq!(clock.monotonic(), Duration::from_secs(90));
    }

    #[tokio::test(start_paused = true)]
    async fn runtime_clock_stands_and_moves_with_the_runtime() {
        let clock = RuntimeClock::new();
        let begin = clock.now();
        assert_eq!(clock.now(), begin);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!((clock.now().as_second() - begin.as_second(), clock.monotonic()), (90, Duration::from_secs(90)));
    }

    #[test]
    fn system_clock_is_monotonic() {
        let clock = SystemClock::new();
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
    }
}
