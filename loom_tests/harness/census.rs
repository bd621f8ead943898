//! Contents of a registry that nobody uses, checked at the end of every execution of a program.

use crate::JobRegistry;
use crate::core::due_queue::Entry;
use crate::types::clock::NEVER;

/// Asserts that a registry without watches holds no more than its jobs need.
///
/// # Panics
///
/// If a watcher is listed, a slot is neither a job's nor free, or a slot is filed under a time that the due
/// queue does not have.
pub(in crate::loom_tests) fn nothing_is_left<T: Send + 'static>(jobs: &JobRegistry<T>) {
    let inner = &jobs.state;
    let (watchers, empty) = inner.table.watchers().census();
    assert_eq!((watchers.len(), empty), (0, 0), "a watcher is left behind");

    let (mut free, grown) = inner.table.free().census();
    let listed = free.len();
    free.sort_unstable();
    free.dedup();
    assert_eq!(free.len(), listed, "a slot is free twice");
    let held = inner.table.free().taken();
    assert_eq!(listed + held, grown as usize, "a slot is lost");

    let (entries, empty) = inner.due.census();
    assert_eq!(empty, 0, "a time without entries is left behind");
    for slot in inner.table.iter() {
        let (time, slot) = (slot.body.lock().queued_at, slot.index);
        let is_listed = entries.contains(&Entry { time, slot });
        assert!(
            time == NEVER || is_listed,
            "nobody will come by slot {slot}"
        );
    }
}
