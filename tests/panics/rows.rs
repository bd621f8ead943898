//! The table: every public call, and the expected result of a panic in each piece of user code.

use crate::world::Before::{Due, Ended, Pending, Running, Stalled};
use crate::world::{A, B, Before, Payload, SECOND, World};
use job_registry::{
    Cursor, JobRegistry, Key, KeyLife, Keys, Once, Options, Phases, Progress, WhenFull,
    describe_metrics,
};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use tokio::time::sleep;

/// A call.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The public functions that the row covers, separated by spaces.
    pub(crate) covers: &'static str,
    pub(crate) when_full: WhenFull,
    /// State of the jobs before the call.
    pub(crate) states: [Before; 4],
    /// A letter for each source, in the order of `SOURCES`; see `Expected`.
    pub(crate) cells: &'static str,
    pub(crate) prepare: fn(&mut World),
    pub(crate) act: fn(&mut World) -> Done,
    /// Work after the call, when nothing is armed any more.
    pub(crate) then: fn(&mut World),
}

/// Result of the call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) text: String,
    /// How many panics a sweep reported.
    pub(crate) panics: Option<usize>,
}

trait Returned: std::fmt::Debug + Sized {
    fn done(self) -> Done {
        Done {
            text: format!("{self:?}"),
            panics: None,
        }
    }
}

impl<R: std::fmt::Debug> Returned for R {}

const LIVE: [Before; 4] = [Running; 4];
const WAITING: [Before; 4] = [Pending, Running, Pending, Ended];
const OVER: [Before; 4] = [Ended, Running, Ended, Pending];
const SILENT: [Before; 4] = [Stalled; 4];
const OVERDUE: [Before; 4] = [Due, Due, Due, Due];
const SOME_OVERDUE: [Before; 4] = [Due, Due, Running, Running];

fn nothing(_: &mut World) {}

fn half() -> Progress {
    Progress::percent(50.0).unwrap()
}

/// Returns the row of a call that needs no preparation.
const fn row(
    name: &'static str,
    covers: &'static str,
    states: [Before; 4],
    cells: &'static str,
    act: fn(&mut World) -> Done,
) -> Row {
    Row {
        name,
        covers,
        when_full: WhenFull::Refuse,
        states,
        cells,
        prepare: nothing,
        act,
        then: nothing,
    }
}

/// Lets every other task of the runtime run until it waits.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Advances the registry's clock and the runtime's clock together, a second at a time.
fn tick(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        world.clock.advance(SECOND);
        world.runtime.block_on(async {
            sleep(Duration::from_millis(SECOND)).await;
            settle().await;
            // Paused time advances when no thread is at work.
            sleep(Duration::from_millis(1)).await;
        });
    }
}

fn shut_down(world: &mut World, stop: Duration) -> Done {
    let phases = Phases {
        finish: Duration::ZERO,
        stop,
        cancel: Duration::from_secs(60),
    };
    let report = pollster::block_on(world.jobs().shutdown(phases));
    let is_clean = report.is_clean();
    (report.stopped + report.cancelled, is_clean).done()
}

/// Makes the caller panic in `f`, and checks that the panic comes out unchanged. The clean run does
/// so, too.
fn unwound(f: impl FnOnce()) -> Done {
    let unwound = catch_unwind(AssertUnwindSafe(f)).expect_err("the caller panics");
    match unwound.downcast::<&str>() {
        Ok(text) => text.done(),
        Err(other) => {
            // The value may panic when it is dropped.
            std::mem::forget(other);
            "another panic".done()
        }
    }
}

fn own_panic() -> ! {
    resume_unwind(Box::new("the caller's own"))
}

// The columns: a waker, a waker's drop, the hook, a payload's drop, the subscriber, the recorder,
// the clock.
pub(crate) const ROWS: &[Row] = &[
    row("register", "JobRegistry::register", LIVE, "----LLR", |w| {
        let job = w.jobs().register(w.payload()).map_err(drop).unwrap();
        w.kept = Some(Box::new(job));
        Done::default()
    }),
    row(
        "register, with its sweep",
        "JobRegistry::register",
        SOME_OVERDUE,
        "--CCEER",
        |w| {
            let job = w.jobs().register(w.payload()).map_err(drop).unwrap();
            w.kept = Some(Box::new(job));
            Done::default()
        },
    ),
    Row {
        // The first two entries of the queue belong to jobs whose removal has been postponed.
        // `register` removes none of them, finds no room, and then looks for one more due job.
        prepare: |w| {
            let fill = w.fill();
            w.jobs().cancel(fill[0]).unwrap();
            for id in [fill[0], w.ids[2]] {
                w.jobs().remove_after(id, Duration::ZERO).unwrap();
                w.jobs()
                    .remove_after(id, Duration::from_secs(3_600))
                    .unwrap();
            }
            w.clock.advance(1);
            w.jobs().remove_after(w.a(), Duration::ZERO).unwrap();
            w.clock.advance(1);
        },
        ..row(
            "register at capacity, with its sweep",
            "JobRegistry::register",
            [Ended, Running, Ended, Running],
            "--CCEER",
            |w| {
                let job = w.jobs().register(w.payload()).map_err(drop).unwrap();
                w.kept = Some(Box::new(job));
                Done::default()
            },
        )
    },
    row(
        "register with options",
        "JobRegistry::register_with",
        LIVE,
        "----LLR",
        |w| {
            let options = Options::new()
                .deadline(Duration::from_secs(60))
                .retention(Duration::from_secs(60))
                .stall_after(Duration::from_secs(5));
            let job = w.jobs().register_with(w.payload(), options);
            w.kept = Some(Box::new(job.map_err(drop).unwrap()));
            Done::default()
        },
    ),
    Row {
        when_full: WhenFull::RemoveOldestEnded,
        prepare: |w| drop(w.fill()),
        ..row(
            "register at capacity, without the oldest ended job",
            "JobRegistry::register",
            [Ended, Running, Pending, Running],
            "--CCEER",
            |w| {
                let job = w.jobs().register(w.payload()).map_err(drop).unwrap();
                w.kept = Some(Box::new(job));
                Done::default()
            },
        )
    },
    Row {
        prepare: |w| drop(w.fill()),
        ..row(
            "register, refused",
            "JobRegistry::register",
            LIVE,
            "----PPR",
            |w| {
                w.jobs()
                    .register(w.payload())
                    .map(drop)
                    .map_err(drop)
                    .done()
            },
        )
    },
    row(
        "register by a new key",
        "Keys::new Keys::register",
        LIVE,
        "----LLR",
        |w| {
            let keys = Keys::new(w.jobs().clone(), KeyLife::UntilRemoved);
            match keys.register(Key::new("new"), w.payload()).map_err(drop) {
                Ok(Once::New(job)) => w.kept = Some(Box::new(job)),
                other => panic!("{other:?}"),
            }
            Done::default()
        },
    ),
    Row {
        prepare: |w| {
            let keys = Keys::new(w.jobs().clone(), KeyLife::UntilRemoved);
            let first = keys.register(Key::new("known"), w.payload());
            match first.map_err(drop) {
                Ok(Once::New(job)) => drop(job.detach()),
                other => panic!("{other:?}"),
            }
            w.kept = Some(Box::new(keys));
        },
        ..row(
            "register by a known key",
            "Keys::register Keys::register_with",
            LIVE,
            "------R",
            |w| {
                let keys = w.kept.take().unwrap().downcast::<Keys<Payload>>();
                let again = keys.unwrap().register(Key::new("known"), w.payload());
                match again.map_err(drop) {
                    Ok(Once::Existing { .. }) => Done::default(),
                    other => panic!("{other:?}"),
                }
            },
        )
    },
    Row {
        prepare: |w| drop(w.fill()),
        ..row(
            "register by a key, refused",
            "Keys::register Keys::register_with",
            LIVE,
            "----PPR",
            |w| {
                let keys = Keys::new(w.jobs().clone(), KeyLife::WhileLive);
                let refused = keys.register(Key::new("new"), w.payload());
                assert!(keys.is_empty());
                refused.map(drop).map_err(drop).done()
            },
        )
    },
    row(
        "purge of keys",
        "Keys::purge Keys::len Keys::is_empty Keys::registry",
        LIVE,
        "-------",
        |w| {
            let keys = Keys::new(w.jobs().clone(), KeyLife::WhileLive);
            keys.purge();
            (keys.len(), keys.is_empty(), keys.registry().len()).done()
        },
    ),
    row(
        "start by id",
        "JobRegistry::start",
        WAITING,
        "PP--PPR",
        |w| w.jobs().start(w.a()).done(),
    ),
    row("start by handle", "Job::start", WAITING, "PP--PPR", |w| {
        w.owner(A).start().done()
    }),
    row(
        "start by guard",
        "JobGuard::start",
        WAITING,
        "PP--PPG",
        |w| {
            let mut guard = w.jobs().lock(w.a()).unwrap();
            let started = guard.start();
            drop(guard);
            started.done()
        },
    ),
    row(
        "advance by id",
        "JobRegistry::advance",
        LIVE,
        "PP--P--",
        |w| w.jobs().advance(w.a(), half()).done(),
    ),
    row("advance by handle", "Job::advance", LIVE, "PP--P--", |w| {
        w.owner(A).advance(half()).done()
    }),
    row(
        "advance by guard",
        "JobGuard::advance",
        LIVE,
        "PP--P--",
        |w| {
            let guard = w.owner(A).lock().unwrap();
            let stands = guard.advance(half());
            drop(guard);
            stands.done()
        },
    ),
    row(
        "heartbeat by id",
        "JobRegistry::heartbeat",
        LIVE,
        "----PPR",
        |w| w.jobs().heartbeat(w.a()).done(),
    ),
    row(
        "heartbeat by handle",
        "Job::heartbeat",
        LIVE,
        "----PPR",
        |w| w.owner(A).heartbeat().done(),
    ),
    row(
        "heartbeat by guard",
        "JobGuard::heartbeat JobGuard::id",
        LIVE,
        "----PPG",
        |w| {
            let guard = w.owner(A).lock().unwrap();
            let beaten = guard.heartbeat();
            assert_eq!(guard.id(), w.a());
            drop(guard);
            beaten.done()
        },
    ),
    row("note by id", "JobRegistry::note", WAITING, "PP--P--", |w| {
        w.jobs().note(w.a(), "first slide").done()
    }),
    row("note by handle", "Job::note", WAITING, "PP--P--", |w| {
        w.owner(A).note("first slide").done()
    }),
    row("note by guard", "JobGuard::note", LIVE, "PP--P--", |w| {
        let mut guard = w.owner(A).lock().unwrap();
        let noted = guard.note("first slide");
        drop(guard);
        noted.done()
    }),
    row(
        "report by id",
        "JobRegistry::report",
        LIVE,
        "PP--P--",
        |w| w.jobs().report(w.a(), half(), "first slide").done(),
    ),
    row("report by handle", "Job::report", LIVE, "PP--P--", |w| {
        w.owner(A).report(half(), "first slide").done()
    }),
    row(
        "report by guard",
        "JobGuard::report",
        LIVE,
        "PP--P--",
        |w| {
            let mut guard = w.owner(A).lock().unwrap();
            let reported = guard.report(half(), "first slide");
            drop(guard);
            reported.done()
        },
    ),
    row(
        "request_stop by id",
        "JobRegistry::request_stop",
        LIVE,
        "PP--PPR",
        |w| w.jobs().request_stop(w.a(), "the user left").done(),
    ),
    row(
        "request_stop by handle",
        "Job::request_stop",
        LIVE,
        "PP--PPR",
        |w| w.owner(A).request_stop("the user left").done(),
    ),
    row(
        "request_stop of a pending job",
        "JobRegistry::request_stop",
        WAITING,
        "PP--PPR",
        |w| w.jobs().request_stop(w.a(), "the user left").done(),
    ),
    Row {
        prepare: |w| {
            w.owner(A).request_stop("the user left").unwrap();
            w.listen(A);
        },
        ..row(
            "cancel of a stopping job",
            "JobRegistry::cancel",
            LIVE,
            "PP--PPR",
            |w| w.jobs().cancel(w.a()).done(),
        )
    },
    Row {
        prepare: |w| assert!(w.owner(A).request_stop("the user left").is_ok()),
        ..row(
            "stop_requested",
            "Job::is_stop_requested Job::stop_requested",
            LIVE,
            "-------",
            |w| {
                w.runtime.block_on(w.owner(A).stop_requested());
                w.owner(A).is_stop_requested().done()
            },
        )
    },
    row(
        "complete by id",
        "JobRegistry::complete",
        LIVE,
        "PP--PPR",
        |w| w.jobs().complete(w.a()).done(),
    ),
    row(
        "complete by handle",
        "Job::complete",
        LIVE,
        "PP--PPR",
        |w| w.owner(A).complete().done(),
    ),
    row(
        "complete by guard",
        "JobGuard::complete",
        LIVE,
        "PP--PPG",
        |w| w.owner(A).lock().unwrap().complete().done(),
    ),
    row("fail by id", "JobRegistry::fail", LIVE, "PP--PPR", |w| {
        w.jobs().fail(w.a(), "why").done()
    }),
    row("fail by handle", "Job::fail", LIVE, "PP--PPR", |w| {
        w.owner(A).fail("why").done()
    }),
    row("fail by guard", "JobGuard::fail", LIVE, "PP--PPG", |w| {
        w.jobs().lock(w.a()).unwrap().fail("why");
        Done::default()
    }),
    row(
        "cancel by id",
        "JobRegistry::cancel",
        LIVE,
        "PP--PPR",
        |w| w.jobs().cancel(w.a()).done(),
    ),
    row("cancel by handle", "Job::cancel", LIVE, "PP--PPR", |w| {
        w.owner(A).cancel().done()
    }),
    row(
        "cancel by guard",
        "JobGuard::cancel",
        LIVE,
        "PP--PPG",
        |w| {
            w.jobs().try_lock(w.a()).unwrap().cancel();
            Done::default()
        },
    ),
    row(
        "cancel_because by id",
        "JobRegistry::cancel_because",
        LIVE,
        "PP--PPR",
        |w| w.jobs().cancel_because(w.a(), "why").done(),
    ),
    row(
        "cancel_because by handle",
        "Job::cancel_because",
        LIVE,
        "PP--PPR",
        |w| w.owner(A).cancel_because("why").done(),
    ),
    row(
        "cancel_because by guard",
        "JobGuard::cancel_because",
        LIVE,
        "PP--PPG",
        |w| {
            w.jobs().try_lock(w.a()).unwrap().cancel_because("why");
            Done::default()
        },
    ),
    row(
        "a step, refused",
        "JobRegistry::start",
        LIVE,
        "----PP-",
        |w| w.jobs().start(w.a()).done(),
    ),
    row(
        "update by id",
        "JobRegistry::update",
        LIVE,
        "PP-----",
        |w| w.jobs().update(w.a(), |_| ()).done(),
    ),
    row("update by handle", "Job::update", LIVE, "PP-----", |w| {
        w.owner(A).update(|_| ()).done()
    }),
    row(
        "update that panics by id",
        "JobRegistry::update",
        LIVE,
        "CC--CCG",
        |w| unwound(|| w.jobs().update(w.a(), |_| own_panic()).unwrap()),
    ),
    row(
        "update that panics by handle",
        "Job::update",
        LIVE,
        "CC--CCG",
        |w| unwound(|| w.owner(A).update(|_| own_panic()).unwrap()),
    ),
    row(
        "lock by id",
        "JobRegistry::lock JobRegistry::try_lock",
        LIVE,
        "-------",
        |w| {
            drop(w.jobs().lock(w.a()));
            w.jobs().try_lock(w.a()).map(drop).done()
        },
    ),
    row(
        "lock by handle",
        "Job::lock Job::try_lock JobGuard::snapshot",
        LIVE,
        "-------",
        |w| {
            drop(w.owner(A).lock());
            w.owner(A)
                .try_lock()
                .map(|guard| guard.snapshot())
                .map(drop)
                .done()
        },
    ),
    row("guard, written", "JobGuard::drop", LIVE, "PP-----", |w| {
        let mut guard = w.jobs().lock(w.a()).unwrap();
        let _payload = &mut *guard;
        drop(guard);
        Done::default()
    }),
    row("guard, unwound", "JobGuard::drop", LIVE, "CC--CCR", |w| {
        unwound(|| {
            let _guard = w.jobs().lock(w.a()).unwrap();
            own_panic()
        })
    }),
    row(
        "advance by id under a guard of another job",
        "JobRegistry::lock",
        LIVE,
        "PP--P--",
        |w| {
            let other = w.jobs().lock(w.ids[B]).unwrap();
            w.jobs().advance(w.a(), half()).unwrap();
            drop(other);
            Done::default()
        },
    ),
    row("read", "JobRegistry::read", LIVE, "-------", |w| {
        w.jobs().read(w.a(), |_| ()).done()
    }),
    row("get", "JobRegistry::get", LIVE, "-------", |w| {
        w.jobs().get(w.a()).map(drop).done()
    }),
    row(
        "snapshot by id",
        "JobRegistry::snapshot",
        LIVE,
        "-------",
        |w| w.jobs().snapshot(w.a()).map(drop).done(),
    ),
    row(
        "snapshot by handle",
        "Job::snapshot",
        LIVE,
        "-------",
        |w| w.owner(A).snapshot().map(drop).done(),
    ),
    row(
        "details by id",
        "JobRegistry::details",
        LIVE,
        "-------",
        |w| w.jobs().details(w.a()).map(drop).done(),
    ),
    row("details by handle", "Job::details", LIVE, "-------", |w| {
        w.owner(A).details().map(drop).done()
    }),
    row(
        "a look-up, refused",
        "JobRegistry::snapshot",
        LIVE,
        "----PP-",
        |w| w.jobs().snapshot(w.removed).map(drop).done(),
    ),
    row("watch by id", "JobRegistry::watch", LIVE, "-------", |w| {
        w.jobs().watch(w.a()).map(drop).done()
    }),
    row("watch by handle", "Job::watch", LIVE, "-------", |w| {
        w.owner(A).watch().map(drop).done()
    }),
    row(
        "poll of a watch",
        "Watch::changed Watch::poll_next Watch::through_retries",
        LIVE,
        "-P-----",
        |w| w.watchers[A].poll().is_ready().done(),
    ),
    // The wait returns at once: the watch has not returned the job as it is.
    row("wait of a watch", "Watch::wait", LIVE, "-------", |w| {
        let mut watch = w.owner(A).watch().unwrap();
        watch.wait().is_some().done()
    }),
    row("drop of a watch", "Watch::drop", LIVE, "-P-----", |w| {
        w.watchers[A].watch = None;
        Done::default()
    }),
    row(
        "iter",
        "JobRegistry::iter JobRegistry::counts",
        WAITING,
        "-------",
        |w| (w.jobs().iter().count(), w.jobs().counts()).done(),
    ),
    row("page", "JobRegistry::page", WAITING, "-------", |w| {
        let page = w.jobs().page(Cursor::default(), 2);
        (page.jobs.len(), page.next).done()
    }),
    row(
        "len",
        "JobRegistry::len JobRegistry::is_empty JobRegistry::capacity JobRegistry::removal_panics",
        LIVE,
        "-------",
        |w| {
            (
                w.jobs().len(),
                w.jobs().is_empty(),
                w.jobs().capacity(),
                w.jobs().removal_panics(),
            )
                .done()
        },
    ),
    row("now", "JobRegistry::now", LIVE, "------R", |w| {
        w.jobs().now().done()
    }),
    row(
        "system_time",
        "JobRegistry::system_time",
        LIVE,
        "-------",
        |w| {
            let _ = w.jobs().system_time(Duration::ZERO);
            Done::default()
        },
    ),
    row(
        "publish_counts",
        "JobRegistry::publish_counts describe_metrics",
        LIVE,
        "-----P-",
        |w| {
            describe_metrics();
            w.jobs().publish_counts();
            Done::default()
        },
    ),
    row(
        "span",
        "Job::span Job::id Job::attempt Job::registry",
        LIVE,
        "----P--",
        |w| {
            let job = w.owner(A);
            drop(job.span());
            (job.id() == w.a(), job.attempt(), job.registry().len()).done()
        },
    ),
    row("stalled", "JobRegistry::stalled", SILENT, "------R", |w| {
        w.jobs().stalled().len().done()
    }),
    row(
        "fail_stalled",
        "JobRegistry::fail_stalled",
        SILENT,
        "PP--PPR",
        |w| w.jobs().fail_stalled().len().done(),
    ),
    row(
        "retry of an ended job by id",
        "JobRegistry::retry",
        OVER,
        "----LLR",
        |w| {
            let job = w.jobs().retry(w.a()).unwrap();
            w.kept = Some(Box::new(job));
            Done::default()
        },
    ),
    row(
        "retry of an ended job by handle",
        "Job::retry",
        OVER,
        "----LLR",
        |w| {
            let job = w.owner(A).retry().unwrap();
            w.kept = Some(Box::new(job));
            Done::default()
        },
    ),
    row(
        "retry of a stalled job by id",
        "JobRegistry::retry",
        SILENT,
        "LL--LLR",
        |w| {
            let job = w.jobs().retry(w.a()).unwrap();
            w.kept = Some(Box::new(job));
            Done::default()
        },
    ),
    row(
        "retry of a stalled job by handle",
        "Job::retry",
        SILENT,
        "LL--LLR",
        |w| {
            let job = w.owner(A).retry().unwrap();
            w.kept = Some(Box::new(job));
            Done::default()
        },
    ),
    Row {
        // The caller owns the payload.
        then: |w| w.kept = None,
        ..row(
            "remove by id",
            "JobRegistry::remove",
            OVER,
            "--P-PPR",
            |w| {
                let payload = w.jobs().remove(w.a()).unwrap();
                w.kept = Some(Box::new(payload));
                Done::default()
            },
        )
    },
    Row {
        then: |w| w.kept = None,
        ..row("remove by handle", "Job::remove", OVER, "--P-PPR", |w| {
            let payload = w.owner(A).remove().unwrap();
            w.kept = Some(Box::new(payload));
            Done::default()
        })
    },
    row(
        "remove_after by id",
        "JobRegistry::remove_after",
        OVER,
        "------R",
        |w| w.jobs().remove_after(w.a(), Duration::from_secs(7)).done(),
    ),
    row(
        "remove_after of a live job",
        "JobRegistry::remove_after",
        LIVE,
        "PP----R",
        |w| w.jobs().remove_after(w.a(), Duration::from_secs(7)).done(),
    ),
    row(
        "remove_after by handle",
        "Job::remove_after",
        OVER,
        "------R",
        |w| w.owner(A).remove_after(Duration::from_secs(7)).done(),
    ),
    row("sweep", "JobRegistry::sweep", OVERDUE, "--CCMMR", |w| {
        let swept = w.jobs().sweep();
        Done {
            text: format!("{} removed, {} busy", swept.removed, swept.busy),
            panics: Some(swept.panics.len()),
        }
    }),
    Row {
        prepare: |w| {
            for job in 0..4 {
                w.owner(job).request_stop("the user left").unwrap();
                w.listen(job);
            }
            w.clock.advance(31_000);
        },
        ..row(
            "sweep of stopping jobs",
            "JobRegistry::sweep",
            LIVE,
            "CC--MMR",
            |w| {
                let swept = w.jobs().sweep();
                let text = format!("{} cancelled, {} busy", swept.cancelled, swept.busy);
                let panics = Some(swept.panics.len());
                Done { text, panics }
            },
        )
    },
    row("drop of an owner", "Job::drop", LIVE, "PP--PPR", |w| {
        w.owners[A] = None;
        Done::default()
    }),
    row(
        "drop of an owner under a guard",
        "Job::drop",
        LIVE,
        "PP--PPR",
        |w| {
            let owner = w.owners[A].take();
            let guard = w.jobs().lock(w.ids[B]).unwrap();
            drop(owner);
            drop(guard);
            Done::default()
        },
    ),
    row(
        "drop of an owner, unwound",
        "Job::drop",
        LIVE,
        "CC--CCR",
        |w| {
            let owner = w.owners[A].take();
            unwound(|| {
                let _owner = owner;
                own_panic()
            })
        },
    ),
    row("detach", "Job::detach", LIVE, "-------", |w| {
        let _ = w.owners[A].take().unwrap().detach();
        Done::default()
    }),
    row(
        "drop of the registry",
        "JobRegistry::drop",
        WAITING,
        "PP-P---",
        |w| {
            for owner in w.owners.drain(..).flatten() {
                let _ = owner.detach();
            }
            w.jobs = None;
            Done::default()
        },
    ),
    row(
        "drop of the registry, unwound",
        "JobRegistry::drop",
        WAITING,
        "CC-C---",
        |w| {
            for owner in w.owners.drain(..).flatten() {
                let _ = owner.detach();
            }
            let jobs = w.jobs.take();
            unwound(|| {
                let _jobs = jobs;
                own_panic()
            })
        },
    ),
    row("spawn", "JobRegistry::spawn", LIVE, "----EEE", |w| {
        let jobs = w.jobs();
        w.runtime.block_on(async {
            let work = async |job: std::sync::Arc<job_registry::Job<_>>| {
                job.advance(half())?;
                tokio::task::yield_now().await;
                Ok(())
            };
            let spawned = jobs.spawn(w.payload(), work).map_err(drop);
            settle().await;
            spawned.map(drop).done()
        })
    }),
    row(
        "spawn_blocking",
        "JobRegistry::spawn_blocking",
        LIVE,
        "----EEE",
        |w| {
            let jobs = w.jobs();
            w.runtime.block_on(async {
                let work = |job: &job_registry::Job<_>| Ok(job.advance(half()).map(drop)?);
                let spawned = jobs.spawn_blocking(w.payload(), work).map_err(drop);
                // Paused time advances when no thread is at work.
                sleep(Duration::from_millis(10)).await;
                spawned.map(drop).done()
            })
        },
    ),
    Row {
        then: |w| tick(w, 2),
        ..row(
            "heartbeat_every by id",
            "JobRegistry::heartbeat_every",
            LIVE,
            "----RRR",
            |w| {
                let heartbeat = {
                    let _in_runtime = w.runtime.enter();
                    w.jobs()
                        .heartbeat_every(w.a(), Duration::from_secs(100))
                        .unwrap()
                };
                w.kept = Some(Box::new(heartbeat));
                Done::default()
            },
        )
    },
    Row {
        then: |w| tick(w, 2),
        ..row(
            "heartbeat_every by handle",
            "Job::heartbeat_every",
            LIVE,
            "----PPR",
            |w| {
                let heartbeat = {
                    let _in_runtime = w.runtime.enter();
                    w.owner(A).heartbeat_every(Duration::from_secs(100))
                };
                w.kept = Some(Box::new(heartbeat));
                Done::default()
            },
        )
    },
    Row {
        prepare: |w| {
            let _in_runtime = w.runtime.enter();
            let beat = |n| w.owner(n).heartbeat_every(Duration::from_secs(1));
            let heartbeats: Vec<_> = (0..4).map(beat).collect();
            w.kept = Some(Box::new(heartbeats));
        },
        then: |w| tick(w, 1),
        ..row(
            "the task of heartbeat_every",
            "Job::heartbeat_every",
            LIVE,
            "----CCS",
            |w| {
                tick(w, 3);
                Done::default()
            },
        )
    },
    Row {
        prepare: |w| {
            let _in_runtime = w.runtime.enter();
            let heartbeat = w.owner(A).heartbeat_every(Duration::from_secs(1));
            w.kept = Some(Box::new(heartbeat));
        },
        ..row(
            "drop of a heartbeat",
            "Heartbeat::drop",
            LIVE,
            "-------",
            |w| {
                w.kept = None;
                Done::default()
            },
        )
    },
    Row {
        then: |w| {
            // A reaper that continues removes a job that ends after the panic.
            w.jobs()
                .remove_after(w.ids[2], Duration::from_secs(1))
                .unwrap();
            w.jobs().cancel(w.ids[2]).unwrap();
            tick(w, 3);
        },
        ..row(
            "reap",
            "JobRegistry::reap JobRegistry::spawn_reaper",
            SOME_OVERDUE,
            "--CCCCS",
            |w| {
                w.runtime.spawn({
                    let _in_runtime = w.runtime.enter();
                    w.jobs().reap()
                });
                tick(w, 3);
                Done::default()
            },
        )
    },
    row(
        "shutdown that cancels",
        "JobRegistry::shutdown JobRegistry::close JobRegistry::is_closed JobRegistry::idle",
        [Running, Pending, Ended, Running],
        "CC--CCC",
        |w| shut_down(w, Duration::ZERO),
    ),
    row(
        "shutdown that stops",
        "JobRegistry::shutdown",
        [Pending, Pending, Ended, Pending],
        "CC--CCC",
        |w| shut_down(w, Duration::from_secs(60)),
    ),
    row(
        "remove_ended",
        "JobRegistry::remove_ended",
        OVER,
        "--CCCCS",
        |w| w.jobs().remove_ended().removed.done(),
    ),
    row("run", "Job::run", LIVE, "----EEE", |w| {
        let job = w.jobs().register(w.payload()).map_err(drop).unwrap();
        job.run(|job| Ok(job.advance(half()).map(drop)?)).done()
    }),
    row(
        "spawn of a job",
        "Job::spawn Job::spawn_blocking",
        LIVE,
        "----EEE",
        |w| {
            let jobs = w.jobs();
            w.runtime.block_on(async {
                let job = jobs.register(w.payload()).map_err(drop).unwrap();
                job.spawn(async |job| Ok(job.advance(half()).map(drop)?));
                settle().await;
                Done::default()
            })
        },
    ),
    row(
        "clone",
        "JobRegistry::clone JobRegistry::new JobRegistry::builder JobRegistry::default",
        LIVE,
        "-------",
        |w| {
            let other = JobRegistry::<u32>::new();
            (
                w.jobs().clone().len(),
                other.len(),
                JobRegistry::<u32>::builder().build().len(),
            )
                .done()
        },
    ),
];
