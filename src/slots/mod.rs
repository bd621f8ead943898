//! The storage of jobs: the words, the body and the watchers of a slot, and the table of slots.

pub(crate) mod body;
pub(crate) mod fenced_id;
pub(crate) mod free_list;
pub(crate) mod layout;
pub(crate) mod locked_slot;
pub(crate) mod slot;
pub(crate) mod slot_state;
pub(crate) mod table;
pub(crate) mod watchers;
