//! Tests against a server that each of them starts. `apt-get install redis-server
//! redis-sentinel libfaketime` has them.

mod conformance;
pub(crate) mod faults;
mod guard;
#[cfg(feature = "axum")]
mod http;
mod lifecycle;
mod linear;
mod mutants;
mod network;
mod once;
mod ownership;
mod proxy;
mod refusals;
mod resends;
mod sentinel;
mod server;
pub(crate) mod sim;
mod task;
pub(crate) mod trace;
mod watching;

/// The types that the specification speaks of.
mod api {
    pub(crate) use job_registry::*;
}

/// The sequential specification of the library.
#[path = "../../../../loom_tests/spec/mod.rs"]
mod spec;
