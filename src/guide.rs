//! The guide: how to use a registry, and when not to.
//!
//! | chapter | answers |
//! |---|---|
//! | [`recipes`] | How do I use it with axum, retries, threads, a drain, files, in tests? |
//! | [`choosing_times`] | Which heartbeats, stall limit, retention and phases of a shutdown? |
//! | [`observability`] | What do the features `tracing`, `metrics` and `serde` show? |
//! | [`limits`] | What does it not do, and what do I use then? |
//! | [`from_the_python_guide`] | How does a service with one lock around a dictionary change? |
//!
//! These modules exist in the documentation only.

/// Axum, streams of replies, stops, retries, a pool of threads, a drain, files, tests, models.
///
// The service's package compiles these examples, because they need axum.
#[cfg_attr(not(doctest), doc = include_str!("../docs/guide/recipes.md"))]
pub mod recipes {}

/// The times of a registry, and how they depend on each other.
///
/// [recipes]: recipes
#[doc = include_str!("../docs/guide/choosing-times.md")]
pub mod choosing_times {}

/// Events, metrics, and the serialized forms of values.
///
#[doc = include_str!("../docs/guide/observability.md")]
pub mod observability {}

/// Numbers, locks, memory, time, and the neighbouring crates.
///
#[doc = include_str!("../docs/guide/limits.md")]
pub mod limits {}

/// Each step of a guide for Python services, before and after.
///
// The examples need tokio.
#[cfg_attr(
    any(not(doctest), feature = "tokio"),
    doc = include_str!("../docs/guide/from-the-python-guide.md")
)]
pub mod from_the_python_guide {}
