//! A registry of long-running jobs on Redis.
#![forbid(unsafe_code)]

mod audit;
mod builder;
mod codec;
mod error;
mod follow;
mod id;
mod job;
mod link;
mod names;
mod once;
mod page;
mod pulse;
mod registry;
mod reply;
mod script;
mod state;
mod steps;
mod store;
mod sweep;
#[cfg(test)]
mod tests;
mod watch;

pub use builder::Builder;
pub use codec::{Codec, CodecError, Json};
pub use error::{Error, PayloadError, Unavailable};
pub use job::Job;
pub use link::Durability;
pub use once::{Key, Keys, Once};
pub use page::{Cursor, Page};
pub use pulse::Heartbeat;
pub use registry::JobRegistry;
pub use sweep::Reaper;
pub use watch::Watch;
