//! Feature `serde`: the serialized form of everything that is sent to clients. It is part of the
//! API.

use crate::near_texts;
use job_registry::{
    Cursor, JobId, JobRegistry, LockError, LookupError, ManualClock, Progress, ProgressError,
    ReadError, RegisterError, RemoveError, RetryError, Status, StepError, Version,
};
use serde_json::{Value, from_value, json, to_value};
use std::time::Duration;

const ALL: [(Status, &str); 6] = [
    (Status::Pending, "pending"),
    (Status::Running, "running"),
    (Status::Stopping, "stopping"),
    (Status::Completed, "completed"),
    (Status::Failed, "failed"),
    (Status::Cancelled, "cancelled"),
];

fn form(value: impl serde_core::Serialize) -> Value {
    to_value(value).unwrap()
}

#[test]
fn id_serializes_as_its_text() {
    let id = JobRegistry::new().register(()).unwrap().detach();
    assert_eq!(form(id), json!(id.to_string()));
    assert_eq!(from_value::<JobId>(form(id)).unwrap(), id);
    for bad in [
        json!(1),
        json!(null),
        json!(""),
        json!("x".repeat(22) + "!"),
        json!("zzzzzzzzzzzzzzzzzzzzzz"),
    ] {
        assert!(from_value::<JobId>(bad.clone()).is_err(), "{bad}");
    }
    let error = from_value::<JobId>(json!("deck")).unwrap_err().to_string();
    assert!(error.contains("22 letters and digits"), "{error}");
}

/// P4: a text that differs slightly from the text of an id is the only text of another id, or of
/// none.
#[test]
fn ids_have_one_text() {
    let id = JobRegistry::new().register(()).unwrap().detach();
    let mut refused = 0;
    for text in near_texts::near(&id.to_string()) {
        match from_value::<JobId>(json!(text)) {
            Err(_) => refused += 1,
            Ok(other) => {
                assert_ne!(other, id, "{text:?}");
                assert_eq!(form(other), json!(text));
            }
        }
    }
    assert!(refused > 1_000, "{refused} refused");
}

/// A status has one name. Names in another case, with blanks, or in part are refused.
#[test]
fn statuses_have_one_name() {
    for (_, name) in ALL {
        for text in near_texts::near(name) {
            assert!(from_value::<Status>(json!(text)).is_err(), "{text:?}");
        }
    }
}

/// The numbers next to the ends of the range, and values of other types, are refused.
#[test]
fn progress_is_refused_just_outside_its_range() {
    for percent in [0.0, -0.0, 100.0, 100.0_f64.next_down()] {
        assert!(from_value::<Progress>(json!(percent)).is_ok(), "{percent}");
    }
    let smallest = f64::from_bits(1);
    for percent in [100.0_f64.next_up(), -smallest, 101.0, f64::MAX] {
        assert!(from_value::<Progress>(json!(percent)).is_err(), "{percent}");
    }
    for other in [
        json!("50"),
        json!(null),
        json!(u64::MAX),
        json!(-1),
        json!([50]),
    ] {
        assert!(from_value::<Progress>(other.clone()).is_err(), "{other}");
    }
}

#[test]
fn status_serializes_as_its_name() {
    for (status, name) in ALL {
        assert_eq!(form(status), json!(name));
        assert_eq!(from_value::<Status>(json!(name)).unwrap(), status);
    }
    for bad in [json!("Pending"), json!("ended"), json!(0)] {
        let error = from_value::<Status>(bad.clone()).unwrap_err().to_string();
        let all = "pending, running, stopping, completed, failed or cancelled";
        assert!(error.contains(all), "{error}");
    }
}

#[test]
fn progress_serializes_as_percent() {
    for ppm in [0, 1, 333_333, 500_000, 999_999, 1_000_000] {
        let progress = Progress::from_ppm(ppm).unwrap();
        assert_eq!(form(progress), json!(progress.as_percent()));
        assert_eq!(from_value::<Progress>(form(progress)).unwrap(), progress);
    }
    assert_eq!(
        from_value::<Progress>(json!(40)).unwrap(),
        Progress::percent(40.0).unwrap()
    );
    for bad in [json!(-1), json!(100.1), json!("40"), json!(null)] {
        assert!(from_value::<Progress>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn record_has_snapshot_times_texts_and_payload() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(Duration::from_secs(60))
        .build();
    let job = jobs.register(vec![1, 2]).unwrap();
    clock.advance(Duration::from_millis(10));
    job.start().unwrap();
    job.advance(Progress::percent(40.0).unwrap()).unwrap();
    clock.advance(Duration::from_millis(20));
    job.fail("out of paper").unwrap();
    let record = jobs.get(job.id()).unwrap();
    assert_eq!(
        form(&record),
        json!({
            "snapshot": {
                "id": job.id().to_string(),
                "status": "failed",
                "progress": 40.0,
                "attempt": 1,
                "version": record.snapshot.version().to_string(),
                "last_heartbeat_ms": 10,
            },
            "times": {"registered_ms": 0, "started_ms": 10, "ended_ms": 30, "removal_ms": 60_030},
            "note": null,
            "reason": "out of paper",
            "payload": [1, 2],
        })
    );
    let live = jobs.register(vec![]).unwrap();
    let form = form(jobs.get(live.id()).unwrap());
    assert_eq!(
        (&form["note"], &form["reason"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(form["times"]["started_ms"], Value::Null);
    assert_eq!(
        to_value(jobs.counts()).unwrap(),
        json!({
            "pending": 1,
            "running": 0,
            "stopping": 0,
            "completed": 0,
            "failed": 1,
            "cancelled": 0,
        })
    );
}

/// Details have the form of a record without the payload, also of a job that is asked to stop.
#[test]
fn details_have_snapshot_times_and_texts() {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder().clock(clock.clone()).build();
    let job = jobs.register(vec![1, 2]).unwrap();
    assert_eq!(form(job.details().unwrap())["note"], Value::Null);
    clock.advance(Duration::from_millis(10));
    job.start().unwrap();
    job.report(Progress::percent(40.0).unwrap(), "a \"note\"\0")
        .unwrap();
    job.request_stop("the user left").unwrap();
    let details = job.details().unwrap();
    assert_eq!(
        form(&details),
        json!({
            "snapshot": {
                "id": job.id().to_string(),
                "status": "stopping",
                "progress": 40.0,
                "attempt": 1,
                "version": details.snapshot.version().to_string(),
                "last_heartbeat_ms": 10,
            },
            "times": {"registered_ms": 0, "started_ms": 10, "ended_ms": null, "removal_ms": null},
            "note": "a \"note\"\0",
            "reason": "the user left",
        })
    );
    let mut record = form(jobs.get(job.id()).unwrap());
    record.as_object_mut().unwrap().remove("payload");
    assert_eq!(record, form(&details));
    assert_eq!(form(jobs.counts())["stopping"], json!(1));
}

/// P4: a version serializes as its text, which is the only one that reads back as it.
#[test]
fn versions_serialize_as_their_text() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    let mut refused = 0;
    for _ in 0..3 {
        job.note("first slide").unwrap();
        let version = job.snapshot().unwrap().version();
        assert_eq!(form(version), json!(version.to_string()));
        assert_eq!(from_value::<Version>(form(version)).unwrap(), version);
        for text in near_texts::near(&version.to_string()) {
            match from_value::<Version>(json!(text)) {
                Err(_) => refused += 1,
                Ok(other) => {
                    assert_ne!(other, version, "{text:?}");
                    assert_eq!(form(other), json!(text));
                }
            }
        }
    }
    assert!(refused > 1_000, "{refused} refused");
    for bad in [
        json!(1),
        json!(null),
        json!(""),
        json!(["1-1"]),
        json!("deck"),
    ] {
        let error = from_value::<Version>(bad.clone()).unwrap_err().to_string();
        assert!(error.contains("a version of a job"), "{bad}: {error}");
    }
}

#[test]
fn error_has_a_name_a_message_and_maybe_a_status() {
    assert_eq!(
        form(StepError::Ended(Status::Cancelled)),
        json!({
            "error": "ended",
            "status": "cancelled",
            "message": "the job has already ended (cancelled)",
        })
    );
    let named = [
        (form(LookupError::NotFound), "not_found"),
        (form(LookupError::Gone), "gone"),
        (form(StepError::AlreadyStarted), "already_started"),
        (form(StepError::Stopping), "stopping"),
        (form(LockError::Busy), "busy"),
        (form(ReadError::WouldDeadlock), "would_deadlock"),
        (form(RemoveError::Live), "live"),
        (form(RetryError::AttemptsExhausted), "attempts_exhausted"),
        (form(RegisterError::Full("a payload")), "full"),
        (form(RegisterError::Closed(())), "closed"),
        (form(ProgressError::NotANumber), "not_a_number"),
        (form("deck".parse::<JobId>().unwrap_err()), "not_an_id"),
        (
            form("deck".parse::<Version>().unwrap_err()),
            "not_a_version",
        ),
        (form("-1".parse::<Cursor>().unwrap_err()), "not_a_cursor"),
    ];
    for (form, name) in named {
        assert_eq!(form["error"], json!(name));
        assert!(
            form["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        assert_eq!(form.as_object().unwrap().len(), 2, "{form}");
    }
    assert_eq!(
        form(RetryError::NotRetryable(Status::Completed))["status"],
        json!("completed")
    );
}

/// A cursor is its text, and nothing else is a cursor.
#[test]
fn cursors_are_texts() {
    let jobs = JobRegistry::new();
    let _ = jobs.register(()).unwrap().detach();
    let cursor = jobs.page(Cursor::default(), 1).next.unwrap();
    for cursor in [Cursor::default(), cursor] {
        assert_eq!(form(cursor), json!(cursor.to_string()));
        assert_eq!(from_value::<Cursor>(form(cursor)).unwrap(), cursor);
    }
    for bad in [json!(0), json!(null), json!("01"), json!("")] {
        assert!(from_value::<Cursor>(bad.clone()).is_err(), "{bad}");
    }
}
