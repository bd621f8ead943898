//! The first judge: a search for an order of the calls that keeps real time.
//!
//! It goes through the beginnings and ends of the calls. It keeps every configuration that explains
//! the ended calls: a state, and the open calls that have taken effect. A call is made to take
//! effect no earlier than some end needs it (Lowe's just-in-time linearization).

use super::history::{Group, NEVER, Op};
use super::model::State;
use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

/// A state, and the open calls that are in it.
type Configuration = (Rc<State>, BTreeSet<usize>);

/// Returns an error with the call that nothing explains.
pub(super) fn judge(initial: &State, group: &Group) -> Result<(), usize> {
    let ops = &group.ops;
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        events.push((op.begun, false, at));
        if op.ended != NEVER {
            events.push((op.ended, true, at));
        }
    }
    events.sort_unstable();
    let mut open: BTreeSet<usize> = BTreeSet::new();
    let mut configurations = HashSet::from([(Rc::new(initial.clone()), BTreeSet::new())]);
    for (_, is_end, at) in events {
        if !is_end {
            open.insert(at);
            continue;
        }
        let mut next = HashSet::new();
        let mut seen = HashSet::new();
        for configuration in configurations {
            until(at, configuration, ops, &open, &mut seen, &mut next);
        }
        if next.is_empty() {
            return Err(at);
        }
        open.remove(&at);
        configurations = next;
    }
    Ok(())
}

/// Adds the configurations in which the call has taken effect, and removes it from their open
/// calls.
fn until(
    call: usize,
    from: Configuration,
    ops: &[Op],
    open: &BTreeSet<usize>,
    seen: &mut HashSet<Configuration>,
    found: &mut HashSet<Configuration>,
) {
    let mut stack = vec![from];
    while let Some((state, mut done)) = stack.pop() {
        let mut changes = Vec::new();
        // An open call whose answer fits, and that changes nothing, may as well come first.
        for other in open
            .iter()
            .filter(|other| !done.contains(other))
            .copied()
            .collect::<Vec<_>>()
        {
            let op = &ops[other];
            let Some(next) = state.explain(op) else {
                continue;
            };
            if next != *state {
                changes.push((other, next));
            } else if op.ended != NEVER {
                done.insert(other);
            }
        }
        if done.contains(&call) {
            done.remove(&call);
            found.insert((state, done));
            continue;
        }
        if !seen.insert((state.clone(), done.clone())) {
            continue;
        }
        for (other, next) in changes {
            let mut done = done.clone();
            done.insert(other);
            stack.push((Rc::new(next), done));
        }
    }
}
