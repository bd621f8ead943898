//! The third judge, in linear time: replays the effects in the order of the store.
//!
//! Each effect has to give the answer that its caller got, within the time of its call. Every other
//! call has to fit between two effects. No choice is left, so that a long history takes no longer.

use super::call::Verb;
use super::history::{Group, NEVER, Op};
use super::model::State;

/// Returns an error with the call that contradicts the order, and why.
pub(super) fn judge(initial: &State, group: &Group) -> Result<(), (usize, String)> {
    let ops = &group.ops;
    let mut states = vec![initial.clone()];
    for effect in &group.effects {
        let (op, state) = (&ops[effect.op], states.last().expect("the first"));
        let (answer, next) = state.apply(op);
        if op.answer.as_ref().is_some_and(|given| *given != answer) {
            return Err((effect.op, format!("the effect should answer {answer}")));
        }
        if next == *state {
            return Err((effect.op, format!("the effect should be none: {answer}")));
        }
        // The reply to a removal names the change before it, and that to a registration that is
        // sent again the last change of the job.
        let named = op.seq.filter(|_| effect.seq > 0 && op.verb != Verb::Remove);
        let is_later = |seq| seq > effect.seq && op.verb.is_registration();
        if named.is_some_and(|seq| seq != effect.seq && !is_later(seq)) {
            return Err((
                effect.op,
                format!("the effect has the number {}", effect.seq),
            ));
        }
        states.push(next);
    }
    in_time(group)?;
    others(group, &states)
}

/// Returns the state after the effects that the log has before a place.
pub(super) fn state_before(place: usize, group: &Group) -> State {
    let effects = group
        .effects
        .iter()
        .take_while(|effect| effect.place < place);
    effects.fold(State::default(), |state, effect| {
        state.apply(&group.ops[effect.op]).1
    })
}

/// Checks that no effect comes before another one that had ended before it began.
fn in_time(group: &Group) -> Result<(), (usize, String)> {
    let mut latest = 0;
    for effect in &group.effects {
        let op = &group.ops[effect.op];
        latest = latest.max(op.begun);
        if op.until < latest {
            return Err((effect.op, "the effect comes too late".to_owned()));
        }
    }
    Ok(())
}

/// Finds a place between the effects for every call that has none.
fn others(group: &Group, states: &[State]) -> Result<(), (usize, String)> {
    let ops = &group.ops;
    let mut has_effect = vec![false; ops.len()];
    for effect in &group.effects {
        has_effect[effect.op] = true;
    }
    let is_other = |at: &usize| !has_effect[*at] && ops[*at].answer.is_some();
    let mut others: Vec<usize> = (0..ops.len()).filter(is_other).collect();
    others.sort_by_key(|at| ops[*at].begun);
    // The ends of the calls that have a place, and the latest place of those that ended before.
    let mut ends: Vec<(u64, usize)> = Vec::new();
    for at in others {
        let op = &ops[at];
        let of = |effect: &super::history::Effect| &ops[effect.op];
        let after = group
            .effects
            .iter()
            .rposition(|effect| of(effect).ended < op.begun);
        let before = group
            .effects
            .iter()
            .position(|effect| of(effect).begun > op.ended);
        let earlier = ends
            .iter()
            .filter(|(ended, _)| *ended < op.begun)
            .map(|(_, place)| *place);
        let first = after
            .map_or(0, |effect| effect + 1)
            .max(earlier.max().unwrap_or(0));
        let last = before.unwrap_or(group.effects.len());
        let fits = |place: &usize| fits(op, &states[*place]);
        let Some(place) = (first..=last).find(fits) else {
            let why = format!("the call fits nowhere from effect {first} to effect {last}");
            return Err((at, why));
        };
        ends.push((op.ended, place));
    }
    Ok(())
}

fn fits(op: &Op, state: &State) -> bool {
    debug_assert!(op.ended != NEVER, "an unknown answer needs no place");
    state.explain(op).is_some_and(|next| next == *state)
}
