//! P5 and P6, scenarios 8, 18 and 30: files that the payload owns are deleted with the job, and not
//! earlier.

use crate::watchdog::in_time;
use job_registry::{JobRegistry, ManualClock};
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

struct Deck {
    dir: TempDir,
}

impl Deck {
    fn with_page(text: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("page.txt"), text).unwrap();
        Self { dir }
    }

    fn page(&self) -> PathBuf {
        self.dir.path().join("page.txt")
    }
}

fn registry() -> (ManualClock, JobRegistry<Deck>) {
    let clock = ManualClock::new();
    let jobs = JobRegistry::builder()
        .clock(clock.clone())
        .retention(SECOND)
        .build();
    (clock, jobs)
}

/// P6, scenario 8: the payload deletes its files without a list of created files, and none is left.
#[test]
fn sweep_deletes_the_files_of_a_removed_job() {
    let (clock, jobs) = registry();
    let pages: Vec<_> = (0..5)
        .map(|n| {
            let deck = Deck::with_page(&n.to_string());
            let page = deck.page();
            let job = jobs.register(deck).unwrap();
            job.start().unwrap();
            job.complete().unwrap();
            page
        })
        .collect();
    assert_eq!(jobs.sweep().removed, 0);
    assert!(
        pages.iter().all(|page| page.exists()),
        "not before the deadline"
    );
    clock.advance(SECOND);
    assert_eq!(jobs.sweep().removed, 5);
    assert!(pages.iter().all(|page| !page.parent().unwrap().exists()));
}

/// P5, scenario 30: a reader that has opened the file reads it to the end.
#[cfg(unix)]
#[test]
fn reader_with_an_open_file_survives_the_removal() {
    let (clock, jobs) = registry();
    let text = "page ".repeat(10_000);
    let id = jobs.register(Deck::with_page(&text)).unwrap().detach();
    jobs.cancel(id).unwrap();
    let (mut file, page) = jobs
        .read(id, |record| {
            let page = record.payload.page();
            (fs::File::open(&page).unwrap(), page)
        })
        .unwrap();
    let mut start = [0; 5];
    file.read_exact(&mut start).unwrap();
    clock.advance(SECOND);
    assert_eq!(jobs.sweep().removed, 1);
    assert!(!page.exists());
    let mut rest = String::new();
    file.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.len() + start.len(), text.len());
}

/// P5, scenario 30: a job that is being read under its lock is not removed. The sweep does not wait
/// for it, and a later sweep removes it.
#[test]
fn job_that_is_being_read_keeps_its_files() {
    in_time(|| {
        let (clock, jobs) = registry();
        let deck = Deck::with_page("page");
        let page = deck.page();
        let id = jobs.register(deck).unwrap().detach();
        jobs.cancel(id).unwrap();
        clock.advance(SECOND);

        let (reading, is_reading) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let reader = std::thread::spawn({
            let jobs = jobs.clone();
            move || {
                jobs.read(id, |record| {
                    reading.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    fs::read_to_string(record.payload.page()).unwrap()
                })
            }
        });
        is_reading.recv().unwrap();
        for _ in 0..3 {
            let swept = jobs.sweep();
            assert_eq!((swept.removed, swept.busy), (0, 1));
        }
        go_on.send(()).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), "page");
        assert!(page.exists());
        assert_eq!(jobs.sweep().removed, 1);
        assert!(!page.exists());
    });
}

/// P5, scenarios 18 and 27: a retry keeps the files, and cancels the pending removal.
#[test]
fn retried_job_keeps_its_files() {
    in_time(|| {
        let (clock, jobs) = registry();
        let deck = Deck::with_page("page");
        let page = deck.page();
        let first = jobs.register(deck).unwrap();
        first.fail("reason").unwrap();
        let second = first.retry().unwrap();
        clock.advance(10 * SECOND);
        assert_eq!(jobs.sweep().removed, 0);
        assert!(page.exists());
        second.cancel().unwrap();
        assert_eq!(
            jobs.sweep().removed,
            0,
            "its own second begins with its own end"
        );
        clock.advance(SECOND);
        assert_eq!(jobs.sweep().removed, 1);
        assert!(!page.exists());
    });
}

/// P6: `remove` returns the payload with its files instead of deleting them.
#[test]
fn removed_payload_keeps_its_files_for_the_caller() {
    let (_clock, jobs) = registry();
    let id = jobs.register(Deck::with_page("page")).unwrap().detach();
    jobs.cancel(id).unwrap();
    let deck = jobs.remove(id).unwrap();
    assert_eq!(fs::read_to_string(deck.page()).unwrap(), "page");
    let page = deck.page();
    drop(deck);
    assert!(!page.exists());
}

/// P6: a registry that is dropped leaves no files behind.
#[test]
fn dropped_registry_deletes_all_files() {
    let (_clock, jobs) = registry();
    let deck = Deck::with_page("page");
    let page = deck.page();
    drop(jobs.register(deck).unwrap());
    assert!(page.exists());
    drop(jobs);
    assert!(!page.exists());
}
