//! Contents of an idle registry, checked at the end of every execution of a program.

use crate::JobRegistry;
use crate::core::due_queue::Entry;
use crate::types::clock::NEVER;

/// Asserts that a registry without watches holds no more than its jobs need.
///
/// # Panics
///
/// * If a watcher is still registered.
/// * If a slot neither holds a job nor is free.
/// * If a body has a `queued_at` without an entry in the due queue.
pub(in crate::loom_tests) fn nothing_is_left<T: Send + 'static>(jobs: &JobRegistry<T>) {
    let inner = &jobs.state;
    let (watchers, empty) = inner.table.watchers().census();
    assert_eq!(
        (watchers.len(), empty),
        (0, 0),
        "a watcher is still registered"
    );

    let (mut free, grown) = inner.table.free().census();
    let listed = free.len();
    free.sort_unstable();
    free.dedup();
    assert_eq!(free.len(), listed, "a slot is in the free list twice");
    let held = inner.table.free().taken();
    assert_eq!(listed + held, grown as usize, "a slot is lost");

    let (entries, empty) = inner.due.census();
    assert_eq!(empty, 0, "the due queue has a time without entries");
    for slot in inner.table.iter() {
        let (time, slot) = (slot.body.info.lock().queued_at, slot.index);
        let is_listed = entries.contains(&Entry { time, slot });
        assert!(
            time == NEVER || is_listed,
            "slot {slot} has no entry in the due queue"
        );
    }
}
