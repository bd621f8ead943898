//! The three judges of a history, which have to agree.

use super::history::{Group, History};
use super::model::State;
use super::{opinion, replay, search, timeline};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The verdicts of the judges on one group.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The call that the search does not explain.
    pub(super) search: Option<usize>,
    /// `None` if the time did not suffice.
    pub(super) opinion: Option<bool>,
    /// The call that contradicts the order of the effects, and why.
    pub(super) replay: Option<(usize, String)>,
}

impl Verdict {
    pub(super) fn of(initial: &State, group: &Group) -> Self {
        Self {
            search: search::judge(initial, group).err(),
            opinion: opinion::judge(initial, group),
            replay: replay::judge(initial, group).err(),
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.search.is_none() && self.opinion == Some(true) && self.replay.is_none()
    }

    /// Returns the verdicts as a text, with a timeline.
    pub(super) fn text(&self, group: &Group) -> String {
        let replay = self.replay.as_ref().map(|(_, why)| why.as_str());
        let at = self.search.or(self.replay.as_ref().map(|(at, _)| *at));
        format!(
            "search: {}, porcupine: {:?}, replay: {}\n{}",
            self.search.map_or("explained", |_| "not explained"),
            self.opinion,
            replay.unwrap_or("explained"),
            timeline::draw(group, at.unwrap_or(0))
        )
    }
}

/// Judges all groups, and returns the verdicts that are not good, with their groups.
pub(super) fn judge(history: &History) -> Vec<(usize, Verdict)> {
    judge_from(history, |_| State::default())
}

/// Judges all groups from the state with which each begins.
pub(super) fn judge_from(
    history: &History,
    initial: impl Fn(usize) -> State + Sync,
) -> Vec<(usize, Verdict)> {
    let next = AtomicUsize::new(0);
    let bad = Mutex::new(Vec::new());
    let work = || {
        while let Some(at) = Some(next.fetch_add(1, Ordering::SeqCst)) {
            let Some(group) = history.groups.get(at) else {
                break;
            };
            let verdict = Verdict::of(&initial(at), group);
            if !verdict.is_good() {
                bad.lock().unwrap().push((at, verdict));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    bad.into_inner().unwrap()
}
