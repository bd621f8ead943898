//! Stall detection: running jobs without a recent heartbeat, and the verdict that fails them.

use crate::core::lookup::LockedJob;
use crate::core::registry_state::RegistryState;
use crate::slots::body::Info;
use crate::slots::fenced_id::FencedId;
use crate::slots::slot::Slot;
use crate::slots::watchers::WakeDuty;
use crate::sync::panics::despite_panics;
use crate::sync::{Mark, Ordering};
use crate::telemetry::{self, Event, emit};
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
        // ORDERING: Relaxed. The limit is stored before the first such job is published, and never
        // raised. A thread that sees the job therefore sees it.
        if self.least_own_stall_limit.load(Ordering::Relaxed) == NEVER {
            return limit;
        }
        let info = slot.body.info.lock();
        if slot.state().generation() == generation {
            info.options().stall_millis().unwrap_or(limit)
        } else {
            NEVER
        }
    }

    /// Records the stall limit of a job that is about to be published. Returns whether it is lower
    /// than those of all earlier jobs, and the registry's own.
    pub(crate) fn lower_stall_limit(&self, limit: u64) -> bool {
        // `NEVER` says that no job has a limit of its own.
        let limit = limit.min(NEVER - 1);
        // ORDERING: Relaxed. The publication of the job releases it.
        let mut least = self.least_own_stall_limit.load(Ordering::Relaxed);
        while limit < least {
            let lowered = self.least_own_stall_limit.compare_exchange(
                least,
                limit,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match lowered {
                Ok(_) => return limit < self.settings.stall_after,
                Err(now) => least = now,
            }
        }
        false
    }

    /// Returns the least stall limit that any job has or had, or `NEVER`.
    pub(crate) fn least_stall_limit(&self) -> u64 {
        // ORDERING: Relaxed. A registration that lowers it wakes the reapers afterwards, and takes
        // a lock for that.
        let own = self.least_own_stall_limit.load(Ordering::Relaxed);
        own.min(self.settings.stall_after)
    }

    /// Returns the earliest time at which a job that is at work now can have stalled, or `NEVER`.
    pub(crate) fn next_stall(&self) -> u64 {
        let stalls = self.pairs().filter_map(|(slot, word, heartbeat)| {
            // The silence has to exceed the limit.
            silence(word, heartbeat, 0)?;
            let limit = self.stall_limit(slot, word.generation());
            Some(heartbeat.millis().saturating_add(limit).saturating_add(1))
        });
        stalls.min().unwrap_or(NEVER)
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

impl<'a, T> LockedJob<'a, T> {
    /// Fails the job if it has stalled.
    pub(crate) fn fail_if_stalled(&mut self) -> Option<Snapshot> {
        let elapsed = self.registry.timeline.elapsed();
        let mut info = self.info();
        let (ended, _duty) = self.seal_if_stalled(&mut info, elapsed)?;
        drop(self.job_ref().schedule(&mut info, millis(elapsed)));
        drop(info);
        if let Some(ended) = ended {
            emit(|| ended);
        }
        self.slot.snapshot(self.id).ok()
    }

    /// Seals the job as failed if it has stalled at `elapsed`. Returns the event of the ending.
    ///
    /// A single reading of the clock serves the verdict, its text and its time, so that they agree.
    /// The verdict seals the very heartbeat that it judged: a heartbeat in between makes the
    /// compare-exchange fail, and a later one finds the seal.
    pub(crate) fn seal_if_stalled(
        &self,
        info: &mut Info,
        elapsed: Duration,
    ) -> Option<(Option<Event>, WakeDuty<'a>)> {
        let now = millis(elapsed);
        let (mut heartbeat, mut silence) = self.judge(info, now)?;
        let word = self.word();
        let mark = Mark::here();
        let sealed = loop {
            if let Ok(sealed) = self.slot.decide_end_from(heartbeat, Ending::Failed) {
                break sealed;
            }
            // A heartbeat came in between. It is judged as well, since it may have been late.
            (heartbeat, silence) = self.judge(info, now)?;
            mark.again("fail_if_stalled", heartbeat.bits());
        };
        let before = telemetry::ON.then(|| self.in_status(info, word, now));
        let silence = Duration::from_millis(silence);
        let reason = format!("stalled: no heartbeat for {silence:?}");
        self.write_ending(info, elapsed, Some(Arc::from(reason)));
        let duty = self.slot.settle(sealed);
        Some((self.ended(info, before, true), duty))
    }

    /// Returns the heartbeat word and the silence if the job is live, started, on the attempt that
    /// is meant, and has stalled.
    pub(crate) fn judge(&self, info: &Info, now: u64) -> Option<(HeartbeatWord, u64)> {
        let (word, heartbeat) = self.slot.load_pair();
        self.id.admit(word).ok()?;
        let limit = info.options().stall_millis();
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
