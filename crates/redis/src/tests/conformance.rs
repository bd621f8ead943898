//! Random histories of calls, applied to the specification, to a registry in memory and to one on a
//! server, and to a client of the simulated store. All give the same answers.
//!
//! The clock of the scripts is a key that the test moves. The calls of a guard are left out: a
//! registry on a server has none.

// A call without a value answers with `done(())`.
#![allow(clippy::unit_arg)]

use super::api::{self, Progress};
use super::server::{MANUAL_CLOCK, Server, audit, builder, run};
use super::sim;
use super::sim::memory;
use super::sim::network::Network;
use super::spec::{Call, Limits, Name, Record, Refusal, Ret, Spec, View, Who, revision};
use crate::script::Parts;
use crate::{Cursor, Error};
use job_registry::{Details, JobId, ManualClock, Options, Snapshot};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use redis::Commands;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Number of histories that are the same in every run. They meet all of [`MUST_BE_MET`].
const HISTORIES: u32 = 100;
const LONGEST: usize = 200;

/// A choice that becomes a call of the present history.
pub(super) type Choice = (u8, u8, u8, u8);

pub(super) fn limits() -> impl Strategy<Value = Limits> {
    let retention = prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_millis(20)),
        Just(Duration::MAX)
    ];
    let stall_after = prop_oneof![Just(Duration::from_millis(7)), Just(Duration::MAX)];
    let stop_grace = prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_micros(14_500)),
        Just(Duration::MAX)
    ];
    (1usize..8, retention, stall_after, stop_grace).prop_map(
        |(capacity, retention, stall_after, stop_grace)| Limits {
            capacity,
            retention,
            stall_after,
            stop_grace,
        },
    )
}

pub(super) fn choices(longest: usize) -> impl Strategy<Value = Vec<Choice>> {
    prop::collection::vec(any::<Choice>(), 1..longest)
}

/// Both registries, and the specification that says what they answer.
pub(super) struct Trio {
    spec: Spec,
    memory: Memory,
    store: Store,
    /// A registry on the simulated store. It is absent for wrong scripts, which only the server
    /// runs.
    simulated: Option<Store>,
    /// Owners that have not been dropped.
    owners: BTreeSet<(Name, u32)>,
    next: Name,
    /// Kinds of the calls and answers that were met.
    pub(super) met: BTreeSet<String>,
}

impl Trio {
    pub(super) async fn new(
        server: &Server,
        namespace: &str,
        limits: Limits,
        parts: &Parts,
    ) -> Self {
        Self {
            spec: Spec::new(limits),
            memory: Memory::new(&limits),
            store: Store::new(server, namespace, &limits, parts).await,
            simulated: if *parts == Parts::default() {
                Some(Store::simulated(&limits, parts).await)
            } else {
                None
            },
            owners: BTreeSet::new(),
            next: 0,
            met: BTreeSet::new(),
        }
    }

    /// Makes the call of a choice, and compares the answers.
    pub(super) async fn step(&mut self, choice: Choice) -> Result<(), String> {
        let call = self.call(choice);
        let expected = self.spec.apply(&call);
        if let Call::DropOwner(name, attempt) | Call::Detach(name, attempt) = call {
            self.owners.remove(&(name, attempt));
        }
        match (&call, &expected) {
            (Call::Register(name, _) | Call::RegisterWith(name, ..), Ret::Done) => {
                self.owners.insert((*name, 1));
            }
            (Call::Retry(who), Ret::Attempt(attempt)) => {
                let (Who::Id(name) | Who::Handle(name, _)) = *who else {
                    unreachable!()
                };
                self.owners.insert((name, *attempt));
            }
            _ => {}
        }
        self.met
            .insert(format!("{} -> {}", call.kind(), expected.kind()));
        let memory = self.memory.perform(&call).unwrap_or_else(Ret::Refused);
        if memory != expected {
            return Err(format!(
                "in memory, {call:?} answers {memory:?}, and not {expected:?}"
            ));
        }
        let simulated = self.simulated.as_mut().map(|store| ("simulated", store));
        let stores = [("on the server", &mut self.store)]
            .into_iter()
            .chain(simulated);
        for (place, store) in stores {
            let answer = match store.perform(&call).await {
                Ok(answer) => answer,
                Err(error) => refused(&error)?,
            };
            if answer != expected {
                return Err(format!(
                    "{place}, {call:?} answers {answer:?}, and not {expected:?}"
                ));
            }
        }
        Ok(())
    }

    /// Turns a choice into a call. Most are on jobs that exist.
    fn call(&mut self, (kind, subject, first, second): Choice) -> Call {
        let names = self.next + 1;
        let name = Name::from(subject) % names;
        let owners: Vec<_> = self.owners.iter().copied().collect();
        let who = match owners.get(usize::from(subject / 2) % owners.len().max(1)) {
            Some((name, attempt)) if subject % 2 == 0 => Who::Handle(*name, *attempt),
            _ => Who::Id(name),
        };
        let percent = [0u32, 1, 250_000, 500_000, 999_999, 1_000_000][usize::from(first) % 6];
        let progress = Progress::from_ppm(percent).expect("in range");
        let delays = [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_micros(9_500),
            Duration::from_millis(30),
            Duration::MAX,
        ];
        let delay = delays[usize::from(first) % delays.len()];
        let text = ["", "a", "ä b", "the user left"][usize::from(second) % 4];
        match kind % 64 {
            0..=6 => self.register(first, second, None),
            7..=9 => {
                let deadlines = [
                    delay,
                    Duration::from_micros(1_234_567),
                    Duration::from_secs(61),
                ];
                let deadline = deadlines[usize::from(second) % deadlines.len()];
                self.register(first, second, Some(deadline))
            }
            10..=15 => Call::Start(who),
            16..=19 => Call::Advance(who, progress),
            20..=22 => Call::Heartbeat(who),
            23..=24 => Call::Complete(who),
            25..=26 => Call::Fail(who, text),
            27 => Call::Cancel(who),
            28 => Call::CancelBecause(who, text),
            29..=31 => Call::RequestStop(who, text),
            32..=33 => Call::Note(who, text),
            34..=35 => Call::Report(who, progress, text),
            36..=37 => Call::Update(who, first % 10),
            38..=39 => Call::Snapshot(who),
            40 => Call::Get(name),
            41..=42 => Call::Details(who),
            43..=44 => Call::RemoveAfter(who, delay),
            45..=46 => Call::Remove(who),
            47..=48 => Call::Sweep,
            49..=53 => Call::Retry(who),
            54 => Call::Stalled,
            55 => Call::FailStalled,
            56 => Call::Iter,
            57 => Call::Counts,
            58 => match owners.get(usize::from(subject) % owners.len().max(1)) {
                Some((name, attempt)) if first % 2 == 0 => Call::DropOwner(*name, *attempt),
                Some((name, attempt)) => Call::Detach(*name, *attempt),
                None => Call::Len,
            },
            _ => Call::Tick([1, 2, 7, 8, 15, 31, 1_500, 61_000][usize::from(first) % 8]),
        }
    }

    fn register(&mut self, first: u8, second: u8, deadline: Option<Duration>) -> Call {
        let name = self.next;
        // A refused registration leaves its name to the next.
        if self.spec.jobs.values().filter(|job| !job.removed).count() < self.spec.limits.capacity {
            self.next += 1;
        }
        let payload = u64::from(first) << 8 | u64::from(second);
        match deadline {
            None => Call::Register(name, payload),
            Some(deadline) => Call::RegisterWith(name, payload, deadline),
        }
    }
}

/// Returns the refusal that an error is, or the error as a failure of the test.
pub(super) fn refused(error: &Error) -> Result<Ret, String> {
    let refusal = match error.refusal() {
        Some(api::Error::NotFound) => Refusal::NotFound,
        Some(api::Error::Gone) => Refusal::Gone,
        Some(api::Error::Superseded) => Refusal::Superseded,
        Some(api::Error::NotStarted) => Refusal::NotStarted,
        Some(api::Error::AlreadyStarted) => Refusal::AlreadyStarted,
        Some(api::Error::Stopping) => Refusal::Stopping,
        Some(api::Error::Ended(status)) => Refusal::Ended(status),
        Some(api::Error::Live) => Refusal::Live,
        Some(api::Error::NotRetryable(status)) => Refusal::NotRetryable(status),
        Some(api::Error::AttemptsExhausted) => Refusal::AttemptsExhausted,
        _ => return Err(format!("the server's registry answers with {error:?}")),
    };
    Ok(Ret::Refused(refusal))
}

/// Converts what both registries show to the types of the specification.
#[derive(Default)]
struct Names {
    ids: BTreeMap<Name, JobId>,
    names: BTreeMap<JobId, Name>,
}

impl Names {
    fn insert(&mut self, name: Name, id: JobId) {
        assert!(
            self.ids.insert(name, id).is_none(),
            "the name {name} is used twice"
        );
        assert!(
            self.names.insert(id, name).is_none(),
            "{id} was issued twice"
        );
    }

    /// Returns the id of a name, or one that was never issued.
    fn id(&self, name: Name) -> JobId {
        let forged = JobId::from_bits(u128::from(name) << 64 | 0x3039);
        self.ids.get(&name).copied().unwrap_or(forged)
    }

    fn view(&self, seen: &Snapshot) -> View {
        View {
            job: self.names[&seen.id()],
            version: (seen.attempt(), seen.status(), seen.progress()),
            revision: revision(&seen.version()),
            beat: millis(seen.last_heartbeat()),
        }
    }

    fn views<'a>(&self, seen: impl IntoIterator<Item = &'a Snapshot>) -> Ret {
        let mut views: Vec<View> = seen.into_iter().map(|seen| self.view(seen)).collect();
        views.sort();
        Ret::Views(views)
    }

    fn record(&self, seen: &Details, payload: u64) -> Box<Record> {
        let times = seen.times;
        Box::new(Record {
            view: self.view(&seen.snapshot),
            registered: millis(times.registered),
            started: times.started.map(millis),
            ended: times.ended.map(millis),
            removal: times.removal.map(millis),
            note: seen.note.as_deref().map(str::to_owned),
            reason: seen.reason.as_deref().map(str::to_owned),
            payload,
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a time of the test")
}

fn counted(counts: api::Counts) -> Ret {
    Ret::Counts([
        counts.pending,
        counts.running,
        counts.stopping,
        counts.completed,
        counts.failed,
        counts.cancelled,
    ])
}

fn appended(payload: &mut u64, digit: u8) -> u64 {
    *payload = payload.wrapping_mul(10).wrapping_add(digit.into());
    *payload
}

/// A registry in memory.
struct Memory {
    registry: api::JobRegistry<u64>,
    clock: ManualClock,
    names: Names,
    owners: BTreeMap<(Name, u32), api::Job<u64>>,
}

impl Memory {
    fn new(limits: &Limits) -> Self {
        let clock = ManualClock::new();
        let registry = api::JobRegistry::builder()
            .capacity(limits.capacity)
            .retention(limits.retention)
            .stall_after(limits.stall_after)
            .stop_grace(limits.stop_grace)
            .clock(clock.clone())
            .build();
        Self {
            registry,
            clock,
            names: Names::default(),
            owners: BTreeMap::new(),
        }
    }

    #[allow(clippy::too_many_lines)] // an arm for each call
    fn perform(&mut self, call: &Call) -> Result<Ret, Refusal> {
        macro_rules! by {
            ($who:expr, $call:ident $(, $argument:expr)*) => {
                match $who {
                    Who::Id(name) => self.registry.$call(self.names.id(name) $(, $argument)*)?,
                    Who::Handle(name, attempt) => self.owners[&(name, attempt)].$call($($argument),*)?,
                    Who::Guard => return Err(Refusal::Impossible),
                }
            };
        }
        Ok(match *call {
            Call::Tick(millis) => {
                self.clock.advance(Duration::from_millis(millis));
                Ret::Done
            }
            Call::Register(name, payload) => self.register(name, payload, Options::new()),
            Call::RegisterWith(name, payload, deadline) => {
                self.register(name, payload, Options::new().deadline(deadline))
            }
            Call::Start(who) => done(by!(who, start)),
            Call::Advance(who, progress) => Ret::Progress(by!(who, advance, progress)),
            Call::Heartbeat(who) => done(by!(who, heartbeat)),
            Call::Complete(who) => done(by!(who, complete)),
            Call::Fail(who, why) => done(by!(who, fail, why)),
            Call::Cancel(who) => done(by!(who, cancel)),
            Call::CancelBecause(who, why) => done(by!(who, cancel_because, why)),
            Call::RequestStop(who, why) => Ret::Status(by!(who, request_stop, why)),
            Call::Note(who, note) => done(by!(who, note, note)),
            Call::Report(who, progress, note) => done(by!(who, report, progress, note)),
            Call::Update(who, digit) => Ret::Payload(by!(who, update, |it| appended(it, digit))),
            Call::Snapshot(who) => Ret::View(self.names.view(&by!(who, snapshot))),
            Call::Get(name) => {
                let record = self.registry.get(self.names.id(name))?;
                let payload = record.payload;
                let details = self.registry.details(self.names.id(name))?;
                Ret::Record(self.names.record(&details, payload))
            }
            Call::Details(who) => Ret::Details(self.names.record(&by!(who, details), 0)),
            Call::RemoveAfter(who, delay) => done(by!(who, remove_after, delay)),
            Call::Remove(who) => Ret::Payload(by!(who, remove)),
            Call::Sweep => Ret::Count(self.registry.sweep().removed),
            Call::Retry(who) => {
                let job = by!(who, retry);
                let attempt = job.attempt();
                self.owners
                    .insert((self.names.names[&job.id()], attempt), job);
                Ret::Attempt(attempt)
            }
            Call::Stalled => self.names.views(&self.registry.stalled()),
            Call::FailStalled => self.names.views(&self.registry.fail_stalled()),
            Call::Iter => self.names.views(&self.registry.iter().collect::<Vec<_>>()),
            Call::Len => Ret::Count(self.registry.len()),
            Call::Counts => counted(self.registry.counts()),
            Call::DropOwner(name, attempt) => {
                drop(self.owners.remove(&(name, attempt)));
                Ret::Done
            }
            Call::Detach(name, attempt) => {
                let _ = self.owners.remove(&(name, attempt)).map(api::Job::detach);
                Ret::Done
            }
            _ => Ret::Refused(Refusal::Impossible),
        })
    }

    fn register(&mut self, name: Name, payload: u64, options: Options) -> Ret {
        match self.registry.register_with(payload, options) {
            Ok(job) => {
                self.names.insert(name, job.id());
                self.owners.insert((name, 1), job);
                Ret::Done
            }
            Err(error) => Ret::Full(error.into_payload()),
        }
    }
}

fn done((): ()) -> Ret {
    Ret::Done
}

/// A registry on a server, or on a store that is simulated.
struct Store {
    registry: crate::JobRegistry<u64>,
    clock: Clock,
    names: Names,
    owners: BTreeMap<(Name, u32), crate::Job<u64>>,
}

/// The clock of the scripts.
enum Clock {
    Server {
        admin: redis::Connection,
        key: String,
    },
    Simulated(Arc<Network>),
}

impl Clock {
    fn tick(&mut self, millis: u64) {
        match self {
            Self::Server { admin, key } => {
                let _: u64 = admin.incr(&*key, millis).expect("the clock");
            }
            Self::Simulated(network) => network.memory.keys().now += millis,
        }
    }
}

impl Store {
    async fn new(server: &Server, namespace: &str, limits: &Limits, parts: &Parts) -> Self {
        let parts = Parts {
            clock: MANUAL_CLOCK.to_owned(),
            ..parts.clone()
        };
        let key = format!("jr1:{{{namespace}/0}}:clock");
        let admin = server.admin();
        let builder = server.builder(namespace, &parts);
        Self::connect(builder, limits, Clock::Server { admin, key }).await
    }

    async fn simulated(limits: &Limits, parts: &Parts) -> Self {
        let network = Network::unrecorded(memory::Memory::with(&sim::scripts(parts)));
        let mut builder = builder("redis://simulated/", "deck", parts);
        builder.network = Some(network.clone());
        Self::connect(builder, limits, Clock::Simulated(network)).await
    }

    async fn connect(builder: crate::Builder<u64>, limits: &Limits, clock: Clock) -> Self {
        let builder = builder
            .capacity(limits.capacity)
            .retention(limits.retention);
        let builder = builder
            .stall_after(limits.stall_after)
            .stop_grace(limits.stop_grace);
        Self {
            registry: builder.connect().await.expect("a connection"),
            clock,
            names: Names::default(),
            owners: BTreeMap::new(),
        }
    }

    #[allow(clippy::too_many_lines)] // an arm for each call
    async fn perform(&mut self, call: &Call) -> Result<Ret, Error> {
        macro_rules! by {
            ($who:expr, $call:ident $(, $argument:expr)*) => {
                match $who {
                    Who::Id(name) => self.registry.$call(self.names.id(name) $(, $argument)*).await?,
                    Who::Handle(name, attempt) => self.owners[&(name, attempt)].$call($($argument),*).await?,
                    Who::Guard => return Ok(Ret::Refused(Refusal::Impossible)),
                }
            };
        }
        Ok(match *call {
            Call::Tick(millis) => {
                self.clock.tick(millis);
                Ret::Done
            }
            Call::Register(name, payload) => self.register(name, payload, Options::new()).await?,
            Call::RegisterWith(name, payload, deadline) => {
                self.register(name, payload, Options::new().deadline(deadline))
                    .await?
            }
            Call::Start(who) => done(by!(who, start)),
            Call::Advance(who, progress) => Ret::Progress(by!(who, advance, progress)),
            Call::Heartbeat(who) => done(by!(who, heartbeat)),
            Call::Complete(who) => done(by!(who, complete)),
            Call::Fail(who, why) => done(by!(who, fail, why)),
            Call::Cancel(who) => done(by!(who, cancel)),
            Call::CancelBecause(who, why) => done(by!(who, cancel_because, why)),
            Call::RequestStop(who, why) => Ret::Status(by!(who, request_stop, why)),
            Call::Note(who, note) => done(by!(who, note, note)),
            Call::Report(who, progress, note) => done(by!(who, report, progress, note)),
            Call::Update(who, digit) => Ret::Payload(by!(who, update, |it| appended(it, digit))),
            Call::Snapshot(who) => Ret::View(self.names.view(&by!(who, snapshot))),
            Call::Get(name) => {
                let record = self.registry.get(self.names.id(name)).await?;
                let payload = record.payload;
                let details = self.registry.details(self.names.id(name)).await?;
                Ret::Record(self.names.record(&details, payload))
            }
            Call::Details(who) => Ret::Details(self.names.record(&by!(who, details), 0)),
            Call::RemoveAfter(who, delay) => done(by!(who, remove_after, delay)),
            Call::Remove(who) => {
                // The registry returns no payload.
                let (Who::Id(name) | Who::Handle(name, _)) = who else {
                    return Ok(Ret::Refused(Refusal::Impossible));
                };
                let payload = self.registry.get(self.names.id(name)).await;
                by!(who, remove);
                Ret::Payload(payload?.payload)
            }
            Call::Sweep => Ret::Count(self.registry.sweep().await?.removed),
            Call::Retry(who) => {
                let job = by!(who, retry);
                let attempt = job.attempt();
                self.owners
                    .insert((self.names.names[&job.id()], attempt), job);
                Ret::Attempt(attempt)
            }
            Call::Stalled => self.names.views(&self.registry.stalled().await?),
            Call::FailStalled => self.names.views(&self.registry.fail_stalled().await?),
            Call::Iter => {
                let page = self.registry.page(Cursor::default(), 1000).await?;
                let in_order = page.jobs.iter().map(|seen| self.names.names[&seen.id()]);
                assert!(
                    in_order.is_sorted(),
                    "a page is not in the order of registration"
                );
                self.names.views(&page.jobs)
            }
            Call::Len => Ret::Count(self.registry.counts().await?.total()),
            Call::Counts => counted(self.registry.counts().await?),
            Call::DropOwner(name, attempt) => {
                if let Some(job) = self.owners.remove(&(name, attempt)) {
                    job.abandon_now().await;
                }
                Ret::Done
            }
            Call::Detach(name, attempt) => {
                let _ = self.owners.remove(&(name, attempt)).map(crate::Job::detach);
                Ret::Done
            }
            _ => Ret::Refused(Refusal::Impossible),
        })
    }

    async fn register(&mut self, name: Name, payload: u64, options: Options) -> Result<Ret, Error> {
        match self.registry.register_with(&payload, options).await {
            Ok(job) => {
                self.names.insert(name, job.id());
                self.owners.insert((name, 1), job);
                Ok(Ret::Done)
            }
            Err(Error::Refused(api::Error::Full)) => Ok(Ret::Full(payload)),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // No owner abandons its job while the namespace is audited.
        for (_, job) in std::mem::take(&mut self.owners) {
            let _ = job.detach();
        }
    }
}

/// Applies a history in a namespace of its own, and audits the namespace.
pub(super) async fn history(
    server: &Server,
    namespace: &str,
    (limits, choices): &(Limits, Vec<Choice>),
    parts: &Parts,
) -> Result<BTreeSet<String>, String> {
    let mut trio = Trio::new(server, namespace, *limits, parts).await;
    for choice in choices {
        trio.step(*choice).await?;
    }
    if let Clock::Server { admin, key } = &mut trio.store.clock {
        let _: () = admin.del(&*key).expect("a deleted key");
    }
    match trio.store.registry.audit().await {
        Ok(found) if found.is_empty() => Ok(std::mem::take(&mut trio.met)),
        found => Err(format!("the audit finds {found:#?}")),
    }
}

/// Kinds of answers that the histories have to meet.
const MUST_BE_MET: [&str; 30] = [
    "Register -> Full",
    "RegisterWith -> Done",
    "Start by Id -> AlreadyStarted",
    "Start by Handle -> Superseded",
    "Advance by Id -> NotStarted",
    "Advance by Handle -> Stopping",
    "Advance by Handle -> Superseded",
    "Advance by Id -> Progress",
    "Heartbeat by Id -> Gone",
    "Heartbeat by Handle -> Superseded",
    "Heartbeat by Handle -> Ended",
    "Complete by Id -> NotStarted",
    "Complete by Handle -> Ended",
    "Fail by Handle -> Superseded",
    "RequestStop by Id -> Stopping",
    "RequestStop by Handle -> Status",
    "Note by Handle -> Superseded",
    "Note by Id -> Ended",
    "Report by Handle -> Done",
    "Update by Handle -> Superseded",
    "Update by Handle -> Ended",
    "Update by Id -> Payload",
    "Snapshot by Id -> NotFound",
    "Details by Id -> Gone",
    "RemoveAfter by Handle -> Superseded",
    "Remove by Id -> Live",
    "Remove by Handle -> Payload",
    "Sweep -> Count",
    "Retry by Id -> NotRetryable",
    "FailStalled -> Views",
];

/// Scenario 68.
#[test]
fn both_registries_answer_as_the_specification_does() {
    let server = Server::start();
    let met = histories(&server, "same", HISTORIES, RngSeed::Fixed(1));
    for kind in MUST_BE_MET {
        let is_met = met.iter().any(|there| there.starts_with(kind));
        assert!(is_met, "no history meets `{kind}`; they met {met:#?}");
    }
    // More of them, which differ from run to run.
    if let Ok(more) = std::env::var("JOB_REGISTRY_REDIS_HISTORIES") {
        let more = more.parse().expect("a number");
        histories(&server, "other", more, RngSeed::Random);
    }
    run(audit(&server));
}

/// Applies random histories, and returns the kinds of the calls and answers that they meet.
fn histories(server: &Server, name: &str, cases: u32, seed: RngSeed) -> BTreeSet<String> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config {
        cases,
        rng_seed: seed,
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let met = RefCell::new((0, BTreeSet::new()));
    let strategy = (limits(), choices(LONGEST));
    let result = TestRunner::new(config).run(&strategy, |history_of| {
        let (number, met) = &mut *met.borrow_mut();
        *number += 1;
        let namespace = format!("{name}{number}");
        let parts = Parts::default();
        let applied = history(server, &namespace, &history_of, &parts);
        met.extend(runtime.block_on(applied).map_err(TestCaseError::fail)?);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    met.into_inner().1
}
