//! Small programs: all of a size, once each.

use super::alphabet::{Alphabet, EARLIER_WATCH, FIRST_WATCH, Letter, SECOND_WATCH, Start};
use std::fmt;
use std::str::FromStr;

/// The calls of each thread, in order, and the state in which they begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) start: Start,
    pub(super) threads: Vec<Vec<Letter>>,
}

/// Formats a program as `Running: Fail, Retry | Snapshot`.
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

/// Parses the text that `Display` writes.
impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (start, threads) = text
            .split_once(':')
            .ok_or("a start state and a colon first")?;
        let start = named(&Start::ALL, start)?;
        let letters = Alphabet::Every.letters(start);
        let thread = |calls: &str| calls.split(',').map(|call| named(&letters, call)).collect();
        let threads: Result<_, String> = threads.split('|').map(thread).collect();
        Ok(Self {
            start,
            threads: threads?,
        })
    }
}

fn named<N: fmt::Debug + Copy>(all: &[N], name: &str) -> Result<N, String> {
    let name = name.trim();
    let found = all.iter().find(|one| format!("{one:?}") == name);
    found.copied().ok_or(format!("`{name}` is none of {all:?}"))
}

impl Program {
    /// Whether the program can be written in Rust. A watch belongs to one thread, and no call uses
    /// an owner after its drop.
    pub(super) fn is_possible(&self) -> bool {
        let threads = self.threads.iter();
        let using = |uses: &dyn Fn(&Letter) -> bool| {
            let threads = threads.clone();
            threads.filter(|letters| letters.iter().any(uses)).count()
        };
        let watches = [FIRST_WATCH, SECOND_WATCH, EARLIER_WATCH];
        let shared = watches
            .iter()
            .any(|watch| using(&|letter| letter.watch() == Some(*watch)) > 1);
        let is_dropped = using(&|letter| *letter == Letter::DropOwner) > 0;
        let is_used_when_dropped = is_dropped
            && (using(&|letter| letter.needs_the_owner()) > 1
                || threads.clone().any(|letters| {
                    let mut owner = letters.iter().filter(|letter| letter.needs_the_owner());
                    owner.any(|letter| *letter == Letter::DropOwner) && owner.next().is_some()
                }));
        !shared && !is_used_when_dropped
    }
}

/// Returns all sequences of exactly `length` letters.
fn sequences(letters: &[Letter], length: usize) -> Vec<Vec<Letter>> {
    let mut all = vec![Vec::new()];
    for _ in 0..length {
        let longer = |sequence: &Vec<Letter>| {
            let sequence = sequence.clone();
            letters
                .iter()
                .map(move |letter| [sequence.as_slice(), &[*letter]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// Returns all programs in which thread `n` makes `lengths[n]` calls. Programs that differ only in
/// the order of threads of the same length occur once.
pub(super) fn programs(alphabet: Alphabet, start: Start, lengths: &[usize]) -> Vec<Program> {
    let letters = alphabet.letters(start);
    let mut all = vec![Vec::<Vec<Letter>>::new()];
    for &length in lengths {
        let next = sequences(&letters, length);
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
    let programs = all.into_iter().map(|threads| Program { start, threads });
    programs.filter(Program::is_possible).collect()
}
