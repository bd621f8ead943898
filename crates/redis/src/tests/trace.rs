//! The scripts that a call sends, as lines of a file that outlives the process.
//!
//! A call is traced within [`CALLER`]. A task that a call has spawned, such as the abandonment of a
//! job, is traced to the file of the process.

use crate::id::Nonce;
use crate::reply::Reply;
use crate::script::Script;
use crate::store::Fence;
use job_registry::JobId;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock};

tokio::task_local! {
    /// The file of the calls of this task.
    pub(crate) static CALLER: Arc<Lines>;
}

/// The file of the tasks that are no caller.
pub(crate) static SPAWNED: OnceLock<Lines> = OnceLock::new();

/// A file of lines. Each is written by one system call: a killed process leaves whole lines.
#[derive(Debug)]
pub(crate) struct Lines {
    file: Mutex<File>,
    /// The last script that was sent: its jobs, and its first argument.
    pub(crate) last: Mutex<(Vec<String>, Vec<u8>)>,
}

impl Lines {
    pub(crate) fn new(file: File) -> Self {
        Self {
            file: Mutex::new(file),
            last: Mutex::default(),
        }
    }

    pub(crate) fn write(&self, line: &str) {
        let line = format!("{line}\n");
        let written = self.file.lock().unwrap().write_all(line.as_bytes());
        written.expect("the file can be written");
    }
}

/// Nanoseconds of the clock that all processes of this machine share.
pub(crate) fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let nanos = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(nanos).expect("the machine has been started")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a text");
    }
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

fn with_lines(write: impl Fn(&Lines)) {
    let written = CALLER.try_with(|lines| write(lines));
    if let (Err(_), Some(lines)) = (written, SPAWNED.get()) {
        write(lines);
    }
}

/// Traces a script that is about to be sent for the first time.
pub(crate) fn sent(
    script: Script,
    keys: &[String],
    call: Nonce,
    fence: Option<Fence>,
    arguments: &[Vec<u8>],
) {
    with_lines(|lines| {
        let jobs = keys.iter().filter_map(|key| key.split_once(":j:"));
        let mut jobs: Vec<String> = jobs.map(|(_, id)| id.to_owned()).collect();
        if script == Script::Register {
            // The job to which a client's key leads follows.
            jobs.truncate(1);
        }
        let first = arguments.first().cloned().unwrap_or_default();
        let (time, nonce, of) = (monotonic(), hex(&call.0), jobs.join(","));
        let fence = fence.map_or_else(
            || "- -".to_owned(),
            |fence| format!("{} {}", fence.attempt, hex(&fence.nonce.0)),
        );
        let arguments: Vec<String> = arguments.iter().map(|bytes| hex(bytes)).collect();
        let arguments = arguments.join(",");
        lines.write(&format!(
            "n {time} {nonce} {script:?} {of} {fence} {arguments}"
        ));
        *lines.last.lock().unwrap() = (jobs, first);
    });
}

/// Traces the words of the reply to a call.
pub(crate) fn answered(call: Nonce, reply: &Reply) {
    with_lines(|lines| {
        let (mut reply, mut words) = (reply.clone(), Vec::new());
        while !reply.is_empty() {
            // The states that a verdict returns are lists, and are in the answer of the call.
            let word = reply.text().ok().flatten().unwrap_or_default();
            words.push(if word.is_empty() {
                "-".to_owned()
            } else {
                word
            });
        }
        let (time, nonce) = (monotonic(), hex(&call.0));
        lines.write(&format!("r {time} {nonce} {}", words.join(",")));
    });
}

/// Traces that a script was not executed.
pub(crate) fn not_executed(call: Nonce) {
    with_lines(|lines| lines.write(&format!("x {}", hex(&call.0))));
}

/// Gives heartbeats a nonce, by which the test finds them in the log of the store.
pub(crate) fn mark(jobs: &[(JobId, Option<Fence>)], arguments: &mut [Vec<u8>]) {
    if CALLER.try_with(|_| ()).is_ok() || SPAWNED.get().is_some() {
        let nonce = Nonce::random();
        let keys: Vec<String> = jobs.iter().map(|(id, _)| format!(":j:{id}")).collect();
        let fence = jobs.first().and_then(|(_, fence)| *fence);
        sent(Script::Heartbeat, &keys, nonce, fence, &[]);
        arguments[1] = nonce.0.to_vec();
    }
}
