//! User code that takes time: the actions of hooks, destructors, wakers and closures during a call,
//! and a log of their order.

use super::api::{JobId, JobRegistry, ManualClock, Record};
use super::payload::Payload;
use super::spec::{Call, Millis, Refusal, Ret, Who};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// The time that each piece of user code takes, and the calls of the first removal hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) hook: Millis,
    pub(crate) destructor: Millis,
    pub(crate) waker: Millis,
    /// Time of a closure under the job's lock.
    pub(crate) section: Millis,
    /// Calls by id that [`call`] can make.
    pub(crate) in_hook: Vec<Call>,
}

/// The user code that advanced the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    Hook,
    Destructor,
    /// The waker of this watch.
    Waker(u32),
    Section,
}

#[derive(Debug)]
pub(crate) enum Event {
    Removed(Record<Payload>),
    Ticked(By, Millis),
    /// A call by the hook. It is logged before its own events.
    Called(Call, Ret),
}

#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) clock: ManualClock,
    state: Mutex<State>,
}

/// The calls of a hook, with their ids.
pub(crate) type Planned = (JobRegistry<Payload>, Vec<(Call, JobId)>);

#[derive(Debug, Default)]
struct State {
    pace: Pace,
    /// The calls of the hook and their ids. The registry is here as long as the step lasts.
    in_hook: Option<Planned>,
    events: Vec<Event>,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self {
            clock: ManualClock::new(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    pub(crate) fn set(&self, pace: Pace, in_hook: Option<Planned>) {
        let mut state = self.state();
        state.pace = pace;
        let last = std::mem::replace(&mut state.in_hook, in_hook);
        drop(state);
        drop(last);
    }

    pub(crate) fn has_slow_wakers(&self) -> bool {
        self.state().pace.waker > 0
    }

    pub(crate) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.state().events)
    }

    /// Advances the clock by the time that this user code takes.
    pub(crate) fn pass(&self, by: By) {
        let mut state = self.state();
        let millis = match by {
            By::Hook => state.pace.hook,
            By::Destructor => state.pace.destructor,
            By::Waker(_) => state.pace.waker,
            By::Section => state.pace.section,
        };
        if millis > 0 {
            state.events.push(Event::Ticked(by, millis));
            self.clock.advance(Duration::from_millis(millis));
        }
    }

    /// Runs as the removal hook.
    pub(crate) fn hook(&self, record: &Record<Payload>) {
        let record = record.clone();
        self.state().events.push(Event::Removed(record));
        self.pass(By::Hook);
        let Some((registry, calls)) = self.state().in_hook.take() else {
            return;
        };
        for (made, id) in calls {
            let mut state = self.state();
            let place = state.events.len();
            let pending = Ret::Refused(Refusal::Impossible);
            state.events.push(Event::Called(made.clone(), pending));
            drop(state);
            let answer = call(&registry, &made, id).unwrap_or_else(Ret::Refused);
            self.state().events[place] = Event::Called(made, answer);
        }
    }
}

/// Makes a call of the hook.
fn call(registry: &JobRegistry<Payload>, call: &Call, id: JobId) -> Result<Ret, Refusal> {
    Ok(match *call {
        Call::RemoveAfter(Who::Id(_), delay) => registry.remove_after(id, delay)?.into(),
        Call::Start(Who::Id(_)) => registry.start(id)?.into(),
        Call::Heartbeat(Who::Id(_)) => registry.heartbeat(id)?.into(),
        Call::Complete(Who::Id(_)) => registry.complete(id)?.into(),
        Call::Cancel(Who::Id(_)) => registry.cancel(id)?.into(),
        Call::CancelBecause(Who::Id(_), why) => registry.cancel_because(id, why)?.into(),
        Call::RequestStop(Who::Id(_), why) => Ret::Status(registry.request_stop(id, why)?),
        Call::Note(Who::Id(_), note) => registry.note(id, note)?.into(),
        Call::Report(Who::Id(_), progress, note) => registry.report(id, progress, note)?.into(),
        Call::Sweep => Ret::Count(registry.sweep().removed),
        _ => return Err(Refusal::Impossible),
    })
}
