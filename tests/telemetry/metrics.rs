//! The metrics that the calls emit.

use super::{SECOND, percent};
use job_registry::{JobRegistry, ManualClock};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use std::collections::BTreeMap;

/// Returns the value of every metric by its name and labels. All of them must be described.
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
fn every_metric_of_a_job_is_emitted() {
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
        let third = jobs.register(()).unwrap();
        third.start().unwrap();
        third.note("no metric").unwrap();
        third.request_stop("the user left").unwrap();
        let stopping = third.detach();
        assert!(jobs.request_stop(stopping, "again").is_err());
        jobs.publish_counts();
        drop(other);
    });
    let expected = [
        ("job_registry_transitions_total{status=pending}", 4.0),
        ("job_registry_transitions_total{status=running}", 2.0),
        ("job_registry_transitions_total{status=stopping}", 1.0),
        ("job_registry_transitions_total{status=failed}", 2.0),
        ("job_registry_transitions_total{status=cancelled}", 1.0),
        ("job_registry_heartbeats_total{}", 1.0),
        ("job_registry_stalls_total{}", 1.0),
        ("job_registry_refused_total{call=advance,reason=ended}", 1.0),
        ("job_registry_refused_total{call=register,reason=full}", 1.0),
        (
            "job_registry_refused_total{call=request_stop,reason=stopping}",
            1.0,
        ),
        (
            "job_registry_refused_total{call=heartbeat,reason=ended}",
            1.0,
        ),
        ("job_registry_removed_total{}", 1.0),
        ("job_registry_removal_panics_total{}", 1.0),
        // One second, none, and seven seconds of the other job.
        ("job_registry_time_in_status_seconds{status=pending}", 8.0),
        ("job_registry_time_in_status_seconds{status=running}", 2.0),
        ("job_registry_time_in_status_seconds{status=failed}", 1.0),
        ("job_registry_time_in_status_seconds{status=cancelled}", 3.0),
        ("job_registry_sweep_seconds{}", 0.0),
        ("job_registry_jobs{status=pending}", 1.0),
        ("job_registry_jobs{status=running}", 0.0),
        ("job_registry_jobs{status=stopping}", 1.0),
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

/// A requested stop ends the time in `running`, and begins the time in `stopping`.
#[test]
fn times_of_running_and_stopping_are_apart() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder().clock(clock.clone()).build();
    metrics::with_local_recorder(&recorder, || {
        job_registry::describe_metrics();
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        clock.advance(5 * SECOND);
        job.request_stop("the user left").unwrap();
        clock.advance(3 * SECOND);
        job.cancel().unwrap();
    });
    let values = values(&snapshotter);
    let time_in = |status| {
        let name = format!("job_registry_time_in_status_seconds{{status={status}}}");
        values.get(&name).copied()
    };
    assert_eq!(
        (time_in("running"), time_in("stopping")),
        (Some(5.0), Some(3.0))
    );
}
