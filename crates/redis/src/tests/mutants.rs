//! The scripts with each guard removed once, and with seeded bugs. The checks detect each of them.

use super::conformance::{self, Choice, choices, limits};
use super::server::{Check, Server};
use super::spec::Limits;
use super::{guard, once, ownership, refusals, resends, watching};
use crate::script::Parts;
use futures_util::FutureExt;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Number of histories that each mutant meets.
const HISTORIES: usize = 60;
/// Time after which a check that has not ended has detected the mutant.
const LONGEST_CHECK: Duration = Duration::from_secs(60);

/// Time for all mutants.
const LONGEST: Duration = Duration::from_secs(1800);

/// Guards whose removal changes no answer, each with its reason.
const SURVIVORS: &[(&str, &str)] = &[];

/// Seeded bugs: the script, a text in it, and what replaces it.
const SEEDED: &[(&str, &str, &str)] = &[
    ("prelude", " and now > (trusted or 0) + tonumber(job.l)", ""),
    ("prelude", "now > job.h + job.l", "now >= job.h + job.l"),
    ("prelude", "'e', job.e, ", ""),
    ("prelude", "'o', CALL, unpack", "unpack"),
    ("prelude", " or job.n ~= nonce)", ")"),
    ("prelude", "RESENT and 'unknown' or 'absent'", "'absent'"),
    ("prelude", "job.k or job.t", "job.t"),
    (
        "prelude",
        "if reason or status ~= CANCELLED then",
        "if true then",
    ),
    (
        "prelude",
        "  if status == COMPLETED then job.ppm = WHOLE end\n",
        "",
    ),
    (
        "prelude",
        "  redis.call('EXPIRE', job.final, FINAL_SECONDS)\n",
        "",
    ),
    (
        "prelude",
        "math.max(now, tonumber(job.a), tonumber(job.s) or 0, tonumber(job.z) or 0)",
        "now",
    ),
    (
        "prelude",
        "  if run ~= job.was_run then index(RUN, job, run) end\n",
        "",
    ),
    (
        "prelude",
        "  if due ~= job.was_due then index(DUE, job, due) end\n",
        "",
    ),
    ("prelude", "less, text((counts[2] or 0) - 1), ", ""),
    ("prelude", ", more, text((counts[3] or 0) + 1) }", " }"),
    (
        "prelude",
        "  redis.call('DEL', job.key, job.texts)\n",
        "  redis.call('DEL', job.key)\n",
    ),
    ("prelude", "  redis.call('ZREM', ALL, job.id)\n", ""),
    ("prelude", "  redis.call('ZREM', DUE, job.id)\n", ""),
    (
        "prelude",
        ", more, text((counts[3] or 0) + (to and 1 or -1))",
        "",
    ),
    ("prelude", "math.min(deadline, stop)", "deadline"),
    (
        "prelude",
        "text(number)\n  return string.format('%d', number)",
        "text(number)\n  return tostring(number * 1e9 / 1e9)",
    ),
    ("prelude", "'%.?0+$', ''", "'x', ''"),
    ("prelude", "redis.pcall('PUBLISH', job.key, job.v)", ""),
    ("heartbeat", "elseif now > tonumber(job.h) then", "else"),
    (
        "start",
        "set(job, 'h', text(math.max(now, tonumber(job.h))))\n",
        "",
    ),
    ("retry", "tonumber(job.h) + 1", "tonumber(job.h)"),
    ("retry", "set(job, 'n', ARGV[6])\n", ""),
    ("retry", "set(job, 's', nil)\n", ""),
    ("retry", "set(job, 'z', nil)\n", ""),
    ("retry", "set(job, 'd', nil)\n", ""),
    ("retry", "set(job, 'k', nil)\n", ""),
    ("retry", "set(job, 'w', nil)\n", ""),
    ("retry", "set(job, 'y', after(now, job.x))\n", ""),
    ("retry", "set_text(job, 'n', nil)\n", ""),
    ("retry", "set_text(job, 'r', nil)\n", ""),
    ("retry", " or is_stalled(job, now)", ""),
    (
        "register",
        "redis.call('ZADD', ALL, job.q, job.id)",
        "redis.call('ZADD', ALL, text(now), job.id)",
    ),
    ("update", "  set(job, 'u', text(tonumber(job.u) + 1))\n", ""),
    ("update", "set(job, 'r', text(tonumber(job.r) + 1))\n", ""),
    ("keep", "set(job, 'r', text(tonumber(job.r) + 1))\n", ""),
    ("advance", "if not rises then set", "if true then set"),
    (
        "advance",
        "  if not rises then set(job, 'r', text(tonumber(job.r) + 1)) end\n",
        "",
    ),
    ("advance", "math.max(ppm, job.ppm)", "ppm"),
    (
        "prelude",
        "redis.call('HGET', name, 'id') == job.id and name",
        "name",
    ),
    (
        "prelude",
        "  if name then redis.call('DEL', name) end\n",
        "",
    ),
    ("register", "(ARGV[18] == '1' or is_live(other))", "true"),
    (
        "register",
        "(ARGV[18] == '1' or is_live(other))",
        "is_live(other)",
    ),
    ("collect", "allowed == '*' or allowed == job.v", "true"),
    ("walk", "ARGV[5]", "'0'"),
    ("stop", "  set(job, 'w', after(time, job.g))\n", ""),
    ("end", "ARGV[7] == '1' and ARGV[8] or nil", "ARGV[8]"),
    (
        "prelude",
        "job.m ~= nil and now < tonumber(job.m) and job.f ~= token",
        "job.m ~= nil and job.f ~= token",
    ),
    (
        "prelude",
        "now < tonumber(job.m) and job.f == token",
        "now < tonumber(job.m)",
    ),
    (
        "prelude",
        "now < tonumber(job.m) and job.f == token",
        "job.f == token",
    ),
    ("prelude", "run and math.max(run, lease)", "run"),
    ("prelude", "due and math.max(due, lease)", "due"),
    (
        "prelude",
        "  set(job, 'f', nil)\n  set(job, 'm', nil)\n",
        "",
    ),
    ("retry", "give_up_lease(job)\n", ""),
    ("update", "  if gives_up then give_up_lease(job) end\n", ""),
    (
        "update",
        "token == '' and job.u ~= ARGV[6]",
        "job.u ~= ARGV[6]",
    ),
    (
        "end",
        "if ARGV[9] == '1' and job.status == STOPPING then status, reason = CANCELLED, nil end\n",
        "",
    ),
    ("end", "  set(job, 'u', text(tonumber(job.u) + 1))\n", ""),
    ("lease", "after(now, ARGV[7])", "after(0, ARGV[7])"),
    (
        "lease",
        "set(job, 'm', over)",
        "set(job, 'm', job.m or over)",
    ),
    ("verdict", "not latest or now <= latest", "true"),
    ("prelude", "'XX', ", ""),
];

/// Returns every part of the scripts by name.
fn part<'a>(parts: &'a mut Parts, name: &str) -> &'a mut String {
    if name == "prelude" {
        return &mut parts.prelude;
    }
    let own = parts.own.iter_mut().find(|(own, _)| *own == name);
    &mut own.expect("a script").1
}

/// Returns the scripts with each guard removed once.
fn without_guards() -> Vec<(String, Parts)> {
    let whole = Parts::default();
    let mut names = vec!["prelude"];
    names.extend(whole.own.iter().map(|(name, _)| *name));
    let mut mutants = Vec::new();
    for name in names {
        let text = part(&mut whole.clone(), name).clone();
        for (number, line) in text.lines().enumerate() {
            let Some(guard) = line.trim().strip_suffix("-- guard").map(str::trim_end) else {
                continue;
            };
            let removed = match guard.strip_suffix(" then") {
                // The guard is the condition of several lines.
                Some(block) if block.starts_with("elseif ") => "elseif false then".to_owned(),
                Some(_) => "if false then".to_owned(),
                None => String::new(),
            };
            let lines = text.lines().enumerate();
            let lines = lines.map(|(at, line)| if at == number { &*removed } else { line });
            let mut parts = whole.clone();
            *part(&mut parts, name) = lines.collect::<Vec<_>>().join("\n") + "\n";
            mutants.push((format!("{name}.lua without `{guard}`"), parts));
        }
    }
    mutants
}

fn seeded() -> Vec<(String, Parts)> {
    let seed = |(name, from, to): &(&str, &str, &str)| {
        let mut parts = Parts::default();
        let text = part(&mut parts, name);
        assert_eq!(
            text.matches(from).count(),
            1,
            "{name}.lua has not exactly one {from:?}"
        );
        *text = text.replace(from, to);
        (format!("{name}.lua with {to:?} for {from:?}"), parts)
    };
    SEEDED.iter().map(seed).collect()
}

fn histories() -> Vec<(Limits, Vec<Choice>)> {
    let mut runner = TestRunner::deterministic();
    let mut draw = || {
        (limits(), choices(150))
            .new_tree(&mut runner)
            .expect("a history")
            .current()
    };
    (0..HISTORIES).map(|_| draw()).collect()
}

/// Returns the name of the first check that detects something, if any does.
async fn detected(
    server: &Server,
    histories: &[(Limits, Vec<Choice>)],
    parts: &Parts,
) -> Option<String> {
    let mut checks: Vec<Check<'_>> = Vec::new();
    checks.push((
        "conformance",
        Box::pin(async {
            for (number, history) in histories.iter().enumerate() {
                let applied =
                    conformance::history(server, &format!("h{number}"), history, parts).await;
                applied.unwrap();
            }
        }),
    ));
    checks.extend(resends::all(server, parts));
    checks.extend(refusals::all(server, parts));
    checks.extend(ownership::all(server, parts));
    checks.extend(once::all(server, parts));
    checks.extend(watching::all(server, parts));
    checks.extend(guard::all(server, parts));
    for (name, check) in checks {
        let check = AssertUnwindSafe(tokio::time::timeout(LONGEST_CHECK, check)).catch_unwind();
        let passed = matches!(check.await, Ok(Ok(())));
        let audited = AssertUnwindSafe(super::server::audit(server))
            .catch_unwind()
            .await;
        let _: () = redis::cmd("FLUSHALL")
            .query(&mut server.admin())
            .expect("an empty server");
        if !passed || audited.is_err() {
            return Some(name.to_owned());
        }
    }
    None
}

/// Runs every mutant, and returns the names of those that survive.
fn survivors(mutants: Vec<(String, Parts)>) -> Vec<String> {
    let histories = histories();
    let mut survivors = Vec::new();
    super::server::run_within(LONGEST, async {
        let server = Server::start();
        let nothing = detected(&server, &histories, &Parts::default()).await;
        assert_eq!(
            nothing, None,
            "a check detects something in the scripts as they are"
        );
        for (name, parts) in mutants {
            let detected = detected(&server, &histories, &parts).await;
            println!("{}: {name}", detected.as_deref().unwrap_or("SURVIVES"));
            if detected.is_none() {
                survivors.push(name);
            }
        }
    });
    survivors
}

#[test]
#[ignore = "takes a quarter of an hour: the checks run once for each guard"]
fn every_removed_guard_is_detected() {
    let (mutants, known) = (without_guards(), SURVIVORS.iter().map(|(name, _)| *name));
    assert!(mutants.len() > 40, "the guards are not found");
    assert_eq!(survivors(mutants), known.collect::<Vec<_>>());
}

#[test]
#[ignore = "takes a quarter of an hour: the checks run once for each bug"]
fn every_seeded_bug_of_a_script_is_detected() {
    assert_eq!(survivors(seeded()), Vec::<String>::new());
}
