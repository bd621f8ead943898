//! A client process: makes random calls on jobs that it shares with others, and records them.

use super::call::{Dice, Outcome, PANIC, Verb, millis, text};
use super::flaws::Flaw;
use crate::id::Nonce;
use crate::script::Script;
use crate::store::Fence;
use crate::tests::api::Progress;
use crate::tests::conformance::refused;
use crate::tests::server::builder;
use crate::tests::spec::{Record, Refusal, Ret, View, revision};
use crate::tests::trace::{CALLER, Lines, SPAWNED, hex, monotonic};
use crate::{Error, Job, JobGuard, JobRegistry, Keys, Once, Unavailable};
use job_registry::{Details, Failure, JobId, Key, KeyLife, Options, Snapshot, Times};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Environment variable that makes a test process a client.
const PLAN: &str = "JOB_REGISTRY_REDIS_CLIENT";
/// Number of registrations and attempts among which a caller chooses most of the time.
const WINDOW: usize = 4;

/// Limits of all jobs, in milliseconds.
pub(super) const RETENTION: u64 = 60;
pub(super) const STALL_AFTER: u64 = 50;
pub(super) const STOP_GRACE: u64 = 40;

/// Text of the answer to a call that returns nothing.
pub(super) const DONE: &str = "Done";

/// Times of leases, in milliseconds. Calls through a guard meet the ends of most of them.
const LEASES: [u64; 4] = [5, 30, 100, 250];
/// Time between the reading and the writing of some updates.
const SLOW_UPDATE: Duration = Duration::from_millis(8);
/// Time after which a caller drops the future of a call on one job. A lease may last long after the
/// server's clock has jumped back.
const LONGEST_CALL: Duration = Duration::from_secs(2);

/// Assignment of a process.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) url: String,
    /// Folder of the files.
    pub(super) folder: PathBuf,
    pub(super) number: u32,
    /// Number of callers that share the registry of the process.
    pub(super) callers: u32,
    /// Number of calls of each caller.
    pub(super) calls: u32,
    pub(super) seed: u64,
    /// Name of the wrong client or script, or `-`.
    pub(super) flaw: String,
}

impl Plan {
    /// Starts the process.
    pub(super) fn start(&self) -> std::process::Child {
        let text = format!(
            "{} {} {} {} {} {} {}",
            self.url,
            self.folder.display(),
            self.number,
            self.callers,
            self.calls,
            self.seed,
            self.flaw
        );
        let log = File::create(self.folder.join(format!("client-{}.log", self.number)));
        let log = log.expect("a file");
        let program = std::env::current_exe().expect("the program of the tests");
        let entry = concat!(module_path!(), "::entry");
        let entry = entry.split_once("::").expect("a module of the crate").1;
        std::process::Command::new(program)
            .args([entry, "--exact", "--nocapture"])
            .env(PLAN, text)
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("a client process")
    }

    fn from_environment() -> Option<Self> {
        let text = std::env::var(PLAN).ok()?;
        let words: Vec<&str> = text.split(' ').collect();
        let [url, folder, number, callers, calls, seed, flaw] = words[..] else {
            panic!("a plan has seven words: {text}");
        };
        Some(Self {
            url: url.to_owned(),
            folder: folder.into(),
            number: number.parse().expect("a number"),
            callers: callers.parse().expect("a number"),
            calls: calls.parse().expect("a number"),
            seed: seed.parse().expect("a number"),
            flaw: flaw.to_owned(),
        })
    }
}

/// The entry of a client process. As a test of its own, it has nothing to do.
#[test]
fn entry() {
    let Some(plan) = Plan::from_environment() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(plan));
}

fn open(folder: &Path, name: &str) -> File {
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(name));
    opened.expect("a file")
}

async fn run(plan: Plan) {
    let spawned = Lines::new(open(&plan.folder, &format!("spawned-{}", plan.number)));
    SPAWNED.set(spawned).expect("one run in a process");
    let flaw = Flaw::named(&plan.flaw);
    let jobs = connect(&plan, flaw).await;
    let mut dice = Dice(plan.seed);
    let mut callers = Vec::new();
    for caller in 0..plan.callers {
        let name = format!("calls-{}-{caller}", plan.number);
        let caller = Caller {
            jobs: jobs.clone(),
            lines: Arc::new(Lines::new(open(&plan.folder, &name))),
            dice: dice.split(),
            share: Share::new(&plan.folder),
            cache: HashMap::new(),
            held: None,
            own: None,
        };
        let lines = caller.lines.clone();
        callers.push(tokio::spawn(
            CALLER.scope(lines, caller.make(plan.calls, flaw)),
        ));
    }
    for caller in callers {
        caller.await.expect("a caller that does not panic");
    }
    // The owners of unknown registrations are abandoned, and leases are given up.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let idle = tokio::time::timeout(LONGEST_CALL, jobs.idle()).await;
    let store = &jobs.state.store.seen;
    let resends = store.resends.load(std::sync::atomic::Ordering::SeqCst);
    let links = store.links.load(std::sync::atomic::Ordering::SeqCst);
    let is_idle = u8::from(idle.is_ok());
    let spawned = SPAWNED.get().expect("it is set");
    spawned.write(&format!("s {resends} {links} {is_idle}"));
}

/// Connects, also if a fault strikes meanwhile.
async fn connect(plan: &Plan, flaw: Flaw) -> JobRegistry<u64> {
    let mut tries = 0;
    loop {
        let connected = builder(&plan.url, super::NAMESPACE, &flaw.parts(plan.number))
            .retention(Duration::from_millis(RETENTION))
            .stall_after(Duration::from_millis(STALL_AFTER))
            .stop_grace(Duration::from_millis(STOP_GRACE))
            .answer_within(Duration::from_millis(300))
            .call_within(Duration::from_millis(1500))
            .connect()
            .await;
        match connected {
            Ok(jobs) => return jobs,
            Err(error) if tries == 40 => panic!("no connection: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        tries += 1;
    }
}

/// The jobs and attempts that all processes know, in a file.
struct Share {
    file: File,
    read: String,
    known: Vec<(JobId, Option<Fence>)>,
}

impl Share {
    fn new(folder: &Path) -> Self {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(folder.join("shared"));
        Self {
            file: file.expect("a file"),
            read: String::new(),
            known: Vec::new(),
        }
    }

    fn tell(&mut self, id: &str, attempt: u32, nonce: &[u8]) {
        let line = format!("{id} {attempt} {}\n", hex(nonce));
        self.file.write_all(line.as_bytes()).expect("a shared file");
    }

    fn learn(&mut self) {
        self.file
            .read_to_string(&mut self.read)
            .expect("a shared file");
        while let Some((line, rest)) = self.read.split_once('\n') {
            let words: Vec<&str> = line.split(' ').collect();
            let attempt = words[1].parse().expect("a number");
            let fence = (attempt > 0).then(|| Fence {
                attempt,
                nonce: Nonce(bytes(words[2]).try_into().expect("a nonce")),
            });
            self.known.push((words[0].parse().expect("an id"), fence));
            self.read = rest.to_owned();
        }
    }

    /// Chooses a job, mostly one of the latest.
    fn choose(&self, dice: &mut Dice, verb: Verb, flaw: Flaw) -> Option<(JobId, Option<Fence>)> {
        // The owners of rewound attempts have been among the latest for a while.
        let is_wide = dice.below(20) == 0 || flaw == Flaw::FenceByAttempt;
        let window = if is_wide { 30 } else { WINDOW };
        if verb.is_work() {
            // A work begins with a pending job, which a new attempt is.
            let latest = self.known.iter().rev().take(window);
            let owned: Vec<_> = latest
                .filter(|(_, fence)| fence.is_some())
                .take(2)
                .collect();
            return (!owned.is_empty()).then(|| **dice.pick(&owned));
        }
        let from = self.known.len().saturating_sub(window);
        let latest = &self.known[from..];
        (!latest.is_empty()).then(|| *dice.pick(latest))
    }
}

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("two digits")
    };
    digits.filter(|pair| pair.len() == 2).map(byte).collect()
}

/// One of the callers of a process, which makes one call at a time.
struct Caller {
    jobs: JobRegistry<u64>,
    lines: Arc<Lines>,
    dice: Dice,
    share: Share,
    /// The states that the caller has read, for a client that takes them for the present ones.
    cache: HashMap<Option<JobId>, String>,
    held: Option<Held>,
    /// The attempt that the last call has begun.
    own: Option<(JobId, Fence)>,
}

/// A guard of a caller.
struct Held {
    guard: JobGuard<u64>,
    id: JobId,
    fence: Option<Fence>,
    token: Vec<u8>,
    /// Time for which the lease was taken, in milliseconds.
    lease: u64,
    /// Whether the payload has been written and not stored.
    is_written: bool,
}

/// The subject of a call.
#[derive(Clone, Copy, Default)]
struct Subject<'a> {
    id: Option<JobId>,
    fence: Option<Fence>,
    /// The guard's token, and the payload that the call stores.
    lease: Option<(&'a [u8], Option<u64>)>,
}

impl Caller {
    async fn make(mut self, calls: u32, flaw: Flaw) {
        for _ in 0..calls {
            self.share.learn();
            if self.held.is_some() && self.dice.below(2) == 0 {
                self.use_guard(flaw).await;
                continue;
            }
            let own = self.own.take().filter(|_| self.dice.below(3) == 0);
            let verb = if own.is_some() {
                self.draw_work()
            } else {
                self.draw()
            };
            let subject = own
                .map(|(id, fence)| (id, Some(fence)))
                .or_else(|| self.share.choose(&mut self.dice, verb, flaw));
            let has_subject = !verb.is_of_all() && !verb.is_registration();
            let (id, fence) = match subject.filter(|_| has_subject) {
                Some((id, fence)) => {
                    let is_fenced = verb.is_work() || self.dice.below(2) == 0;
                    (Some(id), fence.filter(|_| is_fenced))
                }
                None if has_subject => continue,
                None => (None, None),
            };
            let lease = None;
            self.begin(Subject { id, fence, lease }, verb);
            let cached = self.cache.get(&id).filter(|_| flaw == Flaw::CachedReads);
            let answer = match (id, fence) {
                (Some(_), _) if verb == Verb::Snapshot && cached.is_some() => {
                    Ok(cached.cloned().unwrap_or_default())
                }
                (None, _) => {
                    // The job may not be due, or be leased: a list may be an old one.
                    let held = self.held.as_ref().map(|held| held.id);
                    let listed = held.or(subject.map(|(id, _)| id));
                    match listed.filter(|_| self.dice.below(2) == 0) {
                        Some(id) if verb == Verb::Sweep => self.sweep_one(id).await,
                        Some(id) if verb == Verb::FailStalled => self.judge_one(id).await,
                        _ => self.of_all(verb).await,
                    }
                }
                (Some(id), fence) => match verb {
                    Verb::TryLock(lease) | Verb::Lock(lease) => {
                        self.lock(id, fence, verb, lease).await
                    }
                    Verb::Run(outcome, note) | Verb::Spawn(outcome, note) => {
                        // Without a fence there is no owner.
                        let fence = fence.expect("a fence");
                        let job = Job::new(self.jobs.clone(), id, fence);
                        let pause = Duration::from_millis(self.dice.below(8));
                        work(job, verb, outcome, note, pause).await
                    }
                    _ => within(on_one(&self.jobs, id, fence, verb)).await,
                },
            };
            let ended = monotonic();
            let (of, first) = self.lines.last.lock().unwrap().clone();
            let is_unknown = answer == Err(Error::Unavailable(Unavailable::Unknown));
            if is_unknown && verb.is_registration() {
                // Others can meet the job, if it exists.
                self.share.tell(&of[0], 0, b"");
            }
            let answer = flaw.told(verb, answer);
            let answer = answer.unwrap_or_else(|error| failed(&error));
            self.lines.write(&format!("< {ended} {answer}"));
            if verb == Verb::Snapshot && answer.starts_with("View") {
                self.cache.insert(id, answer.clone());
            }
            if verb == Verb::Retry
                && let (Some(id), Some(attempt)) = (id, answer.strip_prefix("Attempt("))
            {
                let attempt = attempt.trim_end_matches(')').parse().expect("a number");
                self.began(id, attempt, &first);
            }
            if verb.is_registration() && answer == DONE {
                self.began(of[0].parse().expect("an id"), 1, &first);
            }
        }
    }

    /// Tells the others of an attempt that a call of this caller has begun.
    fn began(&mut self, id: JobId, attempt: u32, nonce: &[u8]) {
        self.share.tell(&id.to_string(), attempt, nonce);
        let nonce = Nonce(nonce.try_into().expect("a nonce"));
        self.own = Some((id, Fence { attempt, nonce }));
    }

    fn begin(&self, subject: Subject<'_>, verb: Verb) {
        let id = subject
            .id
            .map_or_else(|| "-".to_owned(), |id| id.to_string());
        let fence = subject.fence.map_or_else(
            || "- -".to_owned(),
            |fence| format!("{} {}", fence.attempt, hex(&fence.nonce.0)),
        );
        let lease = subject.lease.map_or_else(
            || "- -".to_owned(),
            |(token, payload)| {
                let payload = payload.map_or_else(|| "-".to_owned(), |payload| payload.to_string());
                format!("{} {payload}", hex(token))
            },
        );
        let begun = monotonic();
        self.lines
            .write(&format!("> {begun} {id} {fence} {lease} {verb}"));
    }

    /// Takes a lease, and keeps the guard.
    async fn lock(
        &mut self,
        id: JobId,
        fence: Option<Fence>,
        verb: Verb,
        lease: u64,
    ) -> Result<String, Error> {
        let (jobs, time) = (&self.jobs, Duration::from_millis(lease));
        let is_patient = matches!(verb, Verb::Lock(_));
        let guard = within(async {
            match fence {
                None if is_patient => jobs.lock(id, time).await,
                None => jobs.try_lock(id, time).await,
                Some(fence) => {
                    let job = Job::new(jobs.clone(), id, fence);
                    let guard = if is_patient {
                        job.lock(time).await
                    } else {
                        job.try_lock(time).await
                    };
                    let _ = job.detach();
                    guard
                }
            }
        });
        let guard = guard.await?;
        let answer = format!("Locked {}", *guard);
        let (_, token) = self.lines.last.lock().unwrap().clone();
        // An earlier guard is dropped.
        self.held = Some(Held {
            guard,
            id,
            fence,
            token,
            lease,
            is_written: false,
        });
        Ok(answer)
    }

    /// Makes a call through the guard, or drops it.
    async fn use_guard(&mut self, flaw: Flaw) {
        let Some(mut held) = self.held.take() else {
            return;
        };
        let dice = &mut self.dice;
        let why = u8::try_from(dice.below(4)).expect("small");
        let digit = u8::try_from(dice.below(10)).expect("small");
        // A payload that a save could not store is stored by the last call, mostly as it is.
        let (first, writes) = if held.is_written { (52, 1) } else { (0, 4) };
        let verb = match first + dice.below(100 - first) {
            0..40 => Verb::Save,
            40..52 => Verb::Renew(held.lease),
            52..66 => Verb::Release,
            66..74 => Verb::Complete,
            74..80 => Verb::Fail(why),
            80..84 => Verb::Cancel,
            84..88 => Verb::CancelBecause(why),
            _ => return,
        };
        if verb != (Verb::Renew(held.lease)) && dice.below(6) < writes {
            append(digit)(&mut held.guard);
            held.is_written = true;
        }
        let is_stored = match verb {
            Verb::Save => true,
            Verb::Renew(_) => false,
            _ => held.is_written,
        };
        let subject = Subject {
            id: Some(held.id),
            fence: held.fence,
            lease: Some((&held.token, is_stored.then_some(*held.guard))),
        };
        self.begin(subject, verb);
        let answer = match verb {
            Verb::Save | Verb::Renew(_) => {
                let answer = if verb == Verb::Save {
                    held.guard.save().await
                } else {
                    held.guard.renew().await
                };
                held.is_written &= verb != Verb::Save || answer.is_err();
                self.held = Some(held);
                answer
            }
            Verb::Release => held.guard.release().await,
            Verb::Complete => held.guard.complete().await,
            Verb::Fail(why) => held.guard.fail(text(why)).await,
            Verb::CancelBecause(why) => held.guard.cancel_because(text(why)).await,
            _ => held.guard.cancel().await,
        };
        let ended = monotonic();
        let answer = flaw.told(verb, answer.map(|()| DONE.to_owned()));
        let answer = answer.unwrap_or_else(|error| failed(&error));
        self.lines.write(&format!("< {ended} {answer}"));
    }

    fn draw(&mut self) -> Verb {
        let dice = &mut self.dice;
        // A key is in use for a while only: the jobs of one key are judged together.
        let era = self.share.known.len() as u64 / 12;
        let text = u8::try_from(dice.below(4)).expect("small");
        let ppm = u32::try_from(dice.below(5)).expect("small") * 250_000;
        let digit = u8::try_from(dice.below(10)).expect("small");
        let payload = dice.below(100);
        let lease = *dice.pick(&LEASES);
        let print = u8::try_from(dice.below(8))
            .expect("small")
            .saturating_sub(5);
        match dice.below(132) {
            0..3 => Verb::Register(payload, (dice.below(2) == 0).then_some(100)),
            3..5 | 117..120 => Verb::RegisterKey(2 * era + dice.below(2), payload, print),
            5..16 => Verb::Start,
            16..28 => Verb::Advance(ppm),
            28..32 => Verb::Report(ppm, text),
            32..38 => Verb::Note(text),
            38..46 => Verb::Update(digit),
            46..54 => Verb::Heartbeat,
            54..56 => Verb::Complete,
            56..60 => Verb::Fail(text),
            60..62 => Verb::Cancel,
            62 => Verb::CancelBecause(text),
            63..67 => Verb::RequestStop(text),
            67..75 => Verb::Retry,
            75..79 => Verb::Remove,
            79..82 => Verb::RemoveAfter([Some(0), Some(20), Some(1000), None][usize::from(text)]),
            82..88 => Verb::Snapshot,
            88..91 => Verb::Details,
            91..95 => Verb::Get,
            95..97 | 120..124 => Verb::FailStalled,
            97..99 | 124..128 => Verb::Sweep,
            99 => Verb::Stalled,
            100..109 | 128.. => Verb::TryLock(lease),
            109..112 => Verb::Lock(lease),
            112..117 => self.draw_work(),
        }
    }

    fn draw_work(&mut self) -> Verb {
        let note = u8::try_from(self.dice.below(4)).expect("small");
        let outcome = match self.dice.below(5) {
            0..2 => Outcome::Done,
            2..4 => Outcome::Error(note),
            _ => Outcome::Panic,
        };
        if self.dice.below(2) == 0 {
            Verb::Run(outcome, note)
        } else {
            Verb::Spawn(outcome, note)
        }
    }

    /// Carries out what is due of one job, as a sweep does that had listed it before.
    async fn sweep_one(&self, id: JobId) -> Result<String, Error> {
        let began = time(self.jobs.now().await?).to_string().into_bytes();
        let store = &self.jobs.state.store;
        let arguments = [began, b"*".to_vec()];
        let mut reply = store
            .change_all(Script::Collect, &[id], None, &arguments)
            .await?;
        reply.word()
    }

    /// Fails one job if it is stalled, as `fail_stalled` does that had listed it before.
    async fn judge_one(&self, id: JobId) -> Result<String, Error> {
        let store = &self.jobs.state.store;
        let mut reply = store.change_all(Script::Verdict, &[id], None, &[]).await?;
        let mut job = reply.list()?;
        if job.is_empty() {
            return Ok(list(&[]));
        }
        Ok(list(&[job.snapshot(id)?]))
    }

    async fn of_all(&self, verb: Verb) -> Result<String, Error> {
        let jobs = &self.jobs;
        Ok(match verb {
            Verb::Register(payload, deadline) => {
                let options = deadline.map_or_else(Options::new, |deadline| {
                    Options::new().deadline(Duration::from_millis(deadline))
                });
                let _ = jobs.register_with(&payload, options).await?.detach();
                DONE.to_owned()
            }
            Verb::RegisterKey(key, payload, print) => {
                let keys = Keys::new(jobs.clone(), key_life(key));
                let mut key = Key::new(key.to_string());
                if print > 0 {
                    key = key.fingerprint(print.to_string());
                }
                match keys.register(&key, &payload).await? {
                    Once::New(job) => {
                        let _ = job.detach();
                        DONE.to_owned()
                    }
                    Once::Existing { id } => format!("Existing {id}"),
                    Once::Mismatch => "Mismatch".to_owned(),
                }
            }
            Verb::FailStalled => list(&jobs.fail_stalled().await?),
            Verb::Stalled => list(&jobs.stalled().await?),
            _ => {
                let swept = jobs.sweep().await?;
                format!("{} {} {}", swept.expired, swept.cancelled, swept.removed)
            }
        })
    }
}

pub(super) fn key_life(key: u64) -> KeyLife {
    if key.is_multiple_of(2) {
        KeyLife::UntilRemoved
    } else {
        KeyLife::WhileLive
    }
}

/// Returns the text of an answer without a value.
pub(super) fn failed(error: &Error) -> String {
    match error {
        Error::Unavailable(Unavailable::Unknown) => "Unknown".to_owned(),
        Error::Unavailable(Unavailable::NotSent) => "NotSent".to_owned(),
        Error::Rejected(message) => format!("Rejected {}", message.replace('\n', " ")),
        Error::Refused(job_registry::Error::Busy) => {
            format!("{:?}", Ret::Refused(Refusal::Busy))
        }
        Error::LockLost => "LockLost".to_owned(),
        error => refused(error).map_or_else(
            |_| format!("Rejected {error}"),
            |refused| format!("{refused:?}"),
        ),
    }
}

fn list(seen: &[Snapshot]) -> String {
    let mut text = "List".to_owned();
    for seen in seen {
        write!(text, "/{}/{:?}", seen.id(), Ret::View(view(seen))).expect("a text");
    }
    text
}

fn view(seen: &Snapshot) -> View {
    View {
        job: 0,
        version: (seen.attempt(), seen.status(), seen.progress()),
        revision: revision(&seen.version()),
        beat: time(seen.last_heartbeat()),
    }
}

fn time(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a time of the server")
}

fn details(seen: &Details) -> Box<Record> {
    let (note, reason) = (seen.note.as_deref(), seen.reason.as_deref());
    record(&seen.snapshot, seen.times, note, reason, 0)
}

fn record(
    seen: &Snapshot,
    times: Times,
    note: Option<&str>,
    reason: Option<&str>,
    payload: u64,
) -> Box<Record> {
    Box::new(Record {
        view: view(seen),
        registered: time(times.registered),
        started: times.started.map(time),
        ended: times.ended.map(time),
        removal: times.removal.map(time),
        note: note.map(str::to_owned),
        reason: reason.map(str::to_owned),
        payload,
    })
}

fn append(digit: u8) -> impl FnMut(&mut u64) -> u64 {
    move |payload| {
        *payload = payload.wrapping_mul(10).wrapping_add(digit.into());
        *payload
    }
}

/// Appends a digit. A large one takes a while, in which other processes lock and store the payload.
fn append_slowly(digit: u8) -> impl FnMut(&mut u64) -> u64 {
    move |payload| {
        if digit > 6 {
            std::thread::sleep(SLOW_UPDATE);
        }
        append(digit)(payload)
    }
}

/// Makes a call by an id or by a handle, and returns the text of its answer.
macro_rules! make {
    ($on:expr, $verb:expr, $get:expr $(, $id:expr)?) => {{
        let ppm = |ppm| Progress::from_ppm(ppm).expect("in range");
        let done = |()| Ret::Done;
        let answer = match $verb {
            Verb::Start => $on.start($($id)?).await.map(done)?,
            Verb::Advance(to) => Ret::Progress($on.advance($($id,)? ppm(to)).await?),
            Verb::Report(to, note) => $on.report($($id,)? ppm(to), text(note)).await.map(done)?,
            Verb::Note(note) => $on.note($($id,)? text(note)).await.map(done)?,
            Verb::Update(digit) => Ret::Payload($on.update($($id,)? append_slowly(digit)).await?),
            Verb::Heartbeat => $on.heartbeat($($id)?).await.map(done)?,
            Verb::Complete => $on.complete($($id)?).await.map(done)?,
            Verb::Fail(why) => $on.fail($($id,)? text(why)).await.map(done)?,
            Verb::Cancel => $on.cancel($($id)?).await.map(done)?,
            Verb::CancelBecause(why) => $on.cancel_because($($id,)? text(why)).await.map(done)?,
            Verb::RequestStop(why) => Ret::Status($on.request_stop($($id,)? text(why)).await?),
            Verb::Retry => {
                let next = $on.retry($($id)?).await?;
                let attempt = next.attempt();
                let _ = next.detach();
                Ret::Attempt(attempt)
            }
            Verb::Remove => $on.remove($($id)?).await.map(done)?,
            Verb::RemoveAfter(delay) => $on.remove_after($($id,)? millis(delay)).await.map(done)?,
            Verb::Snapshot => Ret::View(view(&$on.snapshot($($id)?).await?)),
            Verb::Details => Ret::Details(details(&$on.details($($id)?).await?)),
            _ => {
                let read = $get.await?;
                let (note, reason) = (read.note.as_deref(), read.reason.as_deref());
                Ret::Record(record(&read.snapshot, read.times, note, reason, read.payload))
            }
        };
        Ok(format!("{answer:?}"))
    }};
}

/// Makes a call on one job, by its id or by the handle of an attempt.
async fn on_one(
    jobs: &JobRegistry<u64>,
    id: JobId,
    fence: Option<Fence>,
    verb: Verb,
) -> Result<String, Error> {
    let Some(fence) = fence else {
        return make!(jobs, verb, jobs.get(id), id);
    };
    let job = Job::new(jobs.clone(), id, fence);
    let answer = on_handle(&job, jobs, verb).await;
    let _ = job.detach();
    answer
}

/// Waits for a call, and drops its future if it takes too long.
async fn within<R>(call: impl Future<Output = Result<R, Error>>) -> Result<R, Error> {
    let unknown = Error::Unavailable(Unavailable::Unknown);
    let called = tokio::time::timeout(LONGEST_CALL, call).await;
    called.unwrap_or(Err(unknown))
}

/// Works on a job, or begins a task that does.
async fn work(
    job: Job<u64>,
    verb: Verb,
    outcome: Outcome,
    note: u8,
    pause: Duration,
) -> Result<String, Error> {
    let work = async move |job: Arc<Job<u64>>| {
        tokio::time::sleep(pause).await;
        // The job may have ended.
        let _ = job.note(text(note)).await;
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Error(why) => Err(Failure::from(text(why))),
            Outcome::Panic => panic!("{PANIC}"),
        }
    };
    if matches!(verb, Verb::Spawn(..)) {
        job.spawn(work);
        return Ok("Spawned".to_owned());
    }
    within(Box::pin(job.run(work))).await?;
    Ok(DONE.to_owned())
}

async fn on_handle(job: &Job<u64>, jobs: &JobRegistry<u64>, verb: Verb) -> Result<String, Error> {
    make!(job, verb, jobs.get(job.id()))
}
