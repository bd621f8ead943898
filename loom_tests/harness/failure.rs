//! The report of a failed execution: its number, its timeline, and the command that repeats it.

use super::ledger::CHECKER;
use crate::sync::facade::record::{self, Event, Name};
use crate::types::heartbeat_word::HeartbeatWord;
use crate::types::state_word::StateWord;
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::sync::Once;

thread_local! {
    /// Name of the model that this OS thread explores, and the prefix of its command.
    static CHECKED: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
    static EXECUTION: Cell<u64> = const { Cell::new(0) };
    static SHOWN: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Explores under a name. A panic meanwhile is the model's failure and is reported. `again` is the
/// environment of the command that repeats the execution, or empty.
pub(in crate::loom_tests) fn of<R>(name: &str, again: &str, explore: impl FnOnce() -> R) -> R {
    static HOOK: Once = Once::new();
    // A panic hook also runs if the panic then aborts the process.
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if let Some((name, again)) = CHECKED.take() {
                eprintln!("{}", describe(&name, &again));
            }
            usual(panic);
        }));
    });
    let shown = std::env::var("JOB_REGISTRY_EXECUTION").ok();
    SHOWN.set(shown.map(|n| n.parse().expect("the number of an execution")));
    EXECUTION.set(0);
    CHECKED.set(Some((name.to_owned(), again.to_owned())));
    let result = explore();
    CHECKED.set(None);
    result
}

/// Runs one execution of a model.
pub(in crate::loom_tests) fn watched<R>(model: impl Fn() -> R) -> R {
    EXECUTION.set(EXECUTION.get() + 1);
    let result = model();
    if SHOWN.get() == Some(EXECUTION.get()) {
        eprintln!("{}", timeline());
    }
    result
}

fn describe(name: &str, again: &str) -> String {
    let execution = EXECUTION.get();
    let path = std::thread::current().name().unwrap_or(name).to_owned();
    let mut text = timeline();
    let _ = write!(
        text,
        "{name}: detected in execution {execution} under {CHECKER}. To see it again:\n\
         {again}JOB_REGISTRY_EXECUTION={execution} RUSTFLAGS=\"--cfg {CHECKER}\" cargo test --lib {path} -- --exact --nocapture"
    );
    text
}

/// Returns the events of this execution, in one column for each thread.
fn timeline() -> String {
    let events = record::events();
    let threads = events
        .iter()
        .map(|(thread, _)| thread + 1)
        .max()
        .unwrap_or(1);
    let mut text = String::from("\n");
    for thread in 0..threads {
        let head = match thread {
            0 => "main".to_owned(),
            n => format!("thread {n}"),
        };
        let _ = write!(text, "{head:<WIDTH$}");
    }
    text.push('\n');
    for (thread, event) in &events {
        let indent = " ".repeat(thread * WIDTH);
        let line = match event {
            Event::Call(call) => format!("{call:?} ..."),
            Event::Return(result) => format!("  = {result:?}"),
            Event::Word(name, from, to) => format!("  {}", step(*name, *from, *to)),
        };
        let _ = writeln!(text, "{indent}{line}");
    }
    text
}

const WIDTH: usize = 34;

/// Describes a change of a word. A slot creates its state word and then its heartbeat word.
fn step(Name(_, number): Name, from: u64, to: u64) -> String {
    let slot = (number - 1) / 2;
    if number % 2 == 1 {
        let (from, to) = (StateWord::from_bits(from), StateWord::from_bits(to));
        format!("state {slot}: {from:?} -> {to:?}")
    } else {
        let (from, to) = (HeartbeatWord::from_bits(from), HeartbeatWord::from_bits(to));
        format!("heartbeat {slot}: {from:?} -> {to:?}")
    }
}
