//! Histories of several clients on the same jobs, with lost calls and answers, are linearizable.
//!
//! The scripts of this test keep a log: the nonce of every call that has changed a job, in the order of
//! the changes. The judge replays the log against the specification. Each change has to give the answer
//! that its caller got, and each refusal and each read has to fit at an instant between its beginning
//! and its end. No nonce may come twice. A call whose outcome its caller does not know may be in the log
//! or not.

use super::api::{self, Progress};
use super::faults::Fault;
use super::server::{MANUAL_CLOCK, Server, with_server};
use super::spec::{Call, Limits, Ret, Spec, Who};
use crate::id::{Nonce, random};
use crate::script::Parts;
use crate::{Error, Job, JobRegistry, Unavailable};
use job_registry::JobId;
use redis::Commands;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: usize = 6;
const JOBS: u32 = 4;
/// Number of calls of each client, unless `JOB_REGISTRY_REDIS_CALLS` says otherwise.
const CALLS: usize = 300;

/// A call as its client saw it.
#[derive(Debug)]
struct Seen {
    call: Call,
    nonce: Nonce,
    begun: Instant,
    ended: Instant,
    /// `None` if the outcome is unknown.
    answer: Option<Ret>,
}

fn limits() -> Limits {
    Limits {
        capacity: 100,
        retention: Duration::MAX,
        stall_after: Duration::MAX,
        stop_grace: Duration::MAX,
    }
}

/// Scripts that keep a log, on a clock that stands still.
fn parts() -> Parts {
    let mut parts = Parts {
        clock: MANUAL_CLOCK.to_owned(),
        ..Parts::default()
    };
    let counted = "redis.call('HINCRBY', COUNT, 'seq', 1)";
    assert_eq!(
        parts.prelude.matches(counted).count(),
        2,
        "a change and a removal are counted"
    );
    let log = "redis.call('RPUSH', (string.gsub(COUNT, 'count$', 'clock:log')), CALL)";
    let logged = format!("(function() {log}; return {counted} end)()");
    parts.prelude = parts
        .prelude
        .replace(&format!("text({counted})"), &format!("text({logged})"));
    parts.prelude = parts.prelude.replace(
        &format!("  {counted}\n"),
        &format!("  {log}\n  {counted}\n"),
    );
    parts
}

type Jobs = JobRegistry<u64>;

async fn connect(server: &Server) -> Jobs {
    let builder = server.builder("deck", &parts()).retention(Duration::MAX);
    builder.stop_grace(Duration::MAX).connect().await.unwrap()
}

fn draw(below: u8) -> u8 {
    let [byte] = random::<1>();
    byte % below
}

/// Makes random calls, and returns them with their answers.
async fn client(
    jobs: Jobs,
    ids: Vec<JobId>,
    owners: Vec<Arc<Job<u64>>>,
    calls: usize,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    for _ in 0..calls {
        let name = u32::from(draw(4)) % JOBS;
        let owner = owners.get(name as usize).filter(|_| draw(2) == 0);
        let who = if owner.is_some() {
            Who::Handle(name, 1)
        } else {
            Who::Id(name)
        };
        let progress = Progress::from_ppm(u32::from(draw(5)) * 250_000).unwrap();
        let call = match draw(24) {
            0..=3 => Call::Start(who),
            4..=7 => Call::Advance(who, progress),
            8 if draw(30) == 0 => Call::Complete(who),
            9 => Call::Fail(who, "broken"),
            8 | 10 => Call::Cancel(who),
            11..=12 => Call::RequestStop(who, "enough"),
            13..=14 => Call::Note(who, "note"),
            15 => Call::Report(who, progress, "report"),
            16..=17 => Call::Update(who, draw(10)),
            18..=21 => Call::Retry(who),
            _ => Call::Snapshot(who),
        };
        // Now and then a call or an answer is lost, and its resend as well.
        let fault = |before| {
            Some(Fault {
                before,
                pause: None,
            })
        };
        match draw(20) {
            0 => jobs.state.store.faults.plan([fault(true)]),
            1 => jobs.state.store.faults.plan([fault(false)]),
            2 => jobs.state.store.faults.plan([fault(false), fault(false)]),
            _ => {}
        }
        *jobs.state.store.seen.last_call.lock().unwrap() = None;
        let begun = Instant::now();
        let answer = match &owner {
            Some(job) => by_handle(job, &call).await,
            None => by_id(&jobs, ids[name as usize], &call).await,
        };
        let ended = Instant::now();
        let answer = match answer {
            Ok(answer) => Some(answer),
            Err(Error::Unavailable(Unavailable::Unknown)) => None,
            Err(error) => Some(super::conformance::refused(&error).unwrap()),
        };
        let store = match &owner {
            Some(job) => &job.registry().state.store,
            None => &jobs.state.store,
        };
        let nonce = store
            .seen
            .last_call
            .lock()
            .unwrap()
            .unwrap_or(Nonce([0; 12]));
        seen.push(Seen {
            call,
            nonce,
            begun,
            ended,
            answer,
        });
    }
    seen
}

fn append(digit: u8) -> impl FnMut(&mut u64) -> u64 {
    move |payload| {
        *payload = payload.wrapping_mul(10).wrapping_add(digit.into());
        *payload
    }
}

async fn by_id(jobs: &Jobs, id: JobId, call: &Call) -> Result<Ret, Error> {
    Ok(match *call {
        Call::Start(_) => jobs.start(id).await.map(|()| Ret::Done)?,
        Call::Advance(_, progress) => Ret::Progress(jobs.advance(id, progress).await?),
        Call::Complete(_) => jobs.complete(id).await.map(|()| Ret::Done)?,
        Call::Fail(_, why) => jobs.fail(id, why).await.map(|()| Ret::Done)?,
        Call::Cancel(_) => jobs.cancel(id).await.map(|()| Ret::Done)?,
        Call::RequestStop(_, why) => Ret::Status(jobs.request_stop(id, why).await?),
        Call::Note(_, note) => jobs.note(id, note).await.map(|()| Ret::Done)?,
        Call::Report(_, to, note) => jobs.report(id, to, note).await.map(|()| Ret::Done)?,
        Call::Update(_, digit) => Ret::Payload(jobs.update(id, append(digit)).await?),
        Call::Retry(_) => {
            let job = jobs.retry(id).await?;
            let attempt = job.attempt();
            let _ = job.detach();
            Ret::Attempt(attempt)
        }
        _ => view(&jobs.snapshot(id).await?),
    })
}

async fn by_handle(job: &Job<u64>, call: &Call) -> Result<Ret, Error> {
    Ok(match *call {
        Call::Start(_) => job.start().await.map(|()| Ret::Done)?,
        Call::Advance(_, progress) => Ret::Progress(job.advance(progress).await?),
        Call::Complete(_) => job.complete().await.map(|()| Ret::Done)?,
        Call::Fail(_, why) => job.fail(why).await.map(|()| Ret::Done)?,
        Call::Cancel(_) => job.cancel().await.map(|()| Ret::Done)?,
        Call::RequestStop(_, why) => Ret::Status(job.request_stop(why).await?),
        Call::Note(_, note) => job.note(note).await.map(|()| Ret::Done)?,
        Call::Report(_, to, note) => job.report(to, note).await.map(|()| Ret::Done)?,
        Call::Update(_, digit) => Ret::Payload(job.update(append(digit)).await?),
        Call::Retry(_) => {
            let next = job.retry().await?;
            let attempt = next.attempt();
            let _ = next.detach();
            Ret::Attempt(attempt)
        }
        _ => view(&job.snapshot().await?),
    })
}

/// Attempt, status, progress and revision, as the answer of a snapshot.
fn view(seen: &api::Snapshot) -> Ret {
    Ret::View(super::spec::View {
        job: 0,
        version: (seen.attempt(), seen.status(), seen.progress()),
        revision: super::spec::revision(&seen.version()),
        beat: 0,
    })
}

/// Applies a call to a copy of a job, and returns its answer and the copy.
fn applied(spec: &Spec, call: &Call) -> (Ret, Spec) {
    let mut next = spec.clone();
    let answer = match next.apply(call) {
        // The heartbeat of a retry in the same millisecond is one later, and no subject here.
        Ret::View(view) => Ret::View(super::spec::View {
            job: 0,
            beat: 0,
            ..view
        }),
        answer => answer,
    };
    (answer, next)
}

/// Judges the calls on one job, given those that have changed it, in their order.
fn judge(name: u32, calls: &[&Seen], log: &[Nonce]) -> Result<u64, String> {
    let mut spec = Spec::new(limits());
    spec.apply(&Call::Register(name, 0));
    let of_nonce: BTreeMap<_, _> = calls.iter().map(|seen| (seen.nonce.0, *seen)).collect();
    let changes: Vec<&Seen> = log
        .iter()
        .filter_map(|nonce| of_nonce.get(&nonce.0).copied())
        .collect();
    let mut states = vec![spec];
    for change in &changes {
        let (answer, next) = applied(states.last().expect("the first"), &change.call);
        if change.answer.as_ref().is_some_and(|seen| *seen != answer) {
            return Err(format!(
                "{change:?} changes the job and should answer {answer:?}"
            ));
        }
        if matches!(answer, Ret::Refused(_)) {
            return Err(format!(
                "{change:?} changes the job and should be refused: {answer:?}"
            ));
        }
        states.push(next);
    }
    // A change takes effect between its beginning and its end: a later one does not end before an
    // earlier one begins. An unknown one may take effect before the next call of its client.
    for (number, change) in changes.iter().enumerate() {
        let overtaken = changes[number + 1..]
            .iter()
            .any(|later| later.ended < change.begun);
        if overtaken {
            return Err(format!(
                "{change:?} takes effect after a change that had ended before"
            ));
        }
    }
    let mut others: Vec<&Seen> = calls.to_vec();
    others.retain(|seen| changes.iter().all(|change| change.nonce.0 != seen.nonce.0));
    others.sort_by_key(|seen| seen.begun);
    let mut placed: Vec<(Instant, usize)> = Vec::new();
    let mut fitted = 0;
    for other in others {
        let Some(answer) = &other.answer else {
            continue;
        };
        // All that had ended before it has happened, and nothing that began after it has.
        let after = changes
            .iter()
            .rposition(|change| change.ended < other.begun);
        let earlier = placed
            .iter()
            .filter(|(ended, _)| *ended < other.begun)
            .map(|(_, at)| *at);
        let first = earlier.max().unwrap_or(0).max(after.map_or(0, |at| at + 1));
        let last = changes.iter().position(|change| change.begun > other.ended);
        let last = last.unwrap_or(changes.len());
        let fits = (first..=last).find(|at| {
            let (given, next) = applied(&states[*at], &other.call);
            // It has changed nothing.
            given == *answer && next.jobs == states[*at].jobs
        });
        let Some(at) = fits else {
            return Err(format!(
                "{other:?} fits nowhere from change {first} to {last} of {changes:#?}"
            ));
        };
        placed.push((other.ended, at));
        fitted += 1;
    }
    Ok(fitted)
}

#[test]
fn histories_of_several_clients_with_faults_are_linearizable() {
    let calls = std::env::var("JOB_REGISTRY_REDIS_CALLS");
    let calls = calls.map_or(CALLS, |text| text.parse().expect("a number"));
    with_server(async |server| {
        let first = connect(server).await;
        let (mut ids, mut owners) = (Vec::new(), Vec::new());
        for _ in 0..JOBS {
            let job = Arc::new(first.register(&0).await.unwrap());
            ids.push(job.id());
            owners.push(job);
        }
        let log = "jr1:{deck/0}:clock:log";
        let _: () = server.admin().del(log).unwrap();
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            // The owner's handle belongs to one client, which makes one call at a time.
            let (jobs, owners) = if number == 0 {
                (first.clone(), owners.clone())
            } else {
                (connect(server).await, Vec::new())
            };
            clients.push((
                jobs.clone(),
                tokio::spawn(client(jobs, ids.clone(), owners, calls)),
            ));
        }
        let (mut seen, resends, unknown) = (Vec::new(), AtomicU64::new(0), AtomicU64::new(0));
        for (jobs, client) in clients {
            seen.extend(client.await.unwrap());
            let store = &jobs.state.store;
            resends.fetch_add(store.seen.resends.load(Ordering::SeqCst), Ordering::SeqCst);
            unknown.fetch_add(store.seen.unknown.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        let log: Vec<Vec<u8>> = {
            let entries = server.admin().lrange(log, 0, -1).unwrap();
            let _: () = server.admin().del(log).unwrap();
            entries
        };
        let log: Vec<Nonce> = log
            .into_iter()
            .map(|nonce| Nonce(nonce.try_into().unwrap()))
            .collect();
        let unique: std::collections::BTreeSet<_> = log.iter().map(|nonce| nonce.0).collect();
        assert_eq!(unique.len(), log.len(), "a call takes effect twice");
        let own: std::collections::BTreeSet<_> = seen.iter().map(|seen| seen.nonce.0).collect();
        assert!(unique.is_subset(&own), "a change was made by no call");
        let mut fitted = 0;
        for name in 0..JOBS {
            let of_job = |seen: &&Seen| match seen.call.who() {
                Some(Who::Id(of) | Who::Handle(of, _)) => of == name,
                _ => false,
            };
            let calls: Vec<&Seen> = seen.iter().filter(of_job).collect();
            fitted += judge(name, &calls, &log).unwrap_or_else(|why| panic!("{why}"));
        }
        let (resends, unknown) = (resends.into_inner(), unknown.into_inner());
        println!(
            "{} calls, {} changes, {fitted} others, {resends} resends, {unknown} unknown",
            seen.len(),
            log.len()
        );
        let accounted = log.len() as u64 + fitted + unknown;
        assert!(
            accounted >= seen.len() as u64,
            "a call is judged by nothing"
        );
        assert!(
            resends > seen.len() as u64 / 20,
            "the faults did not strike"
        );
        assert!(unknown > 0, "no outcome was unknown");
        for owner in owners {
            let _ = Arc::into_inner(owner)
                .expect("the clients have ended")
                .detach();
        }
    });
}
