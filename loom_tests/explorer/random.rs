//! Random programs, larger than a set of all programs could contain.

use super::alphabet::{Alphabet, Letter, Start};
use super::program::Program;

const MODELLED: bool = cfg!(any(loom, shuttle));

/// Sebastiano Vigna's `SplitMix64`: a seed gives the same programs on every machine.
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

/// Returns a program of three to eight threads. It has at most 40 calls, and at most nine per
/// thread.
pub(super) fn program(seed: u64) -> Program {
    let mut random = Random(seed);
    let start = Start::ALL[random.below(Start::ALL.len())];
    let mut letters = Alphabet::Every.letters(start);
    // On real threads, a program's jobs occupy several slots, which a walk reads at different
    // instants.
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
            // Most letters are always possible, so a redraw soon succeeds.
            while !program.is_possible() {
                program.threads[thread].pop();
                program.threads[thread].push(letters[random.below(letters.len())]);
            }
        }
    }
    program
}
