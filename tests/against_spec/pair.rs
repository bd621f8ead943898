//! The registry and its specification, side by side: every call is made on both, and then all that can
//! be seen of the two is compared.

use crate::guarded::{Guard, perform_guarded};
use crate::plan::Step;
use crate::real::Real;
use crate::spec::{Call, Limits, Name, Refusal, Ret, Spec, View, Who};
use job_registry::Snapshot;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;

/// Of a history that failed, so many of the last calls are shown.
const SHOWN: usize = 20;

pub(crate) struct Pair {
    real: Real,
    spec: Spec,
    /// Thread, call, answer.
    pub(crate) history: Vec<(u32, Call, Ret)>,
    /// Each job as it was last seen, removed ones included.
    seen: BTreeMap<Name, (Snapshot, View)>,
    /// Watches that had nothing new when they were last polled.
    waiting: BTreeSet<u32>,
}

impl Pair {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            real: Real::new(&limits),
            spec: Spec::new(limits),
            history: Vec::new(),
            seen: BTreeMap::new(),
            waiting: BTreeSet::new(),
        }
    }

    pub(crate) fn play(&mut self, step: &Step) {
        match step {
            Step::One(call) => self.make(0, call, &mut None),
            Step::Locked(lock, calls) => self.play_locked(lock, calls),
        }
    }

    /// Calls while the main thread holds a guard (if it gets one), some of them from another thread.
    fn play_locked(&mut self, lock: &Call, calls: &[(u32, Call)]) {
        // What the guard borrows from.
        let registry = self.real.registry.clone();
        let (Call::Lock(who) | Call::TryLock(who)) = *lock else {
            panic!("{lock:?} takes no lock")
        };
        let owner = match who {
            Who::Handle(name, attempt) => self.real.owners.get(&(name, attempt)).cloned(),
            Who::Id(_) | Who::Guard => None,
        };
        let waits = matches!(lock, Call::Lock(_));
        let guard = match (who, &owner) {
            (Who::Id(name), _) if waits => registry.lock(self.real.id(name)),
            (Who::Id(name), _) => registry.try_lock(self.real.id(name)),
            (_, Some(owner)) if waits => owner.lock(),
            (_, Some(owner)) => owner.try_lock(),
            (_, None) => return,
        };
        let (mut guard, answer) = match guard {
            Ok(guard) => (Some(guard), Ret::Done),
            Err(error) => (None, Ret::Refused(error.into())),
        };
        self.compare(0, lock, &answer, guard.is_some());
        for (thread, call) in calls {
            self.make(*thread, call, &mut guard);
        }
        if guard.is_some() {
            self.make(0, &Call::Unlock, &mut guard);
        }
    }

    /// Makes one call on both, unless it can not be made or would not return.
    fn make(&mut self, thread: u32, call: &Call, guard: &mut Guard<'_>) {
        let impossible = Ret::Refused(Refusal::Impossible);
        let expected = self.spec.clone().apply_from(thread, call);
        let may_wait = thread != 0 && guard.is_some() && may_wait(call, &expected);
        if expected == impossible || may_wait {
            return;
        }
        let answer = if call.who() == Some(Who::Guard) || *call == Call::Unlock {
            perform_guarded(&self.real, guard, call)
        } else if thread == 0 {
            self.real.perform(call)
        } else {
            let real = &mut self.real;
            std::thread::scope(|scope| {
                scope
                    .spawn(|| real.perform(call))
                    .join()
                    .expect("no call panics")
            })
        };
        if answer != impossible {
            self.compare(thread, call, &answer, guard.is_some());
        }
    }

    /// `answer` is what the registry said to `call`. `guarded`: the main thread has a guard afterwards.
    fn compare(&mut self, thread: u32, call: &Call, answer: &Ret, guarded: bool) {
        let refused =
            matches!(answer, Ret::Refused(_) | Ret::Full(_)) && call.who() != Some(Who::Guard);
        let before = self.spec.clone();
        let mut removed = self.real.take_removals();
        removed.sort_unstable_by_key(|record| record.view);

        if let Call::Register(..) = call {
            // It may sweep a little first, which jobs is its own choice: but only due ones.
            self.check(removed.len() <= 2, || format!("{call:?} swept {removed:?}"));
            for record in &removed {
                let collect = Call::Collect(record.view.job);
                let taken = self.spec.apply_from(thread, &collect);
                self.history.push((thread, collect, taken.clone()));
                self.check(taken == Ret::Count(1), || {
                    format!("{call:?} swept what is not due: {record:?}")
                });
            }
        }
        let expected = self.spec.apply_from(thread, call);
        self.history.push((thread, call.clone(), answer.clone()));
        self.check(*answer == expected, || {
            format!("the specification answers {expected:?}")
        });
        if let (Call::Lock(_) | Call::TryLock(_), Ret::Done, false) =
            (call, answer, thread == 0 && guarded)
        {
            // Not held for a section of calls: let go at once.
            self.spec.apply_from(thread, &Call::Unlock);
        }

        // P6: the hook gets every removed job once, as it was.
        let gone = self
            .spec
            .jobs
            .iter()
            .filter(|(name, job)| job.removed && !before.is_removed(**name));
        let gone: Vec<_> = gone.map(|(_, job)| job.record.clone()).collect();
        self.check(removed == gone, || {
            format!("the hook got {removed:?}, removed was {gone:?}")
        });
        let swept = !removed.is_empty();
        self.compare_worlds(thread, refused && !swept);
        self.compare_watches(call, answer, guarded);
    }

    /// Everything that can be seen of every job that ever was. P1, P4, P6, P8.
    fn compare_worlds(&mut self, thread: u32, nothing_changed: bool) {
        for (&name, &id) in &self.real.ids.clone() {
            for look in [Call::Snapshot(Who::Id(name)), Call::Get(name)] {
                self.look(&look);
            }
            let Ok(now) = self.real.registry.snapshot(id) else {
                continue;
            };
            let view = self.spec.jobs[&name].record.view;
            if let Some((was, was_view)) = self.seen.insert(name, (now, view)) {
                self.check(now.version() >= was.version(), || {
                    format!("the version fell: {was:?}, {now:?}")
                });
                self.check(
                    now.version().cmp(&was.version()) == view.version.cmp(&was_view.version),
                    || format!("the version does not grow with each change: {was:?}, {now:?}"),
                );
                self.check(now.last_heartbeat() >= was.last_heartbeat(), || {
                    format!("the heartbeat went back: {was:?}, {now:?}")
                });
                self.check(now == was || !nothing_changed, || {
                    format!("a refused call of thread {thread} changed {was:?} to {now:?}")
                });
            }
        }
        for look in [Call::Iter, Call::Len, Call::Counts, Call::Stalled] {
            self.look(&look);
        }
        // P6: a payload lives exactly as long as its job is in the registry.
        let alive = self.real.alive.load(Ordering::Relaxed);
        let present = self.spec.apply(&Call::Len);
        self.check(Ret::Count(alive) == present, || {
            format!("{alive} payloads live, jobs: {present:?}")
        });
    }

    fn look(&mut self, call: &Call) {
        let (seen, expected) = (self.real.perform(call), self.spec.apply(call));
        self.check(seen == expected, || {
            format!("{call:?} shows {seen:?}, not {expected:?}")
        });
    }

    /// P9: whoever waits while there is something new has been woken. Under a guard wakers wait for its end.
    fn compare_watches(&mut self, call: &Call, answer: &Ret, guarded: bool) {
        match *call {
            Call::Poll(watch) if *answer == Ret::Waits => self.waiting.insert(watch),
            Call::Poll(watch) | Call::Unwatch(watch) => self.waiting.remove(&watch),
            _ => false,
        };
        for &watch in self.waiting.iter().filter(|_| !guarded) {
            let waits = self.spec.clone().apply(&Call::Poll(watch)) == Ret::Waits;
            self.check(waits || self.real.bells[&watch].has_rung(), || {
                format!("watch {watch} was not woken")
            });
        }
    }

    /// The end: the registry goes away, and everything with it.
    pub(crate) fn finish(mut self) -> Vec<(u32, Call, Ret)> {
        for (name, attempt) in self.real.owners.keys().copied().collect::<Vec<_>>() {
            self.make(0, &Call::DropOwner(name, attempt), &mut None);
        }
        let bells: Vec<_> = self
            .waiting
            .iter()
            .map(|watch| self.real.bells[watch].clone())
            .collect();
        let (ends, alive) = std::mem::replace(&mut self.real, Real::new(&self.spec.limits)).close();
        self.check(alive == 0, || {
            format!("{alive} payloads outlive the registry")
        });
        self.check(bells.iter().all(|bell| bell.has_rung()), || {
            "a watch waits for ever".to_owned()
        });
        self.check(ends.iter().all(|(_, end)| *end == Ret::Next(None)), || {
            format!("without a registry no stream goes on: {ends:?}")
        });
        std::mem::take(&mut self.history)
    }

    #[track_caller]
    fn check(&self, holds: bool, complaint: impl FnOnce() -> String) {
        assert!(holds, "{}\n{self}", complaint());
    }
}

/// Whether a call from elsewhere may have to wait for the guard to go. Where the answer can only be that
/// the job or the attempt is a past one, it is not said whether a call that takes a lock waits to give it.
fn may_wait(call: &Call, answer: &Ret) -> bool {
    let past = matches!(answer, Ret::Refused(Refusal::Gone | Refusal::Superseded));
    let never = matches!(
        call,
        Call::Advance(..)
            | Call::Heartbeat(_)
            | Call::Snapshot(_)
            | Call::Watch(..)
            | Call::TryLock(_)
    );
    past && !never
}

impl Spec {
    fn is_removed(&self, name: Name) -> bool {
        self.jobs.get(&name).is_some_and(|job| job.removed)
    }
}

/// The last calls, one a line.
impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "with {:?}, at {} ms, after these calls:",
            self.spec.limits, self.spec.now
        )?;
        let hidden = self.history.len().saturating_sub(SHOWN);
        for (thread, call, answer) in &self.history[hidden..] {
            writeln!(
                f,
                "  {} {call:?} -> {answer:?}",
                if *thread == 0 {
                    ""
                } else {
                    "      (elsewhere)"
                }
            )?;
        }
        Ok(())
    }
}
