//! A history: the calls of all processes, by groups of jobs that are judged apart.

use super::call::{Lease, Verb};
use super::log::{Entry, Kind, Nonce, nonce};
use super::sent::Sent;
use super::work;
use crate::tests::spec::Name;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// The end of a call that was never answered.
pub(super) const NEVER: u64 = u64::MAX;

/// Counter of the leased jobs that sweeps have left alone.
const LEASED: &str = "leased jobs in sweeps";

/// A call on one job, or the part of a call that concerns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Op {
    /// The caller, as `process.caller`.
    pub(super) caller: String,
    pub(super) begun: u64,
    /// [`NEVER`] if the outcome is unknown.
    pub(super) ended: u64,
    /// Time until which an effect was possible: the end, or for an unknown outcome that of the next
    /// call of the process that was answered.
    pub(super) until: u64,
    pub(super) job: Name,
    pub(super) fence: Option<(u32, Nonce)>,
    /// The lease that it takes, or that its guard has.
    pub(super) lease: Option<Lease>,
    pub(super) verb: Verb,
    /// Text of the answer; `None` if it is unknown.
    pub(super) answer: Option<String>,
    /// The server's clock, as the script has read it.
    pub(super) now: u64,
    pub(super) nonce: Option<Nonce>,
    /// Nonce of the attempt that the call begins.
    pub(super) begins: Nonce,
    /// Number of the change that the reply named.
    pub(super) seq: Option<u64>,
    pub(super) is_of_task: bool,
}

/// An effect on a job of a group: the index of its call, and the number of the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) op: usize,
    pub(super) seq: u64,
    /// Its place in the log.
    pub(super) place: usize,
}

/// The jobs of one client's key, or one job.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) ids: Vec<String>,
    pub(super) ops: Vec<Op>,
    /// In the order of the store.
    pub(super) effects: Vec<Effect>,
}

/// Numbers of events, some of which a test requires.
pub(super) type Counters = BTreeMap<String, u64>;

/// The calls of all processes on all jobs.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) groups: Vec<Group>,
    /// Contradictions that were found without a judge.
    pub(super) contradictions: Vec<String>,
    pub(super) counters: Counters,
}

/// A call as it was recorded.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    caller: String,
    pub(super) begun: u64,
    pub(super) id: Option<String>,
    pub(super) fence: Option<(u32, Nonce)>,
    lease: Option<Lease>,
    pub(super) verb: Verb,
    pub(super) sent: Vec<Sent>,
    /// `None` if the process was killed.
    pub(super) end: Option<(u64, String)>,
    /// Whether a part of it may have been executed in another history of the store.
    pub(super) is_split: bool,
    /// Whether a task has made it, which tells nobody the answer.
    pub(super) is_of_task: bool,
}

impl Recorded {
    fn answer(&self) -> Option<&str> {
        let answer = self.end.as_ref().map(|(_, answer)| answer.as_str());
        answer.filter(|answer| *answer != "Unknown")
    }

    pub(super) fn process(&self) -> &str {
        self.caller.split('.').next().expect("a process")
    }

    /// Whether the client was told that nothing has happened.
    fn had_no_effect(&self) -> bool {
        let answer = self.answer().unwrap_or_default();
        let is_busy = answer == "Refused(Busy)" && self.verb.is_registration();
        is_busy
            || ["NotSent", "Rejected"]
                .iter()
                .any(|no| answer.starts_with(no))
    }

    /// Whether the client was told that this script had no effect. The outcome of an earlier script
    /// of the call may be unknown.
    fn has_not_made(&self, sent: &Sent) -> bool {
        let is_last = self.nonce() == Some(sent.nonce);
        self.had_no_effect() && is_last && sent.reply.is_none()
    }

    /// Whether it may have sent several scripts, one after the other.
    fn may_send_several(&self) -> bool {
        self.verb.is_of_scripts() || matches!(self.verb, Verb::Update(_))
    }
}

/// Reads the records of all processes.
pub(super) fn recorded(folder: &Path) -> Vec<Recorded> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).expect("the folder") {
        let path = file.expect("a file").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = || std::fs::read_to_string(&path).expect("a text");
        if let Some(caller) = name.strip_prefix("calls-") {
            all.extend(calls(&caller.replace('-', "."), &text()));
        } else if let Some(process) = name.strip_prefix("spawned-") {
            all.extend(by_tasks(process, &text()));
        }
    }
    all.sort_by_key(|call| call.begun);
    all
}

fn calls(caller: &str, text: &str) -> Vec<Recorded> {
    let mut calls: Vec<Recorded> = Vec::new();
    for line in text.lines() {
        let mut words = line.splitn(8, ' ');
        let mut word = || words.next().expect("a word");
        match word() {
            ">" => {
                let begun = word().parse().expect("a time");
                let id = Some(word()).filter(|id| *id != "-").map(str::to_owned);
                let attempt = word().parse().ok();
                let of = word();
                let (token, payload) = (word(), word());
                let lease = (token != "-").then(|| Lease {
                    token: nonce(token),
                    payload: payload.parse().ok(),
                });
                calls.push(Recorded {
                    caller: caller.to_owned(),
                    begun,
                    id,
                    fence: attempt.map(|attempt| (attempt, nonce(of))),
                    lease,
                    verb: Verb::parse(word()),
                    sent: Vec::new(),
                    end: None,
                    is_split: false,
                    is_of_task: false,
                });
            }
            "n" => calls
                .last_mut()
                .expect("a call")
                .sent
                .push(Sent::parse(line)),
            "r" => {
                let sent = &mut calls.last_mut().expect("a call").sent;
                Sent::add_reply(line, sent.iter_mut().rev());
            }
            "x" => {
                let call = calls.last_mut().expect("a call");
                // The answer of another call says so. A work goes on.
                if matches!(call.verb, Verb::Run(..)) {
                    let not_executed = nonce(word());
                    call.sent.retain(|sent| sent.nonce != not_executed);
                }
            }
            _ => {
                let (_, rest) = line.split_once(' ').expect("a time");
                let (time, answer) = rest.split_once(' ').expect("an answer");
                let end = (time.parse().expect("a time"), answer.to_owned());
                calls.last_mut().expect("a call").end = Some(end);
            }
        }
    }
    calls
}

/// Returns the scripts that the tasks of a process have sent, each as a call.
fn by_tasks(process: &str, text: &str) -> Vec<Recorded> {
    let mut all: Vec<Recorded> = Vec::new();
    for line in text.lines() {
        if line.starts_with("r ") {
            let sent = all.iter_mut().rev().flat_map(|call| &mut call.sent);
            Sent::add_reply(line, sent);
        } else if let Some(not_executed) = line.strip_prefix("x ") {
            let not_executed = nonce(not_executed);
            all.retain(|call| call.sent.iter().all(|sent| sent.nonce != not_executed));
        } else if line.starts_with("n ") {
            let sent = Sent::parse(line);
            let of_task = sent.of_task();
            let (verb, lease) = of_task.unwrap_or_else(|| panic!("a task sends {sent:?}"));
            all.push(Recorded {
                caller: format!("{process}.s"),
                begun: sent.time,
                id: Some(sent.ids[0].clone()),
                fence: sent.fence,
                lease,
                verb,
                sent: vec![sent],
                end: None,
                is_split: false,
                is_of_task: true,
            });
        }
    }
    all
}

/// The executions of each call, by the log.
#[derive(Default)]
struct Witness {
    /// Times of all executions.
    times: HashMap<Nonce, Vec<u64>>,
    /// Times of the effects, by call and job.
    effects: HashMap<(Nonce, String), Vec<(Kind, u64)>>,
}

impl Witness {
    fn new(log: &[Entry]) -> Self {
        let mut witness = Self::default();
        for entry in log {
            if entry.kind == Kind::Time {
                witness
                    .times
                    .entry(entry.nonce)
                    .or_default()
                    .push(entry.now);
            } else if entry.is_effect() {
                let of = (entry.nonce, entry.id.clone());
                let effects = witness.effects.entry(of).or_default();
                effects.push((entry.kind, entry.now));
            }
        }
        witness
    }

    /// Returns the clock of the execution that gave the answer.
    fn now(&self, nonce: Nonce, id: &str) -> u64 {
        let effect = self
            .effects
            .get(&(nonce, id.to_owned()))
            .and_then(|effects| effects.last());
        let last = self.times.get(&nonce).and_then(|times| times.last());
        match effect {
            Some((Kind::Heartbeat, _)) | None => last.copied().unwrap_or(0),
            Some((_, now)) => *now,
        }
    }

    fn executions(&self, nonce: Nonce) -> usize {
        self.times.get(&nonce).map_or(0, Vec::len)
    }
}

/// Joins the calls with the log of the store.
pub(super) fn join(recorded: &[Recorded], log: &[Entry]) -> History {
    join_from(recorded, recorded, log, 0)
}

/// Joins some of the calls with a log that begins after `last` changes. The groups are those of all
/// calls.
pub(super) fn join_from(
    all: &[Recorded],
    recorded: &[Recorded],
    log: &[Entry],
    last: u64,
) -> History {
    let mut joiner = Joiner {
        history: History::default(),
        of_id: BTreeMap::new(),
        of_key: BTreeMap::new(),
        keys: BTreeSet::new(),
        witness: Witness::new(log),
    };
    joiner.names(all);
    let limits = limits(recorded);
    let mut silent = BTreeSet::new();
    for (call, until) in recorded.iter().zip(limits) {
        joiner.count(call);
        if call.had_no_effect() && !call.verb.is_of_all() {
            let is_silent = |sent: &&Sent| !call.may_send_several() || call.has_not_made(sent);
            let sent = call.sent.iter().filter(is_silent);
            silent.extend(sent.map(|sent| sent.nonce));
            if !call.may_send_several() {
                continue;
            }
        }
        joiner.add(call, until);
    }
    joiner.effects(log, &silent, last);
    joiner.history
}

/// Returns the time until which each call may take effect, if its outcome is unknown.
fn limits(recorded: &[Recorded]) -> Vec<u64> {
    let mut answered: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for call in recorded {
        if let Some((ended, answer)) = &call.end
            && answer != "Unknown"
            && answer != "NotSent"
            // A task begins without an answer of the store.
            && !matches!(call.verb, Verb::Spawn(..))
        {
            let of_process = answered.entry(call.process()).or_default();
            of_process.push((call.begun, *ended));
        }
    }
    // The earliest end of the calls that begin later.
    for calls in answered.values_mut() {
        calls.sort_unstable();
        let mut earliest = NEVER;
        for (_, ended) in calls.iter_mut().rev() {
            earliest = earliest.min(*ended);
            *ended = earliest;
        }
    }
    let limit = |call: &Recorded| {
        let (Some((ended, _)), Some(calls)) = (&call.end, answered.get(call.process())) else {
            return NEVER;
        };
        let next = calls.partition_point(|(begun, _)| begun <= ended);
        calls.get(next).map_or(NEVER, |(_, ended)| *ended)
    };
    recorded.iter().map(limit).collect()
}

/// A part of a call that concerns one job.
struct Part<'a> {
    verb: Verb,
    id: &'a str,
    lease: Option<Lease>,
    sent: Option<&'a Sent>,
    /// Beginning and end.
    times: (u64, u64),
    answer: Option<String>,
}

struct Joiner {
    history: History,
    of_id: BTreeMap<String, (usize, Name)>,
    of_key: BTreeMap<u64, usize>,
    /// The keys with which a job was registered.
    keys: BTreeSet<Option<u64>>,
    witness: Witness,
}

impl Joiner {
    /// Gives every job a group and a name in it.
    fn names(&mut self, recorded: &[Recorded]) {
        for call in recorded.iter().filter(|call| call.verb.is_registration()) {
            for sent in &call.sent {
                let groups = &mut self.history.groups;
                let group = match call.verb {
                    Verb::RegisterKey(key, ..) => *self.of_key.entry(key).or_insert(groups.len()),
                    _ => groups.len(),
                };
                if group == groups.len() {
                    groups.push(Group::default());
                }
                let id = sent.ids[0].clone();
                let ids = &mut groups[group].ids;
                let name = Name::try_from(ids.len()).expect("few jobs");
                ids.push(id.clone());
                self.of_id.insert(id, (group, name));
            }
        }
    }

    fn count(&mut self, call: &Recorded) {
        let name = match call.end.as_ref().map(|(_, answer)| answer.as_str()) {
            None if call.is_of_task => "scripts of tasks",
            None => "never answered",
            Some("Unknown") => "unknown",
            Some("NotSent") => "not sent",
            Some(answer) if answer.starts_with("Rejected OOM") => "rejected, memory is full",
            Some(answer) if answer.starts_with("Rejected MISCONF") => "rejected, disk is full",
            Some(answer) if answer.starts_with("Rejected") => "rejected",
            Some("Refused(Busy)") => "busy",
            Some(answer) if answer.starts_with("Refused") => "refused",
            Some(_) => "accepted",
        };
        let answer = call.answer().unwrap_or_default();
        let mut count = |name: &str, times: usize| {
            let counter = self.history.counters.entry(name.to_owned()).or_default();
            *counter += times as u64;
        };
        count(name, 1);
        count("calls", 1);
        let busy = call.sent.iter().filter(|sent| sent.has_met_a_lease());
        count("busy because of a lease", busy.count());
        let key = match call.verb {
            Verb::RegisterKey(key, ..) => Some(key),
            _ => None,
        };
        let is_new = key.is_some() && answer == "Done";
        let is_again = is_new && !self.keys.insert(key);
        let is_of_guard = call.lease.is_some() && !call.is_of_task;
        let is_run = matches!(call.verb, Verb::Run(..));
        let is_save = call.lease.is_some_and(|lease| lease.payload.is_some());
        for (name, is_so) in [
            (
                "leases that tasks have given up",
                call.is_of_task && call.verb == Verb::Release,
            ),
            ("leases that were taken", answer.starts_with("Locked")),
            ("leases that ended while held", answer == "LockLost"),
            ("payloads of guards", is_save && answer == "Done"),
            (
                "endings by guards",
                is_of_guard && call.verb.is_ending() && answer == "Done",
            ),
            ("keys that led to a new job", is_new),
            (
                "keys that led to a job",
                key.is_some() && answer.starts_with("Existing"),
            ),
            ("keys that led to a second new job", is_again),
            ("mismatches", answer == "Mismatch"),
            ("runs that ended", is_run && answer == "Done"),
            (
                "runs that were refused",
                is_run && answer.starts_with("Refused"),
            ),
        ] {
            count(name, usize::from(is_so));
        }
        if name == "rejected" {
            let (_, answer) = call.end.as_ref().expect("an answer");
            eprintln!("{}: {answer}", call.verb);
        }
    }

    fn add(&mut self, call: &Recorded, until: u64) {
        match call.verb {
            Verb::FailStalled => self.add_verdicts(call, until),
            Verb::Sweep => self.add_collected(call, until),
            Verb::Stalled => {
                for (id, view) in listed(call.answer().unwrap_or_default()) {
                    let part = Part {
                        verb: Verb::Listed,
                        id,
                        lease: None,
                        sent: None,
                        times: (call.begun, call.end()),
                        answer: Some(view.to_owned()),
                    };
                    self.push(call, part, until);
                }
            }
            verb if call.is_of_task || verb.is_of_scripts() => self.add_scripts(call, until),
            Verb::Update(_) => self.add_update(call, until),
            _ => {
                let id = match &call.id {
                    Some(id) => id.clone(),
                    // A registration that sent nothing has registered nothing.
                    None => match call.sent.last() {
                        Some(sent) => sent.ids[0].clone(),
                        None => return,
                    },
                };
                let part = Part {
                    verb: call.verb,
                    id: &id,
                    lease: call.lease,
                    sent: call.sent.last(),
                    times: (call.begun, call.end()),
                    answer: call.answer().map(|answer| self.localised(answer)),
                };
                self.push(call, part, until);
            }
        }
    }

    /// Adds each script of a call, or of a task, as a call of its own.
    fn add_scripts(&mut self, call: &Recorded, until: u64) {
        for sent in &call.sent {
            if call.has_not_made(sent) {
                continue;
            }
            let (verb, lease) = match call.verb {
                Verb::TryLock(_) | Verb::Lock(_) => {
                    let token = sent.argument(0).try_into().expect("a token");
                    let payload = None;
                    (call.verb, Some(Lease { token, payload }))
                }
                _ => match sent.of_task() {
                    Some(step) => step,
                    // A contradiction.
                    None => continue,
                },
            };
            let answer = sent.answer();
            self.push_script(call, verb, lease, sent, answer, until);
        }
        let last = call.sent.last();
        let reply = last.and_then(|sent| sent.reply.as_ref());
        let is_known = call.answer().is_some() && !call.had_no_effect() && !call.is_split;
        let answer = call.answer().filter(|_| is_known);
        match (call.verb, answer) {
            (Verb::TryLock(_) | Verb::Lock(_), Some(answer)) => {
                let is_taken = last.and_then(Sent::answer).as_deref() == Some("Done");
                let (true, Some((time, _))) = (is_taken, reply) else {
                    return;
                };
                // The payload is read afterwards.
                let read = answer.strip_prefix("Locked ");
                let answer = read.map(|payload| format!("Payload({payload})"));
                let part = Part {
                    verb: Verb::Payload,
                    id: call.id.as_deref().expect("a job"),
                    lease: None,
                    sent: None,
                    times: (*time, call.end()),
                    answer: answer.or(call.answer().map(str::to_owned)),
                };
                self.push(call, part, until);
            }
            (Verb::Run(..), Some(answer))
                if work::answer(&call.sent).as_deref() != Some(answer) =>
            {
                let why = format!("a work answers {answer} after {:?}", call.sent);
                self.history.contradictions.push(why);
            }
            _ => {}
        }
        let against = match call.verb {
            Verb::Run(outcome, note) => work::against_outcome(outcome, note, &call.sent),
            Verb::TryLock(_) | Verb::Lock(_) => work::against_lock(call.verb, &call.sent),
            _ => None,
        };
        // A split call has scripts in another history.
        let against = against.filter(|_| !call.is_split);
        self.history.contradictions.extend(against);
    }

    /// Adds an update, and the scripts by which it was tried before.
    fn add_update(&mut self, call: &Recorded, until: u64) {
        let mut begun = call.begun;
        for sent in call.sent.iter().filter(|sent| sent.is_tried_again()) {
            let answer = sent.answer();
            self.push_script(call, Verb::Tried, None, sent, answer, until);
            begun = sent.reply.as_ref().map_or(begun, |(time, _)| *time);
        }
        let last = call.sent.last();
        let was_tried = last.is_some_and(Sent::is_tried_again);
        let is_over = was_tried && [None, Some("Refused(Busy)")].contains(&call.answer());
        if is_over || call.had_no_effect() {
            return;
        }
        let part = Part {
            verb: call.verb,
            id: call.id.as_deref().expect("a job"),
            lease: None,
            // After a try, the job was read, and is gone.
            sent: last.filter(|_| !was_tried),
            times: (begun, call.end()),
            answer: call.answer().map(str::to_owned),
        };
        self.push(call, part, until);
    }

    /// Adds a script by its times and its reply.
    fn push_script(
        &mut self,
        call: &Recorded,
        verb: Verb,
        lease: Option<Lease>,
        sent: &Sent,
        answer: Option<String>,
        until: u64,
    ) {
        let ended = sent.reply.as_ref().map_or(NEVER, |(time, _)| *time);
        let ended = answer.as_ref().map_or(NEVER, |_| ended);
        let part = Part {
            verb,
            id: &sent.ids[0],
            lease,
            sent: Some(sent),
            times: (sent.time, ended),
            answer,
        };
        self.push(call, part, until);
    }

    /// Names the job of an answer as its group does.
    fn localised(&self, answer: &str) -> String {
        let existing = answer.strip_prefix("Existing ");
        let Some(id) = existing else {
            return answer.to_owned();
        };
        let name = self.of_id.get(id).map(|(_, name)| *name);
        name.map_or_else(|| answer.to_owned(), |name| format!("Existing({name})"))
    }

    fn add_verdicts(&mut self, call: &Recorded, until: u64) {
        let failed: BTreeMap<&str, &str> = listed(call.answer().unwrap_or_default()).collect();
        for sent in &call.sent {
            if call.had_no_effect() && sent.reply.is_none() {
                continue;
            }
            for id in &sent.ids {
                let answer = match failed.get(id.as_str()) {
                    Some(view) => Some((*view).to_owned()),
                    // A resend does not name a job that was retried after the first sending.
                    None if call.is_split || self.witness.executions(sent.nonce) > 1 => None,
                    None => call.answer().map(|_| "none".to_owned()),
                };
                let end = answer.as_ref().map_or(NEVER, |_| call.end());
                let part = Part {
                    verb: Verb::Verdict,
                    id,
                    lease: None,
                    sent: Some(sent),
                    times: (sent.time, end),
                    answer,
                };
                self.push(call, part, until);
            }
        }
    }

    fn add_collected(&mut self, call: &Recorded, until: u64) {
        for sent in &call.sent {
            let began = String::from_utf8_lossy(sent.argument(0));
            let began = began.parse().unwrap_or(0);
            if call.had_no_effect() && sent.reply.is_none() {
                continue;
            }
            for (at, id) in sent.ids.iter().enumerate() {
                let answer = sent.reply.as_ref().map(|(_, words)| words[2 + at].clone());
                let is_resent = call.is_split || self.witness.executions(sent.nonce) > 1;
                let answer = answer.filter(|answer| answer != "none" || !is_resent);
                let end = sent.reply.as_ref().map_or(NEVER, |(time, _)| *time);
                let end = answer.as_ref().map_or(NEVER, |_| end);
                if answer.as_deref() == Some("leased") {
                    let counters = &mut self.history.counters;
                    *counters.entry(LEASED.to_owned()).or_default() += 1;
                }
                let part = Part {
                    verb: Verb::Collect(began),
                    id,
                    lease: None,
                    sent: Some(sent),
                    times: (sent.time, end),
                    answer,
                };
                self.push(call, part, until);
            }
        }
    }

    fn push(&mut self, call: &Recorded, part: Part<'_>, until: u64) {
        let Part {
            verb,
            id,
            lease,
            sent,
            times: (begun, ended),
            answer,
        } = part;
        let Some(&(group, job)) = self.of_id.get(id) else {
            let why = format!("{} {id} {verb}: the job was never registered", call.caller);
            self.history.contradictions.push(why);
            return;
        };
        let nonce = sent.map(|sent| sent.nonce);
        let seq = sent
            .and_then(|sent| sent.reply.as_ref())
            .and_then(|(_, words)| {
                let is_accepted = words.first().is_some_and(|code| code == "ok");
                words.get(1)?.parse().ok().filter(|_| is_accepted)
            });
        let now = nonce.map_or(0, |nonce| self.witness.now(nonce, id));
        let op = Op {
            caller: call.caller.clone(),
            begun,
            ended,
            until: if ended == NEVER { until } else { ended },
            job,
            fence: call.fence,
            lease,
            verb: match verb {
                Verb::Collect(time) => Verb::Collect(time.min(now)),
                verb => verb,
            },
            answer,
            now,
            nonce,
            begins: match verb {
                Verb::Retry | Verb::Register(..) | Verb::RegisterKey(..) => sent
                    .and_then(|sent| sent.argument(0).try_into().ok())
                    .unwrap_or_default(),
                _ => Nonce::default(),
            },
            seq: seq.filter(|seq| *seq > 0),
            is_of_task: call.is_of_task,
        };
        let ops = &mut self.history.groups[group].ops;
        if verb == Verb::Heartbeat
            && let Some(nonce) = nonce
        {
            // A heartbeat may be executed several times, each with an effect.
            let of = self.witness.effects.get(&(nonce, id.to_owned()));
            for (_, at) in of.into_iter().flatten().filter(|(_, at)| *at != now) {
                ops.push(Op {
                    ended: NEVER,
                    answer: None,
                    now: *at,
                    until: NEVER,
                    ..op.clone()
                });
            }
        }
        ops.push(op);
    }

    /// Finds the call of every effect.
    fn effects(&mut self, log: &[Entry], silent: &BTreeSet<Nonce>, mut last: u64) {
        let mut of_call: HashMap<(Nonce, usize, Name, u64), usize> = HashMap::new();
        for (group, of) in self.history.groups.iter().enumerate() {
            for (at, op) in of.ops.iter().enumerate() {
                if let Some(nonce) = op.nonce {
                    let now = if op.verb == Verb::Heartbeat {
                        op.now
                    } else {
                        0
                    };
                    of_call.insert((nonce, group, op.job, now), at);
                }
            }
        }
        let mut met = BTreeSet::new();
        let contradictions = &mut self.history.contradictions;
        for (place, entry) in log.iter().enumerate() {
            if entry.kind == Kind::Met {
                *self
                    .history
                    .counters
                    .entry("resends that met their own effect".to_owned())
                    .or_default() += 1;
            }
            if !entry.is_effect() {
                continue;
            }
            if entry.kind != Kind::Heartbeat {
                if entry.seq != last + 1 {
                    contradictions.push(format!("change {} follows change {last}", entry.seq));
                }
                last = entry.seq;
                if !met.insert((entry.nonce, entry.id.clone())) {
                    contradictions.push(format!("a call takes effect twice: {entry:?}"));
                }
            }
            if silent.contains(&entry.nonce) {
                contradictions.push(format!(
                    "a call that was told to have no effect has one: {entry:?}"
                ));
            }
            let now = if entry.kind == Kind::Heartbeat {
                entry.now
            } else {
                0
            };
            let found = self.of_id.get(&entry.id).and_then(|(group, name)| {
                let op = of_call.get(&(entry.nonce, *group, *name, now))?;
                Some((*group, *op))
            });
            match found {
                Some((group, op)) => {
                    let seq = entry.seq;
                    let effect = Effect { op, seq, place };
                    self.history.groups[group].effects.push(effect);
                }
                None if silent.contains(&entry.nonce) => {}
                None => contradictions.push(format!("a change was made by no call: {entry:?}")),
            }
        }
    }
}

/// The end of a history of the store, and the beginning of the next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boundary {
    /// The last calls of the first history were executed before this time.
    pub(super) end: u64,
    /// The first calls of the second history were executed after this time.
    pub(super) begin: u64,
}

/// Divides the calls between two histories. `kept` are the nonces of the effects that the second
/// history has of the first one.
pub(super) fn divide(
    recorded: &[Recorded],
    boundary: Boundary,
    kept: &BTreeSet<Nonce>,
) -> (Vec<Recorded>, Vec<Recorded>) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for call in recorded {
        let ended = call.end.as_ref().map_or(NEVER, |(ended, _)| *ended);
        let is_kept = call
            .sent
            .last()
            .is_some_and(|sent| kept.contains(&sent.nonce));
        let is_single = !call.verb.is_of_all();
        if ended < boundary.begin || is_kept && is_single {
            // A call that was sent again has found its own effect. A guard reads the payload later.
            let is_split = call.is_split || ended >= boundary.begin;
            first.push(Recorded {
                is_split,
                ..call.clone()
            });
        } else if call.begun >= boundary.end {
            second.push(call.clone());
        } else {
            let mut unanswered = call.clone();
            (unanswered.end, unanswered.is_split) = (None, true);
            unanswered.sent.retain(|sent| sent.time < boundary.end);
            for sent in &mut unanswered.sent {
                sent.reply = sent.reply.take().filter(|(time, _)| *time < boundary.begin);
            }
            first.push(unanswered);
            let mut late = call.clone();
            late.is_split = true;
            late.begun = late.begun.max(boundary.begin);
            // A script that had been answered before was executed in the first history.
            late.sent.retain(|sent| {
                sent.reply
                    .as_ref()
                    .is_none_or(|(time, _)| *time >= boundary.begin)
            });
            for sent in &mut late.sent {
                sent.time = sent.time.max(boundary.begin);
            }
            second.push(late);
        }
    }
    (first, second)
}

impl Recorded {
    /// Whether the client was told that the call has taken effect or was refused.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.answer().is_some() && !self.had_no_effect()
    }

    /// Whether it has sent a script that may change a job.
    pub(super) fn is_write(&self) -> bool {
        !self.sent.is_empty()
    }

    pub(super) fn nonce(&self) -> Option<Nonce> {
        self.sent.last().map(|sent| sent.nonce)
    }

    fn end(&self) -> u64 {
        let known = self.end.as_ref().filter(|_| self.answer().is_some());
        known.map_or(NEVER, |(ended, _)| *ended)
    }
}

/// Returns the jobs and their states in the answer of a call that returns several.
fn listed(answer: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = answer.split('/').skip(1);
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
}
