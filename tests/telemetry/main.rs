//! Features `tracing` and `metrics`: the events of a job, and that none is emitted under a lock.

#![cfg(not(any(loom, shuttle)))]

mod listener;
mod metrics;

use job_registry::{JobRegistry, ManualClock, Options, Progress, Status, StepError};
use listener::emitted;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn percent(percent: f64) -> Progress {
    Progress::percent(percent).unwrap()
}

#[test]
fn events_of_a_job_are_emitted_in_order() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(3 * SECOND)
        .stall_after(SECOND)
        .build();
    let emitted = emitted(
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
            again.note("a cartridge has come").unwrap();
            again.start().unwrap();
            again.heartbeat().unwrap();
            again.report(percent(50.0), "half").unwrap();
            again.report(percent(50.0), "still half").unwrap();
            again.request_stop("the user left").unwrap();
            assert!(again.advance(percent(60.0)).is_err());
            assert!(again.request_stop("again").is_err());
            again.cancel().unwrap();
            clock.advance(3 * SECOND);
            assert_eq!(jobs.sweep().removed, 1);
            assert!(jobs.snapshot(again.id()).is_err());
        },
    );
    let lines: Vec<String> = emitted
        .iter()
        .map(|(level, fields, _)| {
            let known = [
                "message",
                "attempt",
                "status",
                "percent",
                "count",
                "note",
                "stalled",
                "kept",
                "reason",
                "call",
                "pending",
                "took",
                "removed",
                "expired",
                "cancelled",
            ];
            let part = |name: &&str| Some(format!("{name}={}", fields.get(*name)?));
            let parts: Vec<_> = known.iter().filter_map(part).collect();
            let took = parts.join(" ");
            format!("{level} {took}")
        })
        .collect();
    let expected = [
        "INFO message=status update attempt=1 status=pending",
        "INFO message=status update attempt=1 status=running pending=1s",
        "DEBUG message=status update attempt=1 percent=40.0",
        "TRACE message=heartbeat attempt=1 count=1",
        "TRACE message=heartbeat attempt=1 count=2",
        "WARN message=status update attempt=1 status=failed percent=40.0 stalled=true reason=stalled: no heartbeat for 2s took=2s",
        "DEBUG message=refused reason=ended call=complete",
        "INFO message=status update attempt=2 status=pending",
        "DEBUG message=note attempt=2 note=a cartridge has come",
        "INFO message=status update attempt=2 status=running pending=0ns",
        "TRACE message=heartbeat attempt=2 count=1",
        "DEBUG message=note attempt=2 note=half",
        "DEBUG message=status update attempt=2 percent=50.0",
        "DEBUG message=note attempt=2 note=still half",
        "INFO message=status update attempt=2 status=stopping reason=the user left took=0ns",
        "DEBUG message=refused reason=stopping call=advance",
        "DEBUG message=refused reason=stopping call=request_stop",
        "INFO message=status update attempt=2 status=cancelled percent=50.0 reason=the user left took=0ns",
        "INFO message=cleanup status=cancelled kept=3s",
        "DEBUG message=cleanup took=0ns removed=1 expired=0 cancelled=0",
        "DEBUG message=refused reason=gone call=snapshot",
    ];
    assert_eq!(lines, expected);
    assert!(
        emitted
            .iter()
            .filter(|(_, fields, _)| fields["message"] == "heartbeat")
            .all(|(_, fields, _)| fields.contains_key("id"))
    );
}

/// P7: a subscriber that asks the registry about a job runs under no lock, neither that job's nor
/// another's.
#[test]
fn no_event_is_emitted_under_a_lock() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(SECOND)
        .build();
    let watched = jobs.register(0).unwrap();
    let call_back = {
        let (jobs, id) = (jobs.clone(), watched.id());
        // The call would be refused if this thread held a job's lock.
        move || jobs.update(id, |calls| *calls += 1).unwrap()
    };
    let emitted = emitted(call_back, || {
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
        Ok(emitted.len())
    );
    assert!(emitted.len() >= 7, "{emitted:?}");
}

/// P11: the panic of a subscriber reaches the caller after the step has been made. It loses neither
/// a job nor a slot.
#[test]
fn panic_of_a_subscriber_loses_no_job_and_no_slot() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(SECOND)
        .capacity(1)
        .build();
    let panics = |f: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(f)).is_err();
    emitted(
        || panic!("no ink"),
        || {
            assert!(panics(&mut || drop(jobs.register(()))));
            assert_eq!(jobs.counts().failed, 1, "an owner was lost");
            clock.advance(SECOND);
            assert!(panics(&mut || drop(jobs.sweep())));
            assert_eq!(jobs.len(), 0);
        },
    );
    let job = jobs.register(()).expect("a slot was lost");
    emitted(
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
fn task_runs_in_the_span_of_its_job() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let jobs = JobRegistry::new();
    let mut ids = Vec::new();
    let emitted = emitted(
        || {},
        || {
            runtime.block_on(async {
                let id = jobs
                    .spawn((), async |job| Ok(job.advance(percent(50.0)).map(drop)?))
                    .unwrap();
                let mut watch = jobs.watch(id).unwrap();
                while watch.changed().await.is_some() {}
                ids.push(id);
            });
        },
    );
    let advanced = emitted.iter().find(|(_, fields, _)| {
        fields
            .get("percent")
            .is_some_and(|percent| percent == "50.0")
    });
    let (_, _, span) = advanced.expect("the step is emitted");
    assert_eq!(span["id"], ids[0].short().to_string());
    assert_eq!(span["attempt"], "1");
}

/// The heartbeats of the shared task are emitted with the id of their job.
#[test]
fn heartbeats_of_the_task_carry_the_id_of_their_job() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.start().unwrap();
    let emitted = emitted(
        || {},
        || {
            runtime.block_on(async {
                let _beating = job.heartbeat_every(SECOND);
                tokio::time::sleep(3 * SECOND + SECOND / 2).await;
            });
        },
    );
    let heartbeats = emitted.iter().map(|(_, fields, _)| fields);
    let heartbeats: Vec<_> = heartbeats
        .filter(|fields| fields["message"] == "heartbeat")
        .map(|fields| (fields["id"].clone(), &*fields["count"]))
        .collect();
    let id = job.id().short().to_string();
    assert_eq!(
        heartbeats,
        ["1", "2", "3", "4"].map(|count| (id.clone(), count))
    );
}

/// A sweep whose hook panics is emitted as a warning, with the number of panics.
#[test]
fn sweep_with_a_panic_is_emitted_as_a_warning() {
    let jobs = JobRegistry::builder()
        .clock(ManualClock::new())
        .retention(Duration::ZERO)
        .on_remove(|_| panic!("the hook"))
        .build();
    let emitted = emitted(
        || {},
        || {
            jobs.register(()).unwrap().cancel().unwrap();
            assert_eq!(jobs.sweep().panics.len(), 1);
        },
    );
    let (level, fields, _) = emitted.last().expect("the sweep is emitted");
    assert_eq!(level, "WARN");
    assert_eq!((&*fields["message"], &*fields["panics"]), ("cleanup", "1"));
}

/// P13: a sweep that cancels or fails a live job emits its end, and an event of its own.
#[test]
fn sweep_emits_the_ends_of_overdue_jobs() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .stop_grace(SECOND)
        .build();
    let stopping = jobs.register(()).unwrap();
    let late = Options::new().deadline(2 * SECOND);
    let late = jobs.register_with((), late).unwrap();
    stopping.start().unwrap();
    stopping.request_stop("the user left").unwrap();
    let emitted = emitted(
        || {},
        || {
            for _ in 0..3 {
                jobs.sweep();
                clock.advance(SECOND);
            }
        },
    );
    let lines: Vec<_> = emitted
        .iter()
        .map(|(level, fields, _)| {
            let field = |name| fields.get(name).map(String::as_str);
            let id = field("id").unwrap_or_default().to_owned();
            let text = [field("message"), field("status"), field("reason")];
            (&**level, id, text.into_iter().flatten().collect::<Vec<_>>())
        })
        .collect();
    let cancelled = vec!["status update", "cancelled", "the user left"];
    let failed = vec!["status update", "failed", "deadline exceeded after 2s"];
    let expected = [
        ("INFO", stopping.id().short().to_string(), cancelled),
        ("DEBUG", String::new(), vec!["cleanup"]),
        ("WARN", late.id().short().to_string(), failed),
        ("DEBUG", String::new(), vec!["cleanup"]),
    ];
    assert_eq!(lines, expected);
}

/// P7: a removal that hangs is reported once, by a thread of the reaper that goes on.
#[test]
fn removal_that_hangs_is_reported_once() {
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let jobs = JobRegistry::builder()
        .retention(Duration::ZERO)
        .on_remove(move |_| {
            let _ = may_go_on.lock().unwrap().recv();
        })
        .build();
    emitted(
        || {},
        || {
            jobs.spawn_reaper().unwrap();
            let hangs = jobs.register(()).unwrap();
            hangs.cancel().unwrap();
            let until = std::time::Instant::now() + Duration::from_secs(60);
            while listener::HANGS.lock().unwrap().is_empty() {
                assert!(std::time::Instant::now() < until, "it is not reported");
                std::thread::sleep(Duration::from_millis(5));
            }
            // What the reaper does meanwhile reports it no second time.
            let options = Options::new().deadline(Duration::from_millis(1));
            let late = jobs.register_with((), options).unwrap();
            while late.snapshot().is_ok_and(|seen| !seen.status().is_ended()) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let seen = listener::HANGS.lock().unwrap().clone();
            assert_eq!(seen.len(), 1, "{seen:?}");
            assert_eq!(seen[0]["id"], hangs.id().short().to_string());
            assert!(seen[0]["since"].starts_with("1."), "{seen:?}");
        },
    );
    drop(go_on);
}
