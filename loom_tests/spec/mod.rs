//! The sequential specification: the promises of every call, as plain data and `match`es.
//!
//! It knows nothing of the implementation, and each [`Call`] takes effect at one instant. A call of
//! the registry that has several instants is several calls here:
//!
//! * A `sweep` is a [`Call::Expire`] for each live job that it ends, and a [`Call::Collect`] for
//!   each job that it removes, if other calls can come in between.
//! * A `register` with `sweep_on_register` is up to two [`Call::Collect`]s, of due jobs of its
//!   choice, and then the [`Call::Register`].
//! * A `retry` of a stalled job is a [`Call::Verdict`] and then the [`Call::Retry`].
//!
//! The enclosing module says where the types come from: `mod api { pub use job_registry::*; }`.

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

/// Settings of the registry. `Duration::MAX` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Limits {
    pub(crate) capacity: usize,
    pub(crate) retention: Duration,
    pub(crate) stall_after: Duration,
    pub(crate) stop_grace: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spec {
    pub(crate) limits: Limits,
    pub(crate) now: Millis,
    /// All jobs, including removed ones.
    pub(crate) jobs: BTreeMap<Name, Job>,
    /// Guards by thread. A thread has at most one.
    held: BTreeMap<u32, Held>,
    pub(crate) watches: BTreeMap<u32, Watch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    pub(crate) job: Name,
    /// Version and revision.
    seen: Option<(Version, u64)>,
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

    /// Applies a call of one of several threads. A refused call changes nothing.
    pub(crate) fn apply_from(&mut self, thread: u32, call: &Call) -> Ret {
        self.perform(thread, call).unwrap_or_else(Ret::Refused)
    }

    #[allow(clippy::too_many_lines)] // an arm for each call
    fn perform(&mut self, thread: u32, call: &Call) -> Result<Ret, Refusal> {
        let (now, limits) = (self.now, self.limits);
        let holds = self.held.contains_key(&thread);
        Ok(match *call {
            Call::Tick(millis) => {
                self.now += millis;
                Ret::Done
            }
            // A name is used once.
            Call::Register(name, _) | Call::RegisterWith(name, ..)
                if self.jobs.contains_key(&name) =>
            {
                return Err(Refusal::Impossible);
            }
            Call::Watch(_, watch) if self.watches.contains_key(&watch) => {
                return Err(Refusal::Impossible);
            }
            Call::Register(name, payload) => self.register(name, payload, None),
            Call::RegisterWith(name, payload, deadline) => {
                self.register(name, payload, Some(deadline))
            }

            // These calls take no lock.
            Call::Advance(who, progress) => {
                Ret::Progress(self.reach(thread, who)?.advance(progress)?)
            }
            Call::Heartbeat(who) => self.reach(thread, who)?.heartbeat(now).map(done)?,
            Call::Snapshot(Who::Handle(name, _)) => {
                Ret::View(self.reach(thread, Who::Id(name))?.record.view)
            }
            Call::Snapshot(who) => Ret::View(self.reach(thread, who)?.record.view),
            Call::Details(Who::Id(name) | Who::Handle(name, _)) => {
                let record = self.reach(thread, Who::Id(name))?.record.clone();
                Ret::Details(Box::new(Record {
                    payload: 0,
                    ..record
                }))
            }
            Call::Details(Who::Guard) => return Err(Refusal::Impossible),
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

            // These calls take the job's lock, or their thread holds it already.
            Call::Lock(who) => self.guard(thread, who)?,
            Call::TryLock(who) => self.guard(thread, who).map_err(|refusal| match refusal {
                Refusal::Impossible => Refusal::Busy,
                other => other,
            })?,
            Call::Read(name) => self.read(thread, name)?,
            Call::Unlock => self.unlock(thread),
            Call::Start(who) => self.lock(thread, who)?.start(now).map(done)?,
            Call::Update(who, digit) => {
                let job = self.lock(thread, who)?.live()?;
                let payload = &mut job.record.payload;
                *payload = payload.wrapping_mul(10).wrapping_add(digit.into());
                let payload = *payload;
                match self.held.get_mut(&thread) {
                    // A guard counts the change when it is dropped.
                    Some(held) if who == Who::Guard => held.written = true,
                    _ => self.lock(thread, who)?.revise(),
                }
                Ret::Payload(payload)
            }
            Call::Complete(who) => self.end(thread, who, Status::Completed, None)?,
            Call::Fail(who, why) => self.end(thread, who, Status::Failed, Some(why))?,
            Call::Cancel(who) => self.end(thread, who, Status::Cancelled, None)?,
            Call::CancelBecause(who, why) => self.end(thread, who, Status::Cancelled, Some(why))?,
            Call::RequestStop(who, why) => {
                Ret::Status(self.lock(thread, who)?.request_stop(now, &limits, why)?)
            }
            Call::Note(who, note) => self.lock(thread, who)?.note(note).map(done)?,
            Call::Report(who, progress, note) => {
                self.lock(thread, who)?.report(progress, note).map(done)?
            }
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

            // These calls never wait, and do nothing while the thread holds a guard.
            Call::Sweep | Call::Collect(_) | Call::Expire(..) if holds => Ret::Count(0),
            Call::Sweep => self.collect(|_| true),
            Call::Collect(name) => self.collect(|job| job.record.view.job == name),
            Call::Expire(name, began) => self.expire(began, |job| job.record.view.job == name),
            Call::FailStalled | Call::Verdict(_) if holds => Ret::Views(Vec::new()),
            Call::FailStalled => self.fail_stalled(|_| true),
            Call::Verdict(who) => {
                let job = self.reach(thread, who)?.record.view.job;
                self.fail_stalled(|other| other.record.view.job == job)
            }
        })
    }

    fn register(&mut self, name: Name, payload: u64, deadline: Option<Duration>) -> Ret {
        if self.present().count() >= self.limits.capacity {
            return Ret::Full(payload);
        }
        let job = Job::register(name, self.now, payload);
        self.jobs
            .insert(name, job.with_deadline(self.now, deadline));
        Ret::Done
    }

    /// Ends the overdue and removes the due jobs that `which` selects. A job that another thread
    /// has locked is left for later.
    fn collect(&mut self, which: impl Fn(&Job) -> bool) -> Ret {
        self.expire(self.now, &which);
        let Self {
            now, jobs, held, ..
        } = self;
        let free = |job: &&mut Job| held.values().all(|held| held.job != job.record.view.job);
        let due = jobs
            .values_mut()
            .filter(|job| job.is_due(*now) && which(job));
        Ret::Count(due.filter(free).map(|job| job.removed = true).count())
    }

    /// Ends the jobs that `which` selects and that were overdue at `began`. A job that another
    /// thread has locked is left for later.
    fn expire(&mut self, began: Millis, which: impl Fn(&Job) -> bool) -> Ret {
        let Self {
            limits,
            now,
            jobs,
            held,
            ..
        } = self;
        let free = |job: &&mut Job| held.values().all(|held| held.job != job.record.view.job);
        let began = began.min(*now);
        let selected = jobs.values_mut().filter(|job| which(job)).filter(free);
        let ended =
            selected.filter_map(|job| job.end_if_overdue(began, *now, limits).then_some(()));
        Ret::Count(ended.count())
    }

    /// Fails the stalled jobs that `which` selects. A job that another thread has locked is left
    /// for later.
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

    /// Returns the state if it is new, and `None` after an ended state. The last state of a removed
    /// job is returned as well.
    fn poll(&mut self, watch: u32) -> Result<Ret, Refusal> {
        let watch = self.watches.get_mut(&watch).ok_or(Refusal::Impossible)?;
        if watch.finished {
            return Ok(Ret::Next(None));
        }
        let view = self.jobs[&watch.job].record.view;
        let version = (view.version, view.revision);
        if watch.seen == Some(version) {
            return Ok(Ret::Waits);
        }
        watch.seen = Some(version);
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

/// Returns the second number of a version's text, which counts the changes that attempt, status and
/// progress do not show.
pub(crate) fn revision(version: &impl ToString) -> u64 {
    let text = version.to_string();
    let (_, revision) = text.split_once('-').expect("two numbers");
    u64::from_str_radix(revision, 16).expect("a number")
}

fn done((): ()) -> Ret {
    Ret::Done
}
