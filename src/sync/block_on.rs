//! Blocking on a poll function, without an executor.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

#[cfg(all(loom, any(test, feature = "loom")))]
use loom::thread;
#[cfg(all(shuttle, not(loom), any(test, feature = "shuttle")))]
use shuttle::thread;
#[cfg(not(any(
    all(loom, any(test, feature = "loom")),
    all(shuttle, not(loom), any(test, feature = "shuttle"))
)))]
use std::thread;

/// A waker that unparks a thread.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until the result is there, and parks the thread in between. A wake before the park is not
/// lost: it lets the next park return at once.
pub(crate) fn block_on<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match poll(&mut cx) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}
