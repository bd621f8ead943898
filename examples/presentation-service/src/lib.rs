//! Renders Markdown decks to pictures and an animation, over HTTP: a whole service on top of
//! [`job_registry`].
//!
//! | module | what it knows |
//! |---|---|
//! | [`deck`] | Markdown and limits |
//! | [`render`] | slides and pictures |
//! | [`encode`] | pictures and files |
//! | [`jobs`] | one run: a deck, a painter, a directory, a job of the registry |
//! | [`api`], [`errors`], [`views`], `download` | HTTP: requests, refusals, answers, files |
//! | [`server`] | a listener with all of that, and an orderly end |
//! | [`cli`], [`demo`] | the program, and a client that checks the service from the outside |

pub mod api;
pub mod cli;
pub mod deck;
pub mod demo;
mod download;
pub mod encode;
pub mod errors;
pub mod jobs;
pub mod render;
pub mod server;
pub mod views;
