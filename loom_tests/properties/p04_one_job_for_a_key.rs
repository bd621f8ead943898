//! P4, one job for a key: of concurrent registrations with one key, one is new and the others get
//! its id, and no key leads to a removed job.
//!
//! The smallest program that could violate it: two threads register with one key, or one registers
//! while another removes or ends the key's job. A violation looks like two jobs for one key, like a
//! refusal for want of room that another registration of the key has taken, or like the id of a job
//! that was removed before the call. A waker that waits for a lock of the keys looks like a
//! deadlock.

use super::harness::{call, check, claim, race, registry};
use crate::sync::{AtomicUsize, Ordering};
use crate::{JobId, JobRegistry, Key, KeyLife, Keys, Once, RegisterError, WhenFull};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// Result of a registration, without the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got {
    New,
    Existing,
    Full,
}
use Got::{Existing, Full, New};

type Payload = Arc<()>;

/// Registers with a key of one byte. The payload of a registration that is not new comes back.
fn register(keys: &Keys<Payload>, key: u8, payload: Payload) -> (Got, Option<JobId>) {
    match call!(keys.register(Key::new([key]), payload)) {
        Ok(Once::New(job)) => (New, Some(job.detach())),
        Ok(Once::Existing { id, .. }) => (Existing, Some(id)),
        Err(RegisterError::Full(_)) => (Full, None),
        other => panic!("{other:?}"),
    }
}

/// Returns a registry whose registrations do not sweep, with its keys.
fn keyed(
    capacity: usize,
    life: KeyLife,
    when_full: WhenFull,
) -> (JobRegistry<Payload>, Keys<Payload>) {
    let (jobs, _) = registry(|builder| {
        let builder = builder.capacity(capacity).retention(Duration::ZERO);
        builder.sweep_on_register(false).when_full(when_full)
    });
    (jobs.clone(), Keys::new(jobs, life))
}

/// Both threads need the only place, and neither is refused.
#[test]
fn two_registrations_of_one_key_take_one_place() {
    let claim = claim!(two_registrations_of_one_key_take_one_place, [P4, P6], [8]);
    check(&claim, &[(New, Existing), (Existing, New)], &[], || {
        let payload = Payload::default();
        let (jobs, keys) = keyed(1, KeyLife::WhileLive, WhenFull::Refuse);
        let client = || {
            let (keys, payload) = (keys.clone(), payload.clone());
            move || register(&keys, 7, payload)
        };
        let ((here, id), (there, other)) = race(client(), client());
        assert_eq!(id, other, "two jobs have one key");
        assert_eq!((jobs.len(), keys.len()), (1, 1));
        assert_eq!(Arc::strong_count(&payload), 2, "a payload has leaked");
        (here, there)
    });
}

/// Two keys compete for the last place. The one that is refused leaves no key.
#[test]
fn a_refused_registration_leaves_no_key() {
    let claim = claim!(a_refused_registration_leaves_no_key, [P4, P6], [8]);
    check(&claim, &[(New, Full), (Full, New)], &[], || {
        let payload = Payload::default();
        let (jobs, keys) = keyed(1, KeyLife::UntilRemoved, WhenFull::Refuse);
        let client = |key| {
            let (keys, payload) = (keys.clone(), payload.clone());
            move || register(&keys, key, payload)
        };
        let ((here, id), (there, other)) = race(client(1), client(2));
        assert_eq!((jobs.len(), keys.len()), (1, 1));
        let id = id.or(other).expect("one has the place");
        call!(jobs.cancel(id)).unwrap();
        drop(jobs.remove(id));
        assert_eq!(Arc::strong_count(&payload), 1, "a payload has leaked");
        for key in [1, 2] {
            let (again, id) = register(&keys, key, payload.clone());
            assert_eq!(again, New, "the key of a removed job leads to it");
            call!(jobs.cancel(id.unwrap())).unwrap();
            drop(jobs.remove(id.unwrap()));
        }
        (here, there)
    });
}

/// The registry is full of an ended job, which makes room for the key once. A registration may be
/// refused while the job is being removed, and otherwise gets the other one's id.
///
/// Two scans of the table have too many interleavings for shuttle, which has no bound.
#[cfg(loom)]
#[test]
fn room_made_for_a_key_is_made_once() {
    let claim = claim!(room_made_for_a_key_is_made_once, [P4, P6], [8, 25]);
    let must_see = [(New, Existing), (Existing, New)];
    let may_see = [(New, Full), (Full, New)];
    check(&claim, &must_see, &may_see, || {
        let payload = Payload::default();
        let (jobs, keys) = keyed(1, KeyLife::UntilRemoved, WhenFull::RemoveOldestEnded);
        let (_, old) = register(&keys, 1, payload.clone());
        call!(jobs.cancel(old.unwrap())).unwrap();
        let client = || {
            let (keys, payload) = (keys.clone(), payload.clone());
            move || register(&keys, 2, payload)
        };
        let ((here, id), (there, other)) = race(client(), client());
        assert_eq!(
            call!(jobs.snapshot(old.unwrap())),
            Err(crate::LookupError::Gone)
        );
        assert!(id.is_none() || other.is_none() || id == other);
        assert_eq!(jobs.len(), 1);
        assert_eq!(Arc::strong_count(&payload), 2, "a payload has leaked");
        (here, there)
    });
}

/// A sweep removes the key's job. A registration that begins after the sweep is new.
#[test]
fn a_key_never_leads_to_a_removed_job() {
    let claim = claim!(a_key_never_leads_to_a_removed_job, [P4, P12], [7, 19]);
    let outcomes = [(Existing, false), (New, false), (New, true)];
    check(&claim, &outcomes, &[], || {
        let payload = Payload::default();
        let (jobs, keys) = keyed(2, KeyLife::UntilRemoved, WhenFull::Refuse);
        let (_, old) = register(&keys, 7, payload.clone());
        call!(jobs.cancel(old.unwrap())).unwrap();
        let swept = Arc::new(AtomicUsize::new(0));
        let ((got, id, is_late), ()) = race(
            {
                let (keys, swept, payload) = (keys.clone(), swept.clone(), payload.clone());
                move || {
                    let is_late = swept.load(Ordering::Acquire) > 0;
                    let (got, id) = register(&keys, 7, payload);
                    (got, id, is_late)
                }
            },
            {
                let jobs = jobs.clone();
                move || {
                    assert_eq!(call!(jobs.sweep()).removed, 1);
                    swept.store(1, Ordering::Release);
                }
            },
        );
        assert_eq!(got == New, id != old);
        assert_eq!(jobs.len(), usize::from(got == New));
        let (again, next) = register(&keys, 7, payload);
        assert_eq!((again == Existing, next == id), (got == New, got == New));
        (got, is_late)
    });
}

/// Locks every key when it is woken.
struct Locks(Keys<Payload>);

impl Wake for Locks {
    fn wake(self: Arc<Self>) {
        assert!(self.0.len() <= 1);
    }
}

/// The end frees the key at once. A registration that sees the end before it is settled wakes the
/// job's watcher, and not under the lock of the keys.
#[test]
fn an_end_frees_the_key_of_its_job() {
    let claim = claim!(an_end_frees_the_key_of_its_job, [P4, P7, P12], [37]);
    let outcomes = [(Existing, false), (New, false), (New, true)];
    check(&claim, &outcomes, &[], || {
        let payload = Payload::default();
        let (jobs, keys) = keyed(2, KeyLife::WhileLive, WhenFull::Refuse);
        let (_, old) = register(&keys, 7, payload.clone());
        let mut watch = jobs.watch(old.unwrap()).unwrap();
        let waker = Waker::from(Arc::new(Locks(keys.clone())));
        for _ in 0..2 {
            let _ = pin!(watch.changed()).poll(&mut Context::from_waker(&waker));
        }
        let ended = Arc::new(AtomicUsize::new(0));
        let ((got, id, is_late), ()) = race(
            {
                let (keys, ended, payload) = (keys.clone(), ended.clone(), payload.clone());
                move || {
                    let is_late = ended.load(Ordering::Acquire) > 0;
                    let (got, id) = register(&keys, 7, payload);
                    (got, id, is_late)
                }
            },
            {
                let jobs = jobs.clone();
                move || {
                    call!(jobs.cancel(old.unwrap())).unwrap();
                    ended.store(1, Ordering::Release);
                }
            },
        );
        assert_eq!(got == New, id != old);
        let (again, next) = register(&keys, 7, payload);
        assert_eq!((again == Existing, next == id), (got == New, got == New));
        (got, is_late)
    });
}
