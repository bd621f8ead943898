//! The checkers' side of the facade `src/sync`: types that announce their accesses, and the record
//! of an execution.

#[cfg(all(shuttle, not(loom)))]
pub(crate) mod announce;
#[cfg(not(any(loom, shuttle)))]
pub(crate) mod environment;
#[cfg(any(loom, shuttle))]
pub(crate) mod record;
#[cfg(all(shuttle, not(loom)))]
pub(crate) mod runtime;
#[cfg(all(shuttle, not(loom)))]
pub(crate) mod shuttle_ops;
