//! Panics of user code: caught, stored, and passed on when the operation is complete.

use crate::types::failure::{Failure, text_of_chain};
use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// The first of the panics that were caught. Its value may panic when it is dropped: every value
/// that is not passed on goes through [`discard`].
#[derive(Debug, Default)]
pub(crate) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    /// Runs `f` and stores its panic. Returns `None` if it panicked.
    #[inline]
    pub(crate) fn catch<R>(&mut self, f: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(value) => Some(value),
            Err(panic) => {
                self.keep(panic);
                None
            }
        }
    }

    /// Stores a panic, if it is the first, and otherwise discards it.
    #[cold]
    pub(crate) fn keep(&mut self, panic: Box<dyn Any + Send>) {
        match &self.0 {
            None => self.0 = Some(panic),
            Some(_) => discard(panic),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self) -> Option<Box<dyn Any + Send>> {
        self.0.take()
    }

    pub(crate) fn message(&self) -> Cow<'_, str> {
        self.0.as_deref().map_or("no message".into(), panic_message)
    }

    /// Passes the panic on, unless this thread is already unwinding: a second panic would abort the
    /// process.
    #[inline]
    pub(crate) fn resume(mut self) {
        match self.take() {
            Some(panic) if !std::thread::panicking() => resume_unwind(panic),
            Some(panic) => discard(panic),
            None => {}
        }
    }
}

impl Drop for Panics {
    #[inline]
    fn drop(&mut self) {
        if let Some(panic) = self.take() {
            discard(panic);
        }
    }
}

/// Drops the value of a panic that is not passed on. If its destructor panics, that panic's value
/// is leaked, because its destructor may panic as well.
#[cold]
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(next);
    }
}

/// Runs `f`. Returns `None` if it panicked, and drops the panic.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    Panics::default().catch(f)
}

/// Calls `f` with each item, and continues after a panic of the iterator or of `f`. Returns the
/// first panic.
#[inline]
pub(crate) fn despite_panics<I>(
    items: impl IntoIterator<Item = I>,
    mut f: impl FnMut(I),
) -> Panics {
    let mut items = items.into_iter();
    let mut panics = Panics::default();
    loop {
        if let Some(None) = panics.catch(|| items.next().map(&mut f)) {
            return panics;
        }
    }
}

/// Returns the text of a panic: of a string of any usual type, or of an error with its causes.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> Cow<'_, str> {
    fn text<S: AsRef<str> + 'static>(panic: &(dyn Any + Send)) -> Option<&str> {
        panic.downcast_ref::<S>().map(S::as_ref)
    }
    let text = text::<&'static str>(panic)
        .or_else(|| text::<String>(panic))
        .or_else(|| text::<Box<str>>(panic))
        .or_else(|| text::<Arc<str>>(panic))
        .or_else(|| text::<Cow<'static, str>>(panic));
    if let Some(text) = text {
        return text.into();
    }
    let error = panic.downcast_ref::<Box<dyn Error + Send + Sync>>();
    // The error's own methods may panic.
    let error = error.and_then(|error| contain(|| text_of_chain(&**error)));
    let failure = || panic.downcast_ref::<Failure>().map(Failure::to_string);
    error
        .or_else(failure)
        .map_or("no message".into(), Cow::from)
}
