//! How a specimen is put to the test: in a child process, because a model that deadlocks may take its
//! process with it.
//!
//! The child is this same test binary, told to run the specimen's own test alone, and by a variable of the
//! environment that it is the child. It has to fail, and to say what it was expected to say; a specimen that does not compile,
//! or fails for another reason, proves nothing.

use crate::loom_tests::harness;
use std::fmt::Debug;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A registry with a bug, and the model that has to find it.
pub(super) struct Specimen {
    /// The name of the test that it belongs to.
    pub(super) name: &'static str,
    /// In a line.
    pub(super) bug: &'static str,
    /// What the failure has to say.
    pub(super) violation: &'static str,
    pub(super) run: fn(),
}

const SPECIMEN: &str = "JOB_REGISTRY_SPECIMEN";
const WITHIN: Duration = Duration::from_secs(60);
const CHECKER: &str = if cfg!(loom) { "loom" } else { "shuttle" };

/// Executions of the model of the one specimen that this process runs.
static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

/// Fails unless the checker catches the specimen.
pub(super) fn dies(specimen: &Specimen) {
    if std::env::var(SPECIMEN).is_ok_and(|name| name == specimen.name) {
        announce_the_execution();
        return (specimen.run)();
    }
    let began = Instant::now();
    let (how, output) = run_in_a_child(specimen.name);
    let is_named = output.contains(specimen.violation);
    let died = is_named && matches!(how, "failed" | "aborted");
    let line = format!(
        "{{\"kind\":\"zoo\",\"specimen\":{:?},\"bug\":{:?},\"checker\":\"{CHECKER}\",\"died\":{died},\
         \"how\":\"{how}\",\"test\":{:?},\"executions\":{},\"seconds\":{:.3}}}\n",
        specimen.name,
        specimen.bug,
        specimen.name,
        execution(&output).map_or("null".to_owned(), |n| n.to_string()),
        began.elapsed().as_secs_f64(),
    );
    print!("{line}");
    append(&line);
    assert!(
        died,
        "{} has {how} and did not die of {:?}:\n{output}",
        specimen.name, specimen.violation
    );
}

/// A hook, because it runs before a panic can turn into an abort.
fn announce_the_execution() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let executions = EXECUTIONS.load(Ordering::Relaxed);
        eprintln!("detected in execution {executions}");
        usual(panic);
    }));
}

fn execution(output: &str) -> Option<u64> {
    let (_, rest) = output.split_once("detected in execution ")?;
    rest.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// How the specimen's own test ended, when it was run alone, and what it printed.
fn run_in_a_child(name: &'static str) -> (&'static str, String) {
    let test = std::thread::current();
    let test = test.name().expect("tests run on threads of their names");
    let mut child = Command::new(std::env::current_exe().expect("a test knows where it is"))
        .args([test, "--exact", "--nocapture"])
        .env(SPECIMEN, name)
        .env("RUST_BACKTRACE", "0")
        .env_remove("JOB_REGISTRY_LEDGER")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a test can be run again");
    let readers = [reader(child.stdout.take()), reader(child.stderr.take())];
    let how = wait(&mut child);
    let output = readers.map(|reader| reader.join().expect("a reader does not panic"));
    (how, output.concat())
}

/// Reads while the child runs: a full pipe would stop it.
fn reader(from: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child) -> &'static str {
    let began = Instant::now();
    loop {
        match child.try_wait().expect("a child can be waited for") {
            Some(status) if status.success() => return "lived",
            // A signal leaves no code.
            Some(status) if status.code().is_none() => return "aborted",
            Some(_) => return "failed",
            None if began.elapsed() > WITHIN => {
                let _ = child.kill();
                let _ = child.wait();
                return "hung";
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// To the file that `JOB_REGISTRY_ZOO_LEDGER` names.
fn append(line: &str) {
    let Some(path) = std::env::var_os("JOB_REGISTRY_ZOO_LEDGER") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    // One write, so that tests that run beside each other do not mix their lines.
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the ledger can be written");
}

/// The harness's `check`, with the executions counted. `must_see` is what a registry without the bug would show.
pub(super) fn check<O: PartialEq + Clone + Debug + Send + 'static>(
    claim: &harness::Claim,
    must_see: &[O],
    model: impl Fn() -> O + Send + Sync + 'static,
) {
    let counted = move || {
        EXECUTIONS.fetch_add(1, Ordering::Relaxed);
        model()
    };
    harness::check(claim, must_see, &[], counted);
}
