//! The guarantee: the changes of a slot that any thread may make in one atomic step.
//!
//! [`Memory`] is a slot as plain data, and [`rule`] names the rule that permits a change of it. No
//! rule permits anything else. The rules state what `types/state_word.rs`,
//! `types/heartbeat_word.rs` and `slots/slot_state.rs` implement with bits, and share no code with
//! them.
//!
//! Two checks use it. The facade asserts it for every write of an exploration under loom or
//! shuttle. `environment_tests` runs each call alone among all steps that it permits to other
//! threads.
//!
//! | rule           | by       | in which slot                 | change                                        |
//! |----------------|----------|-------------------------------|-----------------------------------------------|
//! | `Watch`        | anybody  | live, failed or cancelled     | the watched bit is set                        |
//! | `Advance`      | anybody  | running                       | the progress grows                            |
//! | `Heartbeat`    | anybody  | live, settled                 | the heartbeat's time grows                    |
//! | `Start`        | holder   | pending, settled              | the heartbeat says started                    |
//! | `Stop`         | holder   | running, settled              | the state is stopping                         |
//! | `Revise`       | holder   | not vacant                    | the revision grows by one                     |
//! | `End`          | holder   | live, settled                 | the heartbeat says how the job ended          |
//! | `Retry`        | holder   | failed or cancelled, settled  | the heartbeat is open again, at a later time  |
//! | `SettleStart`  | anybody  | pending, a start decided      | the state is running                          |
//! | `SettleEnding` | anybody  | live, an ending decided       | the state is that ending                      |
//! | `SettleRetry`  | anybody  | ended, a retry decided        | the state is pending, of the next attempt     |
//! | `Remove`       | holder   | ended, settled                | the state is vacant, of the next generation   |
//! | `Take`         | anybody  | vacant, claimed by nobody     | the slot is claimed                           |
//! | `Open`         | claimant | vacant, not opened            | the heartbeat is open, of this generation     |
//! | `Renumber`     | claimant | vacant                        | the revision is the first of this generation  |
//! | `Name`         | claimant | vacant, opened                | the nonce is that of this generation          |
//! | `Publish`      | claimant | vacant, opened and named      | the state is pending, of the first attempt    |
//! | `GiveBack`     | claimant | vacant, not opened            | the slot is claimed by nobody                 |
//! | `Lock`         | anybody  | locked by nobody              | the lock is held                              |
//! | `Unlock`       | holder   | settled                       | the lock is held by nobody                    |
//!
//! The holder is the thread that holds the job's lock. The claimant is the thread that took the
//! slot from the free list or that removed its last job. `Advance`, `Stop` and the three `Settle`
//! rules clear the watched bit. A thread that clears it has to wake the watchers, and so has a thread that
//! revises a watched job.

use crate::Status;
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::state_word::{Ending, LAST_ATTEMPT, RETIRED, StateWord};

/// Number of a thread.
pub(crate) type Thread = usize;

/// A state word as plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) generation: u32,
    pub(crate) attempt: u16,
    /// `None` in a vacant slot.
    pub(crate) status: Option<Status>,
    /// Parts per million.
    pub(crate) progress: u32,
    pub(crate) watched: bool,
}

/// A heartbeat word as plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Heartbeat {
    pub(crate) generation: u32,
    pub(crate) millis: u64,
    pub(crate) started: bool,
    /// Status of an ending that has been decided.
    pub(crate) verdict: Option<Status>,
}

/// The shared parts of a slot, except the body behind its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    pub(crate) state: State,
    pub(crate) heartbeat: Heartbeat,
    /// Generation whose revisions the slot counts, and their number.
    pub(crate) revision: (u32, u64),
    /// Generation whose nonce the slot stores.
    pub(crate) nonce: u32,
    /// The thread that holds the job's lock.
    pub(crate) lock: Option<Thread>,
    /// The thread that owns the vacant slot.
    pub(crate) claim: Option<Thread>,
}

/// A row of the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rule {
    Watch,
    Advance,
    Heartbeat,
    Start,
    Stop,
    Revise,
    End,
    Retry,
    SettleStart,
    SettleEnding,
    SettleRetry,
    Remove,
    Take,
    Open,
    Renumber,
    Name,
    Publish,
    GiveBack,
    Lock,
    Unlock,
}

impl Rule {
    pub(crate) const ALL: [Self; 20] = [
        Self::Watch,
        Self::Advance,
        Self::Heartbeat,
        Self::Start,
        Self::Stop,
        Self::Revise,
        Self::End,
        Self::Retry,
        Self::SettleStart,
        Self::SettleEnding,
        Self::SettleRetry,
        Self::Remove,
        Self::Take,
        Self::Open,
        Self::Renumber,
        Self::Name,
        Self::Publish,
        Self::GiveBack,
        Self::Lock,
        Self::Unlock,
    ];
}

impl State {
    pub(crate) fn of(word: StateWord) -> Self {
        Self {
            generation: word.generation(),
            attempt: word.attempt(),
            status: word.status(),
            progress: word.progress().ppm(),
            watched: word.is_watched(),
        }
    }

    pub(crate) fn is_live(self) -> bool {
        self.status.is_some_and(|status| !status.is_ended())
    }

    pub(crate) fn is_ended(self) -> bool {
        self.status.is_some_and(Status::is_ended)
    }
}

impl Heartbeat {
    pub(crate) fn of(word: HeartbeatWord) -> Self {
        Self {
            generation: word.generation(),
            millis: word.millis(),
            started: word.is_started(),
            verdict: word.verdict().map(Ending::status),
        }
    }
}

/// Returns the generation of a revision, and the count in it.
#[cfg(any(loom, shuttle, environment))]
pub(crate) fn revision_of(revision: u64) -> (u32, u64) {
    let generation = revision >> 40;
    let generation = u32::try_from(generation).expect("a generation has 24 bits");
    (generation, revision & ((1 << 40) - 1))
}

impl Memory {
    /// Returns a slot before its first job.
    pub(crate) fn new(word: StateWord, heartbeat: HeartbeatWord) -> Self {
        Self {
            state: State::of(word),
            heartbeat: Heartbeat::of(heartbeat),
            revision: (word.generation(), 0),
            nonce: 0,
            lock: None,
            claim: None,
        }
    }

    /// Whether the state word says everything that the heartbeat word has decided.
    pub(crate) fn is_settled(&self) -> bool {
        let Heartbeat {
            started, verdict, ..
        } = self.heartbeat;
        match self.state.status {
            None => true,
            Some(Status::Pending) => !started && verdict.is_none(),
            Some(Status::Running | Status::Stopping) => started && verdict.is_none(),
            Some(ended) => verdict == Some(ended),
        }
    }

    /// Whether the claimant has opened the heartbeat for the next job.
    fn is_opened(&self) -> bool {
        self.heartbeat.generation == self.state.generation
    }
}

/// Returns the rule that permits `by` to change `before` into `after` in one step.
pub(crate) fn rule(before: &Memory, after: &Memory, by: Thread) -> Option<Rule> {
    Rule::ALL
        .into_iter()
        .find(|rule| permits(*rule, before, after, by))
}

#[allow(clippy::too_many_lines)] // an arm for each row
fn permits(rule: Rule, before: &Memory, after: &Memory, by: Thread) -> bool {
    let Memory {
        state, heartbeat, ..
    } = *before;
    let (holds, claims) = (before.lock == Some(by), before.claim == Some(by));
    let is_settled = before.is_settled();
    // The watched bit is clear after every such change.
    let state_to = |to: State| {
        let state = State {
            watched: false,
            ..to
        };
        *after == Memory { state, ..*before }
    };
    let heartbeat_to = |heartbeat: Heartbeat| {
        *after
            == Memory {
                heartbeat,
                ..*before
            }
    };
    match rule {
        Rule::Watch => {
            let state = State {
                watched: true,
                ..state
            };
            let may_change = before.state.is_live()
                || matches!(
                    before.state.status,
                    Some(Status::Failed | Status::Cancelled)
                );
            may_change && !before.state.watched && *after == Memory { state, ..*before }
        }
        Rule::Advance => {
            let progress = after.state.progress;
            state.status == Some(Status::Running)
                && progress > state.progress
                && state_to(State { progress, ..state })
        }
        Rule::Heartbeat => {
            let millis = after.heartbeat.millis;
            state.is_live()
                && is_settled
                && millis > heartbeat.millis
                && heartbeat_to(Heartbeat {
                    millis,
                    ..heartbeat
                })
        }
        Rule::Start => {
            let millis = after.heartbeat.millis;
            holds
                && state.status == Some(Status::Pending)
                && is_settled
                && millis >= heartbeat.millis
                && heartbeat_to(Heartbeat {
                    millis,
                    started: true,
                    ..heartbeat
                })
        }
        Rule::Stop => {
            let status = Some(Status::Stopping);
            holds
                && state.status == Some(Status::Running)
                && is_settled
                && state_to(State { status, ..state })
        }
        Rule::Revise => {
            let (generation, count) = before.revision;
            let revision = (generation, count + 1);
            holds
                && state.status.is_some()
                && *after
                    == Memory {
                        revision,
                        ..*before
                    }
        }
        Rule::End => {
            let verdict = after.heartbeat.verdict;
            let is_possible = match verdict {
                Some(Status::Completed) => {
                    matches!(state.status, Some(Status::Running | Status::Stopping))
                }
                Some(_) => state.is_live(),
                None => false,
            };
            holds
                && is_settled
                && is_possible
                && heartbeat_to(Heartbeat {
                    verdict,
                    ..heartbeat
                })
        }
        Rule::Retry => {
            let millis = after.heartbeat.millis;
            holds
                && matches!(state.status, Some(Status::Failed | Status::Cancelled))
                && state.attempt != LAST_ATTEMPT
                && is_settled
                && millis > heartbeat.millis
                && heartbeat_to(Heartbeat {
                    millis,
                    started: false,
                    verdict: None,
                    ..heartbeat
                })
        }
        Rule::SettleStart => {
            state.status == Some(Status::Pending)
                && heartbeat.started
                && heartbeat.verdict.is_none()
                && state_to(State {
                    status: Some(Status::Running),
                    ..state
                })
        }
        Rule::SettleEnding => {
            let progress = match heartbeat.verdict {
                Some(Status::Completed) => crate::Progress::DONE.ppm(),
                _ => state.progress,
            };
            state.is_live()
                && heartbeat.verdict.is_some()
                && state_to(State {
                    status: heartbeat.verdict,
                    progress,
                    ..state
                })
        }
        Rule::SettleRetry => {
            state.is_ended()
                && !heartbeat.started
                && heartbeat.verdict.is_none()
                && state_to(State {
                    attempt: state.attempt.saturating_add(1),
                    status: Some(Status::Pending),
                    progress: 0,
                    ..state
                })
        }
        Rule::Remove => {
            let state = State {
                generation: state.generation + 1,
                attempt: 0,
                status: None,
                progress: 0,
                watched: false,
            };
            let claim = Some(by);
            holds
                && before.state.is_ended()
                && is_settled
                && *after
                    == Memory {
                        state,
                        claim,
                        ..*before
                    }
        }
        Rule::Take => {
            let claim = Some(by);
            state.status.is_none()
                && state.generation != RETIRED
                && before.claim.is_none()
                && *after == Memory { claim, ..*before }
        }
        Rule::Open => {
            claims
                && state.status.is_none()
                && !before.is_opened()
                && heartbeat_to(Heartbeat {
                    generation: state.generation,
                    millis: after.heartbeat.millis,
                    started: false,
                    verdict: None,
                })
        }
        Rule::Renumber => {
            let revision = (state.generation, 0);
            claims
                && state.status.is_none()
                && before.revision.0 <= state.generation
                && *after
                    == Memory {
                        revision,
                        ..*before
                    }
        }
        Rule::Name => {
            let nonce = state.generation;
            claims
                && state.status.is_none()
                && before.is_opened()
                && before.nonce != nonce
                && *after == Memory { nonce, ..*before }
        }
        Rule::Publish => {
            let state = State {
                attempt: 1,
                status: Some(Status::Pending),
                progress: 0,
                watched: false,
                ..state
            };
            let claim = None;
            claims
                && before.state.status.is_none()
                && before.is_opened()
                && before.nonce == state.generation
                && before.revision == (state.generation, 0)
                && *after
                    == Memory {
                        state,
                        claim,
                        ..*before
                    }
        }
        Rule::GiveBack => {
            let claim = None;
            claims
                && state.status.is_none()
                && !before.is_opened()
                && *after == Memory { claim, ..*before }
        }
        Rule::Lock => {
            let lock = Some(by);
            before.lock.is_none() && *after == Memory { lock, ..*before }
        }
        Rule::Unlock => {
            let lock = None;
            holds && is_settled && *after == Memory { lock, ..*before }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
