//! Code that must not compile. Each case has a twin of the same name that differs in the relevant
//! point alone, and compiles and runs. Without the twin, a case could fail for another reason.
//!
//! The cases of [`WITHOUT_TWIN`] show code that must compile, and have no opposite.
//!
//! The expected messages are those of the pinned compiler; another may word them differently. The
//! cases are so small that a message is little more than its first line. `is_not!` asserts bounds
//! whose messages would name private types, because it needs no message.
#![cfg(not(any(loom, shuttle)))]

use job_registry::{Failure, Job, JobGuard, JobId, JobRegistry, Record, Snapshot, Watch};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Names of the cases that are in `pass` alone.
const WITHOUT_TWIN: [&str; 2] = ["closures.rs", "question_mark.rs"];

/// Returns the `.rs` files of a directory of cases.
fn cases(of: &str) -> BTreeSet<PathBuf> {
    let dir = format!("{}/{of}", env!("CARGO_MANIFEST_DIR"));
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| PathBuf::from(entry.unwrap().file_name()))
        .filter(|name| name.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The guide's mistakes 1, 2 and 4; scenarios 2, 3, 35 and 42.
#[test]
fn mistakes_do_not_compile_and_their_twins_do() {
    let mut twins = cases("pass");
    for case in WITHOUT_TWIN {
        assert!(twins.remove(Path::new(case)), "{case} is missing");
    }
    assert_eq!(cases("fail"), twins, "each case has its twin");
    let cases = trybuild::TestCases::new();
    cases.pass("pass/*.rs");
    cases.compile_fail("fail/*.rs");
}

macro_rules! is {
    ($type:ty: $($bound:tt)+) => {{
        fn check<T: ?Sized + $($bound)+>() {}
        check::<$type>();
    }};
}

/// Compiles only if the type lacks the bound: otherwise `Probe<_>` has two answers.
macro_rules! is_not {
    ($type:ty: $bound:path) => {{
        trait Probe<A> {
            fn check() {}
        }
        impl<T: ?Sized> Probe<()> for T {}
        impl<T: ?Sized + $bound> Probe<u8> for T {}
        <$type as Probe<_>>::check();
    }};
}

/// P3 and P7, scenario 35: a guard stays on its thread, and may be shared with other threads only
/// if the payload is `Sync`.
#[test]
fn guard_stays_on_its_thread() {
    is_not!(JobGuard<'static, u32>: Send);
    is!(JobGuard<'static, u32>: Sync);
    is_not!(JobGuard<'static, Cell<u32>>: Sync);
}

/// All other handles may go to any thread if the payload is `Send`, because its lock protects it.
#[test]
fn handles_go_to_any_thread_if_the_payload_may() {
    is!(JobRegistry<Cell<u32>>: Send + Sync + Clone);
    is!(Job<Cell<u32>>: Send + Sync);
    is!(Watch<Cell<u32>>: Send + Sync + Unpin);
    is!(JobId: Send + Sync + Copy);
    is!(Snapshot: Send + Sync + Copy);
    is!(Record<Cell<u32>>: Send);
    is_not!(Record<Cell<u32>>: Sync);
    is_not!(JobRegistry<Rc<u32>>: Send);
    is_not!(JobRegistry<Rc<u32>>: Sync);
    is_not!(Watch<Rc<u32>>: Send);
}

/// A `Failure` may go to any thread. It is no `Error`, so that `?` can convert every `Error`.
#[test]
fn failure_is_not_an_error() {
    is!(Failure: Send + Sync + Unpin + std::fmt::Debug + std::fmt::Display);
    is_not!(Failure: std::error::Error);
}

/// A registry of payloads that are not `Send` does not exist: `new` is then the trait's.
#[test]
fn registry_takes_only_payloads_that_may_be_sent() {
    #[allow(clippy::new_ret_no_self)] // the name is what counts
    trait Refused {
        fn new() -> &'static str {
            "refused"
        }
    }

    impl<T> Refused for JobRegistry<T> {}

    assert_eq!(JobRegistry::<Rc<u32>>::new(), "refused");
    assert!(JobRegistry::<Arc<u32>>::new().is_empty());
}

/// P2: a job has one owner, and a lock has one holder.
#[test]
fn owners_and_guards_are_not_cloned() {
    is_not!(Job<u32>: Clone);
    is_not!(JobGuard<'static, u32>: Clone);
}
