//! When a node was last heard of. Heard means: its lease or its status shows another time than before; *when* is told by
//! our own monotonic clock, as clocks of nodes may be wrong (nodelifecycle/node_lifecycle_controller.go, nodeHealthData).

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// How long a node may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grace {
    /// Once it has reported its status.
    pub(super) running: Duration,
    /// From its registration to its first status.
    pub(super) starting: Duration,
}

/// One node's signs of life.
#[derive(Debug)]
pub(super) struct Pulse {
    renewed: Option<Timestamp>,
    reported: Option<Timestamp>,
    heard: Instant,
    /// Ready when last looked at; `None` before that.
    ready: Option<bool>,
    /// It stopped being ready, and its pods do not say so yet.
    pub(super) owes_marks: bool,
}

impl Pulse {
    /// Of a node seen for the first time: it counts as heard of just now.
    pub(super) fn first(now: Instant) -> Self {
        Self { renewed: None, reported: None, heard: now, ready: None, owes_marks: false }
    }

    /// Takes note of the lease's renewal and the status' heartbeat. Neither may go backwards and count.
    pub(super) fn observe(&mut self, renewed: Option<Timestamp>, reported: Option<Timestamp>, now: Instant) {
        if renewed > self.renewed || reported > self.reported {
            self.heard = now;
        }
        self.renewed = self.renewed.max(renewed);
        self.reported = self.reported.max(reported);
    }

    /// Takes note of the status of condition Ready. A node that has never been ready has no pods to mark; of one that is
    /// first seen unreachable nobody knows whether they are.
    pub(super) fn turn(&mut self, status: Option<&str>) {
        let ready = status == Some("True");
        self.owes_marks = match (self.ready, ready) {
            (_, true) => false,
            (Some(true), false) => true,
            (None, false) => status == Some("Unknown"),
            (Some(false), false) => self.owes_marks,
        };
        self.ready = Some(ready);
    }

    /// When the node's silence has lasted too long.
    pub(super) fn deadline(&self, grace: Grace) -> Instant {
        self.heard + if self.reported.is_none() { grace.starting } else { grace.running }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Grace = Grace { running: Duration::from_secs(40), starting: Duration::from_secs(60) };

    fn at(seconds: i64) -> Option<Timestamp> {
        Timestamp::from_second(seconds).ok()
    }

    #[tokio::test(start_paused = true)]
    async fn pods_are_marked_once_each_time_their_node_stops_being_ready() {
        // statuses one after the other → whether marks are owed; each time they are, they are made
        let table: [(&[&str], &[bool]); 4] = [
            (&["", "False", "True"], &[false, false, false]),
            (&["True", "False", "Unknown", "True", "Unknown"], &[false, true, false, false, true]),
            (&["Unknown", "Unknown", "True"], &[true, false, false]),
            (&["False", "Unknown"], &[false, false]),
        ];
        for (statuses, expected) in table {
            let mut pulse = Pulse::first(Instant::now());
            let owed: Vec<bool> = statuses
                .iter()
                .map(|status| {
                    pulse.turn(Some(*status).filter(|status| !status.is_empty()));
                    std::mem::take(&mut pulse.owes_marks)
                })
                .collect();
            assert_eq!(owed, expected, "{statuses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn marks_stay_owed_until_they_are_made_or_pointless() {
        let mut pulse = Pulse::first(Instant::now());
        for (status, owed) in [("True", false), ("Unknown", true), ("Unknown", true), ("True", false)] {
            pulse.turn(Some(status));
            assert_eq!(pulse.owes_marks, owed, "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_new_sign_of_life_moves_the_deadline() {
        let begin = Instant::now();
        let seconds = |count| begin + Duration::from_secs(count);
        let mut pulse = Pulse::first(begin);
        assert_eq!(pulse.deadline(GRACE), seconds(60));
        // now, renewed, reported → deadline
        let table = [
            (1, at(100), at(100), 41),
            (5, at(100), at(100), 41),
            (9, at(110), at(100), 49),
            (12, at(110), at(105), 52),
            (20, at(50), at(50), 52),
            (25, None, None, 52),
            (30, at(111), None, 70),
        ];
        for (now, renewed, reported, deadline) in table {
            pulse.observe(renewed, reported, seconds(now));
            assert_eq!(pulse.deadline(GRACE), seconds(deadline), "at {now} s");
        }
    }
}
