//! A program, run on the registry.

use super::super::harness::{self, ModelClock, registry};
use super::super::spec::{Call, Name, Record, Refusal, Ret, View, Who};
use super::alphabet::{JOB, Letter, NOW, Start};
use super::history::{self, Stamps};
use super::judge::{Answers, Outcome, RealTime, ends_the_call, last_look, place};
use super::program::Program;
use crate::sync::record::Event;
use crate::{Job, JobId, JobRegistry, RegisterError, Snapshot, Watch};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Remembers whether it was woken.
#[derive(Debug, Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A watch, and whether the last look at it found nothing new.
struct Watching {
    watch: Watch<u64>,
    bell: Arc<Bell>,
    waits: bool,
}

impl Watching {
    fn poll(&mut self) -> Ret {
        let waker = Waker::from(self.bell.clone());
        let next = pin!(self.watch.changed()).poll(&mut Context::from_waker(&waker));
        let ret = match next {
            Poll::Ready(seen) => Ret::Next(seen.map(|seen| view(&seen))),
            Poll::Pending => Ret::Waits,
        };
        if self.waits && ret != Ret::Waits {
            assert!(self.bell.0.load(Ordering::Relaxed), "a wake was lost");
        }
        self.waits = ret == Ret::Waits;
        ret
    }
}

/// What all threads share.
struct Shared {
    jobs: JobRegistry<u64>,
    id: JobId,
    owner: Job<u64>,
}

type Watches = Vec<(u32, Watching)>;

/// Brings the job into the state that programs begin in.
fn begin(start: Start) -> Shared {
    let limits = Start::LIMITS;
    let (jobs, clock): (_, ModelClock) = registry(|builder| {
        builder
            .capacity(limits.capacity)
            .retention(limits.retention)
            .stall_after(limits.stall_after)
    });
    let owner = jobs.register(0).unwrap();
    let id = owner.id();
    match start {
        Start::Pending => {}
        Start::Running => jobs.start(id).unwrap(),
        Start::Due => {
            jobs.start(id).unwrap();
            jobs.fail(id, "no route").unwrap();
        }
        Start::Retried => {
            jobs.fail(id, "no route").unwrap();
            let _ = jobs.retry(id).unwrap().detach();
            jobs.start(id).unwrap();
        }
    }
    clock.advance(Duration::from_millis(NOW));
    Shared { jobs, id, owner }
}

/// What a thread has to tell when it ends.
type Told = (Vec<Answers>, Vec<Stamps>, Watches);

/// One execution of the program, and when its calls began and returned.
pub(super) fn execute(program: &Program) -> (Outcome, Option<RealTime>) {
    let shared = Arc::new(begin(program.start));
    let spawn = |(thread, letters): (usize, &Vec<_>)| {
        let (shared, letters) = (shared.clone(), letters.clone());
        harness::spawn(move || {
            let mut watches = Watches::new();
            let run = |(call, letter): (usize, &Letter)| {
                let calls = letter.calls(place(thread, call));
                let began = history::begins();
                let answers = run(&shared, &mut watches, &calls);
                (answers, (began, history::returns()))
            };
            let (answers, stamps) = letters.iter().enumerate().map(run).unzip();
            (answers, stamps, watches)
        })
    };
    let threads: Vec<_> = program.threads.iter().enumerate().map(spawn).collect();
    let mut watches = Watches::new();
    let join = |thread: harness::JoinHandle<Told>| {
        let (answers, stamps, mut more) = thread.join().unwrap();
        watches.append(&mut more);
        (answers, stamps)
    };
    let (answers, stamps): (_, Vec<_>) = threads.into_iter().map(join).unzip();
    let real_time = history::real_time(program, &stamps);
    let last = last_look(program)
        .iter()
        .map(|call| perform(&shared, &mut watches, call).unwrap_or_else(Ret::Refused))
        .collect();
    let shared = Arc::into_inner(shared).expect("all threads have ended");
    let _ = shared.owner.detach();
    (Outcome { answers, last }, real_time)
}

/// The instants of one call. One that is refused is the last.
fn run(shared: &Shared, watches: &mut Watches, calls: &[Call]) -> Answers {
    let mut answers = Answers::new();
    if let [Call::Lock(_), inside @ .., Call::Unlock] = calls {
        under_the_lock(shared, &calls[0], inside, &mut answers);
        return answers;
    }
    for call in calls {
        if call.is_silent() {
            continue;
        }
        let answer = noted(call, || {
            perform(shared, watches, call).unwrap_or_else(Ret::Refused)
        });
        let is_last = ends_the_call(call, &answer);
        answers.push(answer);
        if is_last {
            break;
        }
    }
    answers
}

/// For the timeline.
fn noted(what: &Call, call: impl FnOnce() -> Ret) -> Ret {
    harness::note(Event::Call(Rc::new(what.clone())));
    let answer = call();
    harness::note(Event::Return(Rc::new(answer.clone())));
    answer
}

fn under_the_lock(shared: &Shared, lock: &Call, inside: &[Call], answers: &mut Answers) {
    let mut guard = None;
    answers.push(noted(lock, || match shared.jobs.lock(shared.id) {
        Ok(held) => {
            guard = Some(held);
            Ret::Done
        }
        Err(error) => Ret::Refused(error.into()),
    }));
    let Some(mut guard) = guard else {
        return;
    };
    for call in inside {
        let mut step = || match *call {
            Call::Advance(_, progress) => guard.advance(progress).map(Ret::Progress),
            Call::Update(_, digit) => Ok(push(&mut guard, digit)),
            _ => unreachable!("not in the alphabet"),
        };
        answers.push(noted(call, || {
            step().unwrap_or_else(|error| Ret::Refused(error.into()))
        }));
    }
    answers.push(noted(&Call::Unlock, || {
        drop(guard);
        Ret::Done
    }));
}

fn push(payload: &mut u64, digit: u8) -> Ret {
    *payload = *payload * 10 + u64::from(digit);
    Ret::Payload(*payload)
}

fn perform(shared: &Shared, watches: &mut Watches, call: &Call) -> Result<Ret, Refusal> {
    let Shared { jobs, id, owner } = shared;
    let id = *id;
    let done = |()| Ret::Done;
    Ok(match *call {
        Call::Advance(Who::Handle(..), progress) => Ret::Progress(owner.advance(progress)?),
        Call::Heartbeat(Who::Handle(..)) => owner.heartbeat().map(done)?,
        Call::Complete(Who::Handle(..)) => owner.complete().map(done)?,
        Call::Start(_) => jobs.start(id).map(done)?,
        Call::Advance(_, progress) => Ret::Progress(jobs.advance(id, progress)?),
        Call::Heartbeat(_) => jobs.heartbeat(id).map(done)?,
        Call::Update(_, digit) => jobs.update(id, |payload| push(payload, digit))?,
        Call::Complete(_) => jobs.complete(id).map(done)?,
        Call::Fail(_, why) => jobs.fail(id, why).map(done)?,
        Call::Cancel(_) => jobs.cancel(id).map(done)?,
        Call::Snapshot(_) => Ret::View(view(&jobs.snapshot(id)?)),
        Call::Get(_) => Ret::Record(Box::new(record_of(&jobs.get(id)?))),
        Call::RemoveAfter(_, delay) => jobs.remove_after(id, delay).map(done)?,
        Call::Remove(_) => Ret::Payload(jobs.remove(id)?),
        Call::Sweep => Ret::Count(jobs.sweep().removed),
        Call::FailStalled => Ret::Views(jobs.fail_stalled().iter().map(view).collect()),
        Call::Retry(_) => {
            let owner = jobs.retry(id)?;
            let attempt = owner.attempt();
            let _ = owner.detach();
            Ret::Attempt(attempt)
        }
        Call::Register(..) => match jobs.register(0) {
            Ok(owner) => {
                let _ = owner.detach();
                Ret::Done
            }
            Err(RegisterError::Full(payload)) => Ret::Full(payload),
            Err(other) => panic!("{other}"),
        },
        Call::Watch(_, name) => {
            let watching = Watching {
                watch: jobs.watch(id)?,
                bell: Arc::default(),
                waits: false,
            };
            watches.push((name, watching));
            Ret::Done
        }
        Call::Poll(name) => {
            let watching = watches.iter_mut().find(|(watch, _)| *watch == name);
            watching.ok_or(Refusal::Impossible)?.1.poll()
        }
        Call::Len => Ret::Count(jobs.len()),
        ref other => unreachable!("{other:?} is not in the alphabet"),
    })
}

/// Only the one job is ever looked at.
fn view(seen: &Snapshot) -> View {
    View {
        job: JOB,
        version: (seen.attempt(), seen.status(), seen.progress()),
        beat: millis(seen.last_heartbeat()),
    }
}

fn record_of(seen: &crate::Record<u64>) -> Record {
    let name: Name = JOB;
    debug_assert_eq!(name, view(&seen.snapshot).job);
    Record {
        view: view(&seen.snapshot),
        registered: millis(seen.times.registered),
        started: seen.times.started.map(millis),
        ended: seen.times.ended.map(millis),
        removal: seen.times.removal.map(millis),
        error: seen.error.as_deref().map(str::to_owned),
        payload: seen.payload,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a short time")
}
