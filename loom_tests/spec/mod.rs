//! The sequential specification: what every call promises, as plain data and `match`es.
//!
//! It knows nothing of the implementation, and each [`Call`] is one instant of it. What the registry does in
//! several instants is several calls here: a `sweep` that others can come between is a
//! [`Call::Collect`] for each job it takes, a `register` without a reaper is up to two of those, of due
//! jobs of its own choice, and then the [`Call::Register`], and a `retry` of a stalled job is a [`Call::Verdict`] and
//! then the [`Call::Retry`].
//!
//! The module around this one says where the types come from: `mod api { pub use job_registry::*; }`.

#![allow(dead_code)] // each suite uses its own part

use super::api::{Progress, Status};
use std::collections::BTreeMap;
use std::time::Duration;

mod calls;
mod guards;
mod job;
mod refusals;
pub(crate) use calls::{Call, Millis, Name, Record, Refusal, Ret, Version, View, Who};
use guards::Held;
pub(crate) use job::Job;

/// What a registry is built with. `Duration::MAX` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    pub(crate) capacity: usize,
    pub(crate) retention: Duration,
    pub(crate) stall_after: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spec {
    pub(crate) limits: Limits,
    pub(crate) now: Millis,
    /// All that ever were.
    pub(crate) jobs: BTreeMap<Name, Job>,
    /// By thread: one has one guard at most.
    held: BTreeMap<u32, Held>,
    pub(crate) watches: BTreeMap<u32, Watch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    pub(crate) job: Name,
    seen: Option<Version>,
    finished: bool,
}

impl Spec {
    pub(crate) fn new(limits: Limits) -> Self {
        let (jobs, held, watches) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            limits,
            now: 0,
            jobs,
            held,
            watches,
        }
    }

    pub(crate) fn apply(&mut self, call: &Call) -> Ret {
        self.apply_from(0, call)
    }

    /// A call on one of several threads. What is refused changes nothing.
    pub(crate) fn apply_from(&mut self, thread: u32, call: &Call) -> Ret {
        self.perform(thread, call).unwrap_or_else(Ret::Refused)
    }

    fn perform(&mut self, thread: u32, call: &Call) -> Result<Ret, Refusal> {
        let (now, limits) = (self.now, self.limits);
        let holds = self.held.contains_key(&thread);
        Ok(match *call {
            Call::Tick(millis) => {
                self.now += millis;
                Ret::Done
            }
            // A name is given once.
            Call::Register(name, _) if self.jobs.contains_key(&name) => {
                return Err(Refusal::Impossible);
            }
            Call::Watch(_, watch) if self.watches.contains_key(&watch) => {
                return Err(Refusal::Impossible);
            }
            Call::Register(name, payload) => self.register(name, payload),

            // These take no lock.
            Call::Advance(who, progress) => {
                Ret::Progress(self.reach(thread, who)?.advance(progress)?)
            }
            Call::Heartbeat(who) => self.reach(thread, who)?.heartbeat(now).map(done)?,
            Call::Snapshot(Who::Handle(name, _)) => {
                Ret::View(self.reach(thread, Who::Id(name))?.record.view)
            }
            Call::Snapshot(who) => Ret::View(self.reach(thread, who)?.record.view),
            Call::Watch(name, watch) => self.watch(name, watch)?,
            Call::Poll(watch) | Call::PollAnew(watch) => self.poll(watch)?,
            Call::Unwatch(watch) => {
                self.watches.remove(&watch).ok_or(Refusal::Impossible)?;
                Ret::Done
            }
            Call::Iter => self.views(|_| true),
            Call::Stalled => self.views(|job| job.is_stalled(now, &limits)),
            Call::Len => Ret::Count(self.present().count()),
            Call::Counts => self.counts(),

            // These take the job's, or have it already.
            Call::Lock(who) => self.guard(thread, who)?,
            Call::TryLock(who) => self.guard(thread, who).map_err(|refusal| match refusal {
                Refusal::Impossible => Refusal::Busy,
                other => other,
            })?,
            Call::Read(name) => self.read(thread, name)?,
            Call::Unlock => self.unlock(thread),
            Call::Start(who) => self.lock(thread, who)?.start(now).map(done)?,
            Call::Update(who, digit) => {
                let payload = &mut self.lock(thread, who)?.live()?.record.payload;
                *payload = payload.wrapping_mul(10).wrapping_add(digit.into());
                Ret::Payload(*payload)
            }
            Call::Complete(who) => self.end(thread, who, Status::Completed, None)?,
            Call::Fail(who, why) => self.end(thread, who, Status::Failed, Some(why))?,
            Call::Cancel(who) => self.end(thread, who, Status::Cancelled, None)?,
            Call::Panic(who) => {
                let why = match who {
                    Who::Guard => "panicked: while the job's lock was held",
                    Who::Id(_) | Who::Handle(..) => "panicked: boom",
                };
                self.end(thread, who, Status::Failed, Some(why))?;
                Ret::Panicked
            }
            Call::DropOwner(name, attempt) => self.abandon(thread, name, attempt)?,
            Call::Detach(..) => Ret::Done,
            Call::Get(name) => {
                Ret::Record(Box::new(self.lock(thread, Who::Id(name))?.record.clone()))
            }
            Call::RemoveAfter(who, delay) => {
                self.lock(thread, who)?.remove_after(now, delay);
                Ret::Done
            }
            Call::Remove(who) => Ret::Payload(self.lock(thread, who)?.remove()?),
            Call::Retry(who) => Ret::Attempt(self.lock(thread, who)?.retry(now, &limits)?),

            // These never wait, and do nothing under a guard of the thread.
            Call::Sweep | Call::Collect(_) if holds => Ret::Count(0),
            Call::Sweep => self.collect(|_| true),
            Call::Collect(name) => self.collect(|job| job.record.view.job == name),
            Call::FailStalled | Call::Verdict(_) if holds => Ret::Views(Vec::new()),
            Call::FailStalled => self.fail_stalled(|_| true),
            Call::Verdict(who) => {
                let job = self.reach(thread, who)?.record.view.job;
                self.fail_stalled(|other| other.record.view.job == job)
            }
        })
    }

    fn register(&mut self, name: Name, payload: u64) -> Ret {
        if self.present().count() >= self.limits.capacity {
            return Ret::Full(payload);
        }
        self.jobs
            .insert(name, Job::register(name, self.now, payload));
        Ret::Done
    }

    /// Removes the due jobs of a kind. A job that a reader holds is left for the next time.
    fn collect(&mut self, which: impl Fn(&Job) -> bool) -> Ret {
        let Self {
            now, jobs, held, ..
        } = self;
        let free = |job: &&mut Job| held.values().all(|held| held.job != job.record.view.job);
        let due = jobs
            .values_mut()
            .filter(|job| job.is_due(*now) && which(job));
        Ret::Count(due.filter(free).map(|job| job.removed = true).count())
    }

    /// A job that another thread holds is left for the next time.
    fn fail_stalled(&mut self, which: impl Fn(&Job) -> bool) -> Ret {
        let Self {
            limits,
            now,
            jobs,
            held,
            ..
        } = self;
        let free = |job: &&mut Job| held.values().all(|held| held.job != job.record.view.job);
        let failed = jobs.values_mut().filter(|job| !job.removed && which(job));
        let failed = failed.filter(free);
        let failed =
            failed.filter_map(|job| job.fail_if_stalled(*now, limits).then_some(job.record.view));
        Ret::Views(failed.collect())
    }

    fn watch(&mut self, job: Name, watch: u32) -> Result<Ret, Refusal> {
        self.reach(0, Who::Id(job))?;
        self.watches.insert(
            watch,
            Watch {
                job,
                seen: None,
                finished: false,
            },
        );
        Ok(Ret::Done)
    }

    /// The state, if it is new; at last the end, also of a job that has been removed; then nothing.
    fn poll(&mut self, watch: u32) -> Result<Ret, Refusal> {
        let watch = self.watches.get_mut(&watch).ok_or(Refusal::Impossible)?;
        if watch.finished {
            return Ok(Ret::Next(None));
        }
        let view = self.jobs[&watch.job].record.view;
        if watch.seen == Some(view.version) {
            return Ok(Ret::Waits);
        }
        watch.seen = Some(view.version);
        watch.finished = view.version.1.is_ended();
        Ok(Ret::Next(Some(view)))
    }

    fn present(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(|job| !job.removed)
    }

    fn views(&self, which: impl Fn(&Job) -> bool) -> Ret {
        Ret::Views(
            self.present()
                .filter(|job| which(job))
                .map(|job| job.record.view)
                .collect(),
        )
    }

    fn counts(&self) -> Ret {
        let of = |status| {
            self.present()
                .filter(|job| job.status() as usize == status)
                .count()
        };
        Ret::Counts(std::array::from_fn(of))
    }
}

fn done((): ()) -> Ret {
    Ret::Done
}
