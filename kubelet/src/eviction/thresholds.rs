//! The flags of eviction in upstream's syntax, e.g. `memory.available<100Mi,nodefs.available<10%`
//! (pkg/kubelet/eviction/helpers.go, ParseThresholdConfig). Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use api::quantity::Quantity;

/// What upstream's kubelet starts with on Linux (defaults_linux.go).
pub const HARD: &str =
    "imagefs.available<15%,imagefs.inodesFree<5%,memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%";

/// Something that may run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Bytes of memory.
    Memory,
    /// Bytes of the file system that holds the kubelet's root directory.
    Nodefs,
    /// Its inodes.
    NodefsInodes,
    /// Bytes of the file system that holds images and writable layers.
    Imagefs,
    /// Its inodes.
    ImagefsInodes,
    /// Process numbers.
    Pid,
}

/// Names of the signals.
const SIGNALS: [(&str, Signal); 6] = [
    ("memory.available", Signal::Memory),
    ("nodefs.available", Signal::Nodefs),
    ("nodefs.inodesFree", Signal::NodefsInodes),
    ("imagefs.available", Signal::Imagefs),
    ("imagefs.inodesFree", Signal::ImagefsInodes),
    ("pid.available", Signal::Pid),
];

impl Signal {
    fn parse(name: &str) -> Result<Self, String> {
        let found = SIGNALS.iter().find(|(known, _)| *known == name);
        found.map(|(_, signal)| *signal).ok_or_else(|| format!("unsupported eviction signal {name}"))
    }

    /// As flags name it.
    pub fn name(self) -> &'static str {
        SIGNALS.iter().find(|(_, signal)| *signal == self).map_or("", |(name, _)| name)
    }
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Bytes, or a number of things.
    Absolute(i64),
    /// A part of the whole, 0 to 1.
    Fraction(f64),
}

impl Amount {
    /// The amount, given the whole.
    pub fn of(self, capacity: i64) -> i64 {
        match self {
            Self::Absolute(amount) => amount,
            Self::Fraction(part) => (capacity as f64 * part) as i64,
        }
    }
}

/// Below which something must be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Of what.
    pub signal: Signal,
    /// Less than this.
    pub amount: Amount,
    /// For how long before anything is done; zero for a hard threshold.
    pub grace: Duration,
    /// Whether pods get time to end.
    pub soft: bool,
    /// By how much more than the threshold is to be reclaimed.
    pub reclaim: Option<Amount>,
}

/// The flags of eviction.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Thresholds.
    pub thresholds: Vec<Threshold>,
    /// How long a condition outlasts its cause.
    pub transition: Duration,
    /// Most seconds that a pod ended by a soft threshold gets.
    pub soft_grace: i64,
    /// Whether the node counts only a part of its machine.
    pub shared: bool,
}

/// Reads the four flags.
///
/// # Errors
/// In upstream's words.
pub fn parse(hard: &str, soft: &str, soft_grace: &str, reclaim: &str) -> Result<Vec<Threshold>, String> {
    let mut all = statements(hard, false)?;
    let graces = pairs(soft_grace, "grace period", |text| {
        let duration = api::duration::parse_go(text).map_err(|error| error.to_string())?;
        Duration::try_from(duration)
            .map_err(|_| format!("invalid eviction grace period specified: {text}, must be a positive value"))
    })?;
    for mut threshold in statements(soft, true)? {
        let grace = graces.get(&threshold.signal).copied();
        threshold.grace = grace.ok_or_else(|| {
            format!("grace period must be specified for the soft eviction threshold {}", threshold.signal.name())
        })?;
        all.push(threshold);
    }
    let reclaims = pairs(reclaim, "minimum reclaim", |text| match text.strip_suffix('%') {
        Some(percent) => percentage(percent).map(Amount::Fraction),
        None => quantity(text).map(Amount::Absolute),
    })?;
    for threshold in &mut all {
        threshold.reclaim = reclaims.get(&threshold.signal).copied();
    }
    Ok(all)
}

fn statements(text: &str, soft: bool) -> Result<Vec<Threshold>, String> {
    let mut all: Vec<Threshold> = Vec::new();
    let mut seen = Vec::new();
    for statement in text.split(',').filter(|statement| !statement.is_empty()) {
        let parts: Vec<&str> = statement.split('<').collect();
        let [name, value] = parts.as_slice() else {
            return Err(format!("invalid eviction threshold syntax {statement}, expected <signal><operator><value>"));
        };
        let signal = Signal::parse(name)?;
        if seen.contains(&signal) {
            return Err(format!("found duplicate eviction threshold for signal {name}"));
        }
        seen.push(signal);
        let amount = match value.strip_suffix('%') {
            // Nothing and everything are ways to say: never.
            Some("0" | "100") => continue,
            Some(percent) => Amount::Fraction(percentage(percent)?),
            None => match quantity(value)? {
                amount if amount <= 0 => return Err(format!("eviction threshold {name} must be positive: {value}")),
                amount => Amount::Absolute(amount),
            },
        };
        all.push(Threshold { signal, amount, grace: Duration::ZERO, soft, reclaim: None });
    }
    Ok(all)
}

fn pairs<T>(text: &str, what: &str, value: impl Fn(&str) -> Result<T, String>) -> Result<BTreeMap<Signal, T>, String> {
    let mut all = BTreeMap::new();
    for statement in text.split(',').filter(|statement| !statement.is_empty()) {
        let (name, given) = statement
            .split_once('=')
            .ok_or_else(|| format!("invalid eviction {what} syntax {statement}, expected <signal>=<value>"))?;
        if all.insert(Signal::parse(name)?, value(given)?).is_some() {
            return Err(format!("duplicate eviction {what} specified for {name}"));
        }
    }
    Ok(all)
}

fn percentage(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| format!("invalid percentage {text}%"))?;
    if (0.0..=100.0).contains(&percent) {
        Ok(percent / 100.0)
    } else {
        Err(format!("eviction percentage threshold must be >= 0% and <= 100%: {text}%"))
    }
}

fn quantity(text: &str) -> Result<i64, String> {
    Quantity::parse(text).map(|quantity| quantity.value()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hard(text: &str) -> Result<Vec<Threshold>, String> {
        parse(text, "", "", "")
    }

    #[test]
    fn upstreams_defaults_parse() {
        let all = hard(HARD).unwrap();
        let told: Vec<(&str, Amount)> = all.iter().map(|t| (t.signal.name(), t.amount)).collect();
        assert_eq!(
            told,
            [
                ("imagefs.available", Amount::Fraction(0.15)),
                ("imagefs.inodesFree", Amount::Fraction(0.05)),
                ("memory.available", Amount::Absolute(100 << 20)),
                ("nodefs.available", Amount::Fraction(0.1)),
                ("nodefs.inodesFree", Amount::Fraction(0.05)),
            ]
        );
        assert!(all.iter().all(|threshold| !threshold.soft && threshold.grace.is_zero()));
    }

    #[test]
    fn thresholds_that_say_never_are_none() {
        for text in ["", "nodefs.available<0%,imagefs.available<100%"] {
            assert_eq!(hard(text).unwrap(), [], "{text:?}");
        }
    }

    #[test]
    fn soft_thresholds_need_a_grace_period_and_reclaim_goes_to_both() {
        let all = parse(
            "memory.available<100Mi",
            "memory.available<1Gi,pid.available<10%",
            "memory.available=1m30s,pid.available=2s",
            "memory.available=500Mi",
        )
        .unwrap();
        let told: Vec<(bool, u64, Option<Amount>)> =
            all.iter().map(|t| (t.soft, t.grace.as_secs(), t.reclaim)).collect();
        let more = Some(Amount::Absolute(500 << 20));
        assert_eq!(told, [(false, 0, more), (true, 90, more), (true, 2, None)]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_upstreams_words() {
        let table = [
            (
                ["memory.available=1Mi", "", "", ""],
                "invalid eviction threshold syntax memory.available=1Mi, expected <signal><operator><value>",
            ),
            (["cpu.available<1", "", "", ""], "unsupported eviction signal cpu.available"),
            (["memory.available<0", "", "", ""], "eviction threshold memory.available must be positive: 0"),
            (["memory.available<-1Mi", "", "", ""], "eviction threshold memory.available must be positive: -1Mi"),
            (["nodefs.available<101%", "", "", ""], "eviction percentage threshold must be >= 0% and <= 100%: 101%"),
            (
                ["memory.available<1Mi,memory.available<2Mi", "", "", ""],
                "found duplicate eviction threshold for signal memory.available",
            ),
            (
                ["", "memory.available<1Mi", "", ""],
                "grace period must be specified for the soft eviction threshold memory.available",
            ),
            (
                ["", "memory.available<1Mi", "memory.available=-1s", ""],
                "invalid eviction grace period specified: -1s, must be a positive value",
            ),
            (
                ["", "", "memory.available", ""],
                "invalid eviction grace period syntax memory.available, expected <signal>=<value>",
            ),
            (
                ["", "", "", "memory.available=1,memory.available=2"],
                "duplicate eviction minimum reclaim specified for memory.available",
            ),
        ];
        for ([hard, soft, grace, reclaim], message) in table {
            assert_eq!(parse(hard, soft, grace, reclaim).unwrap_err(), message);
        }
        assert!(hard("memory.available<x").is_err());
    }

    #[test]
    fn fractions_are_of_the_whole() {
        assert_eq!(Amount::Fraction(0.1).of(1000), 100);
        assert_eq!(Amount::Absolute(7).of(1000), 7);
    }
}
