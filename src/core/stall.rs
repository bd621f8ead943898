//! Stall detection: running jobs without a recent heartbeat, and the verdict that fails them.

use crate::core::lookup::LockedJob;
use crate::core::registry_state::RegistryState;
use crate::slots::fenced_id::FencedId;
use crate::sync::Mark;
use crate::sync::panics::despite_panics;
use crate::telemetry;
use crate::types::clock::millis;
use crate::types::heartbeat_word::{HeartbeatWord, LATEST};
use crate::types::snapshot::Snapshot;
use crate::types::state_word::{Ending, StateWord};
use crate::types::status::Status;
use std::time::Duration;

impl<T> RegistryState<T> {
    pub(crate) fn stalled(&self) -> impl Iterator<Item = Snapshot> {
        let now = self.now();
        self.snapshots_where(move |word, heartbeat| self.has_stalled(word, heartbeat, now))
    }

    fn has_stalled(&self, word: StateWord, heartbeat: HeartbeatWord, now: u64) -> bool {
        word.status() == Some(Status::Running)
            && silence(heartbeat, now) > self.settings.stall_after
    }

    /// Fails the stalled jobs and returns each as it is then. A job whose lock is held is left for
    /// the next call: its holder may be about to end it. No caller should wait for a holder that
    /// hangs.
    pub(crate) fn fail_stalled(&self) -> Vec<Snapshot> {
        let mut failed = Vec::new();
        let panics = despite_panics(self.stalled(), |seen| {
            let Ok(mut job) = self.resolve(seen.id()) else {
                return;
            };
            job.id = FencedId {
                attempt: Some(seen.word().attempt()),
                ..job.id
            };
            if let Ok(Some(mut locked)) = job.try_lock() {
                failed.extend(locked.fail_if_stalled());
            }
        });
        panics.resume();
        failed
    }
}

impl<T> LockedJob<'_, T> {
    /// Fails the job if it has stalled. The verdict seals the very heartbeat that it judged: a
    /// heartbeat in between makes the compare-exchange fail, and a later one finds the seal.
    pub(crate) fn fail_if_stalled(&mut self) -> Option<Snapshot> {
        // A single reading serves the verdict, its text and its time, so that they agree.
        let elapsed = self.registry.timeline.elapsed();
        let now = millis(elapsed);
        let mut heartbeat = self.judge(now)?;
        let mark = Mark::here();
        let before = (self.body.ended, self.body.removal);
        let lasted = telemetry::ON.then(|| self.in_status(self.word(), now));
        let sealed = loop {
            let silence = Duration::from_millis(silence(heartbeat, now));
            let reason = format!("stalled: no heartbeat for {silence:?}");
            self.write_ending(elapsed, Some(reason));
            if let Ok(sealed) = self.slot.decide_end_from(heartbeat, Ending::Failed) {
                break sealed;
            }
            // A heartbeat came in between. It is judged as well, since it may have been late.
            self.body.error = None;
            (self.body.ended, self.body.removal) = before;
            heartbeat = self.judge(now)?;
            mark.again("fail_if_stalled", heartbeat.bits());
        };
        let _duty = self.slot.settle(sealed);
        if let Some(lasted) = lasted {
            self.emit_ended(lasted, true);
        }
        self.slot.snapshot(self.id).ok()
    }

    /// Returns the heartbeat word if the job is running, on the attempt that is meant, and has
    /// stalled.
    pub(crate) fn judge(&self, now: u64) -> Option<HeartbeatWord> {
        let (word, heartbeat) = self.slot.load_pair();
        self.id.admit(word).ok()?;
        let has_stalled = self.registry.has_stalled(word, heartbeat, now);
        has_stalled.then_some(heartbeat)
    }
}

/// Returns the milliseconds since the last heartbeat. It clamps `now` to the latest recordable
/// heartbeat. Otherwise every running job would appear stalled once the clock passes it.
fn silence(heartbeat: HeartbeatWord, now: u64) -> u64 {
    now.min(LATEST).saturating_sub(heartbeat.millis())
}
