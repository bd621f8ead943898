//! The second judge: porcupine, a search by others (Wing and Gong's, with Lowe's memory).

use super::history::{Group, NEVER, Op};
use super::model::State;
use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};
use std::sync::Arc;
use std::time::Duration;

/// Time for the search of one group. One that nothing explains may take any time.
const LONGEST: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct Jobs;

#[derive(Clone, Debug)]
enum Step {
    /// The state with which the history begins.
    Begin(Arc<State>),
    Call(Arc<Op>),
}

impl Model for Jobs {
    type State = Arc<State>;
    type Op = Step;
    type Metadata = ();

    fn init() -> Self::State {
        Arc::default()
    }

    fn step(state: &Self::State, step: &Step) -> (bool, Self::State) {
        match step {
            Step::Begin(state) => (true, state.clone()),
            Step::Call(op) => match state.explain(op) {
                Some(next) => (true, Arc::new(next)),
                None => (false, state.clone()),
            },
        }
    }
}

/// Returns whether the history can be explained; `None` if the time did not suffice.
pub(super) fn judge(initial: &State, group: &Group) -> Option<bool> {
    let operation = |call_time, return_time, op| Operation {
        client_id: None,
        call_time,
        return_time,
        op,
        metadata: None,
    };
    let time = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    let mut operations = vec![operation(0, 1, Step::Begin(Arc::new(initial.clone())))];
    // A call of an unknown outcome that has no effect comes last.
    operations.extend(group.ops.iter().map(|op| {
        let ended = if op.ended == NEVER {
            i64::MAX
        } else {
            time(op.ended)
        };
        operation(time(op.begun), ended, Step::Call(Arc::new(op.clone())))
    }));
    match check_operations_timeout::<Jobs>(&operations, LONGEST) {
        CheckResult::Ok => Some(true),
        CheckResult::Illegal => Some(false),
        CheckResult::Unknown => None,
    }
}
