//! The routes, called without a socket: golden texts of every form and every refusal, waiting,
//! events, visibility, keys, and hostile requests.

mod common;
mod events;
mod forms;
mod hostile;
mod keys;
#[cfg(feature = "openapi")]
mod openapi;
mod reconnect;
mod refusals;
mod remote;
mod stopping;
mod visibility;
mod waiting;
