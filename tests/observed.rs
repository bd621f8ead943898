//! The features `tracing` and `metrics`: what is told of a job, and that nobody is told under a lock.

#![cfg(not(any(loom, shuttle)))]

use job_registry::{JobRegistry, ManualClock, Progress, Status, StepError};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Once;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Fields as text, by name.
type Fields = BTreeMap<String, String>;

#[derive(Default)]
struct Visitor(Fields);

impl Visit for Visitor {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

/// What was told: the level, the fields, the span's fields.
type Told = Vec<(String, Fields, Fields)>;

/// Who listens on this thread. (One subscriber for all tests: several at a time disturb each other's caches.)
struct Sink {
    told: Told,
    call_back: Rc<dyn Fn()>,
}

thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

struct Listener;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut visitor = Visitor::default();
        attributes.record(&mut visitor);
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(visitor.0);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "job_registry" {
            return;
        }
        let mut visitor = Visitor::default();
        event.record(&mut visitor);
        let span = context.event_span(event);
        let span = span.and_then(|span| span.extensions().get::<Fields>().cloned());
        let level = event.metadata().level().to_string();
        let call_back = SINK.with_borrow_mut(|sink| {
            let sink = sink.as_mut()?;
            sink.told.push((level, visitor.0, span.unwrap_or_default()));
            Some(sink.call_back.clone())
        });
        if let Some(call_back) = call_back {
            call_back();
        }
    }
}

/// What is told on this thread while `f` runs; `call_back` is called each time.
fn told(call_back: impl Fn() + 'static, f: impl FnOnce()) -> Told {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Listener);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    let call_back = Rc::new(call_back);
    let told = Vec::new();
    SINK.set(Some(Sink { told, call_back }));
    f();
    SINK.take().unwrap().told
}

const SECOND: Duration = Duration::from_secs(1);

fn percent(percent: f64) -> Progress {
    Progress::percent(percent).unwrap()
}

#[test]
fn a_life_is_told_step_by_step() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(3 * SECOND)
        .stall_after(SECOND)
        .build();
    let told = told(
        || {},
        || {
            let job = jobs.register(()).unwrap();
            clock.advance(SECOND);
            job.start().unwrap();
            job.advance(percent(40.0)).unwrap();
            job.advance(percent(30.0)).unwrap(); // changes nothing
            job.heartbeat().unwrap();
            job.heartbeat().unwrap();
            clock.advance(2 * SECOND);
            assert_eq!(jobs.fail_stalled().len(), 1);
            assert!(job.complete().is_err());
            let again = job.retry().unwrap();
            again.start().unwrap();
            again.heartbeat().unwrap();
            again.complete().unwrap();
            clock.advance(3 * SECOND);
            assert_eq!(jobs.sweep().removed, 1);
            assert!(jobs.snapshot(again.id()).is_err());
        },
    );
    let lines: Vec<String> = told
        .iter()
        .map(|(level, fields, _)| {
            let known = [
                "message", "attempt", "status", "percent", "count", "error", "stalled", "kept",
                "reason", "call", "pending", "took", "removed",
            ];
            let part = |name: &&str| Some(format!("{name}={}", fields.get(*name)?));
            let parts: Vec<_> = known.iter().filter_map(part).collect();
            let took = parts.join(" ");
            format!("{level} {took}")
        })
        .collect();
    let expected = [
        "INFO message=status update status=pending",
        "INFO message=status update attempt=1 status=running pending=1s",
        "DEBUG message=status update attempt=1 percent=40.0",
        "TRACE message=heartbeat attempt=1 count=1",
        "TRACE message=heartbeat attempt=1 count=2",
        "WARN message=status update attempt=1 status=failed percent=40.0 error=stalled: no heartbeat for 2s stalled=true took=2s",
        "DEBUG message=refused reason=ended call=complete",
        "INFO message=status update attempt=2 status=pending",
        "INFO message=status update attempt=2 status=running pending=0ns",
        "TRACE message=heartbeat attempt=2 count=1",
        "INFO message=status update attempt=2 status=completed percent=100.0 took=0ns",
        "INFO message=cleanup status=completed kept=3s",
        "DEBUG message=cleanup took=0ns removed=1",
        "DEBUG message=refused reason=gone call=snapshot",
    ];
    assert_eq!(lines, expected);
    assert!(
        told.iter()
            .filter(|(_, fields, _)| fields["message"] == "heartbeat")
            .all(|(_, fields, _)| fields.contains_key("id"))
    );
}

/// P7: a subscriber that asks the registry about a job is never under that job's lock, nor under another.
#[test]
fn nobody_is_told_under_a_lock() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(SECOND)
        .build();
    let watched = jobs.register(0).unwrap();
    let call_back = {
        let (jobs, id) = (jobs.clone(), watched.id());
        // Refused with an error if this thread held any job's lock.
        move || jobs.update(id, |calls| *calls += 1).unwrap()
    };
    let told = told(call_back, || {
        let job = jobs.register(1).unwrap();
        let mut guard = job.lock().unwrap();
        guard.start().unwrap();
        guard.advance(percent(10.0)).unwrap();
        guard.heartbeat().unwrap();
        assert_eq!(guard.snapshot().status(), Status::Running);
        drop(guard);
        job.lock().unwrap().fail("enough");
        clock.advance(SECOND);
        jobs.sweep();
        assert_eq!(job.cancel(), Err(StepError::Gone));
    });
    assert_eq!(
        jobs.read(watched.id(), |record| *record.payload),
        Ok(told.len())
    );
    assert!(told.len() >= 7, "{told:?}");
}

/// P11: a subscriber that panics reaches the caller, when the step has been made, and loses no job and no place for one.
#[test]
fn subscribers_may_panic() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(SECOND)
        .capacity(1)
        .build();
    let panics = |f: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(f)).is_err();
    told(
        || panic!("no ink"),
        || {
            assert!(panics(&mut || drop(jobs.register(()))));
            assert_eq!(jobs.counts().failed, 1, "an owner was lost");
            clock.advance(SECOND);
            assert!(panics(&mut || drop(jobs.sweep())));
            assert_eq!(jobs.len(), 0);
        },
    );
    let job = jobs.register(()).expect("a place was lost");
    told(
        || panic!("no ink"),
        || {
            assert!(panics(&mut || job.start().unwrap()));
            assert!(panics(&mut || assert!(job.advance(percent(10.0)).is_ok())));
            assert!(panics(&mut || job.complete().unwrap()));
        },
    );
    let seen = job.snapshot().unwrap();
    assert_eq!(
        (seen.status(), seen.progress()),
        (Status::Completed, percent(100.0))
    );
    assert!(job.remove().is_ok());
}

#[test]
fn tasks_are_in_the_span_of_their_job() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let jobs = JobRegistry::new();
    let mut ids = Vec::new();
    let told = told(
        || {},
        || {
            runtime.block_on(async {
                let id = jobs
                    .spawn((), async |job| job.advance(percent(50.0)).map(drop))
                    .unwrap();
                let mut watch = jobs.watch(id).unwrap();
                while watch.changed().await.is_some() {}
                ids.push(id);
            });
        },
    );
    let advanced = told.iter().find(|(_, fields, _)| {
        fields
            .get("percent")
            .is_some_and(|percent| percent == "50.0")
    });
    let (_, _, span) = advanced.expect("the step is told");
    assert_eq!(span["id"], ids[0].to_string());
    assert_eq!(span["attempt"], "1");
}

/// The beats of the shared task are told with the id of their job, like one's own.
#[test]
fn heartbeats_of_the_task_are_told_with_their_job() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    let told = told(
        || {},
        || {
            runtime.block_on(async {
                let _beating = job.heartbeat_every(SECOND);
                tokio::time::sleep(3 * SECOND + SECOND / 2).await;
            });
        },
    );
    let beats = told.iter().map(|(_, fields, _)| fields);
    let beats: Vec<_> = beats
        .filter(|fields| fields["message"] == "heartbeat")
        .map(|fields| (fields["id"].clone(), &*fields["count"]))
        .collect();
    let id = job.id().to_string();
    assert_eq!(beats, ["1", "2", "3", "4"].map(|count| (id.clone(), count)));
}

/// A hook that panics in a sweep is a warning, and is counted there.
#[test]
fn a_sweep_with_a_panic_is_told_as_a_warning() {
    let jobs = JobRegistry::builder()
        .clock(ManualClock::new())
        .retention(Duration::ZERO)
        .on_remove(|_| panic!("the hook"))
        .build();
    let told = told(
        || {},
        || {
            jobs.register(()).unwrap().cancel().unwrap();
            assert_eq!(jobs.sweep().panics.len(), 1);
        },
    );
    let (level, fields, _) = told.last().expect("the sweep is told");
    assert_eq!(level, "WARN");
    assert_eq!((&*fields["message"], &*fields["panics"]), ("cleanup", "1"));
}

/// The value of every metric, by its name and labels. All of them are described.
fn values(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, _, description, value)| {
        assert!(description.is_some(), "{key:?} is not described");
        let (_, key) = key.into_parts();
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let value = match value {
            #[allow(clippy::cast_precision_loss)]
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => values.into_iter().map(f64::from).sum(),
        };
        (format!("{}{{{}}}", key.name(), labels.join(",")), value)
    })
    .collect()
}

#[test]
fn a_life_is_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(3 * SECOND)
        .stall_after(SECOND)
        .capacity(2)
        .on_remove(|_| panic!("the hook"))
        .build();
    metrics::with_local_recorder(&recorder, || {
        job_registry::describe_metrics();
        let (job, other) = (jobs.register(()).unwrap(), jobs.register(()).unwrap());
        assert!(jobs.register(()).is_err());
        clock.advance(SECOND);
        job.start().unwrap();
        job.heartbeat().unwrap();
        clock.advance(2 * SECOND);
        jobs.fail_stalled();
        assert!(job.advance(percent(1.0)).is_err());
        assert!(job.heartbeat().is_err());
        clock.advance(SECOND);
        let again = job.retry().unwrap();
        again.cancel().unwrap();
        clock.advance(3 * SECOND);
        jobs.sweep();
        jobs.publish_counts();
        drop(other);
    });
    let expected = [
        ("job_registry_transitions_total{status=pending}", 3.0),
        ("job_registry_transitions_total{status=running}", 1.0),
        ("job_registry_transitions_total{status=failed}", 2.0),
        ("job_registry_transitions_total{status=cancelled}", 1.0),
        ("job_registry_heartbeats_total{}", 1.0),
        ("job_registry_stalls_total{}", 1.0),
        ("job_registry_refused_total{call=advance,reason=ended}", 1.0),
        ("job_registry_refused_total{call=register,reason=full}", 1.0),
        (
            "job_registry_refused_total{call=heartbeat,reason=ended}",
            1.0,
        ),
        ("job_registry_removed_total{}", 1.0),
        ("job_registry_removal_panics_total{}", 1.0),
        // One second, none, and seven of the other.
        ("job_registry_time_in_status_seconds{status=pending}", 8.0),
        ("job_registry_time_in_status_seconds{status=running}", 2.0),
        ("job_registry_time_in_status_seconds{status=failed}", 1.0),
        ("job_registry_time_in_status_seconds{status=cancelled}", 3.0),
        ("job_registry_sweep_seconds{}", 0.0),
        ("job_registry_jobs{status=pending}", 1.0),
        ("job_registry_jobs{status=running}", 0.0),
        ("job_registry_jobs{status=completed}", 0.0),
        ("job_registry_jobs{status=failed}", 0.0),
        ("job_registry_jobs{status=cancelled}", 0.0),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    assert_eq!(values(&snapshotter), expected);
}
