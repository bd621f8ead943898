//! Every order of the messages of a few clients, with faults at every point.
//!
//! The clients are those of the library. The store is in memory, and runs the scripts of the
//! library. An execution is a series of decisions: which message arrives next, and whether it or its
//! answer is lost, or held back while its client sends again. All series with a limited number of
//! faults are tried.
//!
//! Each answer is judged: at an instant between the call and its answer, the script without the mark
//! of a resend gives this answer, and what it changes is what the call has changed. A call that was
//! not sent changes nothing, and no call takes effect twice.

pub(crate) mod memory;
pub(crate) mod network;

use super::server::builder;
use crate::error::{Error, Unavailable};
use crate::guard::JobGuard;
use crate::id::Nonce;
use crate::job::Job;
use crate::registry::JobRegistry;
use crate::script::{Parts, Scripts};
use job_registry::{JobId, Progress};
use memory::{Keys, Memory};
use network::{Command, Effect, Network, Simulated, as_task};
use redis::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// Returns the assembled scripts of these parts. Each thread remembers those that it has assembled
/// last.
pub(crate) fn scripts(parts: &Parts) -> Arc<Scripts> {
    thread_local! {
        static LAST: RefCell<Vec<(Parts, Arc<Scripts>)>> = const { RefCell::new(Vec::new()) };
    }
    LAST.with_borrow_mut(|last| {
        if let Some((_, scripts)) = last.iter().find(|(of, _)| of == parts) {
            return scripts.clone();
        }
        let scripts = Arc::new(Scripts::new(parts));
        last.truncate(3);
        last.insert(0, (parts.clone(), scripts.clone()));
        scripts
    })
}

type Jobs = JobRegistry<Vec<u8>>;

/// A call that a task makes on the job of the execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    Advance,
    Note,
    Update,
    Complete,
    Cancel,
    Stop,
    Retry,
    Remove,
    Keep,
    Lock,
    Snapshot,
    Register,
}

const STEPS: [Step; 13] = [
    Step::Start,
    Step::Advance,
    Step::Note,
    Step::Update,
    Step::Complete,
    Step::Cancel,
    Step::Stop,
    Step::Retry,
    Step::Remove,
    Step::Keep,
    Step::Lock,
    Step::Snapshot,
    Step::Register,
];

/// The caller of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The process that registered the job, by its owner.
    Owner,
    /// The same process, by the id.
    Owning,
    /// Another process, by the id.
    Other,
}

/// The job's status when the tasks begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Pending,
    Running,
    Failed,
}

/// Tasks that run at the same time.
#[derive(Clone, Debug)]
struct Program {
    begin: Begin,
    tasks: Vec<(By, Vec<Step>)>,
}

/// The next decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Answer(usize),
    LoseAnswer(usize),
    Lose(usize),
    Hold(usize),
    /// The server is not ready, and says so.
    Refuse(usize),
    /// A message that was held arrives.
    Release,
    /// Time passes, until a task does something.
    Pass,
    Restart,
}

/// Goes through all series of decisions, by a search in depth.
#[derive(Debug, Default)]
struct Decisions {
    /// The decisions of this execution, each with the number of possible ones.
    made: Vec<(usize, usize)>,
    next: usize,
}

impl Decisions {
    fn choose(&mut self, possible: usize) -> usize {
        if self.next == self.made.len() {
            self.made.push((0, possible));
        }
        let (choice, known) = self.made[self.next];
        assert_eq!(known, possible, "an execution cannot be repeated");
        self.next += 1;
        choice
    }

    /// Turns to the next series. Returns whether there is one.
    fn turn(&mut self) -> bool {
        self.next = 0;
        while let Some((choice, possible)) = self.made.pop() {
            if choice + 1 < possible {
                self.made.push((choice + 1, possible));
                return true;
            }
        }
        false
    }
}

/// A call of a script, with all its sendings.
#[derive(Clone, Debug)]
struct Sent {
    nonce: Option<Nonce>,
    command: Command,
    sendings: usize,
    /// The reply that the client got.
    reply: Option<Value>,
}

/// A step that a task has made.
#[derive(Clone, Debug)]
struct Made {
    task: usize,
    by: By,
    step: Step,
    /// Number of effects when it began, and when it ended.
    began: usize,
    ended: Option<usize>,
    sent: Vec<Sent>,
    result: Option<Result<(), Error>>,
}

type Log = Rc<RefCell<Vec<Made>>>;

/// What executions are made with.
struct Lab {
    parts: Parts,
    /// Interpreter of the scripts as they are, without what they are tried with.
    judge: Arc<Memory>,
    right: Scripts,
    /// Interpreter of the scripts with which the store is tried.
    memory: Arc<Memory>,
    faults: usize,
    /// Time of a call with its resends.
    call_within: Duration,
    /// Whether a restart loses the last effect.
    is_lossy: bool,
    seen: BTreeMap<String, u64>,
}

impl Lab {
    fn new(parts: &Parts, faults: usize) -> Self {
        let right = Scripts::new(&Parts::default());
        let (judge, memory) = (Memory::with(&right), Memory::with(&scripts(parts)));
        Self {
            parts: parts.clone(),
            judge,
            right,
            memory,
            faults,
            call_within: Duration::from_millis(25),
            is_lossy: false,
            seen: BTreeMap::new(),
        }
    }

    fn see(&mut self, what: impl Into<String>) {
        *self.seen.entry(what.into()).or_insert(0) += 1;
    }

    /// Tries every execution of a program. Returns their number, or what is wrong with one.
    fn explore(&mut self, program: &Program) -> Result<u64, String> {
        let (mut decisions, mut executions) = (Decisions::default(), 0);
        loop {
            executions += 1;
            let mut taken = Vec::new();
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_time().start_paused(true).build();
            let runtime = runtime.unwrap();
            let executed = self.execute(program, &mut decisions, &mut taken);
            let executed = runtime.block_on(tokio::task::unconstrained(executed));
            if let Err(error) = executed {
                return Err(format!("{program:?}\n{taken:?}\n{error}"));
            }
            if !decisions.turn() {
                return Ok(executions);
            }
        }
    }

    async fn execute(
        &mut self,
        program: &Program,
        decisions: &mut Decisions,
        taken: &mut Vec<Action>,
    ) -> Result<(), String> {
        let _simulated = Simulated::begin();
        let network = Network::new(self.memory.clone());
        let (here, there) = (self.process(&network).await, self.process(&network).await);
        let job = here.register(&vec![0]).await.unwrap();
        let id = job.id();
        if program.begin != Begin::Pending {
            job.start().await.unwrap();
        }
        if program.begin == Begin::Failed {
            there.fail(id, "lost").await.unwrap();
        }
        let (owner, log, guards) = (Rc::new(job), Log::default(), Guards::default());
        let mut tasks: Vec<UnderWay> = Vec::new();
        for (number, (by, steps)) in program.tasks.iter().enumerate() {
            let jobs = if *by == By::Other { &there } else { &here };
            let owner = (*by == By::Owner).then(|| owner.clone());
            let task = Task {
                number,
                by: *by,
                jobs: jobs.clone(),
                owner,
                id,
                network: network.clone(),
                log: log.clone(),
                guards: guards.clone(),
            };
            tasks.push(Some(Box::pin(task.run(steps.clone()))));
        }
        let result = self
            .decide(&network, &log, &mut tasks, decisions, taken)
            .await;
        // Nothing that is dropped now sends anything that counts.
        drop(tasks);
        let log = log.borrow();
        result.and_then(|()| self.judge(&network, &log))?;
        if let Some(job) = Rc::into_inner(owner) {
            let _ = job.detach();
        }
        Ok(())
    }

    /// Returns a client with a connection of its own.
    async fn process(&self, network: &Arc<Network>) -> Jobs {
        let mut builder = builder::<Vec<u8>>("redis://simulated/", "deck", &self.parts);
        builder.network = Some(network.clone());
        let builder = builder.call_within(self.call_within);
        builder.connect().await.unwrap()
    }

    /// Makes decisions until all tasks have ended.
    async fn decide(
        &mut self,
        network: &Arc<Network>,
        log: &Log,
        tasks: &mut [UnderWay],
        decisions: &mut Decisions,
        taken: &mut Vec<Action>,
    ) -> Result<(), String> {
        let mut faults = self.faults;
        poll(tasks);
        for _ in 0..10_000 {
            note(network, log);
            let sent = network.waiting();
            let is_alive = tasks.iter().enumerate().filter(|(_, task)| task.is_some());
            let alive: Vec<usize> = is_alive.map(|(at, _)| at).collect();
            if alive.is_empty() {
                break;
            }
            let mut possible: Vec<Action> = sent.iter().map(|task| Action::Answer(*task)).collect();
            if network.held() > 0 {
                possible.push(Action::Release);
            }
            if alive.iter().any(|task| !sent.contains(task)) {
                possible.push(Action::Pass);
            }
            if faults > 0 {
                for task in &sent {
                    possible.extend([
                        Action::LoseAnswer(*task),
                        Action::Lose(*task),
                        Action::Hold(*task),
                        Action::Refuse(*task),
                    ]);
                }
                if !sent.is_empty() {
                    possible.push(Action::Restart);
                }
            }
            let choice = match possible.len() {
                0 => return Err("nothing can happen".to_owned()),
                1 => 0,
                several => decisions.choose(several),
            };
            let action = possible[choice];
            taken.push(action);
            match action {
                Action::Answer(task) => {
                    let (command, reply) = network.answer(task);
                    let mut log = log.borrow_mut();
                    if let Some(sent) = log.iter_mut().find_map(|it| it.sent_as(task, &command)) {
                        sent.reply = reply;
                    }
                }
                Action::LoseAnswer(task) => network.lose_answer(task),
                Action::Lose(task) => network.lose(task),
                Action::Hold(task) => network.hold(task),
                Action::Refuse(task) => network.refuse(task),
                Action::Release => {
                    let before = network.effects().len();
                    network.release();
                    if network.effects().len() > before {
                        self.see("a held message takes effect");
                    }
                }
                Action::Restart => network.restart(usize::from(self.is_lossy)),
                Action::Pass => {
                    let (before, alive) = (sent.len(), alive.len());
                    for _ in 0..2000 {
                        tokio::time::advance(Duration::from_millis(1)).await;
                        poll(tasks);
                        let now_alive = tasks.iter().flatten().count();
                        if network.waiting().len() > before || now_alive < alive {
                            break;
                        }
                    }
                }
            }
            let is_free = matches!(action, Action::Answer(_) | Action::Release | Action::Pass);
            faults -= usize::from(!is_free);
            poll(tasks);
        }
        if tasks.iter().any(Option::is_some) {
            return Err("a task does not end".to_owned());
        }
        while network.held() > 0 {
            network.release();
        }
        Ok(())
    }

    /// Judges the answers of an execution.
    fn judge(&mut self, network: &Network, log: &[Made]) -> Result<(), String> {
        let effects = network.effects();
        let mut nonces = BTreeSet::new();
        for effect in &effects {
            // The preparation has nonces as well.
            if !nonces.insert(effect.call.clone()) {
                return Err(format!("a call takes effect twice: {log:#?}"));
            }
        }
        for (at, made) in log.iter().enumerate() {
            self.in_order(&effects, made, &log[at + 1..])?;
            let result = made.result.clone().expect("the task has ended");
            let name = result.as_ref().err().map_or("ok", Error::name);
            self.see(format!("{:?} -> {name}", made.step));
            let ended = made.ended.expect("the task has ended");
            for (number, sent) in made.sent.iter().enumerate() {
                let is_last = number + 1 == made.sent.len();
                if sent.sendings > 1 {
                    self.see("a resend");
                }
                let is_of = |nonce: Nonce| effects.iter().position(|it| it.call == nonce.0);
                let effect = sent.nonce.and_then(is_of);
                let what = || format!("{made:#?}");
                match (&sent.reply, &result) {
                    // The answer is lost.
                    (_, Err(Error::Unavailable(Unavailable::Unknown))) if is_last => {}
                    (_, Err(Error::Unavailable(Unavailable::NotSent))) if is_last => {
                        if effect.is_some() {
                            return Err(format!(
                                "a call that was not sent has an effect: {}",
                                what()
                            ));
                        }
                    }
                    (Some(reply), _) => {
                        if self.is_lossy {
                            let accepted = code(reply) == "ok";
                            if effect.is_some() && !accepted {
                                return Err(format!("a refused call has an effect: {}", what()));
                            }
                            continue;
                        }
                        if effect.is_some_and(|at| {
                            sent.sendings > 1 && code(reply) == "ok" && at < ended
                        }) {
                            self.see("a resend that meets its own effect");
                        }
                        let window = (made.began, ended);
                        self.explain(network, sent, reply, effect, window)
                            .map_err(|error| format!("{error}: {}", what()))?;
                    }
                    (None, _) => {
                        return Err(format!("a call without a reply has ended: {}", what()));
                    }
                }
            }
        }
        Ok(())
    }

    /// A call of which nothing is known takes effect before the next answer of its process, or
    /// never.
    fn in_order(&mut self, effects: &[Effect], made: &Made, later: &[Made]) -> Result<(), String> {
        if made.result != Some(Err(Unavailable::Unknown.into())) {
            return Ok(());
        }
        let nonces = made.sent.iter().filter_map(|sent| sent.nonce);
        let last = nonces.filter_map(|nonce| effects.iter().position(|it| it.call == nonce.0));
        let Some(effect) = last.max() else {
            return Ok(());
        };
        let ended = made.ended.expect("the task has ended");
        if effect >= ended {
            self.see("an unknown call that takes effect later");
        }
        let is_next = |it: &&Made| {
            let is_same = (it.by == By::Other) == (made.by == By::Other);
            let is_answered = !matches!(it.result, Some(Err(Error::Unavailable(_))));
            is_same && is_answered && it.task == made.task
        };
        if let Some(next) = later.iter().find(is_next)
            && effect >= next.ended.expect("the task has ended")
            && !self.is_lossy
        {
            return Err(format!(
                "an effect after the next answer: {made:#?} {next:#?}"
            ));
        }
        Ok(())
    }

    /// Finds an instant at which the script gives this reply, and changes what the call has changed.
    fn explain(
        &self,
        network: &Network,
        sent: &Sent,
        reply: &Value,
        effect: Option<usize>,
        (began, ended): (usize, usize),
    ) -> Result<(), String> {
        let Command::Evaluate {
            hash,
            keys,
            arguments,
        } = &sent.command
        else {
            return Ok(());
        };
        let scripts = scripts(&self.parts);
        let at = scripts.all().iter().position(|script| script.hash == *hash);
        let right = &self.right.all()[at.expect("a script of the client")].hash;
        let states: Vec<Keys> = network.history(0);
        let instants = match effect {
            Some(at) if (began..ended).contains(&at) => at..at + 1,
            Some(_) => return Err("an effect outside of the call".to_owned()),
            None => began..ended + 1,
        };
        let mut others = Vec::new();
        for at in instants {
            *self.judge.keys() = states[at].clone();
            let other = self.judge.run(right, keys, arguments);
            let changes = *self.judge.keys() != states[at];
            let other = other.unwrap_or_else(Value::SimpleString);
            if essence(&other) == essence(reply) && changes == effect.is_some() {
                return Ok(());
            }
            others.push((other, changes));
        }
        Err(format!(
            "no instant explains the reply {reply:?}, but {others:?}"
        ))
    }
}

impl Made {
    /// Returns the call of a script of this step, if it is under way, that a command is a sending of.
    fn sent_as(&mut self, task: usize, command: &Command) -> Option<&mut Sent> {
        let nonce = command.call().map(|(nonce, _)| nonce);
        let is_it = |sent: &Sent| match nonce {
            Some(_) => sent.nonce == nonce,
            None => sent.command == *command,
        };
        let is_under_way = self.task == task && self.result.is_none();
        let mut sent = self.sent.iter_mut().filter(|_| is_under_way);
        sent.rfind(|sent| is_it(sent) && sent.reply.is_none())
    }
}

/// Adds the new messages to the steps that have sent them.
fn note(network: &Network, log: &Log) {
    let mut log = log.borrow_mut();
    for (task, command) in network.new_messages() {
        if command.is_of_a_connect() {
            continue;
        }
        if let Some(sent) = log.iter_mut().find_map(|it| it.sent_as(task, &command)) {
            sent.sendings += 1;
            continue;
        }
        let under_way = log
            .iter_mut()
            .find(|it| it.task == task && it.result.is_none());
        let nonce = command.call().map(|(nonce, _)| nonce);
        under_way.expect("a step sends").sent.push(Sent {
            nonce,
            command,
            sendings: 1,
            reply: None,
        });
    }
}

/// Polls all tasks once.
fn poll(tasks: &mut [UnderWay]) {
    for (number, task) in tasks.iter_mut().enumerate() {
        let mut context = Context::from_waker(Waker::noop());
        let Some(future) = task else { continue };
        let polled = as_task(number, || future.as_mut().poll(&mut context));
        if polled.is_ready() {
            *task = None;
        }
    }
}

/// A task that is under way.
type UnderWay = Option<Pin<Box<dyn Future<Output = ()>>>>;

/// A task of a program.
struct Task {
    number: usize,
    by: By,
    jobs: Jobs,
    owner: Option<Rc<Job<Vec<u8>>>>,
    id: JobId,
    network: Arc<Network>,
    log: Log,
    guards: Guards,
}

/// Guards that are held to the end of an execution.
type Guards = Rc<RefCell<Vec<JobGuard<Vec<u8>>>>>;

impl Task {
    async fn run(self, steps: Vec<Step>) {
        for step in steps {
            let at = self.log.borrow().len();
            self.log.borrow_mut().push(Made {
                task: self.number,
                by: self.by,
                step,
                began: self.network.effects().len(),
                ended: None,
                sent: Vec::new(),
                result: None,
            });
            let result = match &self.owner {
                Some(owner) => self.by_owner(owner, step).await,
                None => self.by_id(step).await,
            };
            let mut log = self.log.borrow_mut();
            log[at].ended = Some(self.network.effects().len());
            log[at].result = Some(result);
        }
    }

    async fn by_owner(&self, job: &Job<Vec<u8>>, step: Step) -> Result<(), Error> {
        match step {
            Step::Start => job.start().await,
            Step::Advance => job.advance(half()).await.map(drop),
            Step::Note => job.note("a note").await,
            Step::Update => job.update(|payload| payload.push(1)).await,
            Step::Complete => job.complete().await,
            Step::Cancel => job.cancel().await,
            Step::Stop => job.request_stop("enough").await.map(drop),
            Step::Retry => job.retry().await.map(|job| _ = job.detach()),
            Step::Remove => job.remove().await,
            Step::Keep => job.remove_after(Duration::from_secs(1)).await,
            Step::Lock => self.hold(job.try_lock(Duration::from_secs(60)).await),
            Step::Snapshot => job.snapshot().await.map(drop),
            Step::Register => self.register().await,
        }
    }

    async fn by_id(&self, step: Step) -> Result<(), Error> {
        let (jobs, id) = (&self.jobs, self.id);
        match step {
            Step::Start => jobs.start(id).await,
            Step::Advance => jobs.advance(id, half()).await.map(drop),
            Step::Note => jobs.note(id, "a note").await,
            Step::Update => jobs.update(id, |payload| payload.push(1)).await,
            Step::Complete => jobs.complete(id).await,
            Step::Cancel => jobs.cancel(id).await,
            Step::Stop => jobs.request_stop(id, "enough").await.map(drop),
            Step::Retry => jobs.retry(id).await.map(|job| _ = job.detach()),
            Step::Remove => jobs.remove(id).await,
            Step::Keep => jobs.remove_after(id, Duration::from_secs(1)).await,
            Step::Lock => self.hold(jobs.try_lock(id, Duration::from_secs(60)).await),
            Step::Snapshot => jobs.snapshot(id).await.map(drop),
            Step::Register => self.register().await,
        }
    }

    /// Leaves a lease that was taken to its end.
    fn hold(&self, locked: Result<JobGuard<Vec<u8>>, Error>) -> Result<(), Error> {
        locked.map(|guard| self.guards.borrow_mut().push(guard))
    }

    async fn register(&self) -> Result<(), Error> {
        self.jobs
            .register(&vec![7])
            .await
            .map(|job| _ = job.detach())
    }
}

fn half() -> Progress {
    Progress::from_ppm(500_000).unwrap()
}

/// Returns the first word of a reply.
fn code(reply: &Value) -> String {
    match reply {
        Value::Array(parts) => match parts.first() {
            Some(Value::BulkString(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    }
}

/// Returns what of a reply a client can see: not the number of changes.
fn essence(reply: &Value) -> Vec<Value> {
    let Value::Array(parts) = reply else {
        return vec![reply.clone()];
    };
    let mut parts = parts.clone();
    if code(reply) == "ok" && parts.len() > 1 {
        parts.remove(1);
    }
    parts
}

/// Explores programs of two tasks with one step each.
fn pairs(
    lab: &mut Lab,
    begin: Begin,
    (first, second): (By, By),
    steps: impl IntoIterator<Item = (Step, Step)>,
) -> Result<u64, String> {
    let mut executions = 0;
    for (one, other) in steps {
        let tasks = vec![(first, vec![one]), (second, vec![other])];
        executions += lab.explore(&Program { begin, tasks })?;
    }
    Ok(executions)
}

/// Each step with each of those.
fn with_each(others: &[Step]) -> Vec<(Step, Step)> {
    let with = |step| others.iter().map(move |other| (step, *other));
    STEPS.into_iter().flat_map(with).collect()
}

const BEGINS: [Begin; 3] = [Begin::Pending, Begin::Running, Begin::Failed];

/// Steps that are calls of one script.
#[allow(clippy::trivially_copy_pass_by_ref)] // for `filter`
fn is_one_call((one, other): &(Step, Step)) -> bool {
    let is_one = |step| ![Step::Update, Step::Lock].contains(step);
    is_one(one) && is_one(other)
}

/// An update waits for a lease by twenty readings and writings: these have too many orders.
#[allow(clippy::trivially_copy_pass_by_ref)] // for `filter`
fn is_short((one, other): &(Step, Step)) -> bool {
    ![(Step::Update, Step::Lock), (Step::Lock, Step::Update)].contains(&(*one, *other))
}

fn explored(executions: Result<u64, String>) -> u64 {
    executions.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_order_of_two_calls_and_a_fault_is_explained() {
    let mut lab = Lab::new(&Parts::default(), 1);
    let mut executions = 0;
    for (begin, others) in [
        (Begin::Running, &[Step::Cancel, Step::Retry][..]),
        (Begin::Pending, &[Step::Cancel]),
        (Begin::Failed, &[Step::Retry]),
    ] {
        let steps = with_each(others).into_iter().filter(is_one_call);
        executions += explored(pairs(&mut lab, begin, (By::Owner, By::Other), steps));
    }
    println!("{executions} executions: {:#?}", lab.seen);
    for what in [
        "a resend",
        "a resend that meets its own effect",
        "a held message takes effect",
        "Start -> unknown",
        "Cancel -> unknown",
        "Retry -> superseded",
        "Start -> superseded",
    ] {
        assert!(lab.seen.contains_key(what), "no execution has {what}");
    }
}

#[test]
fn a_call_that_meets_two_faults_and_the_call_after_it_are_explained() {
    let mut lab = Lab::new(&Parts::default(), 2);
    let mut executions = 0;
    // Time for a resend or two, or for none.
    for millis in [25, 4] {
        lab.call_within = Duration::from_millis(millis);
        for (begin, step) in [
            (Begin::Running, Step::Advance),
            (Begin::Running, Step::Cancel),
            (Begin::Failed, Step::Retry),
        ] {
            let tasks = vec![(By::Owner, vec![step, Step::Keep])];
            executions += explored(lab.explore(&Program { begin, tasks }));
        }
    }
    println!("{executions} executions: {:#?}", lab.seen);
    for what in [
        "a resend that meets its own effect",
        "an unknown call that takes effect later",
        "Cancel -> unknown",
        "Cancel -> not_sent",
    ] {
        assert!(lab.seen.contains_key(what), "no execution has {what}");
    }
}

#[test]
#[ignore = "takes eleven minutes with optimization: all pairs of calls, and two faults"]
fn every_order_of_many_calls_and_faults_is_explained() {
    let mut lab = Lab::new(&Parts::default(), 1);
    let mut executions = 0;
    for begin in BEGINS {
        for by in [(By::Owner, By::Other), (By::Owner, By::Owning)] {
            let steps = with_each(&STEPS).into_iter().filter(is_short);
            executions += explored(pairs(&mut lab, begin, by, steps));
        }
    }
    println!("{executions} executions of pairs with a fault");
    // A process goes on after a call of which nothing is known.
    for first in STEPS {
        let tasks = vec![
            (By::Owner, vec![first, Step::Note]),
            (By::Other, vec![Step::Cancel]),
        ];
        let begin = Begin::Running;
        executions += explored(lab.explore(&Program { begin, tasks }));
    }
    println!("{executions} executions with a second call");
    lab.is_lossy = true;
    for begin in BEGINS {
        let steps = with_each(&[Step::Cancel, Step::Retry]);
        executions += explored(pairs(&mut lab, begin, (By::Owner, By::Other), steps));
    }
    println!("{executions} executions with a loss");
    for (is_lossy, others) in [
        (false, [Step::Cancel, Step::Retry]),
        (true, [Step::Note; 2]),
    ] {
        (lab.faults, lab.is_lossy) = (2, is_lossy);
        let steps = with_each(&others).into_iter().filter(is_one_call);
        let by = (By::Owner, By::Other);
        executions += explored(pairs(&mut lab, Begin::Running, by, steps));
        println!("{executions} executions with two faults");
    }
    println!("{:#?}", lab.seen);
}

#[test]
fn a_wrong_script_is_noticed() {
    for (from, to) in [
        // A resend is not told from a first sending.
        ("if job.o == CALL then return nil, accepted(job) end", ""),
        (
            "if tonumber(job.e) > tonumber(WITNESS) then return nil, { 'unknown' } end",
            "",
        ),
        ("RESENT and 'unknown' or 'absent'", "'absent'"),
        ("'e', job.e, ", ""),
        // An owner is known by the number of its attempt, or not at all.
        (
            "if is_superseded(job, FENCE_ATTEMPT, FENCE_NONCE) then return nil, { 'superseded' } end",
            "",
        ),
    ] {
        let mut parts = Parts::default();
        assert!(parts.prelude.contains(from), "{from}");
        parts.prelude = parts.prelude.replace(from, to);
        let mut lab = Lab::new(&parts, 1);
        let found = BEGINS.into_iter().find_map(|begin| {
            let steps = with_each(&[Step::Cancel, Step::Retry]).into_iter();
            let steps = steps.filter(is_one_call);
            pairs(&mut lab, begin, (By::Owner, By::Other), steps).err()
        });
        assert!(found.is_some(), "nothing is noticed without {from:?}");
    }
}
