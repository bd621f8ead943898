//! The display of a running demo: live bars on a terminal, and occasional lines elsewhere.

use super::sources::Source;
use crate::views::View;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;

/// Parts of a bar: tenths of a percent.
const WHOLE: u64 = 1000;
/// Without a terminal, a line is printed whenever this many percent more are done.
const STEP: f64 = 25.0;

/// The display of all decks.
#[derive(Debug)]
pub(super) struct Progress {
    each: Vec<ProgressBar>,
    live: bool,
}

/// The display of one deck.
#[derive(Debug)]
pub(super) struct Bar {
    shown: ProgressBar,
    live: bool,
    title: String,
    next: Cell<f64>,
    said: Cell<bool>,
}

impl Progress {
    pub(super) fn new(decks: &[Source]) -> Self {
        let live = std::io::stdout().is_terminal();
        let bars = MultiProgress::with_draw_target(if live {
            ProgressDrawTarget::stdout()
        } else {
            ProgressDrawTarget::hidden()
        });
        let style =
            ProgressStyle::with_template("{prefix:34} {bar:32.cyan/238} {percent:>3}%  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━━─");
        let each = decks.iter().map(|deck| {
            let bar = bars.add(ProgressBar::new(WHOLE).with_style(style.clone()));
            bar.with_prefix(deck.title.clone())
        });
        let each = each.collect();
        Self { each, live }
    }

    pub(super) fn bar(&self, number: usize) -> Bar {
        let shown = self.each[number].clone();
        Bar {
            title: shown.prefix(),
            shown,
            live: self.live,
            next: Cell::new(STEP),
            said: Cell::new(false),
        }
    }

    /// Leaves the bars as they are.
    pub(super) fn finish(&self) {
        for bar in &self.each {
            bar.abandon();
        }
    }
}

impl Bar {
    /// Shows an answer.
    pub(super) fn show(&self, view: &View, heartbeats: usize) {
        let message = format!("{}, {heartbeats} heartbeats", view.status);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1000"
        )]
        self.shown.set_position((view.progress * 10.0) as u64);
        self.shown.set_message(message.clone());
        let ended = view.ended_at.is_some();
        let due = ended || (self.next.get()..100.0).contains(&view.progress);
        if self.live || self.said.get() || !due {
            return;
        }
        println!("{:<34} {:>5.1} %  {message}", self.title, view.progress);
        self.next.set((view.progress / STEP).floor() * STEP + STEP);
        self.said.set(ended);
    }

    /// Shows that the presentation was removed.
    pub(super) fn gone(&self) {
        self.shown.set_message("removed, with its files");
        if !self.live {
            println!("{:<34} removed, with its files", self.title);
        }
    }
}
