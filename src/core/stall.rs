//! Stall detection: running jobs without a recent heartbeat, and the verdict that fails them.

use crate::core::lifecycle::in_status;
use crate::core::lookup::LockedJob;
use crate::core::registry_state::RegistryState;
use crate::slots::body::Info;
use crate::slots::fenced_id::FencedId;
use crate::slots::slot::Slot;
use crate::sync::panics::despite_panics;
use crate::sync::{Mark, Ordering};
use crate::telemetry;
use crate::types::clock::{NEVER, millis};
use crate::types::heartbeat_word::{HeartbeatWord, LATEST};
use crate::types::snapshot::Snapshot;
use crate::types::state_word::{Ending, StateWord};
use crate::types::status::Status;
use std::sync::Arc;
use std::time::Duration;

impl<T> RegistryState<T> {
    pub(crate) fn stalled(&self) -> impl Iterator<Item = Snapshot> {
        let now = self.now();
        self.snapshots_where(move |slot, word, heartbeat| {
            let silence = silence(word, heartbeat, now);
            silence.is_some_and(|silence| silence > self.stall_limit(slot, word.generation()))
        })
    }

    /// Returns the silence above which the job of a slot has stalled. It takes the lock of the info
    /// only if a job of this registry has a limit of its own.
    fn stall_limit(&self, slot: Slot<'_, T>, generation: u32) -> u64 {
        let limit = self.settings.stall_after;
        // ORDERING: Relaxed. The flag is set before the first such job is published, and never
        // cleared. A thread that sees the job therefore sees the flag.
        if self.own_stall_limits.load(Ordering::Relaxed) == 0 {
            return limit;
        }
        let info = slot.body.info.lock();
        if slot.state().generation() == generation {
            info.options().own_stall_after().unwrap_or(limit)
        } else {
            NEVER
        }
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
        let mut info = self.info();
        let (mut heartbeat, mut silence) = self.judge(&info, now)?;
        let word = self.word();
        let mark = Mark::here();
        let sealed = loop {
            if let Ok(sealed) = self.slot.decide_end_from(heartbeat, Ending::Failed) {
                break sealed;
            }
            // A heartbeat came in between. It is judged as well, since it may have been late.
            (heartbeat, silence) = self.judge(&info, now)?;
            mark.again("fail_if_stalled", heartbeat.bits());
        };
        let lasted = telemetry::ON.then(|| in_status(&info, word, now));
        let silence = Duration::from_millis(silence);
        let reason = format!("stalled: no heartbeat for {silence:?}");
        self.write_ending(&mut info, elapsed, Some(Arc::from(reason)));
        let _duty = self.slot.settle(sealed);
        self.conclude_ending(info, lasted, true);
        self.slot.snapshot(self.id).ok()
    }

    /// Returns the heartbeat word and the silence if the job is live, started, on the attempt that
    /// is meant, and has stalled.
    pub(crate) fn judge(&self, info: &Info, now: u64) -> Option<(HeartbeatWord, u64)> {
        let (word, heartbeat) = self.slot.load_pair();
        self.id.admit(word).ok()?;
        let limit = info.options().own_stall_after();
        let limit = limit.unwrap_or(self.registry.settings.stall_after);
        let silence = silence(word, heartbeat, now)?;
        (silence > limit).then_some((heartbeat, silence))
    }
}

/// Returns the milliseconds since the last heartbeat of a job that is running or stopping. It
/// clamps `now` to the latest recordable heartbeat. Otherwise every running job would appear
/// stalled once the clock passes it.
fn silence(word: StateWord, heartbeat: HeartbeatWord, now: u64) -> Option<u64> {
    let is_at_work = matches!(word.status(), Some(Status::Running | Status::Stopping));
    is_at_work.then(|| now.min(LATEST).saturating_sub(heartbeat.millis()))
}
