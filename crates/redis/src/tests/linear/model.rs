//! The state of a group of jobs, by the specification of the library.

use super::call::{Verb, millis};
use super::client::{RETENTION, STALL_AFTER, STOP_GRACE, key_life};
use super::history::Op;
use super::log::Nonce;
use crate::tests::api::Status;
use crate::tests::spec::{Call, Limits, Name, Refusal, Ret, Spec, View, Who};
use job_registry::KeyLife;
use std::collections::BTreeMap;

/// The jobs of a group, the nonces of their attempts,
/// and the job to which the client's key leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    spec: Spec,
    nonces: BTreeMap<Name, Nonce>,
    /// The job, and the number of the fingerprint.
    key: Option<(Name, u8)>,
    leases: BTreeMap<Name, Held>,
}

/// A lease that was taken, and not given up. It may be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Held {
    token: Nonce,
    /// Time at which it is over.
    until: u64,
    /// A renewal is a change, also within the same millisecond.
    renewals: u32,
}

/// Answers of calls that a lease forbids.
const BUSY: &str = "Refused(Busy)";
const LOST: &str = "LockLost";

fn limits() -> Limits {
    Limits {
        capacity: 1 << 20,
        retention: millis(Some(RETENTION)),
        stall_after: millis(Some(STALL_AFTER)),
        stop_grace: millis(Some(STOP_GRACE)),
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            spec: Spec::new(limits()),
            nonces: BTreeMap::new(),
            key: None,
            leases: BTreeMap::new(),
        }
    }
}

impl State {
    /// Applies a call at its time of the server, and returns the text of its answer and the state
    /// after it.
    pub(super) fn apply(&self, op: &Op) -> (String, Self) {
        let mut next = self.clone();
        let answer = next.perform(op);
        next.spec.now = 0;
        (answer, next)
    }

    /// Applies a call. Returns the state after it if the call can give the answer that it gave.
    pub(super) fn explain(&self, op: &Op) -> Option<Self> {
        let (answer, next) = self.apply(op);
        let is_the_same = op.answer.as_ref().is_none_or(|given| *given == answer);
        is_the_same.then_some(next)
    }

    /// Performs a call, unless a lease forbids it: that of another caller, or that of the caller's
    /// guard, which is over. Nobody else writes the payload of a leased job, ends it or retries it.
    fn perform(&mut self, op: &Op) -> String {
        let before = self.clone();
        let answer = self.perform_without_lease(op);
        let attempt = |of: &Self| {
            let job = of.spec.jobs.get(&op.job);
            job.map(|job| (job.attempt(), job.status().is_ended()))
        };
        let (was, is) = (attempt(&before), attempt(self));
        let was_live = matches!(was, Some((_, false)));
        let is_ending = was_live && was != is;
        let is_update = matches!(op.verb, Verb::Update(_)) && !answer.starts_with("Refused");
        let is_sweep = matches!(op.verb, Verb::Collect(_)) && was_live;
        if (is_ending || is_update || is_sweep) && before.is_forbidden(op) {
            *self = before;
            return match op.verb {
                Verb::Verdict => "none",
                Verb::Collect(_) => "leased",
                _ if op.lease.is_some() => LOST,
                _ => BUSY,
            }
            .to_owned();
        }
        if is_ending {
            self.leases.remove(&op.job);
            self.store_payload(op);
        }
        answer
    }

    fn perform_without_lease(&mut self, op: &Op) -> String {
        let name = op.job;
        match op.verb {
            Verb::Register(payload, deadline) => {
                let call = match deadline {
                    None => Call::Register(name, payload),
                    Some(deadline) => Call::RegisterWith(name, payload, millis(Some(deadline))),
                };
                self.register(op, &call)
            }
            Verb::RegisterKey(key, payload, print) => {
                let leads = |(other, _): &(Name, u8)| self.is_led_to(*other, key_life(key));
                match self.key.filter(leads) {
                    Some((_, other)) if other != print => return "Mismatch".to_owned(),
                    Some((other, _)) => return format!("Existing({other})"),
                    None => {}
                }
                let answer = self.register(op, &Call::Register(name, payload));
                self.key = Some((name, print));
                answer
            }
            Verb::TryLock(_) | Verb::Lock(_) | Verb::Save | Verb::Renew(_) | Verb::Release => {
                self.use_lease(op)
            }
            Verb::Tried => self.refusal(op).unwrap_or_else(|| {
                let answer = if self.is_forbidden(op) {
                    BUSY
                } else {
                    "Conflict"
                };
                answer.to_owned()
            }),
            Verb::Payload => match self.at(0, &Call::Get(name)) {
                Ret::Record(record) => text(Ret::Payload(record.payload)),
                answer => text(answer),
            },
            Verb::FailOrCancel(why) => {
                let job = self.spec.jobs.get(&name);
                let is_stopping = job.is_some_and(|job| job.status() == Status::Stopping);
                let who = self.who(op);
                let call = if is_stopping {
                    Call::Cancel(who)
                } else {
                    Call::Fail(who, super::call::text(why))
                };
                text(self.at(self.ordered(op), &call))
            }
            Verb::Verdict => match self.at(op.now, &Call::Verdict(Who::Id(name))) {
                Ret::Views(failed) => failed
                    .first()
                    .map_or_else(|| "none".to_owned(), |view| text(Ret::View(*view))),
                _ => "none".to_owned(),
            },
            Verb::Collect(began) => self.collect(op, began).to_owned(),
            Verb::Retry => {
                let answer = self.at(op.now, &Call::Retry(self.who(op)));
                if matches!(answer, Ret::Attempt(_)) {
                    self.nonces.insert(name, op.begins);
                }
                text(answer)
            }
            Verb::Heartbeat => text(self.at(op.now, &Call::Heartbeat(self.who(op)))),
            // Reads are not fenced.
            Verb::Snapshot | Verb::Listed => text(self.at(0, &Call::Snapshot(Who::Id(name)))),
            Verb::Details => text(self.at(0, &Call::Details(Who::Id(name)))),
            Verb::Get => text(self.at(0, &Call::Get(name))),
            verb => {
                let call = verb
                    .call(self.who(op))
                    .expect("a call of the specification");
                match self.at(self.ordered(op), &call) {
                    // This registry returns no payload.
                    Ret::Payload(_) if verb == Verb::Remove => text(Ret::Done),
                    answer => text(answer),
                }
            }
        }
    }

    /// Takes, keeps or gives up a lease.
    fn use_lease(&mut self, op: &Op) -> String {
        if let Some(refusal) = self.refusal(op) {
            return refusal;
        }
        let token = op.lease.expect("a token").token;
        let is_taken = matches!(op.verb, Verb::TryLock(_) | Verb::Lock(_));
        let holder = self.holder(op);
        if is_taken && holder.is_some_and(|holder| holder != token) {
            return BUSY.to_owned();
        }
        if !is_taken && holder != Some(token) {
            return LOST.to_owned();
        }
        self.store_payload(op);
        match op.verb {
            Verb::TryLock(lease) | Verb::Lock(lease) => {
                let (until, renewals) = (op.now + lease, 0);
                let held = Held {
                    token,
                    until,
                    renewals,
                };
                self.leases.insert(op.job, held);
            }
            Verb::Renew(lease) => {
                let held = self.leases.get_mut(&op.job).expect("a lease");
                held.until = op.now + lease;
                held.renewals += 1;
            }
            Verb::Release => {
                self.leases.remove(&op.job);
            }
            _ => {}
        }
        text(Ret::Done)
    }

    /// Stores the payload of a guard.
    fn store_payload(&mut self, op: &Op) {
        let payload = op.lease.and_then(|lease| lease.payload);
        if let (Some(payload), Some(job)) = (payload, self.spec.jobs.get_mut(&op.job)) {
            job.record.payload = payload;
            // An ending is a visible change itself.
            if !job.status().is_ended() {
                job.revise();
            }
        }
    }

    /// Returns the refusal of every step of the caller, if there is one.
    fn refusal(&self, op: &Op) -> Option<String> {
        let answer = self.spec.clone().apply(&Call::Note(self.who(op), ""));
        matches!(answer, Ret::Refused(_)).then(|| text(answer))
    }

    /// Returns the token that holds the lease of a job.
    fn holder(&self, op: &Op) -> Option<Nonce> {
        let held = self.leases.get(&op.job).filter(|held| op.now < held.until);
        held.map(|held| held.token)
    }

    /// Whether the lease, or the loss of it, forbids the call.
    fn is_forbidden(&self, op: &Op) -> bool {
        let holder = self.holder(op);
        match op.lease {
            Some(lease) => holder != Some(lease.token),
            None => holder.is_some(),
        }
    }

    fn at(&mut self, now: u64, call: &Call) -> Ret {
        self.spec.now = now;
        self.spec.apply(call)
    }

    fn register(&mut self, op: &Op, call: &Call) -> String {
        let answer = self.at(op.now, call);
        if answer == Ret::Done {
            self.nonces.insert(op.job, op.begins);
        }
        text(answer)
    }

    fn is_led_to(&self, name: Name, life: KeyLife) -> bool {
        self.spec.jobs.get(&name).is_some_and(|job| {
            !job.removed && (life == KeyLife::UntilRemoved || !job.status().is_ended())
        })
    }

    /// Returns the subject of a call. A fence of another attempt, or of one with another nonce, is
    /// that of an attempt that does not exist.
    fn who(&self, op: &Op) -> Who {
        match op.fence {
            None => Who::Id(op.job),
            Some((attempt, nonce)) if self.nonces.get(&op.job) == Some(&nonce) => {
                Who::Handle(op.job, attempt)
            }
            Some(_) => Who::Handle(op.job, u32::MAX),
        }
    }

    /// Returns the time of a call, which is not before the times of the job.
    fn ordered(&self, op: &Op) -> u64 {
        self.spec.jobs.get(&op.job).map_or(op.now, |job| {
            let (started, ended) = (job.record.started, job.record.ended);
            let times = [Some(op.now), Some(job.record.registered), started, ended];
            times.into_iter().flatten().max().unwrap_or(op.now)
        })
    }

    /// Carries out what was due when the sweep began.
    fn collect(&mut self, op: &Op, began: u64) -> &'static str {
        let Some(job) = self.spec.jobs.get(&op.job).filter(|job| !job.removed) else {
            return "none";
        };
        if job.is_overdue(began) && !job.status().is_ended() {
            let is_stopped = job.stop_by.is_some_and(|time| time <= began);
            let now = self.ordered(op);
            self.at(now, &Call::Expire(op.job, began));
            return if is_stopped { "cancelled" } else { "expired" };
        }
        if job.is_due(began) {
            self.at(began, &Call::Collect(op.job));
            return "removed";
        }
        "none"
    }
}

/// Returns the text of an answer. A state does not name its job, which each process names
/// otherwise.
fn text(answer: Ret) -> String {
    let nameless = |view: View| View { job: 0, ..view };
    let answer = match answer {
        // There is no job yet, and its id was issued.
        Ret::Refused(Refusal::NotFound) => Ret::Refused(Refusal::Gone),
        Ret::View(view) => Ret::View(nameless(view)),
        Ret::Details(mut record) => {
            record.view = nameless(record.view);
            Ret::Details(record)
        }
        Ret::Record(mut record) => {
            record.view = nameless(record.view);
            Ret::Record(record)
        }
        answer => answer,
    };
    format!("{answer:?}")
}
