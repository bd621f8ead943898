//! A group of calls as a person reads it: one line a call, with a bar for its time.

use super::history::{Group, NEVER, Op};
use std::fmt::Write as _;

/// Number of calls before the one that nothing explains, and after it.
const BEFORE: usize = 30;
const AFTER: usize = 6;
const WIDTH: u64 = 48;

/// Draws the calls around one of them.
pub(super) fn draw(group: &Group, at: usize) -> String {
    let mut order: Vec<usize> = (0..group.ops.len()).collect();
    order.sort_by_key(|at| group.ops[*at].begun);
    let of = order.iter().position(|other| *other == at).unwrap_or(0);
    let shown = &order[of.saturating_sub(BEFORE)..(of + AFTER).min(order.len())];
    let begun = shown
        .iter()
        .map(|at| group.ops[*at].begun)
        .min()
        .unwrap_or(0);
    let ends = shown
        .iter()
        .map(|at| group.ops[*at].ended)
        .filter(|ended| *ended != NEVER);
    let ended = ends.max().unwrap_or(begun).max(begun + WIDTH);
    let column = |time: u64| (time.clamp(begun, ended) - begun) * (WIDTH - 1) / (ended - begun);
    let mut text = format!("jobs: {}\n", group.ids.join(", "));
    for number in shown {
        let op = &group.ops[*number];
        let effect = group.effects.iter().position(|effect| effect.op == *number);
        let mark = if *number == at { ">>" } else { "  " };
        let bar: String = (0..WIDTH)
            .map(
                |place| match (place >= column(op.begun), place <= column(op.ended)) {
                    (true, true) if op.ended == NEVER => '?',
                    (true, true) => '=',
                    _ => ' ',
                },
            )
            .collect();
        let millis = (op.begun - begun) / 1000;
        let effect = effect.map_or_else(String::new, |effect| {
            format!("  effect {effect}, change {}", group.effects[effect].seq)
        });
        writeln!(
            text,
            "{mark} {millis:>8} us |{bar}| {:<5} {}{effect}",
            op.caller,
            line(op)
        )
        .expect("a text");
    }
    text
}

fn line(op: &Op) -> String {
    let answer = op.answer.as_deref().unwrap_or("?");
    let fence = op.fence.map_or_else(String::new, |(attempt, nonce)| {
        format!(" by owner {attempt}/{:02x}{:02x}", nonce[0], nonce[1])
    });
    format!("job {}{fence}: {} @{} -> {answer}", op.job, op.verb, op.now)
}
