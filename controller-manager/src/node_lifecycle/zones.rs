//! How fast silent nodes of each zone are given up. Pure (kube-controller-manager, nodelifecycle: handleDisruption,
//! ComputeZoneState, scheduler.RateLimitedTimedQueue). The more of a zone is silent, the likelier it is that not the nodes
//! are at fault: a zone that is partly cut off is emptied slowly, or not at all when it is small; when every zone is cut off
//! altogether it is us who are, and nobody is driven off.
//!
//! Worked example: three of a zone's twenty nodes fall silent at once. The first is given up at once, the second ten seconds
//! later, the third after twenty, one token of 0.1/s each. If the second comes back meanwhile, the third moves up.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use tokio::time::Instant;

const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
/// Nodes labeled so do not count for how their zone does.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";
/// So long that it makes no difference, and short enough to be added up.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What upstream's flags say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    /// Nodes per second that are given up in a zone that is well, or cut off while others are not.
    pub(super) normal: f64,
    /// The same in a large zone that is partly cut off; a small one gives nobody up.
    pub(super) reduced: f64,
    /// A zone with more nodes than this is large.
    pub(super) large: usize,
    /// From this part of silent nodes on a zone counts as partly cut off.
    pub(super) unhealthy: f64,
}

/// The zone of a node: its region and zone; nodes without either share one.
pub(super) fn zone_of(node: &Node) -> String {
    let label = |key: &str| node.metadata.labels.as_ref().and_then(|all| all.get(key)).cloned().unwrap_or_default();
    match (label(REGION), label(ZONE)) {
        (region, zone) if region.is_empty() && zone.is_empty() => String::new(),
        (region, zone) => format!("{region}:{zone}"),
    }
}

/// How a zone does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Normal,
    Partly,
    CutOff,
}

/// Nodes of each zone: how many are ready, how many are not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Census(BTreeMap<String, (usize, usize)>);

impl Census {
    /// Counts; `is_ready` says which are.
    pub(super) fn of<'a>(nodes: impl IntoIterator<Item = &'a Node>, is_ready: impl Fn(&Node) -> bool) -> Self {
        let mut zones: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let counts = |node: &&Node| !node.metadata.labels.as_ref().is_some_and(|all| all.contains_key(EXCLUDED));
        for node in nodes.into_iter().filter(counts) {
            let zone = zones.entry(zone_of(node)).or_default();
            if is_ready(node) { zone.0 += 1 } else { zone.1 += 1 }
        }
        Self(zones)
    }

    /// Whether no node is ready anywhere: then it is us who are cut off.
    pub(super) fn is_cut_off(&self) -> bool {
        !self.0.is_empty() && self.0.values().all(|(ready, _)| *ready == 0)
    }

    /// Nodes per second that the zone may lose.
    pub(super) fn rate(&self, zone: &str, rates: &Rates) -> f64 {
        let (ready, silent) = self.0.get(zone).copied().unwrap_or_default();
        match state(ready, silent, rates.unhealthy) {
            State::Normal | State::CutOff => rates.normal,
            State::Partly if ready + silent > rates.large => rates.reduced,
            State::Partly => 0.0,
        }
    }
}

fn state(ready: usize, silent: usize, unhealthy: f64) -> State {
    match (ready, silent) {
        (0, 1..) => State::CutOff,
        _ if silent > 2 && silent as f64 / (ready + silent) as f64 >= unhealthy => State::Partly,
        _ => State::Normal,
    }
}

/// Whether a node may be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Now; the next one has to wait.
    Now,
    /// Not before this has passed, as things stand.
    After(Duration),
    /// Not as long as the zone does as it does.
    Never,
}

/// Who waits to be given up, zone by zone, in the order of asking.
#[derive(Debug, Default)]
pub(super) struct Turns(HashMap<String, Line>);

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<String>,
    /// When somebody last had a turn.
    last: Option<Instant>,
}

impl Turns {
    /// Asks for a turn of `node` in `zone`, which may lose `rate` nodes per second. Who is told to wait keeps its place;
    /// `waits` says of whom else that still holds: those that do not are passed over.
    pub(super) fn ask(
        &mut self,
        (zone, node): (&str, &str),
        rate: f64,
        waits: impl Fn(&str) -> bool,
        now: Instant,
    ) -> Turn {
        let line = self.0.entry(zone.to_string()).or_default();
        line.waiting.retain(|waiting| waiting == node || waits(waiting));
        let place = line.waiting.iter().position(|waiting| waiting == node).unwrap_or_else(|| {
            line.waiting.push_back(node.to_string());
            line.waiting.len() - 1
        });
        let Some(each) = period(rate) else { return Turn::Never };
        let next = line.last.map_or(now, |last| now.max(last + each));
        let wait = (next - now) + each.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX));
        if !wait.is_zero() {
            return Turn::After(wait.min(LONGEST));
        }
        line.waiting.pop_front();
        line.last = Some(now);
        Turn::Now
    }
}

/// Time between two nodes; `None`: nobody ever.
fn period(rate: f64) -> Option<Duration> {
    (rate > 0.0).then(|| Duration::try_from_secs_f64(rate.recip()).unwrap_or(LONGEST).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::super::plan::is_ready;
    use super::*;
    use serde_json::{Value, from_value, json};

    const RATES: Rates = Rates { normal: 0.1, reduced: 0.01, large: 5, unhealthy: 0.55 };

    fn node(labels: Value, ready: &str) -> Node {
        from_value(
            json!({"metadata": {"labels": labels}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}),
        )
        .unwrap()
    }

    fn zone(name: &str, ready: &str) -> Node {
        node(json!({ZONE: name}), ready)
    }

    /// So many nodes of a zone that are ready, and that are not.
    fn zones(counts: &[(&str, usize, usize)]) -> Census {
        let nodes: Vec<Node> = counts
            .iter()
            .flat_map(|(name, ready, silent)| {
                let well = (0..*ready).map(|_| zone(name, "True"));
                well.chain((0..*silent).map(|number| zone(name, if number % 2 == 0 { "Unknown" } else { "False" })))
            })
            .collect();
        Census::of(&nodes, is_ready)
    }

    #[test]
    fn a_zone_is_region_and_zone() {
        let table = [
            (json!({}), ""),
            (json!({"a": "b"}), ""),
            (json!({REGION: "r"}), "r:"),
            (json!({ZONE: "z"}), ":z"),
            (json!({REGION: "r", ZONE: "z"}), "r:z"),
        ];
        for (labels, expected) in table {
            assert_eq!(zone_of(&node(labels.clone(), "True")), expected, "{labels}");
        }
        assert_eq!(zone_of(&Node::default()), "");
    }

    #[test]
    fn a_zone_is_partly_cut_off_from_three_silent_nodes_on_if_they_are_most() {
        // ready, silent → state (ComputeZoneState)
        let table = [
            (0, 0, State::Normal),
            (1, 0, State::Normal),
            (0, 1, State::CutOff),
            (0, 9, State::CutOff),
            (1, 2, State::Normal),
            (1, 3, State::Partly),
            (3, 3, State::Normal),
            (9, 11, State::Partly),
            (46, 54, State::Normal),
            (45, 55, State::Partly),
        ];
        for (ready, silent, expected) in table {
            assert_eq!(state(ready, silent, 0.55), expected, "{ready} {silent}");
        }
        assert_eq!(state(9, 3, 0.25), State::Partly, "as the flag says");
    }

    #[test]
    fn the_rate_follows_the_zones_state_and_size() {
        let table = [
            (zones(&[("a", 5, 1)]), 0.1),
            (zones(&[("a", 1, 3)]), 0.0),
            (zones(&[("a", 2, 4)]), 0.01),
            // All of one zone, but not all of the cluster.
            (zones(&[("a", 0, 4), ("b", 1, 0)]), 0.1),
            // How others do is their business.
            (zones(&[("a", 5, 0), ("b", 1, 3)]), 0.1),
            (zones(&[("b", 1, 3)]), 0.1),
        ];
        for (census, rate) in table {
            assert!((census.rate(":a", &RATES) - rate).abs() < 1e-9, "{census:?}: {rate}");
        }
    }

    #[test]
    fn only_when_all_zones_are_cut_off_it_is_us() {
        let table = [
            (zones(&[]), false),
            (zones(&[("a", 0, 1)]), true),
            (zones(&[("a", 0, 3), ("b", 0, 1)]), true),
            (zones(&[("a", 0, 3), ("b", 1, 9)]), false),
        ];
        for (census, cut_off) in table {
            assert_eq!(census.is_cut_off(), cut_off, "{census:?}");
        }
    }

    #[test]
    fn excluded_nodes_and_nodes_without_a_word_are_counted_as_upstream_does() {
        let excluded = node(json!({EXCLUDED: ""}), "True");
        let nodes = [excluded.clone(), Node::default(), node(json!({}), "Unknown")];
        assert_eq!(Census::of(&nodes, is_ready), Census(BTreeMap::from([(String::new(), (0, 2))])));
        assert!(!Census::of(&[excluded], is_ready).is_cut_off(), "nobody counts");
    }

    /// Asks for these nodes one after the other, all of which still wait.
    fn ask(turns: &mut Turns, nodes: &[&str], rate: f64, now: Instant) -> Vec<Turn> {
        nodes.iter().map(|node| turns.ask(("z", node), rate, |_| true, now)).collect()
    }

    fn after(seconds: u64) -> Turn {
        Turn::After(Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_are_given_up_one_by_one_in_the_order_of_asking() {
        let (mut turns, start) = (Turns::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(ask(&mut turns, &["a", "b", "c"], 0.1, start), [Turn::Now, after(10), after(20)]);
        assert_eq!(ask(&mut turns, &["c", "b"], 0.1, at(4)), [after(16), after(6)], "asking again changes nothing");
        assert_eq!(ask(&mut turns, &["c", "b", "c"], 0.1, at(10)), [after(10), Turn::Now, after(10)]);
        assert_eq!(ask(&mut turns, &["c"], 0.1, at(25)), [Turn::Now]);
        // Unused time is not saved up.
        assert_eq!(ask(&mut turns, &["d", "e"], 0.1, at(100)), [Turn::Now, after(10)]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_behind_one_that_recovers_move_up() {
        let (mut turns, start) = (Turns::default(), Instant::now());
        ask(&mut turns, &["a", "b", "c", "d"], 0.1, start);
        let without_b = |node: &str| node != "b";
        assert_eq!(turns.ask(("z", "d"), 0.1, without_b, start), after(20));
        assert_eq!(turns.ask(("z", "c"), 0.1, without_b, start), after(10));
        // Who falls silent again asks anew, behind the others.
        assert_eq!(turns.ask(("z", "b"), 0.1, |_| true, start), after(30));
    }

    #[tokio::test(start_paused = true)]
    async fn each_zone_has_a_line_of_its_own() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        for zone in ["x", "y"] {
            assert_eq!(turns.ask((zone, "a"), 0.1, |_| true, now), Turn::Now, "{zone}");
            assert_eq!(turns.ask((zone, "b"), 0.1, |_| true, now), after(10), "{zone}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_changes_counts_from_the_last_turn() {
        let (mut turns, start) = (Turns::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        ask(&mut turns, &["a", "b"], 0.1, start);
        assert_eq!(ask(&mut turns, &["b"], 0.01, at(5)), [after(95)]);
        assert_eq!(ask(&mut turns, &["b"], 0.0, at(6)), [Turn::Never]);
        assert_eq!(ask(&mut turns, &["c", "b"], 0.1, at(7)), [after(13), after(3)], "the place was kept");
        assert_eq!(ask(&mut turns, &["b"], 0.1, at(10)), [Turn::Now]);
    }

    #[tokio::test(start_paused = true)]
    async fn rates_beyond_reason_do_no_harm() {
        let now = Instant::now();
        for rate in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, f64::MIN_POSITIVE, 1e-300, 1e300, f64::INFINITY] {
            let mut turns = Turns::default();
            let seen = ask(&mut turns, &["a", "b", "c"], rate, now);
            let again = ask(&mut turns, &["c"], rate, now + Duration::from_secs(1));
            let expected = if rate > 1.0 {
                vec![Turn::Now; 3]
            } else if rate > 0.0 {
                vec![Turn::Now, Turn::After(LONGEST), Turn::After(LONGEST)]
            } else {
                vec![Turn::Never; 3]
            };
            assert_eq!(seen, expected, "{rate}");
            assert_eq!(again.len(), 1);
        }
    }
}
