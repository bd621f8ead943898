//! The state of a group of jobs, by the specification of the library.

use super::call::{Verb, millis};
use super::client::{RETENTION, STALL_AFTER, STOP_GRACE, key_life};
use super::history::Op;
use super::log::Nonce;
use crate::tests::spec::{Call, Limits, Name, Refusal, Ret, Spec, View, Who};
use job_registry::KeyLife;
use std::collections::BTreeMap;

/// The jobs of a group, the nonces of their attempts,
/// and the job to which the client's key leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    spec: Spec,
    nonces: BTreeMap<Name, Nonce>,
    key: Option<Name>,
}

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

    fn perform(&mut self, op: &Op) -> String {
        let name = op.job;
        match op.verb {
            Verb::Register(payload, deadline) => {
                let call = match deadline {
                    None => Call::Register(name, payload),
                    Some(deadline) => Call::RegisterWith(name, payload, millis(Some(deadline))),
                };
                self.register(op, &call)
            }
            Verb::RegisterKey(key, payload) => {
                if let Some(other) = self
                    .key
                    .filter(|other| self.is_led_to(*other, key_life(key)))
                {
                    return format!("Existing({other})");
                }
                let answer = self.register(op, &Call::Register(name, payload));
                self.key = Some(name);
                answer
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
