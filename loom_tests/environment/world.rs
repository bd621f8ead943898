//! The real registry that the calls are made on, and the calls.

use super::checker::{BodyClass, Environment};
use super::graph::{Domain, HALF, OWN};
use super::judge::{self, NOBODY, SEEN};
use super::spec::{Call, Name, Ret, View, Who};
use crate::api::watch::Watch;
use crate::core::due_queue::Entry;
use crate::guarantee::Memory;
use crate::slots::body::{Body, Removal};
use crate::slots::fenced_id::FencedId;
use crate::slots::watchers::Registration;
use crate::{Job, JobId, JobRegistry, ManualClock, Progress, Snapshot};
use futures_core::Stream;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The slot that is watched, the first of its registry.
const SLOT: u32 = 0;

pub(super) struct World {
    pub(super) jobs: JobRegistry<u64>,
    environment: Rc<Environment>,
    generations: u32,
}

thread_local! {
    static CURRENT: RefCell<Option<(JobRegistry<u64>, Rc<Environment>)>> = const { RefCell::new(None) };
}

/// Drops the world of this thread.
pub(super) fn forget() {
    drop(CURRENT.take());
}

/// Waits for every change of the slot. Whoever has the duty to wake calls it.
struct Bell(Registration);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let Some((jobs, environment)) = CURRENT.with_borrow(Clone::clone) else {
            return;
        };
        environment.woken();
        let (registration, waker) = (self.0, Waker::from(self));
        environment.aside(|| jobs.state.table.watchers().wait(registration, &waker));
    }
}

impl World {
    pub(super) fn new(environment: &Rc<Environment>, now: u64) -> Self {
        let clock = ManualClock::new();
        let jobs = JobRegistry::builder()
            .clock(clock.clone())
            .capacity(4)
            .retention(Duration::MAX)
            .stall_after(judge::STALL_AFTER)
            .build();
        clock.advance(Duration::from_millis(now));
        // The table has its first chunk, and the slot is free and vacant in the real memory.
        let id = jobs.register(0).expect("there is room").detach();
        jobs.cancel(id).expect("it is live");
        jobs.remove(id).expect("it has ended");
        let Domain { generations, .. } = environment.graph().domain;
        let slot = jobs.state.slot(SLOT);
        let [state, beat, nonce] = slot.addresses();
        let fill = {
            let jobs = jobs.clone();
            move |class: BodyClass| {
                *jobs.state.slot(SLOT).body.lock() = match class.generation() {
                    Some(generation) => Body {
                        payload: Some(generation.into()),
                        registered: 0,
                        queued_at: 0,
                        // Due at once, for the sweeps. No other call asks.
                        removal: if class.is_ended() {
                            Removal::at(0)
                        } else {
                            Removal::DEFAULT
                        },
                        ..Body::empty()
                    },
                    None => Body::empty(),
                };
            }
        };
        environment.watch([state, beat, nonce, slot.body.address()], Box::new(fill));
        let current = Some((jobs.clone(), environment.clone()));
        // The one before is dropped afterwards, and wakes its watches.
        drop(CURRENT.replace(current));
        for generation in 1..=generations + 2 {
            let registration = jobs.state.table.watchers().enter(SLOT, generation);
            let waker = Waker::from(Arc::new(Bell(registration)));
            jobs.state.table.watchers().wait(registration, &waker);
        }
        Self {
            jobs,
            environment: environment.clone(),
            generations,
        }
    }

    /// The real memory is as it was when the world was made, and so is the free list.
    pub(super) fn is_clean(&self) -> bool {
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

    pub(super) fn nonces(&self) -> Vec<u64> {
        let nonce = |generation| match generation {
            0 => 0,
            generation => self.jobs.state.id_key.id(SLOT, generation).nonce,
        };
        (0..=self.generations + 2).map(nonce).collect()
    }

    fn id(&self, name: Aim) -> JobId {
        let id = |generation| self.jobs.state.id_key.id(SLOT, generation);
        match name {
            Aim::Id(generation) | Aim::Handle(generation, _) => id(generation),
            Aim::Forged { nonce, generation } => JobId {
                nonce: id(nonce).nonce,
                ..id(generation)
            },
        }
    }

    fn handle(&self, aim: Aim) -> Option<ManuallyDrop<Job<u64>>> {
        let Aim::Handle(_, attempt) = aim else {
            return None;
        };
        let target = FencedId {
            attempt: Some(attempt),
            ..FencedId::of(self.id(aim))
        };
        Some(ManuallyDrop::new(Job::new(self.jobs.clone(), target)))
    }

    fn view(&self, seen: &Snapshot) -> View {
        let id = seen.id();
        let is_issued = self.jobs.state.id_key.has_issued(id);
        let job = if is_issued { id.generation } else { NOBODY };
        View {
            job,
            version: (seen.attempt(), seen.status(), seen.progress()),
            beat: u64::try_from(seen.last_heartbeat().as_millis()).expect("a short time"),
        }
    }

    fn views(&self, seen: impl IntoIterator<Item = Snapshot>) -> Ret {
        Ret::Views(seen.into_iter().map(|seen| self.view(&seen)).collect())
    }

    fn section(&self, aim: Aim) {
        let who = aim.who();
        self.environment
            .assert_all("live and locked by the call", |memory: &Memory| {
                memory.lock == Some(OWN) && judge::is_live(memory, who)
            });
    }
}

/// The job that a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// The id of a generation's job, issued or not yet.
    Id(u32),
    /// An id that is never issued: the nonce of one generation and the place of another.
    Forged { nonce: u32, generation: u32 },
    /// The handle of an attempt.
    Handle(u32, u16),
}

impl Aim {
    fn name(self) -> Name {
        match self {
            Self::Id(generation) | Self::Handle(generation, _) => generation,
            Self::Forged { .. } => NOBODY,
        }
    }

    pub(super) fn who(self) -> Who {
        match self {
            Self::Handle(generation, attempt) => Who::Handle(generation, attempt.into()),
            _ => Who::Id(self.name()),
        }
    }

    /// Whether somebody can have it in a memory. An id can be guessed at any time, and a handle is given once its
    /// attempt has begun.
    fn is_given(self, memory: &Memory) -> bool {
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
    GuardComplete,
    GuardFail,
    GuardCancel,
}

impl Kind {
    /// As the specification has it.
    pub(super) fn call(self, aim: Aim) -> Call {
        let (who, name) = (aim.who(), aim.name());
        let half = Progress::from_ppm(HALF).expect("it is one");
        match self {
            Self::Snapshot => Call::Snapshot(who),
            Self::Advance | Self::GuardAdvance => Call::Advance(who, half),
            Self::Heartbeat | Self::GuardHeartbeat => Call::Heartbeat(who),
            Self::Start | Self::GuardStart => Call::Start(who),
            Self::Complete | Self::GuardComplete => Call::Complete(who),
            Self::Fail | Self::GuardFail => Call::Fail(who, "why"),
            Self::Cancel | Self::GuardCancel => Call::Cancel(who),
            Self::Retry => Call::Retry(who),
            Self::Remove => Call::Remove(who),
            Self::RemoveAfter => Call::RemoveAfter(who, Duration::MAX),
            Self::Lock => Call::Lock(who),
            Self::TryLock => Call::TryLock(who),
            Self::Update => Call::Update(who, 7),
            Self::Panic => Call::Panic(who),
            Self::Get => Call::Get(name),
            Self::Watch => Call::Watch(name, 0),
            Self::Poll => Call::Poll(0),
            Self::DropOwner => match aim {
                Aim::Handle(generation, attempt) => Call::DropOwner(generation, attempt.into()),
                _ => unreachable!("an owner has a handle"),
            },
            Self::Register => Call::Register(0, 0),
            Self::Sweep => Call::Sweep,
            Self::Iter => Call::Iter,
            Self::Counts => Call::Counts,
            Self::Stalled => Call::Stalled,
            Self::FailStalled => Call::FailStalled,
        }
    }

    /// Whether the call can begin in a memory: somebody has what it is made with.
    pub(super) fn can_begin(self, aim: Aim, memory: &Memory) -> bool {
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
        aim.is_given(memory) && (self != Self::Poll || has_seen())
    }

    /// Whether the call observes both words, and looks again where they change.
    pub(super) fn observes(self) -> bool {
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

    /// A retry fails a stalled job first.
    pub(super) fn silent(self, aim: Aim) -> Option<Call> {
        (self == Self::Retry).then(|| Call::Verdict(aim.who()))
    }
}

/// Makes a call by the handle if there is one, and by id otherwise.
macro_rules! by {
    ($world:ident, $aim:ident, $handle:ident, $call:ident($($arg:expr),*)) => {
        match &$handle {
            Some(handle) => handle.$call($($arg),*),
            None => $world.jobs.$call($world.id($aim), $($arg),*),
        }
    };
}

macro_rules! answer {
    ($result:expr, $ok:pat => $ret:expr) => {
        match $result {
            Ok($ok) => $ret,
            Err(error) => Ret::Refused(error.into()),
        }
    };
}

impl World {
    /// Makes the real call.
    #[allow(clippy::too_many_lines)] // a line for each
    pub(super) fn make(&self, kind: Kind, aim: Aim) -> Ret {
        let handle = self.handle(aim);
        let half = Progress::from_ppm(HALF).expect("it is one");
        let (jobs, world) = (&self.jobs, self);
        match kind {
            Kind::Snapshot => {
                answer!(by!(world, aim, handle, snapshot()), seen => Ret::View(self.view(&seen)))
            }
            Kind::Advance => {
                answer!(by!(world, aim, handle, advance(half)), reached => Ret::Progress(reached))
            }
            Kind::Heartbeat => answer!(by!(world, aim, handle, heartbeat()), () => Ret::Done),
            Kind::Start => answer!(by!(world, aim, handle, start()), () => Ret::Done),
            Kind::Complete => answer!(by!(world, aim, handle, complete()), () => Ret::Done),
            Kind::Fail => answer!(by!(world, aim, handle, fail("why")), () => Ret::Done),
            Kind::Cancel => answer!(by!(world, aim, handle, cancel()), () => Ret::Done),
            Kind::Retry => answer!(by!(world, aim, handle, retry()), job => {
                let job = ManuallyDrop::new(job);
                Ret::Attempt(job.attempt())
            }),
            Kind::Remove => {
                answer!(by!(world, aim, handle, remove()), payload => Ret::Payload(payload))
            }
            Kind::RemoveAfter => {
                answer!(by!(world, aim, handle, remove_after(Duration::MAX)), () => Ret::Done)
            }
            Kind::Lock => answer!(by!(world, aim, handle, lock()), _guard => {
                self.section(aim);
                Ret::Done
            }),
            Kind::TryLock => answer!(by!(world, aim, handle, try_lock()), _guard => {
                self.section(aim);
                Ret::Done
            }),
            Kind::Update => {
                let push = |payload: &mut u64| {
                    self.section(aim);
                    *payload = *payload * 10 + 7;
                    *payload
                };
                answer!(by!(world, aim, handle, update(push)), payload => Ret::Payload(payload))
            }
            Kind::Panic => {
                let boom = |_: &mut u64| -> () { std::panic::panic_any(Boom) };
                let update = || by!(world, aim, handle, update(boom));
                match std::panic::catch_unwind(std::panic::AssertUnwindSafe(update)) {
                    Ok(done) => answer!(done, () => Ret::Done),
                    Err(panic) if panic.is::<Boom>() => Ret::Panicked,
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Kind::Get => {
                answer!(jobs.get(self.id(aim)), seen => Ret::View(self.view(&seen.snapshot)))
            }
            Kind::Watch => answer!(jobs.watch(self.id(aim)), _watch => Ret::Done),
            Kind::Poll => self.poll(aim),
            Kind::DropOwner => {
                drop(handle.map(ManuallyDrop::into_inner));
                Ret::Done
            }
            Kind::Register => match jobs.register(0) {
                Ok(job) => {
                    let job = ManuallyDrop::new(job);
                    assert!(
                        jobs.state.id_key.has_issued(job.id()),
                        "its id is the mint's"
                    );
                    Ret::Done
                }
                Err(error) => panic!("{error}"),
            },
            Kind::Sweep => {
                // Nobody else sweeps: the queue has one entry for the slot.
                while !jobs.state.due.take_due(0, 9).is_empty() {}
                let (time, slot) = (0, SLOT);
                jobs.state.due.insert([Entry { time, slot }]);
                Ret::Count(jobs.sweep().removed)
            }
            Kind::Iter => self.views(jobs.iter()),
            Kind::Counts => {
                let counts = jobs.counts();
                Ret::Counts([
                    counts.pending,
                    counts.running,
                    counts.completed,
                    counts.failed,
                    counts.cancelled,
                ])
            }
            Kind::Stalled => self.views(jobs.stalled()),
            Kind::FailStalled => self.views(jobs.fail_stalled()),
            Kind::GuardStart => answer!(by!(world, aim, handle, lock()), mut guard => {
                answer!(guard.start(), () => Ret::Done)
            }),
            Kind::GuardAdvance => answer!(by!(world, aim, handle, lock()), guard => {
                answer!(guard.advance(half), reached => Ret::Progress(reached))
            }),
            Kind::GuardHeartbeat => answer!(by!(world, aim, handle, lock()), guard => {
                answer!(guard.heartbeat(), () => Ret::Done)
            }),
            Kind::GuardComplete => answer!(by!(world, aim, handle, lock()), guard => {
                answer!(guard.complete(), () => Ret::Done)
            }),
            Kind::GuardFail => answer!(by!(world, aim, handle, lock()), guard => {
                guard.fail("why");
                Ret::Done
            }),
            Kind::GuardCancel => answer!(by!(world, aim, handle, lock()), guard => {
                guard.cancel();
                Ret::Done
            }),
        }
    }

    /// A watch that has seen the job polls again.
    fn poll(&self, aim: Aim) -> Ret {
        let (attempt, status, progress) = SEEN;
        let version = super::graph::word_of(crate::guarantee::State {
            generation: 0,
            attempt: u16::try_from(attempt).expect("small"),
            status: Some(status),
            progress: progress.ppm(),
            watched: false,
        })
        .version();
        let watch = Watch::at(&self.jobs.state, FencedId::of(self.id(aim)), version);
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

/// Panic value of a closure.
struct Boom;
