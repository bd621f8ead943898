//! The handles that users hold. Each call resolves its job and delegates to `core`.

pub(crate) mod builder;
pub(crate) mod guard;
pub(crate) mod job;
pub(crate) mod keys;
pub(crate) mod registry;
pub(crate) mod watch;
