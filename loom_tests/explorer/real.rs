//! Execution of a program on the registry.

use super::super::harness::{self, Bell, ModelClock, note, nothing_is_left, registry};
use super::super::spec::{Call, Name, Record, Refusal, Ret, View, Who, revision};
use super::alphabet::{EARLIER, EARLIER_WATCH, JOB, Letter, NOW, Start};
use super::history::{self, Stamps};
use super::judge::{Answers, Outcome, RealTime, ends_the_call, final_calls, place};
use super::program::Program;
use crate::sync::facade::record::Event;
use crate::{Job, JobId, JobRegistry, RegisterError, Snapshot, Watch};
use std::borrow::Borrow;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

/// A watch with its waker, and whether the last poll found nothing new.
struct Watching {
    /// The watched job.
    job: Name,
    watch: Watch<u64>,
    bell: Bell,
    waits: bool,
}

impl Watching {
    fn new(job: Name, watch: Watch<u64>) -> Self {
        Self {
            job,
            watch,
            bell: Bell::default(),
            waits: false,
        }
    }

    fn poll(&mut self) -> Ret {
        self.bell.reset();
        let ret = match self.bell.poll(&mut self.watch) {
            Poll::Ready(seen) => Ret::Next(seen.map(|seen| view(self.job, &seen))),
            Poll::Pending => Ret::Waits,
        };
        self.waits = ret == Ret::Waits;
        ret
    }

    /// Polls with another waker, which replaces the earlier one.
    fn poll_anew(&mut self) -> Ret {
        self.bell = Bell::default();
        self.poll()
    }

    /// Polls after all threads have ended. A watch that waited and has an unseen change must have been woken by
    /// its last waker.
    fn poll_at_last(&mut self) -> Ret {
        let (waited, bell) = (self.waits, self.bell.clone());
        let has_rung = bell.has_rung();
        let ret = self.poll_anew();
        assert!(
            !waited || has_rung || ret == Ret::Waits,
            "a wake was lost: {ret:?}"
        );
        ret
    }
}

/// State that all threads share. The mutexes are the standard library's and never contended, so
/// they are not part of the model.
struct Shared {
    jobs: JobRegistry<u64>,
    clock: ModelClock,
    id: JobId,
    owner: Mutex<Option<Arc<Job<u64>>>>,
    /// Id and owner of the slot's earlier job.
    earlier: Option<(JobId, Job<u64>)>,
    /// Watches that wait when the program begins.
    watches: Mutex<Watches>,
    names: Mutex<Names>,
}

type Watches = Vec<(u32, Watching)>;

/// Names of the jobs. A walk may show a job before its registration has returned.
#[derive(Default)]
struct Names {
    known: Vec<(JobId, Name)>,
    /// Jobs that walks have shown, by their provisional names.
    walked: Vec<JobId>,
}

/// The first provisional name.
const PROVISIONAL: Name = 1_000_000;

impl Names {
    fn provisional(&mut self, id: JobId) -> Name {
        let place = self.walked.iter().position(|walked| *walked == id);
        let place = place.unwrap_or_else(|| {
            self.walked.push(id);
            self.walked.len() - 1
        });
        PROVISIONAL + u32::try_from(place).expect("few jobs")
    }

    /// Returns the name of a job that a walk has shown, after all registrations have returned.
    fn settle(&self, provisional: Name) -> Name {
        let id = self.walked[usize::try_from(provisional - PROVISIONAL).expect("small")];
        let known = self.known.iter().find(|(known, _)| *known == id);
        known
            .unwrap_or_else(|| panic!("{id} was shown and never issued"))
            .1
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a watch that has seen the current state and waits.
fn wait(jobs: &JobRegistry<u64>, job: Name, id: JobId) -> Watching {
    let mut watching = Watching::new(job, jobs.watch(id).unwrap());
    assert_ne!(watching.poll(), Ret::Waits);
    assert_eq!(watching.poll(), Ret::Waits);
    watching
}

/// Brings the job into the program's start state, by the calls of [`Start::calls`].
fn begin(start: Start) -> Shared {
    let limits = Start::LIMITS;
    let (jobs, clock): (_, ModelClock) = registry(|builder| {
        builder
            .capacity(limits.capacity)
            .retention(limits.retention)
            .sweep_on_register(true)
            .stall_after(limits.stall_after)
            .stop_grace(limits.stop_grace)
    });
    let mut watches = Watches::new();
    let earlier = (start == Start::Reused).then(|| {
        let earlier = jobs.register(0).unwrap();
        let id = earlier.id();
        watches.push((EARLIER_WATCH, wait(&jobs, EARLIER, id)));
        earlier.cancel().unwrap();
        earlier.remove().unwrap();
        (id, earlier)
    });
    let owner = jobs.register(0).unwrap();
    let id = owner.id();
    match start {
        Start::Pending | Start::PendingWatched | Start::Reused => {}
        Start::Running | Start::RunningWatched | Start::Due | Start::DueWatched => {
            jobs.start(id).unwrap();
        }
        Start::Stopping => {
            jobs.start(id).unwrap();
            jobs.request_stop(id, "the user left").unwrap();
        }
        Start::Retried | Start::RetriedWatched => {
            jobs.fail(id, "no route").unwrap();
            let _ = jobs.retry(id).unwrap().detach();
            jobs.start(id).unwrap();
        }
    }
    watches.extend(
        start
            .watches()
            .iter()
            .map(|name| (*name, wait(&jobs, JOB, id))),
    );
    if matches!(start, Start::Due | Start::DueWatched) {
        jobs.fail(id, "no route").unwrap();
    }
    clock.advance(Duration::from_millis(NOW));
    let known = [(id, JOB)]
        .into_iter()
        .chain(earlier.iter().map(|(id, _)| (*id, EARLIER)));
    let names = Names {
        known: known.collect(),
        walked: Vec::new(),
    };
    Shared {
        jobs,
        clock,
        id,
        owner: Mutex::new(Some(Arc::new(owner))),
        earlier,
        watches: Mutex::new(watches),
        names: Mutex::new(names),
    }
}

/// Results of a thread: its answers, their times, and the watches that it began.
type Results = (Vec<Answers>, Vec<Stamps>, Watches);

/// Runs one execution of the program. Returns its outcome and the real-time order of its calls.
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
    let join = |thread: harness::JoinHandle<Results>| {
        let (answers, stamps, mut more) = thread.join().unwrap();
        watches.append(&mut more);
        (answers, stamps)
    };
    let (mut answers, stamps): (Vec<Vec<Answers>>, Vec<_>) = threads.into_iter().map(join).unzip();
    let real_time = history::real_time(program, &stamps);
    watches.append(&mut locked(&shared.watches));
    let answer = |call: &Call| match call {
        Call::Poll(name) => poll_at_last(&mut watches, *name),
        call => perform(&shared, &mut Watches::new(), call),
    };
    let last = final_calls(program)
        .iter()
        .map(answer)
        .map(|answer| answer.unwrap_or_else(Ret::Refused))
        .collect();
    let shared = Arc::into_inner(shared).expect("all threads have ended");
    let names = locked(&shared.names);
    answers
        .iter_mut()
        .flatten()
        .flatten()
        .for_each(|answer| settle_names(&names, answer));
    drop(names);
    if let Some(owner) = locked(&shared.owner).take() {
        let _ = Arc::into_inner(owner).expect("no call uses it").detach();
    }
    drop(watches);
    nothing_is_left(&shared.jobs);
    (Outcome { answers, last }, real_time)
}

fn poll_at_last(watches: &mut Watches, name: u32) -> Result<Ret, Refusal> {
    let watching = watches.iter_mut().find(|(watch, _)| *watch == name);
    Ok(watching.ok_or(Refusal::Impossible)?.1.poll_at_last())
}

fn settle_names(names: &Names, answer: &mut Ret) {
    if let Ret::Views(views) = answer {
        for view in views.iter_mut() {
            view.job = names.settle(view.job);
        }
        views.sort_unstable_by_key(|view| view.job);
    }
}

/// Makes the instants of one call, up to the first refusal.
fn run(shared: &Shared, watches: &mut Watches, calls: &[Call]) -> Answers {
    let mut answers = Answers::new();
    match calls {
        [Call::Lock(_) | Call::TryLock(_), inside @ .., Call::Unlock] => {
            under_the_lock(shared, &calls[0], inside, &mut answers);
            return answers;
        }
        [Call::Read(_), inside @ .., Call::Unlock] => {
            within_a_read(shared, &calls[0], inside, &mut answers);
            return answers;
        }
        _ => {}
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

/// Adds a call to the timeline.
fn noted(what: &Call, call: impl FnOnce() -> Ret) -> Ret {
    note(Event::Call(Rc::new(what.clone())));
    let answer = call();
    note(Event::Return(Rc::new(answer.clone())));
    answer
}

fn under_the_lock(shared: &Shared, lock: &Call, inside: &[Call], answers: &mut Answers) {
    let mut guard = None;
    let take = || match lock {
        Call::TryLock(_) => shared.jobs.try_lock(shared.id),
        _ => shared.jobs.lock(shared.id),
    };
    answers.push(noted(lock, || match take() {
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

/// Reads under the lock while the clock moves.
fn within_a_read(shared: &Shared, read: &Call, inside: &[Call], answers: &mut Answers) {
    note(Event::Call(Rc::new(read.clone())));
    let seen = shared.jobs.read(shared.id, |record| {
        let record = Ret::Record(Box::new(record_of(&record)));
        note(Event::Return(Rc::new(record.clone())));
        let ticks = inside.iter().map(|call| {
            let Call::Tick(millis) = call else {
                unreachable!("not in the alphabet")
            };
            noted(call, || {
                shared.clock.advance(Duration::from_millis(*millis));
                Ret::Done
            })
        });
        [record].into_iter().chain(ticks).collect::<Answers>()
    });
    match seen {
        Ok(seen) => answers.extend(seen.into_iter().chain([Ret::Done])),
        Err(error) => answers.push(Ret::Refused(error.into())),
    }
}

fn push(payload: &mut u64, digit: u8) -> Ret {
    *payload = *payload * 10 + u64::from(digit);
    Ret::Payload(*payload)
}

/// A call by id, or by the handle of its maker.
struct By<'a> {
    jobs: &'a JobRegistry<u64>,
    id: JobId,
    handle: Option<&'a Job<u64>>,
}

/// Makes a call by the handle if there is one, and by id otherwise.
macro_rules! by {
    ($by:ident.$call:ident($($arg:expr),*)) => {
        match $by.handle {
            Some(handle) => handle.$call($($arg),*),
            None => $by.jobs.$call($by.id, $($arg),*),
        }
    };
}

fn perform(shared: &Shared, watches: &mut Watches, call: &Call) -> Result<Ret, Refusal> {
    let jobs = &shared.jobs;
    // The owner belongs to the whole program, and one thread may drop it.
    let owner = match call.who() {
        Some(Who::Handle(JOB, _)) => locked(&shared.owner).clone(),
        _ => None,
    };
    let (name, id, handle) = match (call.who(), &shared.earlier) {
        (Some(Who::Id(EARLIER)), Some((id, _))) => (EARLIER, *id, None),
        (Some(Who::Handle(EARLIER, _)), Some((id, handle))) => (EARLIER, *id, Some(handle)),
        _ => (JOB, shared.id, owner.as_deref()),
    };
    let by = By { jobs, id, handle };
    let done = |()| Ret::Done;
    Ok(match *call {
        Call::Tick(millis) => {
            shared.clock.advance(Duration::from_millis(millis));
            Ret::Done
        }
        Call::Start(_) => by!(by.start()).map(done)?,
        Call::Advance(_, progress) => Ret::Progress(by!(by.advance(progress))?),
        Call::Heartbeat(_) => by!(by.heartbeat()).map(done)?,
        Call::Update(_, digit) => by!(by.update(|payload| push(payload, digit)))?,
        Call::Complete(_) => by!(by.complete()).map(done)?,
        Call::Fail(_, why) => by!(by.fail(why)).map(done)?,
        Call::Cancel(_) => by!(by.cancel()).map(done)?,
        Call::CancelBecause(_, why) => by!(by.cancel_because(why)).map(done)?,
        Call::RequestStop(_, why) => Ret::Status(by!(by.request_stop(why))?),
        Call::Note(_, note) => by!(by.note(note)).map(done)?,
        Call::Report(_, progress, note) => by!(by.report(progress, note)).map(done)?,
        Call::Details(_) => {
            let seen = by!(by.details())?;
            Ret::Details(Box::new(Record {
                view: view(name, &seen.snapshot),
                registered: millis(seen.times.registered),
                started: seen.times.started.map(millis),
                ended: seen.times.ended.map(millis),
                removal: seen.times.removal.map(millis),
                note: seen.note.as_deref().map(str::to_owned),
                reason: seen.reason.as_deref().map(str::to_owned),
                payload: 0,
            }))
        }
        Call::Snapshot(_) => Ret::View(view(name, &by!(by.snapshot())?)),
        Call::Get(_) => Ret::Record(Box::new(record_of(&jobs.get(id)?))),
        Call::RemoveAfter(_, delay) => by!(by.remove_after(delay)).map(done)?,
        Call::Remove(_) => Ret::Payload(by!(by.remove())?),
        Call::Sweep => Ret::Count(jobs.sweep().removed),
        Call::FailStalled => walked(shared, jobs.fail_stalled()),
        Call::Iter => walked(shared, jobs.iter()),
        Call::Stalled => walked(shared, jobs.stalled()),
        Call::Counts => {
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
        Call::Retry(_) => {
            let owner = by!(by.retry())?;
            let attempt = owner.attempt();
            let _ = owner.detach();
            Ret::Attempt(attempt)
        }
        Call::DropOwner(..) => {
            drop(owner);
            let owner = locked(&shared.owner).take().ok_or(Refusal::Impossible)?;
            drop(Arc::into_inner(owner).expect("no call uses it"));
            Ret::Done
        }
        Call::Register(name, _) => match jobs.register(0) {
            Ok(owner) => {
                let id = owner.detach();
                locked(&shared.names).known.push((id, name));
                Ret::Done
            }
            Err(RegisterError::Full(payload)) => Ret::Full(payload),
            Err(other) => panic!("{other}"),
        },
        Call::Watch(_, name) => {
            watches.push((name, Watching::new(JOB, jobs.watch(id)?)));
            Ret::Done
        }
        Call::Poll(name) => with_watch(shared, watches, name, Watching::poll)?,
        Call::PollAnew(name) => with_watch(shared, watches, name, Watching::poll_anew)?,
        Call::Unwatch(name) => {
            let mut watches = locked(&shared.watches);
            let place = watches.iter().position(|(watch, _)| *watch == name);
            let watch = watches.swap_remove(place.ok_or(Refusal::Impossible)?);
            drop(watches);
            drop(watch);
            Ret::Done
        }
        Call::Len => Ret::Count(jobs.len()),
        ref other => unreachable!("{other:?} is not in the alphabet"),
    })
}

/// Polls a watch of this thread, or takes one that waited at the beginning out of the list
/// meanwhile.
fn with_watch(
    shared: &Shared,
    watches: &mut Watches,
    name: u32,
    poll: impl FnOnce(&mut Watching) -> Ret,
) -> Result<Ret, Refusal> {
    let is_it = |(watch, _): &(u32, Watching)| *watch == name;
    if let Some((_, own)) = watches.iter_mut().find(|watch| is_it(watch)) {
        return Ok(poll(own));
    }
    // On real threads, another watch may be taken out or put back concurrently.
    let mut others = locked(&shared.watches);
    let place = others.iter().position(is_it).ok_or(Refusal::Impossible)?;
    let mut taken = others.swap_remove(place);
    drop(others);
    let ret = poll(&mut taken.1);
    locked(&shared.watches).push(taken);
    Ok(ret)
}

/// Returns the jobs of a walk under provisional names.
fn walked(shared: &Shared, seen: impl IntoIterator<Item = Snapshot>) -> Ret {
    let views = seen.into_iter().map(|seen| {
        let name = locked(&shared.names).provisional(seen.id());
        view(name, &seen)
    });
    Ret::Views(views.collect())
}

fn view(job: Name, seen: &Snapshot) -> View {
    View {
        job,
        version: (seen.attempt(), seen.status(), seen.progress()),
        revision: revision(&seen.version()),
        beat: millis(seen.last_heartbeat()),
    }
}

/// Converts a record of the one job that programs read.
fn record_of<P: Borrow<u64>>(seen: &crate::Record<P>) -> Record {
    Record {
        view: view(JOB, &seen.snapshot),
        registered: millis(seen.times.registered),
        started: seen.times.started.map(millis),
        ended: seen.times.ended.map(millis),
        removal: seen.times.removal.map(millis),
        note: seen.note.as_deref().map(str::to_owned),
        reason: seen.reason.as_deref().map(str::to_owned),
        payload: *seen.payload.borrow(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a short time")
}
