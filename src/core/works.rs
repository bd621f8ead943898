//! [`Works`]: the pieces of work of a registry that run, for `idle` and `shutdown`.

use crate::sync::deferred::{Deferred, defer};
use crate::sync::{Arc, Mutex};
use crate::types::id::JobId;
use std::collections::BTreeMap;
use std::mem::take;
use std::task::{Context, Poll, Waker};

/// The work that `spawn`, `spawn_blocking` and `run` have taken on and that has not returned.
#[derive(Debug, Default)]
pub(crate) struct Works(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    /// One entry for each piece of work: a job that is retried may have several.
    running: BTreeMap<u64, JobId>,
    /// Wakers of those who wait until nothing runs.
    waiting: Vec<Waker>,
}

/// Counts a piece of work as running until it is dropped.
#[derive(Debug)]
pub(crate) struct Working {
    works: Arc<Works>,
    number: u64,
}

impl Works {
    /// Counts work on a job until the returned value is dropped.
    pub(crate) fn enter(self: &Arc<Self>, job: JobId) -> Working {
        let mut state = self.0.lock();
        state.last_number += 1;
        let number = state.last_number;
        state.running.insert(number, job);
        drop(state);
        Working {
            works: self.clone(),
            number,
        }
    }

    /// Returns the jobs on which work runs, each once for each piece of work.
    pub(crate) fn running(&self) -> Vec<JobId> {
        self.0.lock().running.values().copied().collect()
    }

    /// Waits until no work runs.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Cloning a waker is user code.
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        if state.running.is_empty() {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|known| known.will_wake(&waker)) {
            state.waiting.push(waker);
        }
        Poll::Pending
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut state = self.works.0.lock();
        state.running.remove(&self.number);
        let idle = state.running.is_empty();
        let wakers = if idle {
            take(&mut state.waiting)
        } else {
            Vec::new()
        };
        drop(state);
        if !wakers.is_empty() {
            defer(wakers.into_iter().map(Deferred::Wake));
        }
    }
}
