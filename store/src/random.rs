//! Two sources of numbers: one that nobody can foresee, for names and secrets; and a small generator (Steele, Lea, Flood 2014) for
//! what must be the same everywhere for the same seed: planted faults, election timeouts.

/// A number that nobody can foresee; never 0.
pub(crate) fn random() -> u64 {
    rand::random::<u64>().max(1)
}

/// The generator; its state is the seed.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}
