//! The registry and its specification: every call is made on both, and then their visible states
//! are compared.

use super::api::{Snapshot, Status};
use super::emitted::{Emitted, Transition};
use super::forge::slot;
use super::guarded::{Guard, perform_guarded, release};
use super::plan::Step;
use super::real::{Real, millis};
use super::script::{By, Event, Pace};
use super::spec::{Call, Limits, Millis, Name, Refusal, Ret, Spec, View, Who};
use super::waiting::Task;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Number of the last calls of a failed history that are shown.
const SHOWN: usize = 20;

pub(crate) struct Pair {
    pub(crate) real: Real,
    pub(crate) spec: Spec,
    /// Thread, call and answer.
    pub(crate) history: Vec<(u32, Call, Ret)>,
    /// The last visible state of each job, removed ones included.
    seen: BTreeMap<Name, (Snapshot, View)>,
    /// Watches that waited when they were last polled.
    waiting: BTreeSet<u32>,
    /// The waits and the pieces of user code during which the clock has advanced.
    pub(crate) moved: BTreeSet<String>,
    /// Statuses in which sweeps have ended live jobs.
    pub(crate) expired: BTreeSet<String>,
    /// Live jobs that the present call's sweep has ended, and when. The specification follows.
    swept: BTreeMap<Name, Millis>,
    /// Whether the present call's sweep has ended live jobs.
    expired_now: bool,
    pub(crate) emitted: Emitted,
    /// Whether the main thread has a guard.
    guarded: bool,
}

impl Pair {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            real: Real::new(&limits),
            spec: Spec::new(limits),
            history: Vec::new(),
            seen: BTreeMap::new(),
            waiting: BTreeSet::new(),
            moved: BTreeSet::new(),
            expired: BTreeSet::new(),
            swept: BTreeMap::new(),
            expired_now: false,
            emitted: Emitted::new(),
            guarded: false,
        }
    }

    pub(crate) fn play(&mut self, step: &Step) {
        match step {
            Step::One(call) => self.make(0, call, &mut None),
            Step::Locked(lock, calls) => self.with_guard(lock, |pair, guard| {
                for (thread, call) in calls {
                    pair.make(*thread, call, guard);
                }
            }),
            Step::Waiting {
                lock,
                waiter,
                millis,
                release,
            } => self.with_guard(lock, |pair, guard| {
                pair.make_waiting(waiter, *millis, release, guard);
            }),
            Step::Slow(pace, step) => {
                let mut pace = pace.clone();
                if !matches!(**step, Step::One(_)) {
                    // A hook on another thread would wait for this thread's guard, and the guard
                    // for the call.
                    pace.in_hook.clear();
                }
                if pace.waker > 0 {
                    self.poll_all();
                }
                self.real.slow_down(&pace);
                self.play(step);
                self.real.slow_down(&Pace::default());
            }
        }
    }

    /// Polls every watch until it waits, so that its waker can take time.
    fn poll_all(&mut self) {
        for watch in self.spec.watches.keys().copied().collect::<Vec<_>>() {
            while matches!(
                self.spec.clone().apply(&Call::Poll(watch)),
                Ret::Next(Some(_))
            ) {
                self.make(0, &Call::Poll(watch), &mut None);
            }
            self.make(0, &Call::Poll(watch), &mut None);
        }
    }

    /// Runs `section` while the main thread holds a guard, if it gets one.
    fn with_guard(&mut self, lock: &Call, section: impl FnOnce(&mut Self, &mut Guard<'_>)) {
        // The guard borrows from these.
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
        section(self, &mut guard);
        if guard.is_some() {
            self.make(0, &Call::Unlock, &mut guard);
        }
    }

    /// Makes one call on both, unless it cannot be made or would not return.
    fn make(&mut self, thread: u32, call: &Call, guard: &mut Guard<'_>) {
        let impossible = Ret::Refused(Refusal::Impossible);
        let now = self.spec.now;
        // `register` reads the clock again after its sweep only if the sweep has removed a job. The
        // time that wakers take for a job that it has only ended would therefore be unknown.
        if matches!(call, Call::Register(..) | Call::RegisterWith(..))
            && self.real.script.has_slow_wakers()
            && self.spec.jobs.values().any(|job| job.is_overdue(now))
        {
            self.make(thread, &Call::Sweep, guard);
        }
        let expected = self.spec.clone().apply_from(thread, call);
        let may_wait = thread != 0 && guard.is_some() && may_wait(call, &expected);
        // The job's end is deferred until the guard is released, before or after slow wakers.
        let may_be_late = guard.is_some()
            && matches!(call, Call::DropOwner(..))
            && self.real.script.has_slow_wakers();
        if expected == impossible || may_wait || may_be_late {
            return;
        }
        let answer = if call.who() == Some(Who::Guard) || *call == Call::Unlock {
            perform_guarded(&self.real, guard, call)
        } else if thread == 0 {
            self.real.perform(call)
        } else {
            let (real, listen) = (&mut self.real, self.emitted.listen());
            std::thread::scope(|scope| {
                let perform = || {
                    listen();
                    real.perform(call)
                };
                scope.spawn(perform).join().expect("no call panics")
            })
        };
        if answer != impossible {
            self.compare(thread, call, &answer, guard.is_some());
        }
    }

    /// Makes a call on another thread, which waits for the lock of the guard. The clock advances
    /// meanwhile, and then the guard is released.
    fn make_waiting(&mut self, call: &Call, millis: Millis, end: &Call, guard: &mut Guard<'_>) {
        let impossible = Ret::Refused(Refusal::Impossible);
        let tick = Call::Tick(millis);
        let mut later = self.spec.clone();
        let waits = guard.is_some() && later.apply_from(1, call) == impossible;
        later.apply(&tick);
        later.apply(end);
        if !waits || later.apply_from(1, call) == impossible {
            return;
        }
        let script = self.real.script.clone();
        let (real, listen) = (&mut self.real, self.emitted.listen());
        let task = Task::default();
        let (ended, answer) = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                listen();
                task.begin();
                real.perform(call)
            });
            task.until_asleep(&waiter);
            script.clock.advance(Duration::from_millis(millis));
            let ended = release(guard, end);
            (ended, waiter.join().expect("no call panics"))
        });
        self.spec.apply(&tick);
        self.history.push((0, tick, Ret::Done));
        self.guarded = false;
        self.apply(0, end, &ended);
        // Both threads emit at the same time.
        self.emitted.in_any_order();
        if answer == impossible {
            return self.compare_worlds(0, false);
        }
        self.moved.insert(format!("waiting: {}", call.kind()));
        self.compare_after(1, call, &answer, false, true);
    }

    /// Compares the registry's `answer` to `call`. `guarded`: the main thread has a guard
    /// afterwards.
    fn compare(&mut self, thread: u32, call: &Call, answer: &Ret, guarded: bool) {
        self.compare_after(thread, call, answer, guarded, false);
    }

    /// `changed`: the call was preceded by changes that have not been compared.
    fn compare_after(
        &mut self,
        thread: u32,
        call: &Call,
        answer: &Ret,
        guarded: bool,
        changed: bool,
    ) {
        let refused =
            matches!(answer, Ret::Refused(_) | Ret::Full(_)) && call.who() != Some(Who::Guard);
        let before = self.spec.clone();
        self.guarded = guarded;
        let events = self.real.script.take_events();
        let mut removed = Vec::new();
        for event in &events {
            if let Event::Removed(record) = event {
                removed.push(self.real.record(record));
            }
        }
        let quiet = events
            .iter()
            .all(|event| matches!(event, Event::Removed(_)));
        self.swept = self.swept(call, &events);
        self.expired_now = !self.swept.is_empty();

        match call {
            // It may first remove some jobs of its own choice, but only due ones.
            Call::Register(..) | Call::RegisterWith(..) => {
                self.check(removed.len() <= 2, || format!("{call:?} swept {removed:?}"));
                self.follow(thread, events, Some(before.now));
                self.apply(thread, call, answer);
                // P6: at capacity it removes a due job, if there is one.
                let mut began = self.spec.clone();
                began.now = before.now;
                let due = began.apply_from(thread, &Call::Sweep);
                let is_full = matches!(answer, Ret::Full(_));
                self.check(!is_full || due == Ret::Count(0), || {
                    format!("no room for {call:?} beside {due:?} that are due")
                });
            }
            Call::Sweep => {
                let ended = self.swept.len();
                self.follow(thread, events, Some(before.now));
                self.history.push((thread, call.clone(), answer.clone()));
                // P6 and P13: it has removed all jobs that were due when it began, and ended all
                // that were overdue. What a hook makes due meanwhile is left to the next sweep.
                let mut began = self.spec.clone();
                began.now = before.now;
                let was_due = swept_by(&before, thread);
                let mut left = swept_by(&began, thread);
                left.retain(|job| was_due.contains(job));
                self.check(left.is_empty(), || {
                    format!("a sweep that began at {} ms left {left:?}", before.now)
                });
                let report = self.real.swept.clone();
                let busy = self.busy_at(thread, before.now);
                self.check(
                    *answer == Ret::Count(removed.len())
                        && report.cancelled + report.expired == ended
                        && report.busy == busy,
                    || format!("{report:?}, but removed {removed:?}, ended {ended}, busy {busy}"),
                );
            }
            Call::FailStalled => self.follow_verdicts(thread, answer, events),
            _ => {
                let (sections, events): (Vec<_>, Vec<_>) = events
                    .into_iter()
                    .partition(|event| matches!(event, Event::Ticked(By::Section, _)));
                self.follow(thread, sections, None);
                self.apply(thread, call, answer);
                self.follow(thread, events, None);
            }
        }
        if let (Call::Lock(_) | Call::TryLock(_), Ret::Done, false) =
            (call, answer, thread == 0 && guarded)
        {
            // The guard is not used for further calls, and is released at once.
            self.spec.apply_from(thread, &Call::Unlock);
        }

        let emitted = self.emitted.check(call, quiet);
        self.check(emitted.is_ok(), || emitted.clone().unwrap_err());

        // P6: the hook gets every removed job once, in its last state.
        let gone = self
            .spec
            .jobs
            .iter()
            .filter(|(name, job)| job.removed && !before.is_removed(**name));
        let gone: Vec<_> = gone.map(|(_, job)| job.record.clone()).collect();
        removed.sort_unstable_by_key(|record| record.view);
        self.check(removed == gone, || {
            format!("the hook got {removed:?}, removed was {gone:?}")
        });
        let swept = !removed.is_empty() || self.expired_now;
        self.compare_worlds(thread, refused && !swept && !changed && quiet);
        self.compare_watches(call, answer, guarded);
    }

    /// Returns the live jobs that the call's sweep has ended, and when. Those that a hook has ended
    /// are left out.
    fn swept(&self, call: &Call, events: &[Event]) -> BTreeMap<Name, Millis> {
        let is_sweep = |call: &Call| {
            matches!(
                call,
                Call::Sweep | Call::Register(..) | Call::RegisterWith(..)
            )
        };
        let in_hook = events.iter().filter_map(|event| match event {
            Event::Called(call, answer) => Some((call, answer)),
            Event::Removed(_) | Event::Ticked(..) => None,
        });
        let in_hook: Vec<_> = in_hook.collect();
        let mut swept = BTreeMap::new();
        if !is_sweep(call) && !in_hook.iter().any(|(call, _)| is_sweep(call)) {
            return swept;
        }
        let ended_in_hook = |name| {
            in_hook.iter().any(|(call, answer)| {
                let ends = match call {
                    Call::Complete(_) | Call::Cancel(_) | Call::CancelBecause(..) => {
                        **answer == Ret::Done
                    }
                    Call::RequestStop(..) => **answer == Ret::Status(Status::Cancelled),
                    _ => false,
                };
                ends && call.who() == Some(Who::Id(name))
            })
        };
        let live = self.spec.jobs.iter().filter(|(_, job)| {
            let is_live = !job.status().is_ended();
            is_live && !job.removed
        });
        for (&name, _) in live.filter(|(name, _)| !ended_in_hook(**name)) {
            let removed = events.iter().find_map(|event| match event {
                Event::Removed(record) if record.snapshot.id() == self.real.ids[&name] => {
                    record.times.ended
                }
                _ => None,
            });
            // A refused call would be emitted.
            let id = self.real.ids[&name];
            let is_present = self.real.registry.iter().any(|seen| seen.id() == id);
            let seen = is_present.then(|| self.real.registry.details(id));
            let seen = seen.map(|seen| seen.expect("it has just been seen"));
            if let Some(ended) = removed.or(seen.and_then(|seen| seen.times.ended)) {
                swept.insert(name, millis(ended));
            }
        }
        swept
    }

    /// Returns how many jobs a sweep that began at `began` reports as busy. Only the main thread
    /// holds a lock.
    fn busy_at(&self, thread: u32, began: Millis) -> usize {
        let held = self.spec.held_by(0).filter(|_| thread != 0);
        usize::from(held.is_some_and(|name| self.spec.jobs[&name].is_overdue(began)))
    }

    /// Follows a sweep that began at `began`, where it has ended a live job.
    fn expire(&mut self, thread: u32, began: Millis, name: Name) {
        self.swept.remove(&name);
        let before = self.spec.clone();
        let call = Call::Expire(name, began);
        let ended = self.spec.apply_from(thread, &call);
        self.history.push((thread, call.clone(), ended.clone()));
        self.check(ended == Ret::Count(1), || {
            format!("a sweep that began at {began} ms ended job {name}, which was not overdue")
        });
        let status = self.spec.jobs[&name].status();
        self.expired.insert(format!("Expired({status:?})"));
        self.expect_events(thread, &call, &ended, &before);
        // A sweep does not show the order of its endings.
        self.emitted.in_any_order();
    }

    /// Follows a sweep that began at `began`, where it has ended live jobs of which `which` holds.
    fn expire_those(
        &mut self,
        thread: u32,
        began: Option<Millis>,
        which: impl Fn(&Spec, Name, Millis) -> bool,
    ) {
        let Some(began) = began else { return };
        let swept = self.swept.clone().into_iter();
        for (name, ended) in swept.collect::<Vec<_>>() {
            if which(&self.spec, name, ended) {
                self.expire(thread, began, name);
            }
        }
    }

    /// Makes the call on the specification, which must give the same answer.
    fn apply(&mut self, thread: u32, call: &Call, answer: &Ret) {
        let before = self.spec.clone();
        let expected = self.spec.apply_from(thread, call);
        self.history.push((thread, call.clone(), answer.clone()));
        self.check(*answer == expected, || {
            format!("the specification answers {expected:?}")
        });
        self.expect_events(thread, call, answer, &before);
    }

    /// Expects the events of a call that has been made on the specification.
    fn expect_events(&mut self, thread: u32, call: &Call, answer: &Ret, before: &Spec) {
        let transition = Transition {
            real: &self.real,
            thread,
            call,
            answer,
            before,
            after: &self.spec,
        };
        self.emitted.expect(&transition, self.guarded);
    }

    /// Repeats on the specification the user code that ran during the call. `sweep` is the time at
    /// which the call's sweep began. P5: a sweep removes the jobs that were due when it began and
    /// are still due when it reaches them.
    fn follow(&mut self, thread: u32, events: Vec<Event>, sweep: Option<Millis>) {
        let mut began = sweep;
        for event in events {
            match event {
                Event::Removed(record) => {
                    let Some(began) = began else { continue };
                    let record = self.real.record(&record);
                    let name = record.view.job;
                    self.expire_those(thread, Some(began), |_, ended, _| ended == name);
                    let is_due = self
                        .spec
                        .jobs
                        .get(&name)
                        .is_some_and(|job| job.is_due(began));
                    let collect = Call::Collect(name);
                    let taken = self.spec.apply_from(thread, &collect);
                    self.emitted.expect_removal(&self.real, &self.spec, name);
                    self.history.push((thread, collect, taken.clone()));
                    self.check(is_due && taken == Ret::Count(1), || {
                        format!("a sweep that began at {began} ms took what is not due: {record:?}")
                    });
                }
                Event::Ticked(by, millis) => {
                    self.expire_those(thread, began, |spec, _, ended| ended == spec.now);
                    self.moved.insert(match by {
                        By::Waker(_) => "Waker".to_owned(),
                        other => format!("{other:?}"),
                    });
                    let tick = Call::Tick(millis);
                    self.spec.apply(&tick);
                    self.history.push((thread, tick, Ret::Done));
                }
                // P6: a nested sweep does nothing. The hook of `remove` may sweep.
                Event::Called(Call::Sweep, answer) => {
                    self.check(sweep.is_none() || answer == Ret::Count(0), || {
                        format!("a sweep within a sweep removed {answer:?}")
                    });
                    if sweep.is_none() {
                        self.finish_nested_sweep(thread, began);
                        began = Some(self.spec.now);
                    }
                }
                Event::Called(call, answer) => {
                    if sweep.is_none() {
                        self.finish_nested_sweep(thread, began);
                        began = None;
                    }
                    // Of a sweep's own endings, those before this call have changed its answer.
                    let without = self.spec.clone().apply_from(thread, &call);
                    if answer != without {
                        let name = call.who();
                        self.expire_those(thread, began, |_, ended, _| {
                            name == Some(Who::Id(ended))
                        });
                    }
                    self.moved.insert(format!("in a hook: {}", call.kind()));
                    self.apply(thread, &call, &answer);
                }
            }
        }
        self.expire_those(thread, began, |_, _, _| true);
    }

    /// A sweep by the hook of a removal has ended all jobs that were overdue when it began.
    fn finish_nested_sweep(&mut self, thread: u32, began: Option<Millis>) {
        let Some(time) = began else { return };
        self.expire_those(thread, began, |spec, name, _| {
            spec.jobs[&name].is_overdue(time)
        });
    }

    /// P8: each verdict is made at its own instant, because the wakers of earlier jobs may take
    /// time.
    fn follow_verdicts(&mut self, thread: u32, answer: &Ret, events: Vec<Event>) {
        let expected = self.spec.clone().apply_from(thread, &Call::FailStalled);
        self.history
            .push((thread, Call::FailStalled, answer.clone()));
        self.check(*answer == expected, || {
            format!("the specification answers {expected:?}")
        });
        let mut events = events.into_iter().peekable();
        for name in std::mem::take(&mut self.real.failed) {
            let (before, verdict) = (self.spec.clone(), Call::Verdict(Who::Id(name)));
            let failed = self.spec.apply_from(thread, &verdict);
            self.expect_events(thread, &verdict, &failed, &before);
            while let Some(event) = events.next_if(|event| match event {
                // The watch may belong to an earlier job in the slot.
                Event::Ticked(By::Waker(watch), _) => {
                    let watched = self.spec.watched(*watch).map(|name| self.real.ids[&name]);
                    watched.map(slot) == Some(slot(self.real.ids[&name]))
                }
                _ => false,
            }) {
                self.follow(thread, vec![event], None);
            }
        }
        let rest: Vec<_> = events.collect();
        self.check(rest.is_empty(), || {
            format!("verdicts do not cause {rest:?}")
        });
    }

    /// Compares the visible state of every job that has ever been registered. P1, P4, P6, P8.
    fn compare_worlds(&mut self, thread: u32, nothing_changed: bool) {
        for (&name, &id) in &self.real.ids.clone() {
            let who = Who::Id(name);
            for look in [Call::Snapshot(who), Call::Get(name), Call::Details(who)] {
                self.look(&look);
            }
            if self.spec.is_removed(name) {
                continue;
            }
            let now = self.real.registry.snapshot(id);
            let now = now.expect("it has just been seen");
            let view = self.spec.jobs[&name].record.view;
            if let Some((was, was_view)) = self.seen.insert(name, (now, view)) {
                self.check(now.version() >= was.version(), || {
                    format!("the version fell: {was:?}, {now:?}")
                });
                let version = |view: &View| (view.version, view.revision);
                self.check(
                    now.version().cmp(&was.version()) == version(&view).cmp(&version(&was_view)),
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
        let transition = Transition {
            real: &self.real,
            thread: 0,
            call,
            answer: &expected,
            before: &self.spec,
            after: &self.spec,
        };
        self.emitted.expect(&transition, self.guarded);
        let emitted = self.emitted.check(call, true);
        self.check(emitted.is_ok(), || emitted.clone().unwrap_err());
    }

    /// P9: a waiting watch with news has been woken. Under a guard, wakers wait for its release.
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

    /// Drops the registry and everything that it holds.
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

/// Whether a call on another thread may have to wait for the guard. A call that answers `Gone` or
/// `Superseded` may or may not wait for the lock first.
fn may_wait(call: &Call, answer: &Ret) -> bool {
    let past = matches!(answer, Ret::Refused(Refusal::Gone | Refusal::Superseded));
    let never = matches!(
        call,
        Call::Advance(..)
            | Call::Heartbeat(_)
            | Call::Snapshot(_)
            | Call::Details(_)
            | Call::Watch(..)
            | Call::TryLock(_)
    );
    past && !never
}

impl Spec {
    fn is_removed(&self, name: Name) -> bool {
        self.jobs.get(&name).is_some_and(|job| job.removed)
    }

    /// Returns the job that a watch follows.
    fn watched(&self, watch: u32) -> Option<Name> {
        self.watches.get(&watch).map(|watch| watch.job)
    }
}

/// Prints the last calls, one in each line.
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

/// Returns the jobs that a sweep would end or remove.
fn swept_by(spec: &Spec, thread: u32) -> Vec<Name> {
    let mut swept = spec.clone();
    swept.apply_from(thread, &Call::Sweep);
    let jobs = spec.jobs.iter();
    let changed = jobs.filter(|(name, job)| swept.jobs[name] != **job);
    changed.map(|(name, _)| *name).collect()
}
