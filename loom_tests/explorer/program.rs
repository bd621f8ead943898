//! Small programs: all of a size, once each.

use super::alphabet::{Letter, Start};
use std::fmt;

/// What each thread does, one after the other, from a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) start: Start,
    pub(super) threads: Vec<Vec<Letter>>,
}

/// `Running: Fail, Retry | Snapshot`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.start)?;
        for (place, thread) in self.threads.iter().enumerate() {
            let calls: Vec<_> = thread.iter().map(|letter| format!("{letter:?}")).collect();
            let gap = if place == 0 { "" } else { " | " };
            write!(f, "{gap}{}", calls.join(", "))?;
        }
        Ok(())
    }
}

/// All sequences of exactly `length` letters.
fn sequences(length: usize) -> Vec<Vec<Letter>> {
    let mut all = vec![Vec::new()];
    for _ in 0..length {
        let longer = |sequence: &Vec<Letter>| {
            let sequence = sequence.clone();
            Letter::ALL.map(|letter| [sequence.as_slice(), &[letter]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// All programs in which thread `n` makes `lengths[n]` calls, except that threads of the same length have no
/// names: of programs that differ in their order only, one is here.
pub(super) fn programs(start: Start, lengths: &[usize]) -> Vec<Program> {
    let mut all = vec![Vec::<Vec<Letter>>::new()];
    for &length in lengths {
        let next = sequences(length);
        let extend = |threads: &Vec<Vec<Letter>>| {
            let after = threads.last().filter(|last| last.len() == length).cloned();
            let threads = threads.clone();
            next.iter()
                .filter(move |one| after.as_ref().is_none_or(|last| last <= *one))
                .map(move |one| [threads.as_slice(), std::slice::from_ref(one)].concat())
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(extend).collect();
    }
    let races = |threads: &Vec<Vec<Letter>>| {
        let looks = |thread: &Vec<Letter>| thread.iter().all(|letter| letter.only_looks());
        threads.iter().filter(|thread| !looks(thread)).count() > 0
    };
    all.retain(races);
    all.into_iter()
        .map(|threads| Program { start, threads })
        .collect()
}
