//! Rounds in which this crate and every peer alternate, and the medians of the rounds.

use crate::peer::Peer;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Advance,
    /// All threads on one job.
    SameJob,
    Snapshot,
    /// Nine reads to one step.
    Mix,
    Heartbeat,
    Update,
    /// Register, start, complete and remove a job, while the other jobs stay.
    Life,
}

/// A peer with its jobs.
pub struct Kept<P: Peer> {
    pub peer: P,
    /// Shuffled, so that iterating visits the jobs at random while the ids themselves are in the
    /// cache.
    pub keys: Vec<P::Key>,
    turn: AtomicU64,
}

pub trait Contender {
    fn name(&self) -> &'static str;
    fn takes_part(&self, call: Call) -> bool;
    /// Returns the nanoseconds of a call, as each of `threads` sees them.
    fn run(&self, call: Call, threads: usize, calls: usize) -> f64;
}

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl<P: Peer> Kept<P> {
    pub fn new(jobs: usize) -> Self {
        let peer = P::new(jobs);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let register = |_| {
            let key = peer.register(random.next());
            assert!(peer.start(&key));
            key
        };
        let mut keys: Vec<_> = (0..jobs).map(register).collect();
        for last in (1..jobs).rev() {
            keys.swap(last, (random.next() % (last as u64 + 1)) as usize);
        }
        Self {
            peer,
            keys,
            turn: AtomicU64::new(0),
        }
    }

    fn work(&self, call: Call, from: usize, calls: usize, turn: u64) {
        let keys = self.keys[from..].iter().chain(self.keys.iter().cycle());
        let keys = keys.take(calls);
        // The progress grows so slowly that it is never done, and so fast that each visit is a
        // step.
        let ppm = |i: usize| (((turn + i as u64) / 64) % 1_000_000) as u32;
        match call {
            Call::Advance => keys.enumerate().for_each(|(i, key)| {
                black_box(self.peer.advance(key, ppm(i)).expect("live"));
            }),
            Call::SameJob => unreachable!("has a job of its own"),
            Call::Snapshot => keys.for_each(|key| {
                black_box(self.peer.snapshot(key).expect("there"));
            }),
            Call::Mix => keys.enumerate().for_each(|(i, key)| {
                if i % 10 == 0 {
                    black_box(self.peer.advance(key, ppm(i)).expect("live"));
                } else {
                    black_box(self.peer.snapshot(key).expect("there"));
                }
            }),
            Call::Heartbeat => keys.for_each(|key| assert!(self.peer.heartbeat(key))),
            Call::Update => keys.for_each(|key| assert!(self.peer.update(key))),
            Call::Life => {
                let mut random = Random((turn + from as u64) | 1 << 63);
                for _ in 0..calls {
                    let key = self.peer.register(random.next());
                    assert!(self.peer.start(&key));
                    assert!(self.peer.complete(&key));
                    assert!(self.peer.remove(&key));
                }
            }
        }
    }

    fn same_job(&self, key: &P::Key, calls: usize) {
        let mut seen = 0;
        for _ in 0..calls {
            seen = self.peer.advance(key, seen + 1).expect("live");
        }
        black_box(seen);
    }
}

impl<P: Peer> Contender for Kept<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn takes_part(&self, call: Call) -> bool {
        !P::IS_LIMIT || !matches!(call, Call::Life | Call::Update)
    }

    fn run(&self, call: Call, threads: usize, calls: usize) -> f64 {
        let key = (call == Call::SameJob).then(|| {
            let key = self.peer.register(1);
            assert!(self.peer.start(&key));
            key
        });
        // Later turns continue where earlier ones ended, and other threads begin elsewhere.
        let turn = self.turn.fetch_add(calls as u64, Ordering::Relaxed);
        // Other contenders have filled the caches since. With a million jobs, no job is in the
        // cache anyway.
        if self.keys.len() <= 100_000 {
            let mut seen = self.keys.iter().map(|key| self.peer.snapshot(key));
            assert!(seen.all(|seen| seen.is_some()));
        }
        let work = |thread: usize| {
            let from = (turn as usize + thread * self.keys.len() / threads) % self.keys.len();
            let key = &key;
            move || match key {
                Some(key) => self.same_job(key, calls),
                None => self.work(call, from, calls, turn),
            }
        };
        let wall = together(threads, work);
        if let Some(key) = &key {
            assert!(self.peer.complete(key) && self.peer.remove(key));
        }
        wall.as_nanos() as f64 / calls as f64
    }
}

/// Returns the time from the first start to the last end.
fn together<F: FnOnce() + Send>(threads: usize, work: impl Fn(usize) -> F) -> Duration {
    if threads == 1 {
        let work = work(0);
        let start = Instant::now();
        work();
        return start.elapsed();
    }
    let barrier = &Barrier::new(threads);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let work = work(thread);
                scope.spawn(move || {
                    barrier.wait();
                    let start = Instant::now();
                    work();
                    (start, Instant::now())
                })
            })
            .collect();
        let times: Vec<_> = running.into_iter().map(|it| it.join().unwrap()).collect();
        let start = times.iter().map(|it| it.0).min().unwrap();
        times.iter().map(|it| it.1).max().unwrap() - start
    })
}

#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Calls in each round, for a thousand jobs. More jobs get five times as many. The threads
    /// share them.
    pub calls: usize,
}

/// Longest time of a contender in one round.
const LONGEST: Duration = Duration::from_millis(40);

pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Returns the median of each contender, in their order.
pub fn rounds(
    jobs: usize,
    contenders: &[Box<dyn Contender>],
    call: Call,
    threads: usize,
    effort: Effort,
) -> Vec<(&'static str, f64)> {
    let part: Vec<_> = contenders.iter().filter(|it| it.takes_part(call)).collect();
    let all = if jobs > 1000 { 5 } else { 1 } * effort.calls;
    let calls: Vec<_> = part
        .iter()
        .map(|it| {
            let first = it.run(call, threads, 500).max(1.0);
            let most = (LONGEST.as_nanos() as f64 / first) as usize;
            (all / threads).min(most).max(500)
        })
        .collect();
    let mut samples = vec![Vec::new(); part.len()];
    for round in 0..effort.rounds {
        // The order rotates, so that none is always first.
        for turn in 0..part.len() {
            let it = (turn + round) % part.len();
            samples[it].push(part[it].run(call, threads, calls[it]));
        }
    }
    let medians = samples.into_iter().map(median);
    part.iter().map(|it| it.name()).zip(medians).collect()
}
