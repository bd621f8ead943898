//! Wakers that run a closure, and a watch that waits with one.

use job_registry::Watch;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

/// Returns a waker that runs `f` when it is woken for the first time.
pub(crate) fn waker(f: impl FnOnce() + Send + 'static) -> Waker {
    struct Once<F>(Mutex<Option<F>>);

    impl<F: FnOnce() + Send + 'static> Wake for Once<F> {
        fn wake(self: Arc<Self>) {
            let f = self.0.lock().unwrap().take();
            if let Some(f) = f {
                f();
            }
        }
    }

    Waker::from(Arc::new(Once(Mutex::new(Some(f)))))
}

/// Polls until the watch waits with `waker`.
pub(crate) fn wait<T>(watch: &mut Watch<T>, waker: &Waker) {
    let poll = |watch: &mut Watch<T>| {
        pin!(watch.changed())
            .poll(&mut Context::from_waker(waker))
            .is_ready()
    };
    assert!(poll(watch), "the first item is the job as it is");
    assert!(!poll(watch), "nothing has changed since");
}
