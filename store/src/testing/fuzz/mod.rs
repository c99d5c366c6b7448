//! Fuzzing of what reads a disk's or a network's bytes: good inputs, changed at random by a seeded generator, must
//! never cause a panic. (That they never take much memory, either, is for the program around this to see: `examples/fuzz`.)
//!
//! Without a compiler's help nobody knows which code an input reached. What became of it says something of that: a changed
//! input that ends in a way not seen before is kept, and changed further. Checksums are made right again in most inputs (`mend`),
//! or nothing would get past them.
//!
//! | module | what is read |
//! |---|---|
//! | `files` | a store's directory: log files, and snapshots as files; a snapshot alone |
//! | `checkpoints` | a checkpoint: its manifest and its database's files |
//! | `backups` | files for `snapshot status` and `restore`, and an etcd's database for `import` |
//! | `peers` | what other members say |
//! | `requests` | entries of the log; requests of clients |
//! | `change` | changes an input. Pure |

mod backups;
mod change;
mod checkpoints;
mod files;
mod peers;
mod requests;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use base::panics::catch;

use crate::random::SplitMix;

/// Inputs that were kept are not more than this.
const MOST_KEPT: usize = 4000;
/// No input is longer than this.
const MOST_BYTES: usize = 64 << 10;

/// What is read: named pieces, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input(pub Vec<(String, Vec<u8>)>);

impl Input {
    fn size(&self) -> usize {
        self.0.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// As one byte string, for a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for (name, bytes) in &self.0 {
            all.extend_from_slice(format!("{name} {}\n", bytes.len()).as_bytes());
            all.extend_from_slice(bytes);
        }
        all
    }

    /// Reads [`Input::to_bytes`] back.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_bytes(mut all: &[u8]) -> Result<Self, &'static str> {
        let mut input = Self::default();
        while !all.is_empty() {
            let end = all.iter().position(|byte| *byte == b'\n').ok_or("no line")?;
            let line = std::str::from_utf8(&all[..end]).map_err(|_| "no text")?;
            let (name, length) = line.rsplit_once(' ').ok_or("no length")?;
            let length: usize = length.parse().map_err(|_| "no number")?;
            let bytes = all.get(end + 1..end + 1 + length).ok_or("cut short")?;
            input.0.push((name.to_owned(), bytes.to_vec()));
            all = &all[end + 1 + length..];
        }
        Ok(input)
    }
}

/// A reader to be fuzzed.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Good inputs.
    seeds: fn() -> Vec<Input>,
    /// Makes the checksums of a changed input right.
    mend: fn(&mut Input),
    /// Reads an input; what became of it, in words. Panics when something is wrong.
    read: fn(&Input) -> String,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    files::DIRECTORY,
    files::SNAPSHOT,
    checkpoints::CHECKPOINT,
    backups::BACKUP,
    backups::DATABASE,
    peers::PARCELS,
    requests::ENTRIES,
    requests::CALLS,
];

/// An input that causes a panic.
#[derive(Debug)]
pub struct Failure {
    /// It.
    pub input: Input,
    /// What the panic said.
    pub what: String,
}

/// Changes and reads inputs of one target.
pub struct Fuzzer {
    target: &'static Target,
    random: SplitMix,
    kept: Vec<Input>,
    outcomes: HashSet<u64>,
    /// Inputs read so far.
    pub iterations: u64,
}

impl Fuzzer {
    /// Begins with the good inputs, which must be read without a panic.
    ///
    /// # Errors
    /// When one is not.
    pub fn new(target: &'static Target, seed: u64) -> Result<Self, Box<Failure>> {
        let kept = (target.seeds)();
        assert!(!kept.is_empty(), "{}: there is no good input to begin with", target.name);
        let mut fuzzer = Self { target, random: SplitMix(seed), kept, outcomes: HashSet::new(), iterations: 0 };
        for at in 0..fuzzer.kept.len() {
            let input = fuzzer.kept[at].clone();
            let size = input.size();
            assert!(!input.0.is_empty() && size <= MOST_BYTES, "{}: a good input of {size} bytes", target.name);
            let outcome = read(target, &input)?;
            fuzzer.is_new(&outcome);
        }
        Ok(fuzzer)
    }

    /// How many different ways to end have been seen.
    pub fn outcomes(&self) -> usize {
        self.outcomes.len()
    }

    /// Changes an input and reads it.
    ///
    /// # Errors
    /// When that causes a panic.
    pub fn step(&mut self) -> Result<(), Box<Failure>> {
        self.iterations += 1;
        let at = self.random.below(self.kept.len() as u64) as usize;
        let mut input = self.kept[at].clone();
        let other = self.random.below(self.kept.len() as u64) as usize;
        for _ in 0..1 + self.random.below(4) {
            change::change(&mut input, &self.kept[other], &mut self.random);
        }
        if self.random.below(8) > 0 {
            (self.target.mend)(&mut input);
        }
        if input.size() > MOST_BYTES {
            return Ok(());
        }
        let outcome = read(self.target, &input)?;
        if self.is_new(&outcome) && self.kept.len() < MOST_KEPT {
            self.kept.push(input);
        }
        Ok(())
    }

    /// Whether an outcome is a new one, numbers aside.
    fn is_new(&mut self, outcome: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        let mut number = false;
        for byte in outcome.bytes() {
            if !byte.is_ascii_digit() {
                byte.hash(&mut hasher);
            } else if !number {
                b'0'.hash(&mut hasher);
            }
            number = byte.is_ascii_digit();
        }
        self.outcomes.insert(hasher.finish())
    }
}

/// Reads an input of a target.
///
/// # Errors
/// When that causes a panic.
pub fn read(target: &Target, input: &Input) -> Result<String, Box<Failure>> {
    catch(|| (target.read)(input)).map_err(|what| Box::new(Failure { input: input.clone(), what }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_written_and_read_back() {
        let input = Input(vec![("a b".into(), b"x\ny 3\n".to_vec()), (String::new(), Vec::new())]);
        assert_eq!(Input::from_bytes(&input.to_bytes()), Ok(input));
        assert!(Input::from_bytes(b"a 9\nx").is_err());
    }

    #[test]
    fn a_seed_gives_the_same_inputs() {
        let run = |seed| {
            let mut fuzzer = Fuzzer::new(&requests::CALLS, seed).unwrap();
            (0..50).for_each(|_| fuzzer.step().unwrap());
            fuzzer.kept
        };
        assert!(run(1) == run(1) && run(1) != run(2));
    }
}
