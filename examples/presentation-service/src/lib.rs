//! Renders Markdown decks to pictures and an animation, over HTTP: a whole service on top of
//! [`job_registry`].
//!
//! | module | contents |
//! |---|---|
//! | [`deck`] | Markdown and limits |
//! | [`render`] | slides and pictures |
//! | [`encode`] | pictures and files |
//! | [`run`], `painters` | one run: a deck, a painter, files; and the threads on which runs are drawn |
//! | [`store`] | the registry that has the presentations, as the service uses it |
//! | [`memory`], [`jobs`], [`files`] | presentations in memory: jobs that own their directories |
//! | [`replica`] | presentations in a shared store, for several processes |
//! | [`state`] | shared state: the presentations, the routes, the limits |
//! | [`api`], `errors`, [`views`], [`download`] | HTTP: requests, refusals, answers, files |
//! | `page` | the page for people |
//! | [`metrics`] | the numbers for Prometheus |
//! | [`server`] | the listener, and an orderly shutdown |
//! | [`cli`], [`demo`] | the program, and a client that checks the service from the outside |

pub mod api;
pub mod cli;
pub mod deck;
pub mod demo;
pub mod download;
pub mod encode;
mod errors;
pub mod files;
pub mod jobs;
pub mod memory;
pub mod metrics;
mod page;
mod painters;
pub mod render;
pub mod replica;
pub mod run;
pub mod server;
pub mod state;
pub mod store;
pub mod views;

/// The recipes of the guide, compiled here because they need axum. The library compiles the rest of
/// the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/recipes.md")]
mod recipes {}
