//! The user code that a registry runs. Each piece of it can be armed to panic.

use job_registry::Clock;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use std::any::Any;
use std::fmt::{self, Write};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

/// A kind of user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Waker,
    WakerDrop,
    Hook,
    Payload,
    Subscriber,
    Recorder,
    Clock,
}

/// The sources in the order of the table's columns.
pub(crate) const SOURCES: [Source; 7] = [
    Source::Waker,
    Source::WakerDrop,
    Source::Hook,
    Source::Payload,
    Source::Subscriber,
    Source::Recorder,
    Source::Clock,
];

/// The value that a panic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Str,
    String,
    /// A value whose own destructor panics, in a process that a second panic would abort.
    Bomb,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("the panic's own value"));
    }
}

impl Kind {
    /// Panics without the panic hook, which would print each of thousands of panics.
    pub(crate) fn throw(self) -> ! {
        resume_unwind(match self {
            Self::Str => Box::new("armed"),
            Self::String => Box::new("armed".to_owned()),
            Self::Bomb => Box::new(Bomb) as Box<dyn Any + Send>,
        })
    }
}

/// Determines which executions of armed code panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// The execution with this number, from 1, and no other.
    Once(usize),
    Always,
}

/// Source of a panic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Armed {
    pub(crate) source: Source,
    pub(crate) kind: Kind,
    pub(crate) when: When,
}

impl Armed {
    fn is_now(&mut self) -> bool {
        match &mut self.when {
            When::Always => true,
            When::Once(left) => {
                *left = left.wrapping_sub(1);
                *left == 0
            }
        }
    }
}

#[derive(Default)]
struct Stage {
    armed: Option<Armed>,
    /// Whether firings are recorded.
    is_open: bool,
    firings: Vec<(Source, String)>,
    fired: Vec<String>,
    events: Vec<(Option<String>, String)>,
}

/// The process has one stage, as it has one subscriber and one recorder: cells run one at a time.
static STAGE: Mutex<Option<Stage>> = Mutex::new(None);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The right to use the stage.
pub(crate) struct Turn(#[allow(dead_code)] MutexGuard<'static, ()>);

impl Turn {
    pub(crate) fn take() -> Self {
        static INSTALLED: Once = Once::new();
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        INSTALLED.call_once(|| {
            tracing::subscriber::set_global_default(Listener).expect("there is one subscriber");
            metrics::set_global_recorder(Counted).expect("there is one recorder");
        });
        with(|stage| *stage = Stage::default());
        Self(turn)
    }
}

fn with<R>(f: impl FnOnce(&mut Stage) -> R) -> R {
    let mut stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    f(stage.get_or_insert_default())
}

/// Forgets earlier records, and starts recording.
pub(crate) fn open(armed: Option<Armed>) {
    with(|stage| {
        *stage = Stage {
            armed,
            is_open: true,
            ..Stage::default()
        }
    });
}

/// Record of the firings, and of those that panicked.
pub(crate) struct Seen {
    pub(crate) firings: Vec<(Source, String)>,
    pub(crate) fired: Vec<String>,
}

/// Ends the recording of firings. Events are recorded until [`take_events`].
pub(crate) fn close() -> Seen {
    with(|stage| {
        stage.is_open = false;
        stage.armed = None;
        Seen {
            firings: std::mem::take(&mut stage.firings),
            fired: std::mem::take(&mut stage.fired),
        }
    })
}

/// Returns the events so far: the field `id`, and the other fields.
pub(crate) fn take_events() -> Vec<(Option<String>, String)> {
    with(|stage| std::mem::take(&mut stage.events))
}

/// Is called by the user code of a kind. `what` describes the occasion.
pub(crate) fn fire(source: Source, what: impl FnOnce() -> String) {
    let kind = with(|stage| {
        if !stage.is_open {
            return None;
        }
        let what = what();
        let armed = stage.armed.as_mut().filter(|armed| armed.source == source);
        let kind = armed.and_then(|armed| armed.is_now().then_some(armed.kind));
        if kind.is_some() {
            stage.fired.push(what.clone());
        }
        stage.firings.push((source, what));
        kind
    });
    if let Some(kind) = kind {
        kind.throw();
    }
}

/// A manual clock. Clones share their time.
#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn advance(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Duration {
        fire(Source::Clock, || "now".to_owned());
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

struct Listener;

#[derive(Default)]
struct Visitor {
    id: Option<String>,
    rest: String,
}

impl Visit for Visitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "id" => self.id = Some(format!("{value:?}")),
            // This field is added by a panic to the event of a sweep.
            "panics" => {}
            name => write!(self.rest, " {name}={value:?}").expect("a string takes all"),
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "job_registry"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        fire(Source::Subscriber, || "span".to_owned());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut visitor = Visitor::default();
        event.record(&mut visitor);
        let Visitor { id, rest } = visitor;
        // The warning about a panic exists only after a panic.
        if !rest.contains("message=removal panicked") {
            with(|stage| stage.events.push((id.clone(), rest.clone())));
        }
        fire(Source::Subscriber, || match id {
            Some(_) => rest,
            None => format!("of no job:{rest}"),
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Counted;
struct Metric(Key);

impl Metric {
    fn fire(&self) {
        fire(Source::Recorder, || self.0.to_string());
    }
}

impl CounterFn for Metric {
    fn increment(&self, _: u64) {
        self.fire();
    }

    fn absolute(&self, _: u64) {
        self.fire();
    }
}

impl GaugeFn for Metric {
    fn increment(&self, _: f64) {
        self.fire();
    }

    fn decrement(&self, _: f64) {
        self.fire();
    }

    fn set(&self, _: f64) {
        self.fire();
    }
}

impl HistogramFn for Metric {
    fn record(&self, _: f64) {
        self.fire();
    }
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Metric(key.clone())))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Metric(key.clone())))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Metric(key.clone())))
    }
}
