//! P6: contents of the heartbeat queue while jobs come and go, and after the last of them has gone.

use super::Heartbeat;
use crate::{Job, JobRegistry};
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::time::sleep;

#[derive(Clone, Debug)]
enum Act {
    Register,
    /// Adds a heartbeat of any job, at this interval.
    Heartbeat(Index, u64),
    DropHeartbeat(Index),
    End(Index),
    Retry(Index),
    Remove(Index),
    Wait(u64),
}

/// Longest interval in these histories, in milliseconds.
const LONGEST: u64 = 200;

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => Just(Act::Register),
        6 => (any::<Index>(), 1..=LONGEST).prop_map(|(job, millis)| Act::Heartbeat(job, millis)),
        6 => any::<Index>().prop_map(Act::DropHeartbeat),
        2 => any::<Index>().prop_map(Act::End),
        1 => any::<Index>().prop_map(Act::Retry),
        1 => any::<Index>().prop_map(Act::Remove),
        4 => (0..LONGEST).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..100)
}

/// Returns an index into `all`, or `None` if it is empty.
fn among<T>(index: Index, all: &[T]) -> Option<usize> {
    (!all.is_empty()).then(|| index.index(all.len()))
}

async fn play(acts: Vec<Act>) {
    let jobs = JobRegistry::new();
    let mut owners: Vec<Job<()>> = Vec::new();
    let mut heartbeats: Vec<Heartbeat> = Vec::new();
    let mut begun = 0;
    for act in acts {
        match act {
            Act::Register => owners.push(jobs.register(()).unwrap()),
            Act::Heartbeat(job, millis) => {
                if let Some(job) = among(job, &owners) {
                    heartbeats.push(owners[job].heartbeat_every(Duration::from_millis(millis)));
                    begun += 1;
                }
            }
            Act::DropHeartbeat(heartbeat) => {
                if let Some(heartbeat) = among(heartbeat, &heartbeats) {
                    drop(heartbeats.swap_remove(heartbeat));
                }
            }
            Act::End(job) => {
                if let Some(job) = among(job, &owners) {
                    // The job may have ended already.
                    let _ = owners[job].cancel();
                }
            }
            Act::Retry(job) => {
                if let Some(job) = among(job, &owners) {
                    if let Ok(next) = owners[job].retry() {
                        owners[job] = next;
                    }
                }
            }
            Act::Remove(job) => {
                if let Some(job) = among(job, &owners) {
                    let owner = owners.swap_remove(job);
                    let _ = owner.cancel();
                    owner.remove().unwrap();
                }
            }
            Act::Wait(millis) => sleep(Duration::from_millis(millis)).await,
        }
        let (listed, dropped) = jobs.state.tasks.heartbeats.census();
        assert!(listed <= begun);
        assert!(
            dropped == 0 || dropped * 2 < listed,
            "{dropped} dropped of {listed}"
        );
    }
    // Half of the heartbeats outlive their jobs.
    heartbeats.truncate(heartbeats.len() / 2);
    for owner in owners {
        let _ = owner.cancel();
        owner.remove().unwrap();
    }
    sleep(Duration::from_millis(2 * LONGEST)).await;
    assert_eq!(jobs.state.tasks.heartbeats.census(), (0, 0));
    assert!(!jobs.state.tasks.heartbeats.has_task());
    drop(heartbeats);
    assert_eq!(jobs.state.tasks.heartbeats.census(), (0, 0));
}

proptest! {
    /// P6: dropped heartbeats, and those of ended jobs, leave the queue without further calls.
    #[test]
    fn heartbeats_leave_nothing_behind(acts in acts()) {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(acts));
    }
}
