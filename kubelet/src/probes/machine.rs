//! When a row of equal probe outcomes counts (pkg/kubelet/prober/worker.go). Pure.

use crate::pod::ProbeTiming;
use crate::probes::ProbeKind;

/// Counts outcomes.
#[derive(Debug, Clone)]
pub struct Machine {
    kind: ProbeKind,
    timing: ProbeTiming,
    last: Option<bool>,
    run: u32,
    result: Option<bool>,
}

/// What an outcome means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The result, if this outcome changed it.
    pub changed: Option<bool>,
    /// Whether there is nothing left to probe: the container is condemned, or has started.
    pub done: bool,
}

impl Machine {
    /// A machine that has seen `result` so far (`None` = nothing).
    pub fn new(kind: ProbeKind, timing: ProbeTiming, result: Option<bool>) -> Self {
        Self { kind, timing, last: None, run: 0, result }
    }

    /// Counts one outcome.
    pub fn outcome(&mut self, success: bool) -> Verdict {
        if self.last == Some(success) {
            self.run = self.run.saturating_add(1);
        } else {
            (self.last, self.run) = (Some(success), 1);
        }
        let threshold = if success { self.timing.success_threshold } else { self.timing.failure_threshold };
        if self.run < threshold {
            return Verdict { changed: None, done: false };
        }
        let changed = (self.result != Some(success)).then_some(success);
        self.result = Some(success);
        let done = match self.kind {
            ProbeKind::Startup => true,
            ProbeKind::Liveness => !success,
            ProbeKind::Readiness => false,
        };
        Verdict { changed, done }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Feeds outcomes (`+` success, `-` failure); each answer is `+`/`-` for a changed result, `.` for none, and `!` when
    /// done.
    fn run(kind: ProbeKind, success: i32, failure: i32, start: Option<bool>, outcomes: &str) -> String {
        let probe = json!({"successThreshold": success, "failureThreshold": failure});
        let timing = crate::pod::probe_timing(&serde_json::from_value(probe).unwrap());
        let mut machine = Machine::new(kind, timing, start);
        let mut answers = String::new();
        for outcome in outcomes.chars() {
            let verdict = machine.outcome(outcome == '+');
            answers.push(match verdict.changed {
                Some(true) => '+',
                Some(false) => '-',
                None => '.',
            });
            if verdict.done {
                answers.push('!');
            }
        }
        answers
    }

    #[test]
    fn thresholds_count_rows_of_equal_outcomes() {
        use ProbeKind::{Liveness, Readiness, Startup};
        let table = [
            (Readiness, 1, 3, None, "+", "+"),
            (Readiness, 1, 3, None, "---", "..-"),
            (Readiness, 1, 3, Some(true), "--+---", ".....-"),
            (Readiness, 2, 1, None, "-+++", "-.+."),
            (Readiness, 2, 1, Some(false), "+-++", "...+"),
            (Liveness, 1, 3, None, "+--+---", "+.....-!"),
            (Liveness, 1, 1, None, "-", "-!"),
            (Startup, 1, 3, None, "--+", "..+!"),
            (Startup, 1, 3, None, "---", "..-!"),
        ];
        for (kind, success, failure, start, outcomes, expected) in table {
            assert_eq!(run(kind, success, failure, start, outcomes), expected, "{kind:?} {outcomes}");
        }
    }
}
