//! Renders Markdown decks to pictures and an animation, over HTTP: a whole service on top of
//! [`job_registry`].
//!
//! | module | contents |
//! |---|---|
//! | [`deck`] | Markdown and limits |
//! | [`render`] | slides and pictures |
//! | [`encode`] | pictures and files |
//! | [`jobs`], [`files`] | one run: a deck, a painter, a directory, a job of the registry |
//! | [`painters`] | the threads on which runs are drawn |
//! | [`state`] | shared state: the registry, the painters, the limits |
//! | [`api`], `errors`, [`views`], `download` | HTTP: requests, refusals, answers, files |
//! | `page` | the page for people |
//! | [`metrics`] | the numbers for Prometheus |
//! | [`server`] | the listener, and an orderly shutdown |
//! | [`cli`], [`demo`] | the program, and a client that checks the service from the outside |

pub mod api;
pub mod cli;
pub mod deck;
pub mod demo;
mod download;
pub mod encode;
mod errors;
pub mod files;
pub mod jobs;
pub mod metrics;
mod page;
pub mod painters;
pub mod render;
pub mod server;
pub mod state;
pub mod views;

/// The recipes of the guide, compiled here because they need axum. The library compiles the rest of
/// the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/recipes.md")]
mod recipes {}
