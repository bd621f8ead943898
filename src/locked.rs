//! A job's lock, once it is taken.

use crate::body::Body;
use crate::error::{LookupError, WouldDeadlock};
use crate::slot::Slot;
use crate::snapshot::Record;
use crate::sync::MutexGuard;
use crate::target::Target;
use crate::thread::Held;
use crate::word::Word;

/// A slot whose lock this thread holds.
pub(crate) struct Locked<'a, T> {
    // Before the lock: the record must not show two holders.
    #[cfg(all(test, any(loom, shuttle)))]
    _recorded: crate::sync::record::Holding,
    #[cfg(all(loom, test))]
    _last_turn: LastTurn<'a>,
    // Dropped in this order: the lock, then the right to it.
    pub(crate) body: MutexGuard<'a, Body<T>>,
    pub(crate) slot: Slot<'a, T>,
    _held: Held,
}

impl<'a, T> Slot<'a, T> {
    /// Takes the lock, waiting for it. The right comes first, so that a second lock on this
    /// thread is refused before it can wait; and it is dropped last.
    #[inline(always)]
    pub(crate) fn lock(self) -> Result<Locked<'a, T>, WouldDeadlock> {
        let held = Held::enter()?;
        let body = self.body.lock();
        Ok(Locked {
            #[cfg(all(test, any(loom, shuttle)))]
            _recorded: crate::sync::record::Holding::new(self.recorded()),
            body,
            #[cfg(all(loom, test))]
            _last_turn: LastTurn(self.words()),
            slot: self,
            _held: held,
        })
    }

    /// Like `lock`, but `Ok(None)` instead of waiting.
    #[inline]
    pub(crate) fn try_lock(self) -> Result<Option<Locked<'a, T>>, WouldDeadlock> {
        let held = Held::enter()?;
        #[cfg(all(loom, test))]
        self.take_turns();
        Ok(self.body.try_lock().map(|body| Locked {
            #[cfg(all(test, any(loom, shuttle)))]
            _recorded: crate::sync::record::Holding::new(self.recorded()),
            body,
            #[cfg(all(loom, test))]
            _last_turn: LastTurn(self.words()),
            slot: self,
            _held: held,
        }))
    }
}

/// Loom tries a lock that another thread holds only where what comes before conflicts with what that thread does under it: each
/// attempt takes the turns of all, and who lets go takes its own.
#[cfg(all(loom, test))]
struct LastTurn<'a>(&'a crate::words::Words);

#[cfg(all(loom, test))]
impl Drop for LastTurn<'_> {
    fn drop(&mut self) {
        self.0.take_turn();
    }
}

impl<T> Locked<'_, T> {
    pub(crate) fn word(&self) -> Word {
        self.slot.state()
    }

    /// The job and its payload, of the instant at which the two words were read.
    pub(crate) fn record(&self, target: Target) -> Result<Record<&T>, LookupError> {
        let snapshot = self.slot.snapshot(target)?;
        let payload = self.body.payload.as_ref().ok_or(LookupError::Gone)?;
        Ok(Record {
            snapshot,
            times: self.body.times(snapshot.status()),
            error: self.body.error.as_deref().cloned(),
            payload,
        })
    }
}
