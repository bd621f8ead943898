//! The registry under test, driven by the calls of the specification, with its types for the
//! answers.

// A call without a value answers with `Ret::from(())`.
#![allow(clippy::unit_arg)]

use super::api::{
    Details, Job, JobId, JobRegistry, Options, RegisterError, Snapshot, Swept, Watch,
};
use super::forge::flip;
use super::payload::{Bell, Payload};
use super::script::{By, Pace, Script};
use super::spec::{Call, Limits, Name, Record, Refusal, Ret, View, Who, revision};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Names from here on are never registered. Each denotes a forged id; see [`Real::id`].
pub(crate) const STRANGERS: Name = 1 << 16;
/// Denotes the id of a job in another registry.
pub(crate) const FOREIGN: Name = 1 << 24;

/// Returns the name for the id of `victim` with the bit `bit` flipped.
pub(crate) fn stranger(victim: Name, bit: u32) -> Name {
    STRANGERS | victim << 8 | bit
}

pub(crate) struct Real {
    pub(crate) registry: JobRegistry<Payload>,
    pub(crate) script: Arc<Script>,
    pub(crate) ids: BTreeMap<Name, JobId>,
    names: BTreeMap<JobId, Name>,
    /// Owners are in an `Arc`, so that a guard can borrow from one of them.
    pub(crate) owners: BTreeMap<(Name, u32), Arc<Job<Payload>>>,
    watches: BTreeMap<u32, Watch<Payload>>,
    pub(crate) bells: BTreeMap<u32, Arc<Bell>>,
    /// The jobs that the last `fail_stalled` failed, in its order.
    pub(crate) failed: Vec<Name>,
    /// Report of the last sweep.
    pub(crate) swept: Swept,
    pub(crate) alive: Arc<AtomicUsize>,
    foreign: JobId,
}

impl Real {
    pub(crate) fn new(limits: &Limits) -> Self {
        let script = Arc::new(Script::new());
        let hook = script.clone();
        let registry = JobRegistry::builder()
            .capacity(limits.capacity)
            .retention(limits.retention)
            .stall_after(limits.stall_after)
            .stop_grace(limits.stop_grace)
            .sweep_on_register(true)
            .clock(script.clock.clone())
            .on_remove(move |record| hook.hook(record))
            .build();
        let foreign = JobRegistry::new().register(()).unwrap().detach();
        Self {
            registry,
            script,
            ids: BTreeMap::new(),
            names: BTreeMap::new(),
            owners: BTreeMap::new(),
            watches: BTreeMap::new(),
            bells: BTreeMap::new(),
            failed: Vec::new(),
            swept: Swept::default(),
            alive: Arc::default(),
            foreign,
        }
    }

    pub(crate) fn perform(&mut self, call: &Call) -> Ret {
        self.try_perform(call).unwrap_or_else(Ret::Refused)
    }

    #[allow(clippy::too_many_lines)] // an arm for each call
    fn try_perform(&mut self, call: &Call) -> Result<Ret, Refusal> {
        // Makes the same call by id or by handle.
        macro_rules! by {
            ($who:expr, $call:ident $(, $argument:expr)*) => {
                match $who {
                    Who::Id(name) => self.registry.$call(self.id(name) $(, $argument)*)?,
                    Who::Handle(name, attempt) => self.owner(name, attempt)?.$call($($argument),*)?,
                    Who::Guard => return Err(Refusal::Impossible),
                }
            };
        }
        Ok(match *call {
            Call::Tick(millis) => {
                Ret::from(self.script.clock.advance(Duration::from_millis(millis)))
            }
            Call::Register(name, digits) => self.register(name, digits, None),
            Call::RegisterWith(name, digits, deadline) => {
                self.register(name, digits, Some(deadline))
            }
            Call::Start(who) => by!(who, start).into(),
            Call::Advance(who, progress) => Ret::Progress(by!(who, advance, progress)),
            Call::Heartbeat(who) => by!(who, heartbeat).into(),
            Call::Complete(who) => by!(who, complete).into(),
            Call::Fail(who, why) => by!(who, fail, why).into(),
            Call::Cancel(who) => by!(who, cancel).into(),
            Call::CancelBecause(who, why) => by!(who, cancel_because, why).into(),
            Call::RequestStop(who, why) => Ret::Status(by!(who, request_stop, why)),
            Call::Note(who, note) => by!(who, note, note).into(),
            Call::Report(who, progress, note) => by!(who, report, progress, note).into(),
            Call::Details(who) => {
                let seen = by!(who, details);
                Ret::Details(Box::new(self.details(&seen)))
            }
            Call::Lock(who) => drop(by!(who, lock)).into(),
            Call::TryLock(who) => drop(by!(who, try_lock)).into(),
            Call::Update(who, digit) => by!(who, update, |payload| {
                self.script.pass(By::Section);
                payload.push(digit)
            }),
            Call::Panic(who) => {
                // `resume_unwind` skips the panic hook, which would print each panic.
                let update = || {
                    Ok(by!(who, update, |_| -> Ret {
                        self.script.pass(By::Section);
                        resume_unwind(Box::new("boom"))
                    }))
                };
                catch_unwind(AssertUnwindSafe(update)).unwrap_or(Ok(Ret::Panicked))?
            }
            Call::Snapshot(who) => {
                let seen = by!(who, snapshot);
                Ret::View(self.view(&seen))
            }
            Call::Get(name) => {
                Ret::Record(Box::new(self.record(&self.registry.get(self.id(name))?)))
            }
            Call::RemoveAfter(who, delay) => by!(who, remove_after, delay).into(),
            Call::Remove(who) => Ret::Payload(by!(who, remove).digits),
            Call::Sweep => Ret::Count(self.sweep()),
            Call::Retry(who) => {
                let owner = by!(who, retry);
                let attempt = self.own(self.names[&owner.id()], owner);
                Ret::Attempt(attempt)
            }
            Call::DropOwner(name, attempt) => drop(self.disown(name, attempt)?).into(),
            Call::Detach(name, attempt) => {
                assert_eq!(self.disown(name, attempt)?.detach(), self.ids[&name]);
                Ret::Done
            }
            Call::Stalled => self.views(self.registry.stalled()),
            Call::FailStalled => {
                let failed = self.registry.fail_stalled();
                self.failed = failed.iter().map(|seen| self.names[&seen.id()]).collect();
                self.views(failed)
            }
            Call::Watch(name, watch) => {
                self.watches
                    .insert(watch, self.registry.watch(self.id(name))?);
                Ret::Done
            }
            Call::Poll(watch) | Call::PollAnew(watch) => self.poll(watch)?,
            Call::Unwatch(watch) => {
                self.bells.remove(&watch);
                drop(self.watches.remove(&watch).ok_or(Refusal::Impossible)?).into()
            }
            Call::Iter => self.views(self.registry.iter()),
            Call::Len => Ret::Count(self.registry.len()),
            Call::Counts => {
                let seen = self.registry.counts();
                Ret::Counts([
                    seen.pending,
                    seen.running,
                    seen.stopping,
                    seen.completed,
                    seen.failed,
                    seen.cancelled,
                ])
            }
            Call::Read(_)
            | Call::Collect(_)
            | Call::Expire(..)
            | Call::Verdict(_)
            | Call::Unlock => {
                return Err(Refusal::Impossible);
            }
        })
    }

    fn register(&mut self, name: Name, digits: u64, deadline: Option<Duration>) -> Ret {
        let payload = Payload::new(digits, &self.alive, Some(self.script.clone()));
        let registered = match deadline {
            Some(deadline) => {
                let options = Options::new().deadline(deadline);
                self.registry.register_with(payload, options)
            }
            None => self.registry.register(payload),
        };
        match registered {
            Ok(owner) => {
                self.ids.insert(name, owner.id());
                let other = self.names.insert(owner.id(), name);
                assert_eq!(other, None, "an id was given twice");
                self.own(name, owner);
                Ret::Done
            }
            Err(RegisterError::Full(payload)) => Ret::Full(payload.digits),
            Err(other) => panic!("{other}"),
        }
    }

    /// Returns the id that a name denotes. Unregistered names have forged ids.
    pub(crate) fn id(&self, name: Name) -> JobId {
        let victim = self
            .ids
            .get(&(name >> 8 & 0xff))
            .filter(|_| (STRANGERS..FOREIGN).contains(&name));
        let forged = victim.map(|&victim| flip(victim, name & 0x7f));
        self.ids
            .get(&name)
            .copied()
            .or(forged)
            .unwrap_or(self.foreign)
    }

    fn own(&mut self, name: Name, owner: Job<Payload>) -> u32 {
        let attempt = owner.snapshot().expect("the job has just begun").attempt();
        assert_eq!(owner.id(), self.ids[&name]);
        self.owners.insert((name, attempt), Arc::new(owner));
        attempt
    }

    fn owner(&self, name: Name, attempt: u32) -> Result<&Job<Payload>, Refusal> {
        self.owners
            .get(&(name, attempt))
            .map(|owner| &**owner)
            .ok_or(Refusal::Impossible)
    }

    /// Impossible while a guard borrows from the owner.
    fn disown(&mut self, name: Name, attempt: u32) -> Result<Job<Payload>, Refusal> {
        let owner = self
            .owners
            .remove(&(name, attempt))
            .ok_or(Refusal::Impossible)?;
        Arc::try_unwrap(owner).map_err(|owner| {
            self.owners.insert((name, attempt), owner);
            Refusal::Impossible
        })
    }

    fn sweep(&mut self) -> usize {
        let swept = self.registry.sweep();
        assert!(swept.panics.is_empty(), "a sweep reports panics: {swept:?}");
        let removed = swept.removed;
        self.swept = swept;
        removed
    }

    /// Polls with a new bell, which rings when the watch is woken.
    fn poll(&mut self, watch: u32) -> Result<Ret, Refusal> {
        let watched = self.watches.get_mut(&watch).ok_or(Refusal::Impossible)?;
        let bell = Arc::new(Bell::new(watch, &self.script));
        let waker = Waker::from(bell.clone());
        let next = pin!(watched.changed()).poll(&mut Context::from_waker(&waker));
        self.bells.insert(watch, bell);
        Ok(match next {
            Poll::Ready(seen) => Ret::Next(seen.map(|seen| self.view(&seen))),
            Poll::Pending => Ret::Waits,
        })
    }

    pub(crate) fn view(&self, seen: &Snapshot) -> View {
        let version = (seen.attempt(), seen.status(), seen.progress());
        View {
            job: self.names[&seen.id()],
            version,
            revision: revision(&seen.version()),
            beat: millis(seen.last_heartbeat()),
        }
    }

    fn views(&self, seen: impl IntoIterator<Item = Snapshot>) -> Ret {
        let mut views: Vec<_> = seen.into_iter().map(|seen| self.view(&seen)).collect();
        views.sort_unstable();
        Ret::Views(views)
    }

    pub(crate) fn record(&self, seen: &super::api::Record<Payload>) -> Record {
        Record {
            view: self.view(&seen.snapshot),
            registered: millis(seen.times.registered),
            started: seen.times.started.map(millis),
            ended: seen.times.ended.map(millis),
            removal: seen.times.removal.map(millis),
            note: seen.note.as_deref().map(str::to_owned),
            reason: seen.reason.as_deref().map(str::to_owned),
            payload: seen.payload.digits,
        }
    }

    fn details(&self, seen: &Details) -> Record {
        Record {
            view: self.view(&seen.snapshot),
            registered: millis(seen.times.registered),
            started: seen.times.started.map(millis),
            ended: seen.times.ended.map(millis),
            removal: seen.times.removal.map(millis),
            note: seen.note.as_deref().map(str::to_owned),
            reason: seen.reason.as_deref().map(str::to_owned),
            payload: 0,
        }
    }

    /// Makes user code take time from now on.
    pub(crate) fn slow_down(&self, pace: &Pace) {
        let ids = pace.in_hook.iter().map(|call| match call.who() {
            Some(Who::Id(name)) => (call.clone(), self.id(name)),
            _ => (call.clone(), self.foreign),
        });
        let in_hook = (!pace.in_hook.is_empty()).then(|| (self.registry.clone(), ids.collect()));
        self.script.set(pace.clone(), in_hook);
    }

    /// Drops the registry. Returns the last item of every watch, and the number of payloads left.
    pub(crate) fn close(mut self) -> (Vec<(u32, Ret)>, usize) {
        self.owners.clear();
        // The new registry only replaces the dropped one.
        self.registry = JobRegistry::new();
        let watches: Vec<_> = self.watches.keys().copied().collect();
        let ends = watches
            .into_iter()
            .map(|watch| (watch, self.poll(watch).expect("it is there")));
        let ends = ends.collect();
        (ends, self.alive.load(Ordering::Relaxed))
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a test does not last that long")
}

impl From<()> for Ret {
    fn from((): ()) -> Self {
        Self::Done
    }
}
