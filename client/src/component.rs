//! How a component that works for the whole cluster starts: its client, its health port, and the election among those that
//! stand by. The scheduler and the controller manager are such.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::duration::parse_flag;
use base::Context;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::leader::{self, Election, Timing};
use crate::rest::Client;

/// How long its tasks may take to end when it stops.
const PATIENCE: Duration = Duration::from_secs(2);

/// Flags that such components share, named as upstream names them where it has them.
#[derive(Debug, Clone, clap::Args)]
pub struct Flags {
    /// How to reach the API server; the pod's own files if absent.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Work only while holding a lease, so that several can stand by.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: bool,
    /// Who we are in the election: stable over restarts, unique among candidates. The component's own name if absent.
    #[arg(long)]
    pub leader_elect_identity: Option<String>,
    /// How long a lease that is not renewed keeps others waiting.
    #[arg(long, default_value = "15s", value_parser = parse_flag)]
    pub leader_elect_lease_duration: Duration,
    /// How long a leader tries to renew before it stops leading; shorter than the lease.
    #[arg(long, default_value = "10s", value_parser = parse_flag)]
    pub leader_elect_renew_deadline: Duration,
    /// Time between attempts to take or renew the lease.
    #[arg(long, default_value = "2s", value_parser = parse_flag)]
    pub leader_elect_retry_period: Duration,
    /// Address of the health and metrics port (plain HTTP); on loopback at the component's usual port if absent.
    #[arg(long)]
    pub health_bind_address: Option<SocketAddr>,
}

impl Flags {
    /// The times of the election.
    ///
    /// # Errors
    /// When they cannot work together (client-go, NewLeaderElector).
    pub fn timing(&self) -> Result<Timing> {
        let timing = Timing {
            lease_duration: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry_period: self.leader_elect_retry_period,
        };
        let wrong = |why: &str| Err(Error::Config(why.into()));
        if timing.lease_duration <= timing.renew_deadline {
            return wrong("leaseDuration must be greater than renewDeadline");
        }
        // Upstream's JitterFactor.
        if timing.renew_deadline <= timing.retry_period.mul_f64(1.2) {
            return wrong("renewDeadline must be greater than retryPeriod*JitterFactor");
        }
        if timing.lease_duration < Duration::from_secs(1) || timing.retry_period.is_zero() {
            return wrong("leaseDuration must be at least a second, and retryPeriod greater than zero");
        }
        Ok(timing)
    }
}

/// What tells one component from another.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// Its name as a user agent and, unless told otherwise, in the election.
    pub name: &'static str,
    /// Name of the lease in kube-system.
    pub lease: &'static str,
    /// Usual port of its health port.
    pub health_port: u16,
}

/// Runs `work` with a client until `context` stops; with an election, only while leading. `work` ends when its context
/// stops, or earlier to say why it cannot go on.
///
/// # Errors
/// When the component cannot start, `work` fails, or the lease is lost: the caller should exit, to start as a candidate.
pub async fn run<F, Fut, E>(
    component: Component,
    options: &Flags,
    context: &Context,
    work: F,
) -> std::result::Result<(), E>
where
    F: FnOnce(Client, Context) -> Fut,
    Fut: Future<Output = std::result::Result<(), E>>,
    E: From<Error>,
{
    let timing = options.timing()?;
    let client = Client::new(&Config::load(options.kubeconfig.as_deref())?.named(component.name))?;
    let usual = SocketAddr::from(([127, 0, 0, 1], component.health_port));
    let health = options.health_bind_address.unwrap_or(usual);
    let served = base::health::serve(context, health, Arc::new(|| Ok(()))).await;
    served.map_err(|source| Error::transport(format!("health port {health}"), source))?;
    let mut outcome = Ok(());
    if options.leader_elect {
        let election = Election {
            namespace: "kube-system".into(),
            name: component.lease.into(),
            identity: options.leader_elect_identity.clone().unwrap_or_else(|| component.name.into()),
            timing,
        };
        let (ended, worker) = (&mut outcome, client.clone());
        let lead = |term: Context| async move { *ended = work(worker, term).await };
        leader::run(context, &client, &election, lead).await?;
    } else {
        tokio::select! {
            ended = work(client, context.clone()) => outcome = ended,
            () = context.stopped() => {}
        }
    }
    context.shutdown(PATIENCE).await;
    outcome
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        flags: Flags,
    }

    fn parse(flags: &[&str]) -> std::result::Result<Flags, String> {
        let all = ["component"].iter().chain(flags);
        Cli::try_parse_from(all).map(|cli| cli.flags).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_have_upstreams_defaults_and_form() {
        let options = parse(&[]).unwrap();
        let timing = options.timing().unwrap();
        let times = [timing.lease_duration, timing.renew_deadline, timing.retry_period];
        assert_eq!(times, [15, 10, 2].map(Duration::from_secs));
        assert!(options.leader_elect);
        // As Go's flags: a Boolean may stand alone or be given with `=`.
        for (flag, elects) in [("--leader-elect", true), ("--leader-elect=true", true), ("--leader-elect=false", false)]
        {
            assert_eq!(parse(&[flag]).unwrap().leader_elect, elects, "{flag}");
        }
        assert_eq!(
            parse(&["--leader-elect-lease-duration=1m30s"]).unwrap().leader_elect_lease_duration,
            Duration::from_secs(90)
        );
        for wrong in ["15", "-1s", "x"] {
            let refused = parse(&[&format!("--leader-elect-retry-period={wrong}")]).unwrap_err();
            assert!(refused.contains("time: "), "{refused}");
        }
    }

    #[test]
    fn times_that_cannot_work_are_refused() {
        let table: [(&[&str], &str); 4] = [
            (&["--leader-elect-lease-duration=10s"], "leaseDuration must be greater than renewDeadline"),
            (&["--leader-elect-retry-period=9s"], "renewDeadline must be greater than retryPeriod*JitterFactor"),
            (&["--leader-elect-retry-period=0s"], "retryPeriod greater than zero"),
            (
                &[
                    "--leader-elect-lease-duration=900ms",
                    "--leader-elect-renew-deadline=500ms",
                    "--leader-elect-retry-period=100ms",
                ],
                "at least a second",
            ),
        ];
        for (flags, why) in table {
            let refused = parse(flags).unwrap().timing().unwrap_err().to_string();
            assert!(refused.contains(why), "{flags:?}: {refused}");
        }
    }
}
