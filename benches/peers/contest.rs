//! Rounds in which this crate and its peers alternate, and the medians of the rounds.

use crate::peer::Peer;
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A measured call, or mix of calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Advance,
    /// Advances one job from all threads.
    SameJob,
    Snapshot,
    /// Reads nine times for each `advance`.
    Mix,
    Heartbeat,
    Update,
    /// Registers, starts, completes and removes a job, while the other jobs remain.
    Cycle,
}

/// A peer with its jobs.
pub struct Populated<P: Peer> {
    pub peer: P,
    /// Shuffled keys. An iteration visits the jobs in random order while it reads the keys in
    /// sequence.
    pub keys: Vec<P::Key>,
    position: AtomicU64,
}

/// A populated peer of any type.
pub trait Contender {
    fn name(&self) -> &'static str;
    fn supports(&self, call: Call) -> bool;
    /// Returns the nanoseconds of a call. Each of `threads` makes `calls` calls.
    fn run(&self, call: Call, threads: usize, calls: usize) -> f64;
}

/// A xorshift generator.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl<P: Peer> Populated<P> {
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
            position: AtomicU64::new(0),
        }
    }

    fn work(&self, call: Call, from: usize, calls: usize, position: u64) {
        let keys = self.keys[from..].iter().chain(self.keys.iter().cycle());
        let keys = keys.take(calls);
        // The progress grows slowly, so that it does not reach 100 %. It grows between two visits
        // of a job, so that each is a step.
        let ppm = |i: usize| (((position + i as u64) / 64) % 1_000_000) as u32;
        match call {
            Call::Advance => keys.enumerate().for_each(|(i, key)| {
                black_box(self.peer.advance(key, ppm(i)).expect("live"));
            }),
            Call::SameJob => unreachable!("`same_job` makes this call"),
            Call::Snapshot => keys.for_each(|key| {
                black_box(self.peer.snapshot(key).expect("registered"));
            }),
            Call::Mix => keys.enumerate().for_each(|(i, key)| {
                if i % 10 == 0 {
                    black_box(self.peer.advance(key, ppm(i)).expect("live"));
                } else {
                    black_box(self.peer.snapshot(key).expect("registered"));
                }
            }),
            Call::Heartbeat => keys.for_each(|key| assert!(self.peer.heartbeat(key))),
            Call::Update => keys.for_each(|key| assert!(self.peer.update(key))),
            Call::Cycle => {
                let mut random = Random((position + from as u64) | 1 << 63);
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

impl<P: Peer> Contender for Populated<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn supports(&self, call: Call) -> bool {
        !P::IS_LIMIT || !matches!(call, Call::Cycle | Call::Update)
    }

    fn run(&self, call: Call, threads: usize, calls: usize) -> f64 {
        let key = (call == Call::SameJob).then(|| {
            let key = self.peer.register(1);
            assert!(self.peer.start(&key));
            key
        });
        // Later rounds continue where earlier ones ended. Threads begin at different jobs.
        let position = self.position.fetch_add(calls as u64, Ordering::Relaxed);
        // The other contenders have evicted these jobs from the caches. 1,000,000 jobs exceed the
        // caches anyway.
        if self.keys.len() <= 100_000 {
            let mut seen = self.keys.iter().map(|key| self.peer.snapshot(key));
            assert!(seen.all(|seen| seen.is_some()));
        }
        let work = |thread: usize| {
            let from = (position as usize + thread * self.keys.len() / threads) % self.keys.len();
            let key = &key;
            move || match key {
                Some(key) => self.same_job(key, calls),
                None => self.work(call, from, calls, position),
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

/// Size of each measurement.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Calls in each round with 1,000 jobs, shared among the threads. With more jobs,
    /// there are five times as many.
    pub calls: usize,
}

/// Approximate limit of a contender's time in one round.
const LONGEST: Duration = Duration::from_millis(40);

pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Returns the name and median of each contender that supports the call, in the given order.
pub fn rounds(
    jobs: usize,
    contenders: &[Box<dyn Contender>],
    call: Call,
    threads: usize,
    effort: Effort,
) -> Vec<(&'static str, f64)> {
    let entrants: Vec<_> = contenders.iter().filter(|it| it.supports(call)).collect();
    let all = if jobs > 1000 { 5 } else { 1 } * effort.calls;
    let calls: Vec<_> = entrants
        .iter()
        .map(|it| {
            let first = it.run(call, threads, 500).max(1.0);
            let most = (LONGEST.as_nanos() as f64 / first) as usize;
            (all / threads).min(most).max(500)
        })
        .collect();
    let mut samples = vec![Vec::new(); entrants.len()];
    for round in 0..effort.rounds {
        // The order rotates, so that no contender is always first.
        for place in 0..entrants.len() {
            let it = (place + round) % entrants.len();
            samples[it].push(entrants[it].run(call, threads, calls[it]));
        }
    }
    let medians = samples.into_iter().map(median);
    entrants.iter().map(|it| it.name()).zip(medians).collect()
}
