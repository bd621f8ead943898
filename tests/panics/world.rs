//! A registry with four jobs, three watchers for each of them, and their visible state.

use crate::stage::{self, Source, TestClock, fire};
use job_registry::{Job, JobId, JobRegistry, Progress, RegisterError, Snapshot, Watch, WhenFull};
use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::runtime::Runtime;

/// The first job is the one that a call concerns. A call that registers a job names it `NEW`.
pub(crate) const JOBS: [&str; 4] = ["a", "b", "c", "d"];
pub(crate) const NEW: &str = "new";
pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;

const CAPACITY: usize = 6;
pub(crate) const SECOND: u64 = 1_000;

/// State of a job before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Pending,
    Running,
    Stalled,
    /// Failed, with a removal that is not due.
    Ended,
    /// Failed, with a removal that is due.
    Due,
}

/// How often each payload was dropped, and how often the hook got it.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    dropped: BTreeMap<&'static str, usize>,
    hooked: BTreeMap<&'static str, usize>,
}

#[derive(Debug)]
pub(crate) struct Payload {
    name: &'static str,
    gone: Arc<Mutex<Gone>>,
}

/// A clone belongs to the test: its drop is not counted.
impl Clone for Payload {
    fn clone(&self) -> Self {
        Self {
            name: "a clone",
            gone: self.gone.clone(),
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let mut gone = self.gone.lock().unwrap();
        *gone.dropped.entry(self.name).or_default() += 1;
        drop(gone);
        if JOBS.contains(&self.name) {
            fire(Source::Payload, || self.name.to_owned());
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Bell(AtomicBool);

/// The waker of a bell. Each poll gets a new one, so that its drop can be armed.
struct Ringer(Arc<Bell>);

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.0.0.store(true, Ordering::SeqCst);
        fire(Source::Waker, String::new);
    }
}

impl Drop for Ringer {
    fn drop(&mut self) {
        fire(Source::WakerDrop, String::new);
    }
}

pub(crate) struct Watcher {
    job: usize,
    pub(crate) watch: Option<Watch<Payload>>,
    pub(crate) bell: Arc<Bell>,
}

impl Watcher {
    pub(crate) fn poll(&mut self) -> Poll<Option<Snapshot>> {
        let waker = Waker::from(Arc::new(Ringer(self.bell.clone())));
        let watch = self.watch.as_mut().expect("the watch is there");
        let polled = pin!(watch.changed()).poll(&mut Context::from_waker(&waker));
        // The registry has a clone, so this drop is not the last.
        drop(waker);
        polled
    }

    fn has_rung(&self) -> bool {
        self.bell.0.load(Ordering::SeqCst)
    }
}

pub(crate) struct World {
    /// `None` once the call has dropped it.
    pub(crate) jobs: Option<JobRegistry<Payload>>,
    pub(crate) clock: TestClock,
    pub(crate) ids: Vec<JobId>,
    pub(crate) owners: Vec<Option<Job<Payload>>>,
    pub(crate) watchers: Vec<Watcher>,
    pub(crate) gone: Arc<Mutex<Gone>>,
    /// Returned values that own something.
    pub(crate) kept: Option<Box<dyn Any>>,
    pub(crate) runtime: Runtime,
    /// The id of a removed job.
    pub(crate) removed: JobId,
}

impl World {
    pub(crate) fn new(states: [Before; 4], when_full: WhenFull) -> Self {
        let (clock, gone) = (TestClock::default(), Arc::<Mutex<Gone>>::default());
        let hooked = gone.clone();
        let jobs = JobRegistry::builder()
            .capacity(CAPACITY)
            .clock(clock.clone())
            .retention(Duration::from_secs(10))
            .stall_after(Duration::from_secs(5))
            .sweep_on_register(true)
            .when_full(when_full)
            .on_remove(move |record: &job_registry::Record<Payload>| {
                let name = record.payload.name;
                *hooked.lock().unwrap().hooked.entry(name).or_default() += 1;
                fire(Source::Hook, || name.to_owned());
            })
            .build();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let mut world = Self {
            removed: {
                let id = jobs.register(payload("removed", &gone)).unwrap().detach();
                jobs.cancel(id).unwrap();
                drop(jobs.remove(id).unwrap());
                id
            },
            jobs: Some(jobs),
            clock,
            ids: Vec::new(),
            owners: Vec::new(),
            watchers: Vec::new(),
            gone,
            kept: None,
            runtime,
        };
        world.populate(states);
        world
    }

    fn populate(&mut self, states: [Before; 4]) {
        for name in JOBS {
            let owner = self.jobs().register(payload(name, &self.gone)).unwrap();
            self.ids.push(owner.id());
            self.owners.push(Some(owner));
        }
        for (n, state) in states.into_iter().enumerate() {
            let owner = self.owner(n);
            if state != Before::Pending {
                owner.start().unwrap();
                owner.advance(Progress::percent(10.0).unwrap()).unwrap();
            }
            if matches!(state, Before::Ended | Before::Due) {
                let delay = if state == Before::Due { 1 } else { 3_600 };
                owner.remove_after(Duration::from_secs(delay)).unwrap();
                owner.fail("before the call").unwrap();
            }
        }
        // This makes a stalled job silent, and a due job kept, for long enough.
        self.clock.advance(6 * SECOND);
        for (n, state) in states.into_iter().enumerate() {
            if state == Before::Running {
                self.owner(n).heartbeat().unwrap();
            }
        }
        for job in 0..JOBS.len() {
            self.watch(job);
        }
    }

    fn watch(&mut self, job: usize) {
        for _ in 0..3 {
            let mut watcher = Watcher {
                job,
                watch: Some(self.jobs().watch(self.ids[job]).unwrap()),
                bell: Arc::default(),
            };
            assert!(
                watcher.poll().is_ready(),
                "the first item is the job as it is"
            );
            let _ = watcher.poll();
            self.watchers.push(watcher);
        }
    }

    /// Gives a job new watchers, which wait.
    pub(crate) fn listen(&mut self, job: usize) {
        self.watchers.retain(|watcher| watcher.job != job);
        self.watch(job);
    }

    pub(crate) fn jobs(&self) -> &JobRegistry<Payload> {
        self.jobs.as_ref().expect("the registry is there")
    }

    pub(crate) fn owner(&self, n: usize) -> &Job<Payload> {
        self.owners[n].as_ref().expect("the owner is there")
    }

    pub(crate) fn a(&self) -> JobId {
        self.ids[A]
    }

    pub(crate) fn payload(&self) -> Payload {
        payload(NEW, &self.gone)
    }

    /// Fills the registry with jobs without watchers.
    pub(crate) fn fill(&self) -> Vec<JobId> {
        let fill = || self.jobs().register(payload("fill", &self.gone));
        let all = std::iter::from_fn(|| Some(fill().ok()?.detach()));
        all.take(CAPACITY - JOBS.len()).collect()
    }
}

fn payload(name: &'static str, gone: &Arc<Mutex<Gone>>) -> Payload {
    let gone = gone.clone();
    Payload { name, gone }
}

/// Everything that can be observed of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobView {
    /// Empty if the job is missing.
    pub(crate) state: String,
    pub(crate) is_live: bool,
    pub(crate) rung: Vec<bool>,
    pub(crate) events: Vec<String>,
    pub(crate) dropped: usize,
    pub(crate) hooked: usize,
}

/// Everything that can be observed after a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) jobs: BTreeMap<&'static str, JobView>,
    pub(crate) len: usize,
    pub(crate) removal_panics: u64,
}

impl World {
    /// Reads every job, under its lock.
    pub(crate) fn view(&self) -> View {
        let mut jobs = BTreeMap::<&'static str, JobView>::new();
        for name in JOBS.into_iter().chain([NEW]) {
            let gone = self.gone.lock().unwrap();
            let count = |of: &BTreeMap<&str, usize>| of.get(name).copied().unwrap_or_default();
            let (dropped, hooked) = (count(&gone.dropped), count(&gone.hooked));
            jobs.insert(
                name,
                JobView {
                    dropped,
                    hooked,
                    ..JobView::default()
                },
            );
        }
        for (id, text) in stage::take_events() {
            let id = id.unwrap_or_default();
            let text = text.replace("panicked: the job's owner was unwound", "abandoned");
            // An event without a job is assigned to the job that the call concerns.
            let name = self
                .name(&id)
                .unwrap_or(if id.is_empty() { JOBS[A] } else { NEW });
            if id != self.removed.short().to_string() {
                jobs.get_mut(name).unwrap().events.push(text);
            }
        }
        for watcher in &self.watchers {
            let job = jobs.get_mut(JOBS[watcher.job]).unwrap();
            job.rung.push(watcher.has_rung());
        }
        let Some(registry) = &self.jobs else {
            return View {
                jobs,
                len: 0,
                removal_panics: 0,
            };
        };
        for seen in registry.iter() {
            let (name, state) = registry
                .read(seen.id(), |record| {
                    let (snapshot, times) = (record.snapshot, &record.times);
                    let status = (snapshot.status(), snapshot.progress(), snapshot.version());
                    let beat = snapshot.last_heartbeat();
                    let error = record.reason.as_deref().unwrap_or("no error");
                    let error = error.replace("panicked: the job's owner was unwound", "abandoned");
                    let attempt = snapshot.attempt();
                    let note = record.note.as_deref();
                    let state = format!("{attempt} {status:?} {beat:?} {times:?} {error} {note:?}");
                    (record.payload.name, state)
                })
                .expect("a job that is seen can be read");
            if let Some(job) = jobs.get_mut(name) {
                job.state = state;
                job.is_live = !seen.status().is_ended();
            }
        }
        View {
            jobs,
            len: registry.len(),
            removal_panics: registry.removal_panics(),
        }
    }

    fn name(&self, id: &str) -> Option<&'static str> {
        let place = self
            .ids
            .iter()
            .position(|known| known.short().to_string() == id)?;
        Some(JOBS[place])
    }

    /// Checks that nothing is left behind. Another thread can lock every job, an end is emitted,
    /// every watcher gets it, and every slot is freed.
    pub(crate) fn heals(&mut self) -> Result<(), String> {
        let Some(jobs) = self.jobs.clone() else {
            return Ok(());
        };
        for seen in jobs.iter() {
            let id = seen.id();
            std::thread::scope(|scope| {
                let free = scope.spawn(|| jobs.try_lock(id).map(drop));
                match free.join().expect("a lock does not panic") {
                    Err(job_registry::LockError::Busy) => Err(format!("{id} is locked")),
                    _ => Ok(()),
                }
            })?;
            stage::take_events();
            if !seen.status().is_ended() {
                jobs.cancel(id)
                    .map_err(|error| format!("cancel: {error}"))?;
                let events = stage::take_events();
                if !events
                    .iter()
                    .any(|(of, _)| *of == Some(id.short().to_string()))
                {
                    return Err(format!("{id}: its end is not emitted: {events:?}"));
                }
            }
        }
        for watcher in &mut self.watchers {
            if watcher.watch.is_none() {
                continue;
            }
            // A watcher of an ended job has its last item, or gets it.
            let last = match watcher.poll() {
                Poll::Ready(Some(seen)) => seen.status().is_ended(),
                Poll::Ready(None) => true,
                Poll::Pending => false,
            };
            if !last {
                return Err(format!("a watcher of {} waits", JOBS[watcher.job]));
            }
        }
        for seen in jobs.iter().collect::<Vec<_>>() {
            drop(jobs.remove(seen.id()).map_err(|error| error.to_string())?);
        }
        if !jobs.is_empty() {
            return Err(format!("{} slots are lost", jobs.len()));
        }
        for n in 0..=CAPACITY {
            match jobs.register(payload("fill", &self.gone)) {
                Ok(job) if n < CAPACITY => drop(job.detach()),
                Err(RegisterError::Full(_)) if n == CAPACITY => {}
                Err(RegisterError::Closed(_)) => return Ok(()),
                other => return Err(format!("job {n} of {CAPACITY}: {other:?}")),
            }
        }
        Ok(())
    }
}
