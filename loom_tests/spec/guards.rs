//! Access to jobs by ids, handles and guards, and the locks that they take.

use super::{Job, Name, Refusal, Ret, Spec, Status, Who, done};

/// A guard, and the owners that its thread dropped meanwhile. Their jobs fail once the guard is
/// dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) job: Name,
    /// Whether the payload has been written through the guard.
    pub(super) written: bool,
    abandoned: Vec<(Name, u32)>,
}

impl Spec {
    /// Resolves the job of a call that takes no lock. Only handles are fenced: an id means
    /// whichever attempt exists.
    pub(super) fn reach(&mut self, thread: u32, who: Who) -> Result<&mut Job, Refusal> {
        let (name, attempt) = match who {
            Who::Id(name) => (name, None),
            Who::Handle(name, attempt) => (name, Some(attempt)),
            Who::Guard => (self.held.get(&thread).ok_or(Refusal::Impossible)?.job, None),
        };
        match self.jobs.get_mut(&name) {
            None => Err(Refusal::NotFound),
            Some(job) if job.removed => Err(Refusal::Gone),
            Some(job) if attempt.is_some_and(|attempt| attempt != job.attempt()) => {
                Err(Refusal::Superseded)
            }
            Some(job) => Ok(job),
        }
    }

    /// Resolves the job of a call that takes its lock. Error precedence: `NotFound`,
    /// `WouldDeadlock`, then `Gone` or `Superseded`, which need not wait for the holder of the
    /// lock.
    pub(super) fn lock(&mut self, thread: u32, who: Who) -> Result<&mut Job, Refusal> {
        if let Who::Id(name) | Who::Handle(name, _) = who {
            if self.jobs.contains_key(&name) && self.held.contains_key(&thread) {
                return Err(Refusal::WouldDeadlock);
            }
            self.reach(thread, who)?;
            if self.held.values().any(|held| held.job == name) {
                return Err(Refusal::Impossible);
            }
        }
        self.reach(thread, who)
    }

    pub(super) fn guard(&mut self, thread: u32, who: Who) -> Result<Ret, Refusal> {
        let job = self.lock(thread, who)?.live()?.record.view.job;
        self.held.insert(
            thread,
            Held {
                job,
                written: false,
                abandoned: Vec::new(),
            },
        );
        Ok(Ret::Done)
    }

    /// Returns the job whose guard a thread holds.
    pub(crate) fn held_by(&self, thread: u32) -> Option<Name> {
        self.held.get(&thread).map(|held| held.job)
    }

    /// Takes the lock for a reader, which may also lock an ended job.
    pub(super) fn read(&mut self, thread: u32, name: Name) -> Result<Ret, Refusal> {
        let record = self.lock(thread, Who::Id(name))?.record.clone();
        let held = Held {
            job: name,
            written: false,
            abandoned: Vec::new(),
        };
        self.held.insert(thread, held);
        Ok(Ret::Record(Box::new(record)))
    }

    /// Counts the change of a payload that has been written through the guard.
    fn revise_if_written(&mut self, thread: u32) {
        let Some(held) = self.held.get_mut(&thread) else {
            return;
        };
        if std::mem::take(&mut held.written) {
            let job = self.jobs.get_mut(&held.job);
            job.expect("a locked job exists").revise();
        }
    }

    pub(super) fn unlock(&mut self, thread: u32) -> Ret {
        self.revise_if_written(thread);
        for (name, attempt) in self
            .held
            .remove(&thread)
            .into_iter()
            .flat_map(|held| held.abandoned)
        {
            let _ = self.abandon(thread, name, attempt);
        }
        Ret::Done
    }

    /// Ends a job. An ending through a guard consumes the guard, even if the ending is refused.
    pub(super) fn end(
        &mut self,
        thread: u32,
        who: Who,
        status: Status,
        why: Option<&str>,
    ) -> Result<Ret, Refusal> {
        let (now, limits) = (self.now, self.limits);
        let ending = (status, why.map(str::to_owned));
        if who == Who::Guard {
            self.revise_if_written(thread);
        }
        let ended = self
            .lock(thread, who)
            .and_then(|job| job.end(now, &limits, ending));
        if who == Who::Guard {
            self.unlock(thread);
        }
        ended.map(done)
    }

    /// Fails a live job whose owner is dropped. Under a guard of the thread, the job fails once the
    /// guard is dropped.
    pub(super) fn abandon(
        &mut self,
        thread: u32,
        name: Name,
        attempt: u32,
    ) -> Result<Ret, Refusal> {
        let owner = Who::Handle(name, attempt);
        if self.reach(thread, owner).and_then(Job::live).is_err() {
            return Ok(Ret::Done);
        }
        if let Some(held) = self.held.get_mut(&thread) {
            held.abandoned.push((name, attempt));
            return Ok(Ret::Done);
        }
        self.end(thread, owner, Status::Failed, Some("abandoned"))
    }
}
