//! The real registry, and the calls that are made on it.

use super::checker::{BodyClass, Environment};
use super::graph::{Domain, HALF, OWN};
use super::judge::{self, SEEN, UNKNOWN};
use super::spec::{Call, Name, Ret, View, Who, revision};
use crate::api::watch::Watch;
use crate::core::due_queue::Entry;
use crate::guarantee::Memory;
use crate::slots::body::{Info, Removal};
use crate::slots::fenced_id::FencedId;
use crate::slots::watchers::Registration;
use crate::types::version::{Version, first_revision};
use crate::{Job, JobId, JobRegistry, ManualClock, Progress, Snapshot};
use futures_core::Stream;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Index of the checked slot, which is the first of its registry.
const SLOT: u32 = 0;

/// A registry whose first slot is under the checker's control.
pub(super) struct Fixture {
    pub(super) jobs: JobRegistry<u64>,
    environment: Rc<Environment>,
    generations: u32,
}

type Current = Option<(JobRegistry<u64>, Rc<Environment>)>;

thread_local! {
    /// Registry and checker of the thread's fixture, which its wakers use.
    static CURRENT: RefCell<Current> = const { RefCell::new(None) };
}

/// Drops the thread's reference to its fixture.
pub(super) fn clear_current() {
    drop(CURRENT.take());
}

/// A waker that notes each wake and then waits again.
struct RearmingWaker(Registration);

impl Wake for RearmingWaker {
    fn wake(self: Arc<Self>) {
        let Some((jobs, environment)) = CURRENT.with_borrow(Clone::clone) else {
            return;
        };
        environment.note_wake();
        let (registration, waker) = (self.0, Waker::from(self));
        environment.unchecked(|| jobs.state.table.watchers().wait(registration, &waker));
    }
}

impl Fixture {
    pub(super) fn new(environment: &Rc<Environment>, now: u64) -> Self {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .capacity(4)
            .retention(Duration::MAX)
            .stall_after(judge::STALL_AFTER)
            .sweep_on_register(true)
            .build();
        clock.advance(Duration::from_millis(now));
        // This allocates the first chunk and leaves the slot free and vacant in the real memory.
        let id = jobs.register(0).expect("there is room").detach();
        jobs.cancel(id).expect("it is live");
        jobs.remove(id).expect("it has ended");
        let Domain { generations, .. } = environment.graph().domain;
        let slot = jobs.state.slot(SLOT);
        let [state, heartbeat, nonce, revision] = slot.addresses();
        let fill = {
            let jobs = jobs.clone();
            move |class: BodyClass| {
                let body = jobs.state.slot(SLOT).body;
                let mut info = body.info.lock();
                *info = Info::empty();
                *body.payload.lock() = class.generation().map(u64::from);
                if class.generation().is_some() {
                    body.begun.register(0);
                    info.queued_at = 0;
                    // A sweep must find the removal due. No other call reads this time.
                    if class.is_ended() {
                        info.removal = Removal::at(0);
                    }
                }
            }
        };
        let lock = slot.body.payload.address();
        let addresses = [state, heartbeat, nonce, lock, revision];
        environment.control(addresses, Box::new(fill));
        let current = Some((jobs.clone(), environment.clone()));
        // The destructor of the previous fixture wakes its watchers, which use the current one.
        drop(CURRENT.replace(current));
        for generation in 1..=generations + 2 {
            let registration = jobs.state.table.watchers().enter(SLOT, generation);
            let waker = Waker::from(Arc::new(RearmingWaker(registration)));
            jobs.state.table.watchers().wait(registration, &waker);
        }
        Self {
            jobs,
            environment: environment.clone(),
            generations,
        }
    }

    /// Restores the free list, and returns whether the real slot is as it was in a new fixture.
    pub(super) fn restore(&self) -> bool {
        let slot = self.jobs.state.slot(SLOT);
        let free = self.jobs.state.table.free();
        for _ in 0..self.environment.taken.get() {
            free.give_back(Some(SLOT));
        }
        for _ in self.environment.taken.get()..0 {
            let _ = free.take();
        }
        self.environment.taken.set(0);
        let state = slot.state();
        state.is_vacant() && state.generation() == 2 && slot.heartbeat().generation() == 1
    }

    /// Returns the nonces of the slot's generations, from 0.
    pub(super) fn nonces(&self) -> Vec<u64> {
        let nonce = |generation| match generation {
            0 => 0,
            generation => self.jobs.state.id_key.id(SLOT, generation).nonce,
        };
        (0..=self.generations + 2).map(nonce).collect()
    }

    fn id(&self, subject: Subject) -> JobId {
        let id = |generation| self.jobs.state.id_key.id(SLOT, generation);
        match subject {
            Subject::Id(generation) | Subject::Handle(generation, _) => id(generation),
            Subject::Forged { nonce, generation } => JobId {
                nonce: id(nonce).nonce,
                ..id(generation)
            },
        }
    }

    fn handle(&self, subject: Subject) -> Option<ManuallyDrop<Job<u64>>> {
        let Subject::Handle(_, attempt) = subject else {
            return None;
        };
        let target = FencedId {
            attempt: Some(attempt),
            ..FencedId::of(self.id(subject))
        };
        Some(ManuallyDrop::new(Job::new(self.jobs.clone(), target)))
    }

    fn view(&self, seen: &Snapshot) -> View {
        let id = seen.id();
        let is_issued = self.jobs.state.id_key.has_issued(id);
        let job = if is_issued { id.generation } else { UNKNOWN };
        View {
            job,
            version: (seen.attempt(), seen.status(), seen.progress()),
            revision: revision(&seen.version()),
            beat: u64::try_from(seen.last_heartbeat().as_millis()).expect("a short time"),
        }
    }

    fn views(&self, seen: impl IntoIterator<Item = Snapshot>) -> Ret {
        Ret::Views(seen.into_iter().map(|seen| self.view(&seen)).collect())
    }

    /// Checks that the call holds the lock of a live job, at a point where user code has the
    /// payload.
    fn check_critical_section(&self, subject: Subject) {
        let who = subject.who();
        self.environment
            .assert_all("live and locked by the call", |memory: &Memory| {
                memory.lock == Some(OWN) && judge::is_live(memory, who)
            });
    }
}

/// Id or handle by which a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Id of a generation's job, which may not be issued yet.
    Id(u32),
    /// An id that is never issued: the nonce of one generation with another generation.
    Forged { nonce: u32, generation: u32 },
    /// Handle of a generation's job, for one attempt.
    Handle(u32, u16),
}

impl Subject {
    fn name(self) -> Name {
        match self {
            Self::Id(generation) | Self::Handle(generation, _) => generation,
            Self::Forged { .. } => UNKNOWN,
        }
    }

    pub(super) fn who(self) -> Who {
        match self {
            Self::Handle(generation, attempt) => Who::Handle(generation, attempt.into()),
            _ => Who::Id(self.name()),
        }
    }

    /// Returns whether a caller can have the id or handle in a memory. Ids can be guessed at any
    /// time. A handle exists once its attempt has begun.
    fn is_obtainable(self, memory: &Memory) -> bool {
        let Self::Handle(generation, attempt) = self else {
            return true;
        };
        let state = memory.state;
        state.generation > generation
            || (state.generation == generation
                && state.status.is_some()
                && state.attempt >= attempt)
    }
}

/// The calls that the checker makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Snapshot,
    Advance,
    Heartbeat,
    Start,
    Complete,
    Fail,
    Cancel,
    RequestStop,
    Note,
    Report,
    Retry,
    Remove,
    RemoveAfter,
    Lock,
    TryLock,
    Update,
    Panic,
    Get,
    Watch,
    Poll,
    DropOwner,
    Register,
    Sweep,
    Iter,
    Counts,
    Stalled,
    FailStalled,
    GuardStart,
    GuardAdvance,
    GuardHeartbeat,
    GuardUpdate,
    GuardComplete,
    GuardFail,
    GuardCancel,
}

impl Kind {
    /// Returns the call of the specification.
    pub(super) fn call(self, subject: Subject) -> Call {
        let (who, name) = (subject.who(), subject.name());
        let half = Progress::from_ppm(HALF).expect("a progress in range");
        match self {
            Self::Snapshot => Call::Snapshot(who),
            Self::Advance | Self::GuardAdvance => Call::Advance(who, half),
            Self::Heartbeat | Self::GuardHeartbeat => Call::Heartbeat(who),
            Self::Start | Self::GuardStart => Call::Start(who),
            Self::Complete | Self::GuardComplete => Call::Complete(who),
            Self::Fail | Self::GuardFail => Call::Fail(who, "why"),
            Self::Cancel | Self::GuardCancel => Call::Cancel(who),
            Self::RequestStop => Call::RequestStop(who, "why"),
            Self::Note => Call::Note(who, "note"),
            Self::Report => Call::Report(who, half, "note"),
            Self::Retry => Call::Retry(who),
            Self::Remove => Call::Remove(who),
            Self::RemoveAfter => Call::RemoveAfter(who, Duration::MAX),
            Self::Lock => Call::Lock(who),
            Self::TryLock => Call::TryLock(who),
            Self::Update | Self::GuardUpdate => Call::Update(who, 7),
            Self::Panic => Call::Panic(who),
            Self::Get => Call::Get(name),
            Self::Watch => Call::Watch(name, 0),
            Self::Poll => Call::Poll(0),
            Self::DropOwner => match subject {
                Subject::Handle(generation, attempt) => Call::DropOwner(generation, attempt.into()),
                _ => unreachable!("an owner is a handle"),
            },
            Self::Register => Call::Register(0, 0),
            Self::Sweep => Call::Sweep,
            Self::Iter => Call::Iter,
            Self::Counts => Call::Counts,
            Self::Stalled => Call::Stalled,
            Self::FailStalled => Call::FailStalled,
        }
    }

    /// Returns whether the call can begin in a memory: a caller has the id or handle, and the
    /// poll's watch has seen its version.
    pub(super) fn can_begin(self, subject: Subject, memory: &Memory) -> bool {
        let state = memory.state;
        let has_seen = || {
            let version = state
                .status
                .map(|status| (state.attempt.into(), status, state.progress));
            let (attempt, status, progress) = SEEN;
            state.generation > judge::POLLED
                || (state.generation == judge::POLLED
                    && version >= Some((attempt, status, progress.ppm())))
        };
        subject.is_obtainable(memory) && (self != Self::Poll || has_seen())
    }

    /// Returns whether the call loads both words as a pair, and repeats the loads if they change.
    pub(super) fn loads_pair(self) -> bool {
        matches!(
            self,
            Self::Snapshot
                | Self::Heartbeat
                | Self::Poll
                | Self::Iter
                | Self::Counts
                | Self::Stalled
                | Self::FailStalled
                | Self::Get
        )
    }

    /// Returns whether the call reads every job of the registry as `snapshot` reads one.
    pub(super) fn scans(self) -> bool {
        matches!(self, Self::Iter | Self::Stalled | Self::FailStalled)
    }

    /// Returns whether the call compares its progress with the job's.
    pub(super) fn advances(self) -> bool {
        matches!(self, Self::Advance | Self::Report | Self::GuardAdvance)
    }

    /// Returns whether the call takes the lock and may change the status. All other calls neither
    /// read the watched bit of an ended job nor clear it, except that they settle a retry.
    pub(super) fn ends_or_retries(self) -> bool {
        matches!(
            self,
            Self::Start
                | Self::Complete
                | Self::Fail
                | Self::Cancel
                | Self::RequestStop
                | Self::Retry
                | Self::Remove
                | Self::Sweep
                | Self::Watch
        )
    }

    /// Returns whether the call reads the revision.
    pub(super) fn reads_revision(self) -> bool {
        matches!(
            self,
            Self::Snapshot
                | Self::Get
                | Self::Poll
                | Self::Iter
                | Self::Stalled
                | Self::FailStalled
                | Self::Update
                | Self::Note
                | Self::Report
                | Self::RemoveAfter
                | Self::Remove
                | Self::Retry
                | Self::Sweep
                | Self::GuardUpdate
        )
    }

    /// Returns the part of a call that may take effect before it: a retry first fails a stalled
    /// job.
    pub(super) fn silent_part(self, subject: Subject) -> Option<Call> {
        (self == Self::Retry).then(|| Call::Verdict(subject.who()))
    }
}

/// Makes a call by the handle if there is one, and by id otherwise.
macro_rules! by {
    ($fixture:ident, $subject:ident, $handle:ident, $call:ident($($arg:expr),*)) => {
        match &$handle {
            Some(handle) => handle.$call($($arg),*),
            None => $fixture.jobs.$call($fixture.id($subject), $($arg),*),
        }
    };
}

/// Converts the result of a call to an answer of the specification.
macro_rules! answer {
    ($result:expr, $ok:pat => $ret:expr) => {
        match $result {
            Ok($ok) => $ret,
            Err(error) => Ret::Refused(error.into()),
        }
    };
}

impl Fixture {
    /// Makes the real call and returns its answer.
    #[allow(clippy::too_many_lines)] // an arm for each call
    pub(super) fn make(&self, kind: Kind, subject: Subject) -> Ret {
        let handle = self.handle(subject);
        let half = Progress::from_ppm(HALF).expect("a progress in range");
        let (jobs, fixture) = (&self.jobs, self);
        match kind {
            Kind::Snapshot => {
                answer!(by!(fixture, subject, handle, snapshot()), seen => {
                    Ret::View(self.view(&seen))
                })
            }
            Kind::Advance => {
                answer!(by!(fixture, subject, handle, advance(half)), reached => {
                    Ret::Progress(reached)
                })
            }
            Kind::Heartbeat => answer!(by!(fixture, subject, handle, heartbeat()), () => Ret::Done),
            Kind::Start => answer!(by!(fixture, subject, handle, start()), () => Ret::Done),
            Kind::Complete => answer!(by!(fixture, subject, handle, complete()), () => Ret::Done),
            Kind::Fail => answer!(by!(fixture, subject, handle, fail("why")), () => Ret::Done),
            Kind::Cancel => answer!(by!(fixture, subject, handle, cancel()), () => Ret::Done),
            Kind::RequestStop => {
                answer!(by!(fixture, subject, handle, request_stop("why")), status => {
                    Ret::Status(status)
                })
            }
            Kind::Note => answer!(by!(fixture, subject, handle, note("note")), () => Ret::Done),
            Kind::Report => {
                answer!(by!(fixture, subject, handle, report(half, "note")), () => Ret::Done)
            }
            Kind::Retry => answer!(by!(fixture, subject, handle, retry()), job => {
                let job = ManuallyDrop::new(job);
                Ret::Attempt(job.attempt())
            }),
            Kind::Remove => {
                answer!(by!(fixture, subject, handle, remove()), payload => Ret::Payload(payload))
            }
            Kind::RemoveAfter => {
                answer!(by!(fixture, subject, handle, remove_after(Duration::MAX)), () => Ret::Done)
            }
            Kind::Lock => answer!(by!(fixture, subject, handle, lock()), _guard => {
                self.check_critical_section(subject);
                Ret::Done
            }),
            Kind::TryLock => answer!(by!(fixture, subject, handle, try_lock()), _guard => {
                self.check_critical_section(subject);
                Ret::Done
            }),
            Kind::Update => {
                let append = |payload: &mut u64| {
                    self.check_critical_section(subject);
                    *payload = *payload * 10 + 7;
                    *payload
                };
                answer!(by!(fixture, subject, handle, update(append)), payload => {
                    Ret::Payload(payload)
                })
            }
            Kind::Panic => {
                let panic = |_: &mut u64| -> () { std::panic::panic_any(ClosurePanic) };
                let update = || by!(fixture, subject, handle, update(panic));
                match std::panic::catch_unwind(std::panic::AssertUnwindSafe(update)) {
                    Ok(done) => answer!(done, () => Ret::Done),
                    Err(panic) if panic.is::<ClosurePanic>() => Ret::Panicked,
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Kind::Get => {
                answer!(jobs.get(self.id(subject)), seen => Ret::View(self.view(&seen.snapshot)))
            }
            Kind::Watch => answer!(jobs.watch(self.id(subject)), _watch => Ret::Done),
            Kind::Poll => self.poll(subject),
            Kind::DropOwner => {
                drop(handle.map(ManuallyDrop::into_inner));
                Ret::Done
            }
            Kind::Register => match jobs.register(0) {
                Ok(job) => {
                    let job = ManuallyDrop::new(job);
                    assert!(
                        jobs.state.id_key.has_issued(job.id()),
                        "the id key should have issued the id"
                    );
                    Ret::Done
                }
                Err(error) => panic!("{error}"),
            },
            Kind::Sweep => {
                // The due queue gets exactly one entry, which is for the slot and due.
                let due = &jobs.state.due;
                while !due.take(&mut due.due_now(0), 9).is_empty() {}
                let (time, slot) = (0, SLOT);
                drop(jobs.state.due.insert([Entry { time, slot }]));
                Ret::Count(jobs.sweep().removed)
            }
            Kind::Iter => self.views(jobs.iter()),
            Kind::Counts => {
                let counts = jobs.counts();
                Ret::Counts([
                    counts.pending,
                    counts.running,
                    counts.stopping,
                    counts.completed,
                    counts.failed,
                    counts.cancelled,
                ])
            }
            Kind::Stalled => self.views(jobs.stalled()),
            Kind::FailStalled => self.views(jobs.fail_stalled()),
            Kind::GuardStart => answer!(by!(fixture, subject, handle, lock()), mut guard => {
                answer!(guard.start(), () => Ret::Done)
            }),
            Kind::GuardAdvance => answer!(by!(fixture, subject, handle, lock()), guard => {
                answer!(guard.advance(half), reached => Ret::Progress(reached))
            }),
            Kind::GuardHeartbeat => answer!(by!(fixture, subject, handle, lock()), guard => {
                answer!(guard.heartbeat(), () => Ret::Done)
            }),
            Kind::GuardUpdate => answer!(by!(fixture, subject, handle, lock()), mut guard => {
                self.check_critical_section(subject);
                *guard = *guard * 10 + 7;
                Ret::Payload(*guard)
            }),
            Kind::GuardComplete => answer!(by!(fixture, subject, handle, lock()), guard => {
                answer!(guard.complete(), () => Ret::Done)
            }),
            Kind::GuardFail => answer!(by!(fixture, subject, handle, lock()), guard => {
                guard.fail("why");
                Ret::Done
            }),
            Kind::GuardCancel => answer!(by!(fixture, subject, handle, lock()), guard => {
                guard.cancel();
                Ret::Done
            }),
        }
    }

    /// Polls a watch that has seen the version `SEEN`.
    fn poll(&self, subject: Subject) -> Ret {
        let (attempt, status, progress) = SEEN;
        let word = super::graph::state_word(crate::guarantee::State {
            generation: 0,
            attempt: u16::try_from(attempt).expect("a small attempt"),
            status: Some(status),
            progress: progress.ppm(),
            watched: false,
        });
        let version = Version::new(word, first_revision(word.generation()));
        let watch = Watch::at(&self.jobs.state, FencedId::of(self.id(subject)), version);
        let mut watch = pin!(watch);
        match watch
            .as_mut()
            .poll_next(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Pending => Ret::Waits,
            Poll::Ready(seen) => Ret::Next(seen.map(|seen| self.view(&seen))),
        }
    }
}

/// Panic value of the closure of an `update`.
struct ClosurePanic;
