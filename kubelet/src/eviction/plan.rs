//! Which thresholds are met, which conditions the node has, and what is to be reclaimed. Pure
//! (pkg/kubelet/eviction/eviction_manager.go, synchronize).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::signals::Observations;
use super::thresholds::{Signal, Threshold};

/// What the node lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Condition MemoryPressure.
    Memory,
    /// Condition DiskPressure.
    Disk,
    /// Condition PIDPressure.
    Pid,
}

impl Pressure {
    /// Name of the condition.
    pub fn condition(self) -> &'static str {
        match self {
            Self::Memory => "MemoryPressure",
            Self::Disk => "DiskPressure",
            Self::Pid => "PIDPressure",
        }
    }

    fn of(signal: Signal) -> Self {
        match signal {
            Signal::Memory => Self::Memory,
            Signal::Nodefs | Signal::NodefsInodes | Signal::Imagefs | Signal::ImagefsInodes => Self::Disk,
            Signal::Pid => Self::Pid,
        }
    }
}

/// What is remembered from one look to the next.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Thresholds (by their place in the list) that are met, since when.
    since: BTreeMap<usize, Timestamp>,
    /// Thresholds that were acted on and are not over yet: they are held to their minimum reclaim.
    acted: Vec<usize>,
    /// When each pressure was last seen.
    seen: BTreeMap<Pressure, Timestamp>,
}

/// What to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Conditions that the node has.
    pub pressures: Vec<Pressure>,
    /// What is to be reclaimed by ending a pod.
    pub reclaim: Option<Reclaim>,
}

/// A threshold that demands a pod.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reclaim {
    /// Which.
    pub threshold: Threshold,
    /// The threshold as an amount.
    pub wanted: i64,
    /// What is left.
    pub available: i64,
}

/// Decides, and remembers. `transition`: how long a condition outlasts its cause, so that it does not flutter.
pub fn plan(
    thresholds: &[Threshold],
    observed: &Observations,
    memory: &mut Memory,
    transition: Duration,
    now: Timestamp,
) -> Plan {
    let met: Vec<usize> = (0..thresholds.len())
        .filter(|place| is_met(&thresholds[*place], observed, memory.acted.contains(place)))
        .collect();
    memory.since.retain(|place, _| met.contains(place));
    for place in &met {
        memory.since.entry(*place).or_insert(now);
        memory.seen.insert(Pressure::of(thresholds[*place].signal), now);
    }
    let lasts = |since: Timestamp, least: Duration| {
        now.duration_since(since) >= SignedDuration::try_from(least).unwrap_or(SignedDuration::MAX)
    };
    memory.seen.retain(|_, seen| *seen == now || !lasts(*seen, transition));
    let due = met.into_iter().filter(|place| lasts(memory.since[place], thresholds[*place].grace));
    memory.acted = due.collect();
    // Memory first: without it nothing else can be done.
    let first = memory.acted.iter().min_by_key(|place| (thresholds[**place].signal != Signal::Memory, **place));
    let reclaim = first.and_then(|place| {
        let threshold = thresholds[*place];
        let observed = observed.get(&threshold.signal)?;
        let wanted = threshold.amount.of(observed.capacity);
        Some(Reclaim { threshold, wanted, available: observed.available })
    });
    Plan { pressures: memory.seen.keys().copied().collect(), reclaim }
}

fn is_met(threshold: &Threshold, observed: &Observations, enforce_reclaim: bool) -> bool {
    let Some(observed) = observed.get(&threshold.signal) else { return false };
    let more = threshold.reclaim.filter(|_| enforce_reclaim).map_or(0, |amount| amount.of(observed.capacity));
    observed.available < threshold.amount.of(observed.capacity) + more
}

/// Why a new pod may not start while the node lacks something; `None` if it may (eviction_manager.go, Admit).
pub fn refuse(pressures: &[Pressure], critical: bool, best_effort: bool, tolerates_memory: bool) -> Option<String> {
    if pressures.is_empty() || critical {
        return None;
    }
    if pressures == [Pressure::Memory] && (!best_effort || tolerates_memory) {
        return None;
    }
    let names: Vec<&str> = pressures.iter().map(|pressure| pressure.condition()).collect();
    Some(format!("The node had condition: [{}]. ", names.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::super::signals::Observation;
    use super::super::thresholds::parse;
    use super::*;

    const FIVE_MINUTES: Duration = Duration::from_secs(300);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// Of a thousand each.
    fn left(memory: i64, disk: i64) -> Observations {
        let of = |available: i64| Observation { available, capacity: 1000 };
        [(Signal::Memory, of(memory)), (Signal::Nodefs, of(disk))].into()
    }

    /// Looks one after the other: (second, memory, disk left) → conditions, what is reclaimed.
    fn looks(thresholds: &[Threshold], steps: &[(i64, i64, i64)]) -> Vec<(Vec<Pressure>, Option<Signal>)> {
        let mut memory = Memory::default();
        let mut look = |(second, bytes, disk): &(i64, i64, i64)| {
            let plan = plan(thresholds, &left(*bytes, *disk), &mut memory, FIVE_MINUTES, at(*second));
            (plan.pressures, plan.reclaim.map(|reclaim| reclaim.threshold.signal))
        };
        steps.iter().map(&mut look).collect()
    }

    #[test]
    fn a_hard_threshold_acts_at_once_and_its_condition_outlasts_it() {
        let thresholds = parse("memory.available<100", "", "", "").unwrap();
        let seen = looks(&thresholds, &[(0, 100, 0), (10, 99, 0), (20, 500, 0), (309, 500, 0), (310, 500, 0)]);
        let (pressed, memory) = (vec![Pressure::Memory], Some(Signal::Memory));
        assert_eq!(
            seen,
            [(vec![], None), (pressed.clone(), memory), (pressed.clone(), None), (pressed, None), (vec![], None)]
        );
    }

    #[test]
    fn a_soft_threshold_is_a_condition_at_once_but_acts_after_its_grace() {
        let thresholds = parse("", "memory.available<100", "memory.available=30s", "").unwrap();
        let pressed = vec![Pressure::Memory];
        let seen = looks(&thresholds, &[(0, 50, 0), (29, 50, 0), (30, 50, 0)]);
        assert_eq!(seen, [(pressed.clone(), None), (pressed.clone(), None), (pressed.clone(), Some(Signal::Memory))]);
        // What recovers in between begins anew.
        let seen = looks(&thresholds, &[(0, 50, 0), (20, 500, 0), (25, 50, 0), (40, 50, 0)]);
        assert!(seen.iter().all(|(_, reclaim)| reclaim.is_none()), "{seen:?}");
    }

    #[test]
    fn what_was_acted_on_goes_on_until_the_minimum_is_reclaimed() {
        let thresholds = parse("memory.available<100", "", "", "memory.available=50").unwrap();
        let memory = Some(Signal::Memory);
        let seen = looks(&thresholds, &[(0, 140, 0), (10, 90, 0), (20, 140, 0), (30, 150, 0), (40, 140, 0)]);
        let reclaimed: Vec<_> = seen.into_iter().map(|(_, reclaim)| reclaim).collect();
        assert_eq!(reclaimed, [None, memory, memory, None, None]);
    }

    #[test]
    fn memory_comes_before_disk_and_both_are_said() {
        let thresholds = parse("nodefs.available<10%,memory.available<100", "", "", "").unwrap();
        let both = vec![Pressure::Memory, Pressure::Disk];
        assert_eq!(looks(&thresholds, &[(0, 99, 99)]), [(both, Some(Signal::Memory))]);
        assert_eq!(looks(&thresholds, &[(0, 100, 99)]), [(vec![Pressure::Disk], Some(Signal::Nodefs))]);
    }

    #[test]
    fn what_is_reclaimed_says_how_much_was_wanted() {
        let thresholds = parse("nodefs.available<10%", "", "", "").unwrap();
        let plan = plan(&thresholds, &left(0, 42), &mut Memory::default(), FIVE_MINUTES, at(0));
        let reclaim = plan.reclaim.unwrap();
        assert_eq!((reclaim.wanted, reclaim.available), (100, 42));
    }

    #[test]
    fn a_signal_that_the_machine_lacks_is_never_met() {
        let thresholds = parse("pid.available<10%", "", "", "").unwrap();
        assert_eq!(looks(&thresholds, &[(0, 0, 0)]), [(vec![], None)]);
    }

    #[test]
    fn new_pods_are_refused_as_upstream_refuses_them() {
        use Pressure::{Disk, Memory, Pid};
        let memory = Some("The node had condition: [MemoryPressure]. ");
        let disk = Some("The node had condition: [DiskPressure]. ");
        let both = Some("The node had condition: [MemoryPressure PIDPressure]. ");
        type Case = (&'static [Pressure], bool, bool, bool, Option<&'static str>);
        let table: [Case; 8] = [
            (&[], false, true, false, None),
            (&[Memory], false, true, false, memory),
            (&[Memory], false, true, true, None),
            (&[Memory], false, false, false, None),
            (&[Memory], true, true, false, None),
            (&[Disk], false, false, true, disk),
            (&[Disk], true, false, false, None),
            (&[Memory, Pid], false, false, true, both),
        ];
        for (pressures, critical, best_effort, tolerates, expected) in table {
            assert_eq!(refuse(pressures, critical, best_effort, tolerates).as_deref(), expected, "{pressures:?}");
        }
    }
}
