//! [`Runtime`], its tasks and its blocking threads.

use super::signal::{End, Signal, Waiting};
use crate::sync::Ordering;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64 as Plain, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// Number of a runtime, which no other runtime of the execution has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(u64);

/// Number of runtimes. It is not modelled, because numbers only have to differ.
static RUNTIMES: Plain = Plain::new(0);

struct Shared {
    id: Id,
    /// One once the runtime is being dropped.
    closed: Signal,
    /// The tasks that have been spawned before that.
    tasks: Mutex<Vec<Arc<Control>>>,
    /// Shuttle's handles. A task whose handle is dropped does not keep an execution from its end.
    spawned: Mutex<Vec<shuttle::future::JoinHandle<()>>>,
    pool: Pool,
}

/// A runtime with a bounded number of blocking threads. Its destructor closes it, aborts each task,
/// drops the blocking work that has not begun, and waits for the tasks and the blocking threads.
#[derive(Debug)]
pub(crate) struct Runtime(Handle);

impl Runtime {
    pub(crate) fn new(blocking_threads: usize) -> Self {
        Self(Handle(Arc::new(Shared {
            id: Id(RUNTIMES.fetch_add(1, Relaxed)),
            closed: Signal::new(0),
            tasks: Mutex::default(),
            spawned: Mutex::default(),
            pool: Pool::new(blocking_threads),
        })))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.0
    }

    /// Runs a future on this thread.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _entered = self.0.enter();
        shuttle::future::block_on(future)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let shared = &self.0.0;
        shared.closed.raise();
        let tasks = std::mem::take(&mut *shared.tasks.lock().unwrap());
        for task in &tasks {
            task.abort();
        }
        for task in &tasks {
            task.end.wait();
        }
        shared.pool.close();
    }
}

/// A reference to a runtime.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Shared>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.0.id).finish()
    }
}

shuttle::thread_local! {
    /// The runtime that this thread or task runs on.
    static CONTEXT: RefCell<Option<Handle>> = RefCell::new(None);
}

/// Keeps a thread in the context of a runtime, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entered(Option<Handle>);

impl Drop for Entered {
    fn drop(&mut self) {
        let earlier = self.0.take();
        let _ = CONTEXT.try_with(|context| context.replace(earlier));
    }
}

/// The error of a call outside of a runtime.
#[derive(Debug)]
pub(crate) struct TryCurrentError;

impl Handle {
    /// # Panics
    ///
    /// If it is called outside of a runtime.
    pub(crate) fn current() -> Self {
        Self::try_current().expect("this thread is in the context of a runtime")
    }

    pub(crate) fn try_current() -> Result<Self, TryCurrentError> {
        let current = CONTEXT.try_with(|context| context.borrow().clone());
        current.ok().flatten().ok_or(TryCurrentError)
    }

    pub(crate) fn id(&self) -> Id {
        self.0.id
    }

    pub(crate) fn enter(&self) -> Entered {
        Entered(CONTEXT.with(|context| context.replace(Some(self.clone()))))
    }

    /// Spawns a task. If the runtime is being dropped, the future is dropped instead.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (control, result) = (Arc::new(Control::new()), Arc::new(Mutex::new(None)));
        let handle = JoinHandle::new(&control, &result);
        // The task is listed in the step of this load, so that it precedes the close.
        if self.0.closed.load() != 0 {
            drop(future);
            control.end.end();
            return handle;
        }
        self.0.tasks.lock().unwrap().push(control.clone());
        let task = shuttle::future::spawn(Task {
            runtime: self.clone(),
            future: Some(Box::pin(future)),
            aborted: control.aborted.waiting(),
            control,
            result,
        });
        self.0.spawned.lock().unwrap().push(task);
        handle
    }

    /// Runs `f` on a blocking thread. If the runtime is dropped first, `f` is dropped instead.
    pub(crate) fn spawn_blocking<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (control, result) = (Arc::new(Control::new()), Arc::new(Mutex::new(None)));
        let handle = JoinHandle::new(&control, &result);
        self.0.pool.push(
            self,
            Box::new(move |runs| {
                if runs && control.aborted.load() == 0 {
                    let returned = f();
                    *result.lock().unwrap() = Some(returned);
                } else {
                    drop(f);
                }
                control.end.end();
            }),
        );
        handle
    }
}

/// Runs `f` on a blocking thread of the current runtime.
pub(crate) fn spawn_blocking<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Handle::current().spawn_blocking(f)
}

/// The part of a task that its handle and its runtime share.
struct Control {
    /// One once the task has been aborted. It is loaded before every poll.
    aborted: Signal,
    end: End,
}

impl Control {
    fn new() -> Self {
        Self {
            aborted: Signal::new(0),
            end: End::new(),
        }
    }

    fn abort(&self) {
        self.aborted.change(|flag| flag.store(1, Ordering::SeqCst));
    }
}

/// The polled future of a task.
struct Task<F: Future> {
    runtime: Handle,
    future: Option<Pin<Box<F>>>,
    aborted: Waiting,
    control: Arc<Control>,
    result: Arc<Mutex<Option<F::Output>>>,
}

impl<F: Future> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = self.get_mut();
        let _entered = task.runtime.enter();
        let is_aborted = task.aborted.poll(cx, |flag| flag != 0).is_ready();
        if !is_aborted {
            let future = task.future.as_mut().expect("the task has not ended");
            let Poll::Ready(returned) = future.as_mut().poll(cx) else {
                return Poll::Pending;
            };
            *task.result.lock().unwrap() = Some(returned);
        }
        task.future = None;
        task.control.end.end();
        Poll::Ready(())
    }
}

// The fields are not pinned.
impl<F: Future> Unpin for Task<F> {}

/// The error of a task that was aborted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JoinError;

/// A spawned task or blocking call, and its result.
// It is public, because `spawn_reaper` returns it.
#[allow(unreachable_pub)]
pub(crate) struct JoinHandle<T> {
    control: Arc<Control>,
    waiting: Waiting,
    result: Arc<Mutex<Option<T>>>,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

impl<T> JoinHandle<T> {
    fn new(control: &Arc<Control>, result: &Arc<Mutex<Option<T>>>) -> Self {
        Self {
            control: control.clone(),
            waiting: control.end.waiting(),
            result: result.clone(),
        }
    }

    pub(crate) fn abort(&self) {
        self.control.abort();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.control.end.has_come()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waiting.poll(cx, |ended| ended != 0).is_pending() {
            return Poll::Pending;
        }
        let returned = self.result.lock().unwrap().take();
        Poll::Ready(returned.ok_or(JoinError))
    }
}

/// Blocking work. `true` runs it, `false` drops it.
type Work = Box<dyn FnOnce(bool) + Send>;

/// The blocking threads of a runtime. A thread ends as soon as no work waits.
struct Pool {
    /// Raised by each access to `state`, so that it is announced.
    accesses: Signal,
    state: Mutex<PoolState>,
    size: usize,
}

#[derive(Default)]
struct PoolState {
    waiting: VecDeque<Work>,
    threads: usize,
    is_closed: bool,
}

impl Pool {
    fn new(size: usize) -> Self {
        Self {
            accesses: Signal::new(0),
            state: Mutex::default(),
            size,
        }
    }

    /// Makes one access to the state, in one step.
    fn access<R>(&self, access: impl FnOnce(&mut PoolState) -> R) -> R {
        self.accesses.change(|accesses| {
            accesses.fetch_add(1, Ordering::SeqCst);
            access(&mut self.state.lock().unwrap())
        })
    }

    fn push(&self, runtime: &Handle, work: Work) {
        let mut work = Some(work);
        let needs_thread = self.access(|state| {
            if state.is_closed {
                return false;
            }
            state.waiting.extend(work.take());
            let needs_thread = state.threads < self.size;
            state.threads += usize::from(needs_thread);
            needs_thread
        });
        if let Some(refused) = work {
            refused(false);
        }
        if needs_thread {
            let runtime = runtime.clone();
            shuttle::thread::spawn(move || {
                let _entered = runtime.enter();
                while let Some(work) = runtime.0.pool.access(PoolState::next) {
                    work(true);
                }
            });
        }
    }

    /// Drops the work that has not begun, and waits for the rest.
    fn close(&self) {
        let refused = self.access(|state| {
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        });
        for work in refused {
            work(false);
        }
        self.accesses
            .wait(|_| self.state.lock().unwrap().threads == 0);
    }
}

impl PoolState {
    /// Returns the next work of a thread, which ends if there is none.
    fn next(&mut self) -> Option<Work> {
        let next = self.waiting.pop_front();
        self.threads -= usize::from(next.is_none());
        next
    }
}

/// Lets other tasks run.
pub(crate) async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
