//! Random programs, larger than any set of all programs could be.

use super::alphabet::{Alphabet, Letter, Start};
use super::program::Program;

const MODELLED: bool = cfg!(any(loom, shuttle));

/// Sebastiano Vigna's `SplitMix64`: the same programs everywhere for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        let most = u64::try_from(most).expect("it is small");
        usize::try_from(self.next() % most).expect("it is below")
    }
}

/// Three to eight threads with forty calls together at most, none with more than nine.
pub(super) fn program(seed: u64) -> Program {
    let mut random = Random(seed);
    let start = Start::ALL[random.below(Start::ALL.len())];
    let mut letters = Alphabet::Every.letters(start);
    // On real threads the jobs of a program lie in several slots, and a walk reads one after the other.
    letters.retain(|letter| MODELLED || !matches!(letter, Letter::Iter | Letter::Counts));
    let threads = 3 + random.below(6);
    let most = (40 / threads).min(9);
    let mut program = Program {
        start,
        threads: vec![Vec::new(); threads],
    };
    for thread in 0..threads {
        for _ in 0..=random.below(most) {
            program.threads[thread].push(letters[random.below(letters.len())]);
            // Most letters are always possible: another one is drawn.
            while !program.is_possible() {
                program.threads[thread].pop();
                program.threads[thread].push(letters[random.below(letters.len())]);
            }
        }
    }
    program
}
