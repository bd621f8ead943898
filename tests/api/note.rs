//! Notes: texts of a worker for clients, of bounded length.

use crate::watchdog::in_time;
use job_registry::{JobId, JobRegistry, Progress, Status, StepError};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const LONGEST: usize = 1_024;

fn note_of(jobs: &JobRegistry<()>, id: JobId) -> String {
    let details = jobs.details(id).unwrap();
    let record = jobs.read(id, |record| record.note.clone()).unwrap();
    assert_eq!(details.note, record);
    details.note.expect("a note was made").to_string()
}

/// P12: a note of up to 1,024 bytes is kept as it is, and a longer one is cut and ends in `…`.
#[test]
fn notes_are_kept_up_to_their_limit() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    for length in [0, 1, 1_023, LONGEST] {
        let text = "x".repeat(length);
        job.note(text.clone()).unwrap();
        assert_eq!(note_of(&jobs, job.id()), text);
    }
    for length in [1_025, 1_026, 2_048, 10_000_000] {
        job.note("x".repeat(length)).unwrap();
        let expected = format!("{}…", "x".repeat(LONGEST - '…'.len_utf8()));
        assert_eq!(note_of(&jobs, job.id()), expected);
    }
}

/// A note is cut between characters, wherever a character of several bytes lies.
#[test]
fn notes_are_cut_between_characters() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    for unit in ["é", "…", "字", "😀", "e\u{301}"] {
        for before in 1_012..=LONGEST {
            let text = "x".repeat(before) + &unit.repeat(8);
            job.note(text.clone()).unwrap();
            let note = note_of(&jobs, job.id());
            assert!(note.len() <= LONGEST);
            if text.len() > LONGEST {
                let kept = note.strip_suffix('…').unwrap();
                assert!(text.starts_with(kept), "{unit} at {before}");
                assert!(note.len() > LONGEST - 4, "{unit} at {before}");
            } else {
                assert_eq!(note, text);
            }
        }
    }
}

/// A note of any characters is kept as it is.
#[test]
fn notes_have_any_characters() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    for text in [
        "\0",
        "a\0b",
        "\u{202e}txt.exe",
        "שלום",
        "line\r\nline",
        "\u{feff}",
        "<script>",
        "\u{10ffff}",
    ] {
        job.note(text).unwrap();
        assert_eq!(note_of(&jobs, job.id()), text);
        let written = job.update(|()| ());
        assert_eq!(
            (written, note_of(&jobs, job.id())),
            (Ok(()), text.to_owned())
        );
    }
}

/// P1 and P10: a note belongs to its attempt. It stays with the end, and the next attempt has none.
#[test]
fn a_note_lasts_until_the_retry() {
    let jobs = JobRegistry::new();
    let first = jobs.register(()).unwrap();
    assert_eq!(first.details().unwrap().note, None);
    first.note("pending").unwrap();
    first.start().unwrap();
    assert_eq!(note_of(&jobs, first.id()), "pending");
    first.report(Progress::of(1, 2), "half").unwrap();
    first.fail("no ink").unwrap();
    let end = first.details().unwrap();
    assert_eq!(end.note.as_deref(), Some("half"));
    assert_eq!(end.reason.as_deref(), Some("no ink"));
    for refused in [
        first.note("too late"),
        first.report(Progress::DONE, "too late").map(drop),
        jobs.note(first.id(), "too late"),
    ] {
        assert_eq!(refused, Err(StepError::Ended(Status::Failed)));
    }
    assert_eq!(first.details().unwrap(), end);
    let second = jobs.retry(first.id()).unwrap();
    assert_eq!(second.details().unwrap().note, None);
    assert_eq!(first.note("too late"), Err(StepError::Superseded));
    assert_eq!(
        first.report(Progress::DONE, "too late"),
        Err(StepError::Superseded)
    );
    assert_eq!(second.details().unwrap().note, None);
}

/// P3: a refused report changes neither the progress nor the note, and an accepted one replaces the
/// note even if the progress stays.
#[test]
fn a_report_changes_both_or_neither() {
    let jobs = JobRegistry::new();
    let job = jobs.register(()).unwrap();
    job.note("pending").unwrap();
    let half = Progress::of(1, 2);
    assert_eq!(job.report(half, "early"), Err(StepError::NotStarted));
    assert_eq!(note_of(&jobs, job.id()), "pending");
    job.start().unwrap();
    assert_eq!(job.report(half, "half"), Ok(()));
    assert_eq!(job.report(Progress::of(1, 4), "again"), Ok(()));
    assert_eq!(note_of(&jobs, job.id()), "again");
    job.request_stop("the user left").unwrap();
    assert_eq!(job.report(Progress::DONE, "late"), Err(StepError::Stopping));
    let details = job.details().unwrap();
    assert_eq!(details.snapshot.progress(), half);
    assert_eq!(details.note.as_deref(), Some("again"));
    // A note still says how the cleaning up goes.
    job.note("removing files").unwrap();
    assert_eq!(note_of(&jobs, job.id()), "removing files");
}

/// P7: under a guard, the guard's own calls write notes, and every other call is refused.
#[test]
fn notes_under_a_guard_go_through_it() {
    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        let mut guard = job.lock().unwrap();
        assert_eq!(job.note("no"), Err(StepError::WouldDeadlock));
        assert_eq!(jobs.note(job.id(), "no"), Err(StepError::WouldDeadlock));
        let done = Progress::DONE;
        assert_eq!(job.report(done, "no"), Err(StepError::WouldDeadlock));
        guard.note("first slide").unwrap();
        let note = || job.details().unwrap().note.unwrap().to_string();
        assert_eq!(note(), "first slide");
        assert_eq!(guard.report(done, "last slide"), Ok(()));
        assert_eq!(note(), "last slide");
        guard.complete().unwrap();
        assert_eq!(note(), "last slide");
    });
}

/// P7: the caller's conversion into a text is user code, and runs before the lock is taken. If it
/// panics, nothing has changed.
#[test]
fn conversions_run_under_no_lock() {
    struct Text<'a>(&'a JobRegistry<()>, JobId, bool);

    impl From<Text<'_>> for String {
        fn from(Text(jobs, id, panics): Text<'_>) -> Self {
            if panics {
                resume_unwind(Box::new("boom"));
            }
            jobs.lock(id).unwrap().note("from within").unwrap();
            "converted".to_owned()
        }
    }

    in_time(|| {
        let jobs = JobRegistry::new();
        let job = jobs.register(()).unwrap();
        job.start().unwrap();
        let text = |panics| Text(&jobs, job.id(), panics);
        job.note(text(false)).unwrap();
        jobs.report(job.id(), Progress::ZERO, text(false)).unwrap();
        assert_eq!(note_of(&jobs, job.id()), "converted");
        let before = job.details().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| job.note(text(true))));
        assert!(panicked.is_err());
        assert_eq!(job.details().unwrap(), before);
        job.request_stop(text(false)).unwrap();
        job.cancel_because(text(false)).unwrap();
        assert_eq!(job.details().unwrap().reason.as_deref(), Some("converted"));
    });
}
