//! Generates the histories: the specification serves proptest as the reference state machine.
//!
//! Generated calls fit the state: present jobs, existing handles, the exact millisecond of a
//! deadline. No check depends on it: a history remains valid if calls are left out, or if the
//! registry has chosen other jobs to sweep.

use super::api::Progress;
use super::real::{FOREIGN, stranger};
use super::script::Pace;
use super::spec::{Call, Limits, Millis, Name, Refusal, Ret, Spec, Who};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest_state_machine::ReferenceStateMachine;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    One(Call),
    /// `Lock` or `TryLock`, followed by calls under the guard. Calls of thread 1 are made on
    /// another thread.
    Locked(Call, Vec<(u32, Call)>),
    /// `lock`; then `waiter` waits on another thread; then the clock advances; then `release`
    /// releases the guard.
    Waiting {
        lock: Call,
        waiter: Call,
        millis: Millis,
        release: Call,
    },
    /// A step during which user code takes time.
    Slow(Pace, Box<Step>),
}

impl Step {
    /// Returns the expected calls in order. A section ends with the release of the lock, if it
    /// still holds it.
    fn calls(&self) -> Vec<(u32, Call)> {
        match self {
            Self::One(call) => vec![(0, call.clone())],
            Self::Locked(lock, calls) => {
                let (lock, unlock) = ((0, lock.clone()), (0, Call::Unlock));
                [lock]
                    .into_iter()
                    .chain(calls.iter().cloned())
                    .chain([unlock])
                    .collect()
            }
            Self::Waiting {
                lock,
                waiter,
                millis,
                release,
            } => vec![
                (0, lock.clone()),
                (0, Call::Tick(*millis)),
                (0, release.clone()),
                (1, waiter.clone()),
            ],
            Self::Slow(pace, step) => {
                let calls = step.calls().into_iter();
                calls
                    .chain(pace.in_hook.iter().map(|call| (0, call.clone())))
                    .collect()
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) spec: Spec,
    /// The existing handles, of all attempts.
    owners: BTreeSet<(Name, u32)>,
    /// The next name of a job or of a watch.
    next: u32,
}

pub(crate) struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Plan;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Plan> {
        let retention = select(vec![
            Duration::ZERO,
            ms(1),
            ms(20),
            ms(100),
            ms(900),
            Duration::MAX,
        ]);
        let stall_after = select(vec![
            Duration::MAX,
            ms(0),
            ms(10),
            Duration::from_micros(14_500),
        ]);
        let stop_grace = select(vec![
            Duration::MAX,
            ms(0),
            ms(7),
            Duration::from_micros(3_500),
        ]);
        (1usize..=6, retention, stall_after, stop_grace)
            .prop_map(|(capacity, retention, stall_after, stop_grace)| Plan {
                spec: Spec::new(Limits {
                    capacity,
                    retention,
                    stall_after,
                    stop_grace,
                }),
                owners: BTreeSet::new(),
                next: 0,
            })
            .boxed()
    }

    fn transitions(plan: &Plan) -> BoxedStrategy<Step> {
        let inner = prop_oneof![
            3 => Plan::guarded().prop_map(|call| (0, call)),
            2 => plan.call().prop_map(|call| (0, call)),
            2 => plan.call().prop_map(|call| (1, call)),
        ];
        let lock = (any::<bool>(), plan.who()).prop_map(|(waits, who)| {
            if waits {
                Call::Lock(who)
            } else {
                Call::TryLock(who)
            }
        });
        let next = plan.next;
        let section = (
            lock,
            prop::collection::vec(inner, 0..6),
            any::<Option<Index>>(),
            prop::option::weighted(0.2, any::<Index>()),
        );
        let attempts: BTreeMap<_, _> = plan
            .spec
            .jobs
            .iter()
            .map(|(&name, job)| (name, job.attempt()))
            .collect();
        let section = section.prop_map(move |(lock, mut calls, try_elsewhere, drop_owner)| {
            // The owner is dropped while its own job is locked, and the job may end before the lock
            // is released.
            if let (Some(place), Some(Who::Id(name))) = (drop_owner, lock.who()) {
                let attempt = attempts
                    .get(&name)
                    .map(|&attempt| Call::DropOwner(name, attempt));
                let place = place.index(calls.len() + 1);
                calls.splice(place..place, attempt.map(|call| (0, call)));
            }
            if let (Some(place), Call::Lock(who) | Call::TryLock(who)) = (try_elsewhere, &lock) {
                calls.insert(place.index(calls.len() + 1), (1, Call::TryLock(*who)));
            }
            // Each of them was made with the same next name.
            for (name, made) in (next..).zip(&mut calls) {
                if let (
                    _,
                    Call::Register(new, _) | Call::RegisterWith(new, ..) | Call::Watch(_, new),
                ) = made
                {
                    *new = name;
                }
            }
            Step::Locked(lock, calls)
        });
        let section = section.boxed();
        let slow = (
            plan.pace(),
            prop_oneof![
                6 => plan.slow_call().prop_map(Step::One),
                1 => section.clone(),
            ],
        );
        let slow = slow.prop_map(|(pace, step)| Step::Slow(pace, Box::new(step)));
        prop_oneof![
            9 => plan.call().prop_map(Step::One),
            1 => section,
            1 => slow,
            1 => plan.waiting(),
        ]
        .boxed()
    }

    fn apply(mut plan: Plan, step: &Step) -> Plan {
        let present = |plan: &Plan| plan.spec.jobs.values().filter(|job| !job.removed).count();
        for (thread, call) in step.calls() {
            let before = present(&plan);
            plan.follow(thread, &call);
            if let Step::Slow(pace, _) = step {
                let removed = before.saturating_sub(present(&plan)) as Millis;
                plan.spec.now += removed * (pace.hook + pace.destructor);
            }
        }
        plan
    }
}

impl Plan {
    fn follow(&mut self, thread: u32, call: &Call) {
        if let Call::Register(..) | Call::RegisterWith(..) = call {
            let now = self.spec.now;
            let jobs = self.spec.jobs.iter();
            let due = jobs.filter(|(_, job)| job.is_due(now) || job.is_overdue(now));
            for name in due.map(|(&name, _)| name).take(2).collect::<Vec<_>>() {
                self.spec.apply_from(thread, &Call::Collect(name));
            }
        }
        let answer = self.spec.apply_from(thread, call);
        match (call, answer) {
            (_, Ret::Refused(Refusal::Impossible)) => {}
            (Call::Register(name, _) | Call::RegisterWith(name, ..), Ret::Done) => {
                self.owners.insert((*name, 1));
            }
            (Call::Retry(Who::Id(name) | Who::Handle(name, _)), Ret::Attempt(attempt)) => {
                self.owners.insert((*name, attempt));
            }
            (Call::DropOwner(name, attempt) | Call::Detach(name, attempt), _) => {
                self.owners.remove(&(*name, *attempt));
            }
            _ => {}
        }
        if let Call::Register(new, _) | Call::RegisterWith(new, ..) | Call::Watch(_, new) = call {
            self.next = self.next.max(new + 1);
        }
    }

    /// Generates present jobs, handles of all attempts, removed jobs, and ids that were never
    /// issued.
    fn who(&self) -> BoxedStrategy<Who> {
        let owners = self
            .owners
            .iter()
            .map(|&(name, attempt)| Who::Handle(name, attempt));
        let (here, gone): (Vec<_>, Vec<_>) = owners.partition(|who| match who {
            Who::Handle(name, _) => self.spec.jobs.get(name).is_some_and(|job| !job.removed),
            Who::Id(_) | Who::Guard => false,
        });
        let id = self.name().prop_map(Who::Id).boxed();
        one_of(vec![(12, Some(id)), (8, any_of(here)), (1, any_of(gone))])
    }

    fn name(&self) -> BoxedStrategy<Name> {
        let jobs = || self.spec.jobs.iter();
        let here: Vec<_> = jobs()
            .filter(|(_, job)| !job.removed)
            .map(|(&name, _)| name)
            .collect();
        let gone: Vec<_> = jobs()
            .filter(|(_, job)| job.removed)
            .map(|(&name, _)| name)
            .collect();
        // The bits of an id are, from the lowest: slot, generation, nonce.
        let bit = prop_oneof![0u32..128, 32u32..36, 0u32..4];
        let victims: Vec<_> = jobs()
            .map(|(&name, _)| name)
            .filter(|name| *name < 256)
            .collect();
        let forged = any_of(victims).map(|victim| {
            (victim, bit)
                .prop_map(|(of, bit)| stranger(of, bit))
                .boxed()
        });
        one_of(vec![
            (16, any_of(here)),
            (2, any_of(gone)),
            (1, forged),
            (1, Some(Just(FOREIGN).boxed())),
        ])
    }

    fn owner(&self) -> BoxedStrategy<(Name, u32)> {
        one_of(vec![
            (20, any_of(self.owners.iter().copied().collect())),
            (1, Some(Just((FOREIGN, 1)).boxed())),
        ])
    }

    /// Generates advances to just before the next deadline, exactly to it, and just after it.
    fn tick(&self) -> BoxedStrategy<u64> {
        let jobs = self.spec.jobs.values().filter(|job| !job.removed);
        let soon = jobs.flat_map(|job| {
            let limit = u64::try_from(self.spec.limits.stall_after.as_millis()).unwrap_or(0);
            let moments = [
                job.record.removal.unwrap_or(0),
                job.record.view.beat + limit,
                job.stop_by.unwrap_or(0),
                job.fail_by.unwrap_or(0),
            ];
            moments
                .into_iter()
                .flat_map(|moment| [moment.saturating_sub(1), moment, moment + 1])
        });
        let soon = soon
            .filter_map(|moment| moment.checked_sub(self.spec.now))
            .filter(|wait| *wait < 1_000);
        one_of(vec![
            (3, any_of(soon.collect())),
            (1, Some((0u64..50).boxed())),
        ])
    }

    fn call(&self) -> BoxedStrategy<Call> {
        let (who, next) = (|| self.who(), self.next);
        let watch = one_of(vec![
            (20, any_of(self.spec.watches.keys().copied().collect())),
            (1, Some((0..=next).boxed())),
        ]);
        prop_oneof![
            7 => (0u64..10).prop_map(move |digits| Call::Register(next, digits)),
            3 => (0u64..10, delay())
                .prop_map(move |(digits, deadline)| Call::RegisterWith(next, digits, deadline)),
            9 => self.tick().prop_map(Call::Tick),
            9 => who().prop_map(Call::Start),
            9 => (who(), progress()).prop_map(|(who, to)| Call::Advance(who, to)),
            6 => who().prop_map(Call::Heartbeat),
            6 => who().prop_map(Call::Complete),
            5 => (who(), select(vec!["", "no disk"])).prop_map(|(who, why)| Call::Fail(who, why)),
            3 => who().prop_map(Call::Cancel),
            2 => (who(), reason()).prop_map(|(who, why)| Call::CancelBecause(who, why)),
            8 => (who(), reason()).prop_map(|(who, why)| Call::RequestStop(who, why)),
            4 => (who(), note()).prop_map(|(who, note)| Call::Note(who, note)),
            4 => (who(), progress(), note()).prop_map(|(who, to, note)| Call::Report(who, to, note)),
            2 => who().prop_map(Call::Details),
            5 => (who(), 0u8..10).prop_map(|(who, digit)| Call::Update(who, digit)),
            2 => who().prop_map(Call::Panic),
            2 => who().prop_map(Call::Lock),
            2 => who().prop_map(Call::TryLock),
            2 => who().prop_map(Call::Snapshot),
            2 => self.name().prop_map(Call::Get),
            5 => (who(), delay()).prop_map(|(who, delay)| Call::RemoveAfter(who, delay)),
            4 => who().prop_map(Call::Remove),
            4 => Just(Call::Sweep),
            6 => who().prop_map(Call::Retry),
            3 => self.owner().prop_map(|(name, attempt)| Call::DropOwner(name, attempt)),
            3 => self.owner().prop_map(|(name, attempt)| Call::Detach(name, attempt)),
            4 => Just(Call::FailStalled),
            3 => self.name().prop_map(move |name| Call::Watch(name, next)),
            6 => watch.clone().prop_map(Call::Poll),
            3 => watch.prop_map(Call::Unwatch),
            1 => select(vec![Call::Stalled, Call::Iter, Call::Len, Call::Counts]),
        ]
        .boxed()
    }

    /// Generates calls that run user code.
    fn slow_call(&self) -> BoxedStrategy<Call> {
        let (who, next) = (|| self.who(), self.next);
        let watched: Vec<_> = self.spec.watches.values().map(|watch| watch.job).collect();
        let watched = watched.into_iter().filter(|name| {
            self.spec
                .jobs
                .get(name)
                .is_some_and(|job| !job.status().is_ended())
        });
        let watched = any_of(watched.collect()).map(|name| {
            let who = || name.clone().prop_map(Who::Id);
            prop_oneof![
                who().prop_map(Call::Start),
                who().prop_map(Call::Cancel),
                who().prop_map(|who| Call::RequestStop(who, "the user left")),
                (who(), note()).prop_map(|(who, note)| Call::Note(who, note)),
                (who(), progress(), note()).prop_map(|(who, to, note)| Call::Report(who, to, note)),
                Just(Call::FailStalled),
            ]
            .boxed()
        });
        let watched = one_of(vec![(1, watched.or(Some(Just(Call::Sweep).boxed())))]);
        prop_oneof![
            4 => watched,
            6 => Just(Call::Sweep),
            4 => (0u64..10).prop_map(move |digits| Call::Register(next, digits)),
            3 => Just(Call::FailStalled),
            2 => who().prop_map(Call::Remove),
            2 => who().prop_map(Call::Panic),
            1 => who().prop_map(Call::Retry),
            3 => self.call(),
        ]
        .boxed()
    }

    fn pace(&self) -> BoxedStrategy<Pace> {
        let millis = || prop_oneof![Just(0), 0..30u64];
        let who = || self.name().prop_map(Who::Id);
        let in_hook = prop_oneof![
            4 => (who(), delay()).prop_map(|(who, delay)| Call::RemoveAfter(who, delay)),
            1 => who().prop_map(Call::Start),
            1 => who().prop_map(Call::Heartbeat),
            1 => who().prop_map(Call::Complete),
            1 => who().prop_map(Call::Cancel),
            1 => who().prop_map(|who| Call::CancelBecause(who, "in a hook")),
            2 => who().prop_map(|who| Call::RequestStop(who, "in a hook")),
            1 => (who(), note()).prop_map(|(who, note)| Call::Note(who, note)),
            1 => (who(), progress(), note()).prop_map(|(who, to, note)| Call::Report(who, to, note)),
            1 => Just(Call::Sweep),
        ];
        let in_hook = prop::collection::vec(in_hook, 0..4);
        let pace = (millis(), millis(), millis(), millis(), in_hook);
        pace.prop_map(|(hook, destructor, waker, section, in_hook)| Pace {
            hook,
            destructor,
            waker,
            section,
            in_hook,
        })
        .boxed()
    }

    /// Generates a call that must wait for a guard of its job.
    fn waiting(&self) -> BoxedStrategy<Step> {
        let owners = self.owners.clone();
        let release = prop_oneof![
            3 => Just(Call::Unlock),
            1 => Just(Call::Complete(Who::Guard)),
            1 => Just(Call::Fail(Who::Guard, "under the lock")),
            1 => Just(Call::Cancel(Who::Guard)),
            1 => Just(Call::CancelBecause(Who::Guard, "under the lock")),
            1 => Just(Call::Panic(Who::Guard)),
        ];
        let millis = prop_oneof![1u64..30, self.tick()];
        let by_handle = any::<bool>();
        let kind = (0..20u8, 0u8..10, delay());
        let who = self.who();
        (who, by_handle, kind, millis, release)
            .prop_map(
                move |(held, by_handle, (kind, digit, delay), millis, release)| {
                    let (Who::Id(name) | Who::Handle(name, _)) = held else {
                        unreachable!("a guard is not held yet")
                    };
                    let owner = owners.iter().rfind(|(owned, _)| *owned == name);
                    let who = match (held, owner) {
                        (Who::Id(_), Some(&(name, attempt))) if by_handle => {
                            Who::Handle(name, attempt)
                        }
                        _ => Who::Id(name),
                    };
                    let waiter = match (kind, owner) {
                        (0 | 1, _) => Call::Start(who),
                        (2, _) => Call::Complete(who),
                        (3, _) => Call::Fail(who, "no disk"),
                        (4, _) => Call::Cancel(who),
                        (5, _) => Call::Update(who, digit),
                        (6, _) => Call::Panic(who),
                        (7, _) => Call::Lock(who),
                        (8, _) => Call::Get(name),
                        (9 | 10, _) => Call::RemoveAfter(who, delay),
                        (11, _) => Call::Remove(who),
                        (12, _) => Call::CancelBecause(who, "the user left"),
                        (13 | 14, _) => Call::RequestStop(who, "the user left"),
                        (15, _) => Call::Note(who, "first slide"),
                        (16, _) => Call::Report(who, Progress::DONE, "last slide"),
                        (17, Some(&(name, attempt))) => Call::DropOwner(name, attempt),
                        _ => Call::Retry(who),
                    };
                    Step::Waiting {
                        lock: Call::Lock(held),
                        waiter,
                        millis,
                        release,
                    }
                },
            )
            .boxed()
    }

    /// Generates calls through a guard.
    fn guarded() -> BoxedStrategy<Call> {
        let held = Who::Guard;
        prop_oneof![
            3 => Just(Call::Start(held)),
            3 => progress().prop_map(move |to| Call::Advance(held, to)),
            2 => Just(Call::Heartbeat(held)),
            2 => (0u8..10).prop_map(move |digit| Call::Update(held, digit)),
            1 => Just(Call::Snapshot(held)),
            1 => Just(Call::Complete(held)),
            1 => Just(Call::Fail(held, "under the lock")),
            1 => Just(Call::Cancel(held)),
            1 => reason().prop_map(move |why| Call::CancelBecause(held, why)),
            2 => note().prop_map(move |note| Call::Note(held, note)),
            2 => (progress(), note()).prop_map(move |(to, note)| Call::Report(held, to, note)),
            1 => Just(Call::Panic(held)),
        ]
        .boxed()
    }
}

fn reason() -> impl Strategy<Value = &'static str> {
    select(vec!["", "the user left"])
}

fn note() -> impl Strategy<Value = &'static str> {
    select(vec!["", "first slide", "last slide"])
}

fn progress() -> impl Strategy<Value = Progress> {
    let ppm = prop_oneof![0u32..=1_000_000, Just(0), Just(1), 999_999u32..=1_000_000];
    ppm.prop_map(|ppm| Progress::from_ppm(ppm).expect("at most a million"))
}

/// Generates delays, among them one that is rounded up and several that mean never.
fn delay() -> impl Strategy<Value = Duration> {
    let ends = vec![
        Duration::ZERO,
        Duration::from_nanos(1),
        ms(u64::MAX),
        Duration::MAX,
    ];
    // The due queue has distant removals some milliseconds early.
    prop_oneof![6 => (0u64..40).prop_map(ms), 3 => (300u64..1_000).prop_map(ms), 6 => select(ends)]
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn any_of<V: Clone + std::fmt::Debug + 'static>(values: Vec<V>) -> Option<BoxedStrategy<V>> {
    (!values.is_empty()).then(|| select(values).boxed())
}

/// Generates one of the given values.
fn one_of<V: std::fmt::Debug + 'static>(
    strategies: Vec<(u32, Option<BoxedStrategy<V>>)>,
) -> BoxedStrategy<V> {
    let there = strategies
        .into_iter()
        .filter_map(|(weight, strategy)| Some((weight, strategy?)));
    proptest::strategy::Union::new_weighted(there.collect()).boxed()
}
