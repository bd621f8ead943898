//! A small number for each thread, assigned in the order of first use.

/// Number of threads with a number. It is not modelled, because no model reads it.
#[cfg(not(all(test, any(loom, shuttle))))]
static THREADS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

#[cfg(not(all(test, any(loom, shuttle))))]
std::thread_local! {
    static NUMBER: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}

/// Returns the number of this thread.
#[cfg(not(all(test, any(loom, shuttle))))]
#[inline]
pub(crate) fn thread_number() -> usize {
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            // ORDERING: Relaxed. Numbers only have to differ.
            let next = THREADS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            number.set(Some(next));
            next
        })
    })
}

/// Returns the number that the model gives this thread, which is the same in every execution.
///
/// A dependent's model does not need it: its free lists have one magazine, and nothing else asks.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn thread_number() -> usize {
    crate::sync::facade::record::this_thread()
}
