//! [`LockedSlot`]: a slot whose lock this thread holds.

use crate::slots::body::{Begun, Info};
use crate::slots::slot::Slot;
use crate::sync::MutexGuard;
use crate::sync::deferred::LockPermit;
use crate::types::error::WouldDeadlock;
use crate::types::state_word::StateWord;

/// A slot whose lock this thread holds.
pub(crate) struct LockedSlot<'a, T> {
    // Dropped before the lock: the record must not show two holders.
    #[cfg(all(test, any(loom, shuttle)))]
    _recorded: crate::sync::facade::record::Holding,
    #[cfg(all(loom, test))]
    _last_turn: LastTurn<'a>,
    // Dropped in this order: the lock, then the permission to take it.
    pub(crate) payload: MutexGuard<'a, Option<T>>,
    pub(crate) slot: Slot<'a, T>,
    _permit: LockPermit,
}

impl<'a, T> Slot<'a, T> {
    /// Takes the lock, and waits for it. The permit comes first, so that a second lock on this
    /// thread is refused before it can wait.
    #[inline(always)]
    pub(crate) fn lock(self) -> Result<LockedSlot<'a, T>, WouldDeadlock> {
        let permit = LockPermit::enter().ok_or(WouldDeadlock)?;
        Ok(self.locked(self.body.payload.lock(), permit))
    }

    /// Takes the lock. Returns `None` if another thread holds it.
    #[inline]
    pub(crate) fn try_lock(self) -> Result<Option<LockedSlot<'a, T>>, WouldDeadlock> {
        let permit = LockPermit::enter().ok_or(WouldDeadlock)?;
        #[cfg(all(loom, test))]
        self.take_turns();
        let payload = self.body.payload.try_lock();
        Ok(payload.map(|payload| self.locked(payload, permit)))
    }

    #[inline(always)]
    fn locked(self, payload: MutexGuard<'a, Option<T>>, permit: LockPermit) -> LockedSlot<'a, T> {
        LockedSlot {
            #[cfg(all(test, any(loom, shuttle)))]
            _recorded: crate::sync::facade::record::Holding::new(self.recorded()),
            payload,
            #[cfg(all(loom, test))]
            _last_turn: LastTurn(self.slot_state()),
            slot: self,
            _permit: permit,
        }
    }
}

/// Loom explores an attempt at a lock that another thread holds only if an access before it
/// conflicts with an access under the lock. Each attempt therefore takes the turns of all threads,
/// and each release takes its thread's own.
#[cfg(all(loom, test))]
struct LastTurn<'a>(&'a crate::slots::slot_state::SlotState);

#[cfg(all(loom, test))]
impl Drop for LastTurn<'_> {
    fn drop(&mut self) {
        self.0.take_turn();
    }
}

impl<'a, T> LockedSlot<'a, T> {
    /// Takes the leaf lock of the times and texts.
    #[inline]
    pub(crate) fn info(&self) -> MutexGuard<'a, Info> {
        self.slot.body.info.lock()
    }

    /// Returns the times at which the job and its attempt began, which only this thread changes.
    pub(crate) fn begun(&self) -> Begun {
        self.slot.body.begun.load()
    }

    pub(crate) fn word(&self) -> StateWord {
        self.slot.state()
    }
}
