//! [`Slot`]: a job's words, its body behind locks, and its watchers.

use crate::slots::body::Body;
use crate::slots::fenced_id::FencedId;
use crate::slots::slot_state::{SlotState, is_settled};
use crate::slots::watchers::{WakeDuty, Watchers};
use crate::sync::Mark;
use crate::types::error::{Fenced, LookupError};
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::snapshot::{Details, Snapshot};
use crate::types::state_word::StateWord;
use std::ops::Deref;

/// References to the parts of a slot, and to the watchers that its steps wake.
#[derive(Debug)]
pub(crate) struct Slot<'a, T> {
    pub(crate) index: u32,
    state: &'a SlotState,
    pub(crate) body: &'a Body<T>,
    pub(crate) watchers: &'a Watchers,
}

impl<T> Clone for Slot<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<'_, T> {}

impl<T> Deref for Slot<'_, T> {
    type Target = SlotState;

    #[inline]
    fn deref(&self) -> &SlotState {
        self.state
    }
}

impl<'a, T> Slot<'a, T> {
    #[inline(always)]
    pub(crate) fn new(
        index: u32,
        state: &'a SlotState,
        body: &'a Body<T>,
        watchers: &'a Watchers,
    ) -> Self {
        Self {
            index,
            state,
            body,
            watchers,
        }
    }

    #[cfg(all(loom, test))]
    pub(crate) fn slot_state(&self) -> &'a SlotState {
        self.state
    }

    /// Returns the duty of a caller that has replaced a state word, which `watched` says was
    /// watched.
    #[inline(always)]
    pub(crate) fn wake_duty(&self, watched: bool) -> WakeDuty<'a> {
        WakeDuty::new(self.watchers, self.index, watched)
    }

    /// Returns the job as it is at one instant.
    #[inline(always)]
    pub(crate) fn snapshot(self, id: FencedId) -> Result<Snapshot, LookupError> {
        let (word, heartbeat, revision) = self.load_all();
        id.admit_reader(word)?;
        Snapshot::new(id.id(), word, heartbeat, revision).ok_or(LookupError::Gone)
    }

    /// Returns the job with its times and texts, as they are at one instant. It waits for no user
    /// code.
    pub(crate) fn details(self, id: FencedId) -> Result<Details, LookupError> {
        let info = self.body.info.lock();
        let snapshot = self.snapshot(id)?;
        Ok(info.details(self.body.begun.load(), snapshot))
    }

    /// Loads both words and the revision as they were at one instant. The revision never holds a
    /// value twice: if it is the same before and after the pair, all three are of one instant.
    #[inline(always)]
    pub(crate) fn load_all(self) -> (StateWord, HeartbeatWord, u64) {
        let mark = Mark::here();
        loop {
            let revision = self.revision();
            let (word, heartbeat) = self.load_pair();
            if self.is_revision(revision) {
                return (word, heartbeat, revision);
            }
            mark.again("load_all", 0);
        }
    }

    /// Loads both words as they were at one instant. A decision that is not yet settled is settled
    /// first. Its watchers are woken before this returns, or when this thread releases its lock.
    #[inline(always)]
    pub(crate) fn load_pair(self) -> (StateWord, HeartbeatWord) {
        let mark = Mark::here();
        match self.state.load_both() {
            Some((word, heartbeat)) if is_settled(word, heartbeat) => (word, heartbeat),
            _ => {
                mark.again("load_pair", 0);
                load_pair_contended(self.state, self.watchers, self.index)
            }
        }
    }

    /// Settles what `heartbeat` has decided, unless another thread has. The holder of the lock
    /// keeps the duty until it has emitted the event of its decision.
    #[inline(always)]
    pub(crate) fn settle(self, heartbeat: HeartbeatWord) -> WakeDuty<'a> {
        let watched = self.state.settle(heartbeat);
        self.wake_duty(watched)
    }

    /// Counts a visible change that the two words do not show. The caller holds the lock.
    #[inline]
    pub(crate) fn revise(self) -> WakeDuty<'a> {
        let watched = self.state.revise();
        self.wake_duty(watched)
    }

    /// Records a heartbeat for `id`. Records nothing if the job has ended, which the returned word
    /// shows.
    #[inline(always)]
    pub(crate) fn record_heartbeat(
        self,
        id: FencedId,
        now: impl FnOnce() -> u64,
    ) -> Result<StateWord, Fenced> {
        let mut now = LazyNow::Unread(now);
        let mark = Mark::here();
        loop {
            mark.again("record_heartbeat", 0);
            let (word, heartbeat) = self.load_pair();
            id.admit(word)?;
            if heartbeat.verdict().is_some() {
                return Ok(word);
            }
            // An ending changes the word, and so does the retry after it. If the compare-exchange
            // succeeds, the job was live, on the attempt that was admitted, the whole time.
            let recorded = match heartbeat.at(now.read()) {
                None => true,
                Some(to) => self.state.swap_heartbeat(heartbeat, to).is_ok(),
            };
            if recorded {
                return Ok(word);
            }
        }
    }

    /// Informs the environment checker that the slot is about to be taken or given back.
    #[cfg(all(test, environment, not(any(loom, shuttle))))]
    pub(crate) fn ask_for(&self, access: crate::sync::facade::environment::Access) {
        crate::sync::facade::environment::ask(self.body.payload.address(), access);
    }
}

/// Loads both words under contention. It takes a slot's parts, because the whole would be passed in
/// memory.
#[cold]
fn load_pair_contended(
    state: &SlotState,
    watchers: &Watchers,
    index: u32,
) -> (StateWord, HeartbeatWord) {
    let mark = Mark::here();
    loop {
        mark.again("load_pair_contended", 0);
        let Some((word, heartbeat)) = state.load_both() else {
            continue;
        };
        if is_settled(word, heartbeat) {
            return (word, heartbeat);
        }
        // The wake happens here, because a caller that is refused next would forget it.
        drop(WakeDuty::new(watchers, index, state.settle(heartbeat)));
    }
}

/// The time of a call, read once and only if it is needed: a clock costs more than the step that it
/// times.
enum LazyNow<F> {
    Unread(F),
    Read(u64),
}

impl<F: FnOnce() -> u64> LazyNow<F> {
    #[inline]
    fn read(&mut self) -> u64 {
        if let Self::Read(now) = self {
            return *now;
        }
        let Self::Unread(read) = std::mem::replace(self, Self::Read(0)) else {
            unreachable!("checked above")
        };
        let now = read();
        *self = Self::Read(now);
        now
    }
}
