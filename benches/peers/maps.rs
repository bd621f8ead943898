//! Calls on one of many jobs, compared with maps and slabs that could store the jobs.

use crate::Plan;
use crate::concurrent::{DashMap, Limit, Moka, Papaya, Scc, Slab, Watch};
use crate::contest::{Call, Contender, Populated, rounds};
use crate::locked::{Guide, MutexPerJob, ParkingLot, Slots, StdMutex};
use crate::ours::{Handle, Ours};
use crate::peer::{InAtomics, InRecords, Peer};
use crate::report::Report;
use std::collections::hash_map::RandomState;

pub const SIZES: [usize; 3] = [1000, 100_000, 1_000_000];
pub const THREADS: [usize; 3] = [1, 2, 8];

const BY_ID: [(&str, Call); 6] = [
    ("advance_by_id", Call::Advance),
    ("snapshot", Call::Snapshot),
    ("mix_90_10", Call::Mix),
    ("heartbeat", Call::Heartbeat),
    ("update", Call::Update),
    ("life", Call::Cycle),
];

fn populated<P: Peer>(jobs: usize) -> Box<dyn Contender>
where
    P::Key: 'static,
{
    Box::new(Populated::<P>::new(jobs))
}

fn by_id(jobs: usize) -> Vec<Box<dyn Contender>> {
    vec![
        populated::<Ours>(jobs),
        populated::<InRecords<Guide>>(jobs),
        populated::<InRecords<StdMutex>>(jobs),
        populated::<InRecords<ParkingLot>>(jobs),
        populated::<InRecords<Slots>>(jobs),
        populated::<InRecords<DashMap<RandomState>>>(jobs),
        populated::<InRecords<DashMap<foldhash::fast::RandomState>>>(jobs),
        populated::<InRecords<Scc>>(jobs),
        populated::<InAtomics<Papaya>>(jobs),
        populated::<InAtomics<Slab>>(jobs),
        populated::<InRecords<Moka>>(jobs),
        populated::<InAtomics<Limit>>(jobs),
    ]
}

fn by_handle(jobs: usize) -> Vec<Box<dyn Contender>> {
    vec![
        populated::<Handle>(jobs),
        populated::<InRecords<MutexPerJob>>(jobs),
        populated::<InRecords<Watch>>(jobs),
        populated::<InAtomics<Limit>>(jobs),
    ]
}

pub fn run(plan: &Plan, report: &mut Report) {
    let handles = [
        ("advance_by_handle", Call::Advance),
        ("same_job", Call::SameJob),
    ];
    for jobs in SIZES {
        contest(plan, report, jobs, &BY_ID, by_id);
        contest(plan, report, jobs, &handles, by_handle);
    }
}

fn contest(
    plan: &Plan,
    report: &mut Report,
    jobs: usize,
    calls: &[(&'static str, Call)],
    contenders: impl Fn(usize) -> Vec<Box<dyn Contender>>,
) {
    let wanted = calls.iter().filter(|(row, _)| plan.wants(row));
    let wanted: Vec<_> = wanted
        // The size of the registry does not affect calls on one job, so they run once.
        .filter(|(_, call)| *call != Call::SameJob || jobs == SIZES[0])
        .collect();
    if wanted.is_empty() {
        return;
    }
    let contenders = contenders(jobs);
    for (row, call) in wanted {
        for threads in THREADS {
            let medians = rounds(jobs, &contenders, *call, threads, plan.effort);
            report.add(row, jobs, threads, &medians);
        }
    }
}
