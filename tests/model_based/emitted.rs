//! Compares the events and metrics of every call, in order, with the transitions of the
//! specification.
//!
//! docs/guide/observability.md defines the expected lines: one for each event, followed by its
//! metrics. An event that a thread causes while it holds a guard is expected after the guard's
//! release, in order. The end of a job whose owner was dropped meanwhile is expected there as well.

use super::real::Real;
use super::spec::{Call, Job, Millis, Name, Refusal, Ret, Spec, Who};
use job_registry::{JobId, Status};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, Once};
use std::thread::{self, ThreadId};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

/// Events that must occur in the histories.
pub(crate) const EVENTS: &[&str] = &[
    "INFO status",
    "WARN status",
    "DEBUG status",
    "DEBUG note",
    "TRACE heartbeat",
    "INFO cleanup",
    "DEBUG cleanup",
    "DEBUG refused",
];

/// An event's line, and those of its metrics.
type Group = Vec<String>;
/// The events of all threads, in the order in which they were emitted.
type Log = Arc<Mutex<Vec<(ThreadId, Group)>>>;

thread_local! {
    static LOG: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// Events that are deferred until a thread's guard is dropped.
enum Owed {
    Event(Group),
    Abandon(Name, u32),
}

/// Events that a history should have emitted so far.
pub(crate) struct Emitted {
    log: Log,
    owed: Vec<Owed>,
    expected: Vec<Group>,
    in_any_order: bool,
    /// The job of the main thread's guard.
    guarded: Option<Name>,
    /// Accepted heartbeats of the current attempt.
    beats: BTreeMap<Name, u32>,
    /// Start of the current attempt.
    pending_since: BTreeMap<Name, Millis>,
    stopping_since: BTreeMap<Name, Millis>,
    /// Levels and first words of the messages of all events.
    pub(crate) seen: BTreeSet<String>,
}

impl Emitted {
    /// Starts recording on this thread.
    pub(crate) fn new() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            tracing::subscriber::set_global_default(Listener).expect("there is one subscriber");
            metrics::set_global_recorder(Counted).expect("there is one recorder");
        });
        let emitted = Self {
            log: Log::default(),
            owed: Vec::new(),
            expected: Vec::new(),
            in_any_order: false,
            guarded: None,
            beats: BTreeMap::new(),
            pending_since: BTreeMap::new(),
            stopping_since: BTreeMap::new(),
            seen: BTreeSet::new(),
        };
        emitted.listen()();
        emitted
    }

    /// Returns the closure by which another thread starts recording here.
    pub(crate) fn listen(&self) -> impl Fn() + Send + use<> {
        let log = self.log.clone();
        move || LOG.set(Some(log.clone()))
    }

    /// Expects the events that the specification gives a call. `guarded`: the main thread has a
    /// guard afterwards.
    pub(crate) fn expect(&mut self, seen: &Transition<'_>, guarded: bool) {
        if seen.thread != 0 {
            let events = self.events(seen).into_iter();
            self.expected.extend(events.filter_map(|owed| match owed {
                Owed::Event(group) => Some(group),
                Owed::Abandon(..) => None,
            }));
            return;
        }
        if let (Call::Lock(who) | Call::TryLock(who), true, None) =
            (seen.call, guarded, self.guarded)
        {
            self.guarded = name_of(*who);
        }
        let events = self.events(seen);
        self.owed.extend(events);
        if guarded {
            return;
        }
        self.guarded = None;
        for owed in std::mem::take(&mut self.owed) {
            let group = match owed {
                Owed::Event(group) => Some(group),
                Owed::Abandon(name, attempt) => self.abandoned(seen, name, attempt),
            };
            self.expected.extend(group);
        }
    }

    /// Expects that a sweep has removed a job. Sweeps do nothing on a thread that has a guard.
    pub(crate) fn expect_removal(&mut self, real: &Real, spec: &Spec, name: Name) {
        let group = removed(
            &real.id(name).short().to_string(),
            &spec.jobs[&name],
            spec.now,
        );
        self.expected.push(group);
    }

    /// Allows any order until the next check, because two threads emit at the same time.
    pub(crate) fn in_any_order(&mut self) {
        self.in_any_order = true;
    }

    /// Checks, at the end of `call`, that exactly the expected events were emitted, in order.
    /// `quiet`: no user code took time or made calls.
    pub(crate) fn check(&mut self, call: &Call, quiet: bool) -> Result<(), String> {
        let mut expected = std::mem::take(&mut self.expected);
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        let mut actual: Vec<_> = log.into_iter().map(|(_, group)| group).collect();
        for group in &mut actual {
            let level_and_message: Vec<_> = group[0].split(' ').take(2).collect();
            self.seen.insert(level_and_message.join(" "));
        }
        for group in actual.iter_mut().chain(&mut expected) {
            // The order of an event's metrics is not specified.
            group[1..].sort_unstable();
        }
        let sweeps = matches!(
            call,
            Call::Register(..) | Call::RegisterWith(..) | Call::Sweep
        );
        if sweeps || !quiet {
            actual = without_sweeps(actual, sweeps, quiet)?;
        }
        if std::mem::take(&mut self.in_any_order) {
            actual.sort_unstable();
            expected.sort_unstable();
        }
        if actual == expected {
            return Ok(());
        }
        Err(format!(
            "emitted was\n    {}\n  and should have been\n    {}",
            lines(&actual),
            lines(&expected)
        ))
    }

    fn events(&mut self, seen: &Transition<'_>) -> Vec<Owed> {
        let Transition { call, answer, .. } = seen;
        let event = |group| vec![Owed::Event(group)];
        match (call, answer) {
            (_, Ret::Refused(refusal)) => refused(seen, *refusal).map(event).unwrap_or_default(),
            (Call::Register(..) | Call::RegisterWith(..), Ret::Full(_)) => {
                let emitted = line(
                    "DEBUG",
                    "refused",
                    &[("call", "register"), ("reason", "full")],
                );
                let counted = count("refused_total", &[("call", "register"), ("reason", "full")]);
                event(vec![emitted, counted])
            }
            (Call::Register(name, _) | Call::RegisterWith(name, ..), _) => {
                self.begin(*name, seen.after.now);
                let id = seen.id(*name);
                let fields = [("id", &*id), ("attempt", "1"), ("status", "pending")];
                event(vec![
                    line("INFO", "status update", &fields),
                    count("transitions_total", &[("status", "pending")]),
                ])
            }
            (Call::Remove(who), _) => {
                let name = self.name(*who);
                let job = &seen.after.jobs[&name];
                event(removed(&seen.id(name), job, seen.after.now))
            }
            (Call::Start(who), _) => self.started(seen, self.name(*who)),
            (Call::Advance(who, _), _) => Self::advanced(seen, self.name(*who)),
            (Call::Heartbeat(who), _) => self.beaten(seen, self.name(*who)),
            (Call::Note(who, note), _) => event(noted(seen, self.name(*who), note)),
            (Call::Report(who, _, note), _) => {
                let name = self.name(*who);
                let mut events = event(noted(seen, name, note));
                events.extend(Self::advanced(seen, name));
                events
            }
            (Call::RequestStop(who, why), Ret::Status(Status::Stopping)) => {
                let name = self.name(*who);
                self.stopping_since.insert(name, seen.after.now);
                event(stopped(seen, name, why))
            }
            (Call::DropOwner(name, attempt), _) if seen.thread == 0 && self.guarded.is_some() => {
                let job = &seen.before.jobs[name];
                let is_owed = !job.removed && job.attempt() == *attempt && !job.status().is_ended();
                is_owed
                    .then_some(Owed::Abandon(*name, *attempt))
                    .into_iter()
                    .collect()
            }
            (Call::DropOwner(name, _), _) => self
                .ended(seen, *name, false)
                .into_iter()
                .map(Owed::Event)
                .collect(),
            (
                Call::Complete(who)
                | Call::Fail(who, _)
                | Call::Cancel(who)
                | Call::CancelBecause(who, _)
                | Call::RequestStop(who, _)
                | Call::Panic(who),
                _,
            ) => {
                let ended = self.ended(seen, self.name(*who), false);
                ended.into_iter().map(Owed::Event).collect()
            }
            (Call::Expire(name, _), _) => {
                let ended = self.ended(seen, *name, false);
                ended.into_iter().map(Owed::Event).collect()
            }
            (Call::Retry(who), _) => self.retried(seen, self.name(*who)),
            (Call::Verdict(who), _) => {
                let ended = self.ended(seen, self.name(*who), true);
                ended.into_iter().map(Owed::Event).collect()
            }
            _ => Vec::new(),
        }
    }

    fn name(&self, who: Who) -> Name {
        name_of(who).or(self.guarded).expect("a guard is of a job")
    }

    fn begin(&mut self, name: Name, now: Millis) {
        self.beats.insert(name, 0);
        self.pending_since.insert(name, now);
    }

    fn started(&self, seen: &Transition<'_>, name: Name) -> Vec<Owed> {
        let job = &seen.after.jobs[&name];
        let pending = millis(seen.after.now - self.pending_since[&name]);
        let fields = [
            ("id", &*seen.id(name)),
            ("attempt", &*job.attempt().to_string()),
            ("status", "running"),
            ("pending", &*format!("{pending:?}")),
        ];
        vec![Owed::Event(vec![
            line("INFO", "status update", &fields),
            count("transitions_total", &[("status", "running")]),
            time("time_in_status_seconds", &[("status", "pending")], pending),
        ])]
    }

    fn advanced(seen: &Transition<'_>, name: Name) -> Vec<Owed> {
        let (before, after) = (&seen.before.jobs[&name], &seen.after.jobs[&name]);
        if before.record.view.version == after.record.view.version {
            return Vec::new();
        }
        let fields = [
            ("id", &*seen.id(name)),
            ("attempt", &*after.attempt().to_string()),
            ("percent", &*percent(after)),
        ];
        vec![Owed::Event(vec![line("DEBUG", "status update", &fields)])]
    }

    fn beaten(&mut self, seen: &Transition<'_>, name: Name) -> Vec<Owed> {
        let beats = self.beats.get_mut(&name).expect("the job was registered");
        *beats += 1;
        let fields = [
            ("id", &*seen.id(name)),
            ("attempt", &*seen.after.jobs[&name].attempt().to_string()),
            ("count", &*beats.to_string()),
        ];
        vec![Owed::Event(vec![
            line("TRACE", "heartbeat", &fields),
            count("heartbeats_total", &[]),
        ])]
    }

    /// Returns the end of a job that has ended in this call.
    fn ended(&self, seen: &Transition<'_>, name: Name, stalled: bool) -> Option<Group> {
        let (before, after) = (&seen.before.jobs[&name], &seen.after.jobs[&name]);
        let is_end = !before.status().is_ended() && after.status().is_ended();
        is_end.then(|| self.end(seen, name, after, stalled))
    }

    fn end(&self, seen: &Transition<'_>, name: Name, after: &Job, stalled: bool) -> Group {
        let before = &seen.before.jobs[&name];
        let since = match before.status() {
            Status::Stopping => self.stopping_since[&name],
            _ => before.record.started.unwrap_or(self.pending_since[&name]),
        };
        let took = millis(seen.after.now - since);
        let (status, attempt) = (after.status().to_string(), after.attempt().to_string());
        let (id, percent, text) = (seen.id(name), percent(after), format!("{took:?}"));
        let stalled_text = stalled.to_string();
        let mut fields = vec![
            ("id", &*id),
            ("attempt", &*attempt),
            ("status", &*status),
            ("percent", &*percent),
            ("took", &*text),
        ];
        let reason = after.record.reason.clone();
        fields.extend(reason.iter().map(|reason| ("reason", &**reason)));
        let has_failed = after.status() == Status::Failed;
        fields.extend(has_failed.then_some(("stalled", &*stalled_text)));
        let level = if has_failed { "WARN" } else { "INFO" };
        let mut group = vec![
            line(level, "status update", &fields),
            count("transitions_total", &[("status", &status)]),
            time(
                "time_in_status_seconds",
                &[("status", &before.status().to_string())],
                took,
            ),
        ];
        group.extend(stalled.then(|| count("stalls_total", &[])));
        group
    }

    /// Fails a stalled job first.
    fn retried(&mut self, seen: &Transition<'_>, name: Name) -> Vec<Owed> {
        let (before, after) = (&seen.before.jobs[&name], &seen.after.jobs[&name]);
        let now = seen.after.now;
        let mut events = Vec::new();
        let (was, ago) = if before.status().is_ended() {
            let ended = before.record.ended.expect("the job has ended");
            (before.status(), millis(now - ended))
        } else {
            let mut failed = before.clone();
            assert!(failed.fail_if_stalled(now, &seen.before.limits));
            events.push(Owed::Event(self.end(seen, name, &failed, true)));
            (Status::Failed, Duration::ZERO)
        };
        self.begin(name, now);
        let fields = [
            ("id", &*seen.id(name)),
            ("attempt", &*after.attempt().to_string()),
            ("status", "pending"),
        ];
        events.push(Owed::Event(vec![
            line("INFO", "status update", &fields),
            count("transitions_total", &[("status", "pending")]),
            time(
                "time_in_status_seconds",
                &[("status", &was.to_string())],
                ago,
            ),
        ]));
        events
    }

    /// Returns the end of a job whose owner was dropped under a guard, unless the job had ended
    /// before the guard was released.
    fn abandoned(&self, seen: &Transition<'_>, name: Name, attempt: u32) -> Option<Group> {
        let job = &seen.after.jobs[&name];
        let is_abandoned = job.record.reason.as_deref() == Some("abandoned");
        self.ended(seen, name, false)
            .filter(|_| is_abandoned && job.attempt() == attempt)
    }
}

/// A call, with the states of the specification before and after it.
pub(crate) struct Transition<'a> {
    pub(crate) real: &'a Real,
    pub(crate) thread: u32,
    pub(crate) call: &'a Call,
    /// The answer of the specification.
    pub(crate) answer: &'a Ret,
    pub(crate) before: &'a Spec,
    pub(crate) after: &'a Spec,
}

impl Transition<'_> {
    fn id(&self, name: Name) -> String {
        let id: JobId = self.real.id(name);
        id.short().to_string()
    }
}

/// Returns `None` for a guard.
fn name_of(who: Who) -> Option<Name> {
    match who {
        Who::Id(name) | Who::Handle(name, _) => Some(name),
        Who::Guard => None,
    }
}

fn refused(seen: &Transition<'_>, refusal: Refusal) -> Option<Group> {
    let call = match seen.call {
        Call::Start(_) => "start",
        Call::Advance(..) => "advance",
        Call::Heartbeat(_) => "heartbeat",
        Call::Complete(_) => "complete",
        Call::Fail(..) => "fail",
        Call::Cancel(_) => "cancel",
        Call::CancelBecause(..) => "cancel_because",
        Call::RequestStop(..) => "request_stop",
        Call::Note(..) => "note",
        Call::Report(..) => "report",
        Call::Details(_) => "details",
        Call::Lock(_) => "lock",
        Call::TryLock(_) => "try_lock",
        Call::Update(..) | Call::Panic(_) => "update",
        Call::Snapshot(_) => "snapshot",
        Call::Get(_) => "get",
        Call::RemoveAfter(..) => "remove_after",
        Call::Remove(_) => "remove",
        Call::Retry(_) => "retry",
        Call::Watch(..) => "watch",
        _ => return None,
    };
    let reason = match refusal {
        Refusal::NotFound => "not_found",
        Refusal::Gone => "gone",
        Refusal::Superseded => "superseded",
        Refusal::NotStarted => "not_started",
        Refusal::AlreadyStarted => "already_started",
        Refusal::Stopping => "stopping",
        Refusal::Ended(_) => "ended",
        Refusal::Live => "live",
        Refusal::NotRetryable(_) => "not_retryable",
        Refusal::AttemptsExhausted => "attempts_exhausted",
        Refusal::Busy => "busy",
        Refusal::WouldDeadlock => "would_deadlock",
        Refusal::Impossible => return None,
    };
    let name = match seen.call.who()? {
        Who::Guard => seen.before.held_by(0)?,
        who => name_of(who)?,
    };
    let fields = [("call", call), ("id", &*seen.id(name)), ("reason", reason)];
    Some(vec![
        line("DEBUG", "refused", &fields),
        count("refused_total", &[("call", call), ("reason", reason)]),
    ])
}

fn noted(seen: &Transition<'_>, name: Name, note: &str) -> Group {
    let fields = [
        ("id", &*seen.id(name)),
        ("attempt", &*seen.after.jobs[&name].attempt().to_string()),
        ("note", note),
    ];
    vec![line("DEBUG", "note", &fields)]
}

fn stopped(seen: &Transition<'_>, name: Name, why: &str) -> Group {
    let job = &seen.after.jobs[&name];
    let took = millis(seen.after.now - job.record.started.expect("it was running"));
    let fields = [
        ("id", &*seen.id(name)),
        ("attempt", &*job.attempt().to_string()),
        ("status", "stopping"),
        ("reason", why),
        ("took", &*format!("{took:?}")),
    ];
    vec![
        line("INFO", "status update", &fields),
        count("transitions_total", &[("status", "stopping")]),
        time("time_in_status_seconds", &[("status", "running")], took),
    ]
}

fn removed(id: &str, job: &Job, now: Millis) -> Group {
    let status = job.status().to_string();
    let kept = millis(now - job.record.ended.expect("the job had ended"));
    let fields = [
        ("id", id),
        ("status", &*status),
        ("kept", &*format!("{kept:?}")),
    ];
    vec![
        line("INFO", "cleanup", &fields),
        count("removed_total", &[]),
        time("time_in_status_seconds", &[("status", &status)], kept),
    ]
}

/// Removes the events of sweeps, each of which counts the removals before it. A sweep that has only
/// ended live jobs, or found one locked, emits an event as well. If the call `sweeps`,
/// all of them are removed; otherwise those of a hook's sweep. Only a `quiet` sweep takes no time.
fn without_sweeps(groups: Vec<Group>, sweeps: bool, quiet: bool) -> Result<Vec<Group>, String> {
    let (mut rest, mut removals, mut endings) = (Vec::new(), 0_usize, 0_usize);
    for group in groups {
        if group[0].starts_with("DEBUG cleanup") {
            let [busy, cancelled, expired, counted] =
                ["busy", "cancelled", "expired", "removed"].map(|name| field(&group[0], name));
            let ended = cancelled + expired;
            // One job at most is locked.
            let is_possible = busy <= 1 && ended <= endings && busy + ended + counted > 0;
            let is_counted = |removed: usize| is_possible && counted == removed;
            let is_fine = if sweeps {
                is_counted(removals)
            } else {
                (0..=removals).any(is_counted)
            };
            let took_no_time = group[0].ends_with(" took=0ns")
                && group[1..] == [time("sweep_seconds", &[], Duration::ZERO)];
            if !is_fine || quiet && !took_no_time {
                return Err(format!("a sweep of {removals} jobs emitted {group:?}"));
            }
            (removals, endings) = (0, 0);
            continue;
        }
        removals += usize::from(group[0].starts_with("INFO cleanup"));
        endings += usize::from(group[0].contains(" took="));
        rest.push(group);
    }
    if sweeps && removals + endings > 0 {
        return Err(format!(
            "no sweep emitted that it removed {removals} jobs and ended {endings}"
        ));
    }
    Ok(rest)
}

/// Returns the number in a field of a line.
fn field(line: &str, name: &str) -> usize {
    let start = format!("{name}=");
    let value = line
        .split(' ')
        .find_map(|field| field.strip_prefix(&*start));
    value
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

fn line(level: &str, message: &str, fields: &[(&str, &str)]) -> String {
    let fields: BTreeMap<_, _> = fields.iter().copied().collect();
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{level} {message} {}", fields.join(" "))
}

fn count(name: &str, labels: &[(&str, &str)]) -> String {
    format!("count {}", metric(name, labels))
}

fn time(name: &str, labels: &[(&str, &str)], value: Duration) -> String {
    format!("time {} {}", metric(name, labels), value.as_secs_f64())
}

fn metric(name: &str, labels: &[(&str, &str)]) -> String {
    format!("job_registry_{name} {labels:?}")
}

fn percent(job: &Job) -> String {
    format!("{:?}", job.record.view.version.2.as_percent())
}

fn millis(millis: Millis) -> Duration {
    Duration::from_millis(millis)
}

fn lines(groups: &[Group]) -> String {
    let groups: Vec<_> = groups.iter().map(|group| group.join("; ")).collect();
    groups.join("\n    ")
}

fn log(record: impl FnOnce(&mut Vec<(ThreadId, Group)>)) {
    LOG.with_borrow(|log| {
        if let Some(log) = log {
            record(&mut log.lock().unwrap());
        }
    });
}

struct Listener;

#[derive(Default)]
struct Visitor(BTreeMap<&'static str, String>);

impl Visit for Visitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "job_registry"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut visitor = Visitor::default();
        event.record(&mut visitor);
        let message = visitor.0.remove("message").unwrap_or_default();
        let fields: Vec<_> = visitor
            .0
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let text = line(event.metadata().level().as_str(), &message, &fields);
        log(|groups| groups.push((thread::current().id(), vec![text])));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Counted;
struct Metric(Key);

impl Metric {
    /// Adds a metric to the thread's most recent event.
    fn log(&self, kind: &str, value: &str) {
        let labels: Vec<_> = self
            .0
            .labels()
            .map(|label| (label.key(), label.value()))
            .collect();
        let text = format!("{kind} {} {labels:?}{value}", self.0.name());
        let this = thread::current().id();
        log(
            |groups| match groups.iter_mut().rev().find(|(of, _)| *of == this) {
                Some((_, group)) => group.push(text),
                None => groups.push((this, vec![text])),
            },
        );
    }
}

impl CounterFn for Metric {
    fn increment(&self, by: u64) {
        let value = if by == 1 {
            String::new()
        } else {
            format!(" by {by}")
        };
        self.log("count", &value);
    }

    fn absolute(&self, value: u64) {
        self.log("count", &format!(" = {value}"));
    }
}

impl HistogramFn for Metric {
    fn record(&self, value: f64) {
        self.log("time", &format!(" {value}"));
    }
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Metric(key.clone())))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Metric(key.clone())))
    }
}
