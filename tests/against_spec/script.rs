//! User code that takes its time: what hooks, destructors, wakers and closures do while a call is
//! under way, and a log of what happened in which order.

use super::api::{JobId, JobRegistry, ManualClock, Record};
use super::payload::Payload;
use super::spec::{Call, Millis, Refusal, Ret, Who};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// How long each piece of user code takes, and what the first removal hook calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) hook: Millis,
    pub(crate) destructor: Millis,
    pub(crate) waker: Millis,
    /// A closure under the job's lock.
    pub(crate) section: Millis,
    /// Calls by id that [`call`] can make.
    pub(crate) in_hook: Vec<Call>,
}

/// The user code that moved the clock.
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
    /// A call that the hook made. It is logged before its own events.
    Called(Call, Ret),
}

#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) clock: ManualClock,
    state: Mutex<State>,
}

/// The calls that a hook makes, with their ids.
pub(crate) type Planned = (JobRegistry<Payload>, Vec<(Call, JobId)>);

#[derive(Debug, Default)]
struct State {
    pace: Pace,
    /// What the hook calls, and with which ids. The registry is here for as long as the step lasts.
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

    /// User code takes its time.
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

    /// The removal hook.
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

/// The calls that a hook makes.
fn call(registry: &JobRegistry<Payload>, call: &Call, id: JobId) -> Result<Ret, Refusal> {
    Ok(match *call {
        Call::RemoveAfter(Who::Id(_), delay) => registry.remove_after(id, delay)?.into(),
        Call::Start(Who::Id(_)) => registry.start(id)?.into(),
        Call::Heartbeat(Who::Id(_)) => registry.heartbeat(id)?.into(),
        Call::Complete(Who::Id(_)) => registry.complete(id)?.into(),
        Call::Cancel(Who::Id(_)) => registry.cancel(id)?.into(),
        Call::Sweep => Ret::Count(registry.sweep().removed),
        _ => return Err(Refusal::Impossible),
    })
}
