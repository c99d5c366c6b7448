//! Conditions with deadlines. Never a sleep in place of a condition; what was seen last is in the message.

use std::future::Future;
use std::time::Duration;

use anyhow::{anyhow, bail};
use tokio::time::{Instant, sleep, timeout};

/// One attempt may take so long: a request to a stopped server hangs, and the next attempt may find it back.
const ATTEMPT: Duration = Duration::from_secs(10);

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks `probe` again and again until it succeeds; its error says what is still missing.
///
/// # Errors
/// When `within` has passed: with the last thing that was missing.
pub async fn eventually<T, F, Fut>(what: &str, within: Duration, mut probe: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        let missing = match timeout(ATTEMPT, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(missing)) => missing,
            Err(_) => anyhow!("no answer within {} s", ATTEMPT.as_secs()),
        };
        if Instant::now() >= deadline {
            bail!("{what}: not within {} s; last: {missing:#}", within.as_secs_f32());
        }
        sleep(PAUSE).await;
    }
}

/// Holds `probe` against the cluster for as long as `during`: it must succeed each time.
///
/// # Errors
/// The first failure.
pub async fn consistently<F, Fut>(what: &str, during: Duration, mut probe: F) -> anyhow::Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let deadline = Instant::now() + during;
    while Instant::now() < deadline {
        if let Err(error) = probe().await {
            bail!("{what}: {error:#}");
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_missing_thing_is_in_the_message() {
        let mut count = 0;
        let probe = || {
            count += 1;
            let seen = count;
            async move { if seen > 3 { Ok(seen) } else { Err(anyhow!("seen {seen}")) } }
        };
        assert_eq!(eventually("four", Duration::from_secs(5), probe).await.unwrap(), 4);

        let never =
            eventually("more", Duration::from_secs(2), || async { Err::<(), _>(anyhow!("still 2 of 3")) }).await;
        assert_eq!(never.unwrap_err().to_string(), "more: not within 2 s; last: still 2 of 3");
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_does_not_hang_the_wait() {
        let hang = eventually("answer", Duration::from_secs(15), std::future::pending::<anyhow::Result<()>>).await;
        assert!(hang.unwrap_err().to_string().contains("no answer within 10 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_hold_fails_at_the_first_breach() {
        let mut count = 0;
        let probe = || {
            count += 1;
            let seen = count;
            async move { if seen < 3 { Ok(()) } else { Err(anyhow!("gone")) } }
        };
        assert!(consistently("there", Duration::from_secs(5), probe).await.is_err());
        assert_eq!(count, 3);
    }
}
