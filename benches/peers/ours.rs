//! This crate as a contender, by id and by handle.

use crate::peer::{Peer, RUNNING};
use job_registry::{Job, JobId, JobRegistry, Progress, Status};

pub type Payload = crate::peer::Payload;

/// This crate by id.
pub struct Ours(pub JobRegistry<Payload>);

fn status(status: Status) -> u8 {
    match status {
        Status::Pending => 0,
        Status::Running => RUNNING,
        _ => 2,
    }
}

impl Peer for Ours {
    const NAME: &'static str = "ours";
    type Key = JobId;

    fn new(jobs: usize) -> Self {
        Self(JobRegistry::builder().capacity(jobs + 1024).build())
    }
    fn register(&self, _: u64) -> JobId {
        self.0.register([0; 16]).expect("room").detach()
    }
    fn start(&self, key: &JobId) -> bool {
        self.0.start(*key).is_ok()
    }
    fn advance(&self, key: &JobId, ppm: u32) -> Option<u32> {
        let progress = Progress::from_ppm(ppm).ok()?;
        Some(self.0.advance(*key, progress).ok()?.ppm())
    }
    fn snapshot(&self, key: &JobId) -> Option<(u8, u32, bool)> {
        let seen = self.0.snapshot(*key).ok()?;
        Some((status(seen.status()), seen.progress().ppm(), true))
    }
    fn heartbeat(&self, key: &JobId) -> bool {
        self.0.heartbeat(*key).is_ok()
    }
    fn update(&self, key: &JobId) -> bool {
        let count = |payload: &mut Payload| payload[0] = payload[0].wrapping_add(1);
        self.0.update(*key, count).is_ok()
    }
    fn complete(&self, key: &JobId) -> bool {
        self.0.complete(*key).is_ok()
    }
    fn remove(&self, key: &JobId) -> bool {
        self.0.remove(*key).is_ok()
    }
}

/// This crate by the owner's handle, which corresponds to the peers' `Arc`.
pub struct Handle(JobRegistry<Payload>);

impl Peer for Handle {
    const NAME: &'static str = "ours";
    type Key = Job<Payload>;

    fn new(jobs: usize) -> Self {
        Self(JobRegistry::builder().capacity(jobs + 1024).build())
    }
    fn register(&self, _: u64) -> Self::Key {
        self.0.register([0; 16]).expect("room")
    }
    fn start(&self, job: &Self::Key) -> bool {
        job.start().is_ok()
    }
    fn advance(&self, job: &Self::Key, ppm: u32) -> Option<u32> {
        Some(job.advance(Progress::from_ppm(ppm).ok()?).ok()?.ppm())
    }
    fn snapshot(&self, job: &Self::Key) -> Option<(u8, u32, bool)> {
        let seen = job.snapshot().ok()?;
        Some((status(seen.status()), seen.progress().ppm(), true))
    }
    fn heartbeat(&self, job: &Self::Key) -> bool {
        job.heartbeat().is_ok()
    }
    fn update(&self, job: &Self::Key) -> bool {
        job.update(|payload| payload[0] = payload[0].wrapping_add(1))
            .is_ok()
    }
    fn complete(&self, job: &Self::Key) -> bool {
        job.complete().is_ok()
    }
    fn remove(&self, job: &Self::Key) -> bool {
        job.remove().is_ok()
    }
}
