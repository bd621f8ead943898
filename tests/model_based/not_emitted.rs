//! Replaces `emitted.rs` in a build that emits nothing.

use super::real::Real;
use super::spec::{Call, Name, Ret, Spec};
use std::collections::BTreeSet;

pub(crate) const EVENTS: &[&str] = &[];

#[derive(Default)]
pub(crate) struct Emitted {
    pub(crate) seen: BTreeSet<String>,
}

impl Emitted {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[allow(clippy::unused_self)] // as in `emitted.rs`
    pub(crate) fn listen(&self) -> impl Fn() + Send + use<> {
        || {}
    }

    #[allow(clippy::unused_self)] // as in `emitted.rs`
    pub(crate) fn expect(&mut self, _: &Transition<'_>, _: bool) {}

    #[allow(clippy::unused_self)] // as in `emitted.rs`
    pub(crate) fn expect_removal(&mut self, _: &Real, _: &Spec, _: Name) {}

    #[allow(clippy::unused_self)] // as in `emitted.rs`
    pub(crate) fn in_any_order(&mut self) {}

    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // as in `emitted.rs`
    pub(crate) fn check(&mut self, _: &Call, _: bool) -> Result<(), String> {
        Ok(())
    }
}

#[allow(dead_code)] // as in `emitted.rs`
pub(crate) struct Transition<'a> {
    pub(crate) real: &'a Real,
    pub(crate) thread: u32,
    pub(crate) call: &'a Call,
    pub(crate) answer: &'a Ret,
    pub(crate) before: &'a Spec,
    pub(crate) after: &'a Spec,
}
