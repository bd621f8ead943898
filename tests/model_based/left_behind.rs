//! P6: the resources that a registry holds during a history, and after its last job has been
//! removed.
//!
//! The histories are those of `main.rs`. This module belongs to the library's unit tests, because
//! free slots, entries of the due queue, watchers and empty bodies are not visible from outside.

#![allow(dead_code)] // a part of the histories is for `main.rs`

mod api {
    pub(crate) use crate::*;
}
mod forge;
mod guarded;
mod not_emitted;
mod pair;
mod payload;
mod plan;
mod real;
mod script;
#[path = "../../loom_tests/spec/mod.rs"]
mod spec;
mod waiting;

use crate::core::due_queue::Entry;
use crate::types::clock::NEVER;
use crate::{JobId, JobRegistry, ManualClock};
use not_emitted as emitted; // `main.rs` compares the events
use pair::Pair;
use plan::{Machine, Plan, Step};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest_state_machine::{StateMachineTest, prop_state_machine};
use spec::{Call, Ret, Who};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

/// Number of histories, unless `PROPTEST_CASES` is set.
const CASES: u32 = 40;
const LONGEST: usize = 150;
/// Slots that each other thread may keep in its magazine.
const KEPT: usize = 64;
const MAGAZINES: usize = 16;

/// A history, and the resources of the registry after its last step.
struct Counted {
    pair: Pair,
    /// The largest number of jobs at one time.
    peak: usize,
    /// Entries of the due queue that earlier deadlines have left.
    left_over: Vec<Entry>,
    /// Number of calls of the history that have been counted.
    calls: usize,
}

impl Counted {
    fn jobs(&self) -> &JobRegistry<payload::Payload> {
        &self.pair.real.registry
    }

    fn check(&mut self, step: &Step) {
        assert!(
            crate::sync::deferred::is_idle() && crate::core::removal::is_idle(),
            "the thread holds or owes something"
        );
        self.check_slots();
        self.check_watchers();
        self.check_due_queue(step);
        self.calls = self.pair.history.len();
    }

    /// Checks that every slot is free or has a job, and that there are no more slots than jobs have
    /// needed.
    fn check_slots(&mut self) {
        let inner = &self.pair.real.registry.state;
        let (mut free, grown) = inner.table.free().census();
        let (listed, taken) = (free.len(), inner.table.free().taken());
        free.sort_unstable();
        free.dedup();
        assert_eq!(free.len(), listed, "a slot is free twice");
        assert_eq!(free.len() + taken, grown as usize, "a slot is lost");
        // A registration may briefly need one slot more than the history has jobs.
        self.peak = self.peak.max(taken);
        assert!(grown as usize <= self.peak + 1 + KEPT * MAGAZINES);
        for slot in free {
            let slot = inner.slot(slot);
            assert!(slot.state().is_vacant(), "a job is in a free slot");
            let payload = slot.body.payload.lock();
            assert!(payload.is_none(), "a free slot keeps {payload:?}");
            let (info, begun) = (slot.body.info.lock(), &slot.body.begun);
            let is_empty = info.is_empty() && begun.is_empty();
            assert!(is_empty, "a free slot keeps {info:?}, {begun:?}");
        }
    }

    /// Checks that each watch has one registration, and that there are no others.
    fn check_watchers(&self) {
        let (mut watchers, empty) = self.jobs().state.table.watchers().census();
        let followed = self.pair.spec.watches.values();
        let ids = followed.map(|watch| self.pair.real.ids[&watch.job]);
        let mut expected: Vec<_> = ids.map(|id: JobId| (id.slot, id.generation)).collect();
        watchers.sort_unstable();
        expected.sort_unstable();
        assert_eq!(watchers, expected);
        assert_eq!(empty, 0, "a slot without watches is listed");
    }

    /// Checks that every slot has the entry that it states. All other entries must belong to
    /// replaced deadlines.
    fn check_due_queue(&mut self, step: &Step) {
        let inner = &self.jobs().state;
        let (mut entries, empty) = inner.due.census();
        assert_eq!(empty, 0, "a time without entries is listed");
        for slot in inner.table.iter() {
            let info = slot.body.info.lock();
            let due = info.due(slot.state().status());
            if due != NEVER {
                assert!(
                    info.queued_at <= due,
                    "slot {} is queued too late",
                    slot.index
                );
            }
            if info.queued_at != NEVER {
                let entry = Entry {
                    time: info.queued_at,
                    slot: slot.index,
                };
                let place = entries.iter().position(|other| *other == entry);
                entries.swap_remove(place.expect("the entry of a slot is queued"));
            }
        }
        let now = self.pair.spec.now;
        if let Step::One(Call::Sweep) = step {
            let before = self.left_over.iter().filter(|entry| entry.time > now);
            assert!(entries.len() <= before.count(), "a sweep left {entries:?}");
        }
        let new = self.pair.history[self.calls..].iter();
        let may_stall = self.pair.spec.limits.stall_after < Duration::MAX;
        let plans: usize = new
            .map(|(_, call, answer)| plans(call, answer, may_stall))
            .sum();
        assert!(
            entries.len() <= self.left_over.len() + plans,
            "{step:?} left {entries:?} after {:?}",
            self.left_over
        );
        self.left_over = entries;
    }

    /// Removes all jobs, and then drops the watches.
    fn finish(mut self) {
        let owners: Vec<_> = self.pair.real.owners.keys().copied().collect();
        for (name, attempt) in owners {
            self.play(Call::DropOwner(name, attempt));
        }
        let jobs = self.pair.spec.jobs.iter();
        let left: Vec<_> = jobs
            .filter(|(_, job)| !job.removed)
            .map(|(&name, _)| name)
            .collect();
        for name in left {
            self.play(Call::Cancel(Who::Id(name)));
            self.play(Call::Remove(Who::Id(name)));
        }
        for watch in self.pair.spec.watches.keys().copied().collect::<Vec<_>>() {
            self.play(Call::Unwatch(watch));
        }
        let inner = self.jobs().state.clone();
        let (free, grown) = inner.table.free().census();
        assert_eq!(free.len(), grown as usize, "a slot is still taken");
        assert_eq!(inner.table.watchers().census(), (vec![], 0));
        let (entries, _) = inner.due.census();
        let slots: BTreeSet<_> = entries.iter().map(|entry| entry.slot).collect();
        assert!(entries.len() <= slots.len() + self.left_over.len());
        // Every deadline passes.
        self.play(Call::Tick(1 << 60));
        self.play(Call::Sweep);
        assert_eq!(inner.due.census(), (vec![], 0));
        self.pair.finish();
    }

    fn play(&mut self, call: Call) {
        let step = Step::One(call);
        self.pair.play(&step);
        self.check(&step);
    }
}

/// Returns how many removals and endings a call may have planned, each of which may leave an entry
/// behind.
fn plans(call: &Call, answer: &Ret, may_stall: bool) -> usize {
    match (call, answer) {
        (_, Ret::Refused(_)) => 0,
        (
            Call::RemoveAfter(..)
            | Call::Complete(_)
            | Call::Fail(..)
            | Call::Cancel(_)
            | Call::CancelBecause(..)
            | Call::RequestStop(..)
            | Call::RegisterWith(..)
            | Call::Panic(_)
            | Call::DropOwner(..),
            _,
        ) => 1,
        (Call::Expire(..), Ret::Count(ended)) => *ended,
        // A retry fails a stalled job first, and plans the next deadline.
        (Call::Retry(_), _) => 1 + usize::from(may_stall),
        // Owners may have been dropped under the guard.
        (Call::Unlock, _) => 6,
        (Call::FailStalled, Ret::Views(failed)) => failed.len(),
        _ => 0,
    }
}

struct LeftBehind;

impl StateMachineTest for LeftBehind {
    type SystemUnderTest = Counted;
    type Reference = Machine;

    fn init_test(plan: &Plan) -> Counted {
        Counted {
            pair: Pair::new(plan.spec.limits),
            peak: 0,
            left_over: Vec::new(),
            calls: 0,
        }
    }

    fn apply(mut counted: Counted, _: &Plan, step: Step) -> Counted {
        counted.pair.play(&step);
        counted.check(&step);
        counted
    }

    fn teardown(counted: Counted, _: Plan) {
        counted.finish();
    }
}

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if asked { default.cases } else { CASES },
        ..default
    }
}

prop_state_machine! {
    #![proptest_config(config())]

    /// P6: after each call, and after the last job, a registry holds what it needs and what the
    /// documentation states.
    #[test]
    fn histories_leave_nothing_behind(sequential 1..=LONGEST => LeftBehind);
}

/// P6: waking a slot whose last watch has been dropped does not list the slot.
#[test]
fn wake_without_a_watch_lists_nothing() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    let mut watch = job.watch().unwrap();
    let mut poll = || {
        let mut cx = Context::from_waker(Waker::noop());
        pin!(watch.changed()).poll(&mut cx).is_pending()
    };
    assert!(!poll() && poll(), "the watch waits");
    drop(watch);
    job.start().unwrap();
    assert_eq!(jobs.state.table.watchers().census(), (vec![], 0));
}

/// P6: all attempts of a job share one entry of the due queue.
#[test]
fn retried_job_is_queued_once() {
    let jobs = JobRegistry::new();
    let mut job = jobs.register(()).unwrap();
    for _ in 0..100 {
        job.fail("reason").unwrap();
        job = job.retry().unwrap();
    }
    let (entries, empty) = jobs.state.due.census();
    assert_eq!((entries.len(), empty), (1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// P6: one thread needs only as many slots as it has jobs at a time, in any order of
    /// registrations and removals.
    #[test]
    fn one_thread_needs_as_many_slots_as_jobs(
        spikes in prop::collection::vec((0usize..300, 0usize..300, any::<Index>()), 1..12),
    ) {
        let jobs = JobRegistry::new();
        let (mut ids, mut peak) = (Vec::new(), 0);
        for (come, go, from) in spikes {
            ids.extend((0..come).map(|_| jobs.register(()).unwrap().detach()));
            peak = peak.max(ids.len());
            for _ in 0..go.min(ids.len()) {
                let id: JobId = ids.swap_remove(from.index(ids.len()));
                jobs.cancel(id).unwrap();
                jobs.remove(id).unwrap();
            }
            let (free, grown) = jobs.state.table.free().census();
            prop_assert_eq!(grown as usize, peak);
            prop_assert_eq!(free.len() + ids.len(), peak);
        }
    }

    /// P6: a removal that is planned repeatedly leaves an entry for each deadline that an earlier
    /// one replaced, until it has passed. No entry is listed twice.
    #[test]
    fn plans_leave_an_entry_for_each_earlier_deadline(
        delays in prop::collection::vec((0u64..500, 0u64..100), 1..40),
    ) {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder().clock(clock.clone()).retention(Duration::MAX).build();
        let id = jobs.register(()).unwrap().detach();
        jobs.cancel(id).unwrap();
        // Deadlines that an earlier one has replaced.
        let (mut now, mut deadline, mut replaced) = (0, NEVER, Vec::new());
        for (delay, passes) in delays {
            if jobs.remove_after(id, Duration::from_millis(delay)).is_err() {
                break;
            }
            if now + delay < deadline && deadline != NEVER {
                replaced.push(deadline);
            }
            deadline = now + delay;
            now += passes;
            clock.advance(Duration::from_millis(passes));
            let own = usize::from(jobs.sweep().removed == 0);
            replaced.retain(|time| *time > now);
            let (entries, empty) = jobs.state.due.census();
            prop_assert_eq!(empty, 0);
            prop_assert!(entries.iter().all(|entry| entry.time > now), "{:?} at {}", entries, now);
            prop_assert!(
                entries.len() <= replaced.len() + own,
                "{entries:?}, replaced {replaced:?}, {own} of the job at {now}"
            );
        }
    }
}
