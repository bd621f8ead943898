//! [`Network`]: messages between clients and a store in memory, one by one, as a test decides.

use super::memory::{Keys, Memory};
use crate::id::Nonce;
use crate::link::{Failure, Origin};
use redis::{Cmd, Value};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

thread_local! {
    /// The task that is polled, and the next number that stands for a random one.
    static TASK: Cell<Option<usize>> = const { Cell::new(None) };
    static NEXT_RANDOM: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Fills bytes with numbers that are the same in every run, if this thread simulates.
pub(crate) fn fill(bytes: &mut [u8]) -> bool {
    let Some(next) = NEXT_RANDOM.get() else {
        return false;
    };
    NEXT_RANDOM.set(Some(next + 1));
    let random = (u128::from(next) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    for (byte, value) in bytes.iter_mut().zip(random.to_be_bytes().iter().cycle()) {
        *byte = *value;
    }
    true
}

/// Makes the random numbers of this thread the same in every run, until it is dropped.
pub(crate) struct Simulated;

impl Simulated {
    pub(crate) fn begin() -> Self {
        NEXT_RANDOM.set(Some(0));
        Self
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        NEXT_RANDOM.set(None);
    }
}

/// Runs `f` as a task.
pub(crate) fn as_task<R>(task: usize, f: impl FnOnce() -> R) -> R {
    TASK.set(Some(task));
    let result = f();
    TASK.set(None);
    result
}

/// A store, and the messages that are on their way to it.
pub(crate) struct Network {
    pub(crate) memory: Arc<Memory>,
    /// Whether effects are recorded, which copies all keys for each command.
    is_recorded: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Messages that wait for a decision.
    sent: Vec<Message>,
    /// Messages whose clients do not wait any more, and which may still arrive.
    held: Vec<Message>,
    connections: BTreeSet<u64>,
    last_connection: u64,
    run: u64,
    /// The changes that the scripts have made, in order.
    effects: Vec<Effect>,
    /// The keys after each effect, and before the first.
    history: Vec<Keys>,
}

/// A command on its way.
pub(crate) struct Message {
    /// The task that sent it, or `None` during the preparation.
    pub(crate) task: Option<usize>,
    connection: u64,
    pub(crate) command: Command,
    answer: Option<oneshot::Sender<Result<Value, Failure>>>,
    is_noted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Evaluate {
        hash: String,
        keys: Vec<Vec<u8>>,
        arguments: Vec<Vec<u8>>,
    },
    Kill(u64),
}

/// A change that a script has made.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    /// Nonce of the call.
    pub(crate) call: Vec<u8>,
}

/// One end of a connection.
#[derive(Clone)]
pub(crate) struct Connection {
    network: Arc<Network>,
    pub(crate) id: u64,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "connection {}", self.id)
    }
}

impl Network {
    /// Returns an empty store, in an interpreter that nobody else uses now.
    pub(crate) fn new(memory: Arc<Memory>) -> Arc<Self> {
        let mut keys = Keys::default();
        keys.now = 1_000_000;
        *memory.keys() = keys.clone();
        let state = State {
            history: vec![keys],
            ..State::default()
        };
        Arc::new(Self {
            memory,
            is_recorded: true,
            state: Mutex::new(state),
        })
    }

    /// Returns an empty store whose effects are not recorded.
    pub(crate) fn unrecorded(memory: Arc<Memory>) -> Arc<Self> {
        Arc::new(Self {
            memory,
            is_recorded: false,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns a new connection, and what the server says of itself.
    pub(crate) fn connect(self: &Arc<Self>) -> (Connection, Origin) {
        let mut state = self.state();
        state.last_connection += 1;
        let id = state.last_connection;
        state.connections.insert(id);
        let origin = Origin {
            run_id: format!("run {}", state.run),
            client_id: id,
        };
        let network = self.clone();
        (Connection { network, id }, origin)
    }

    /// Returns the tasks whose messages wait for a decision.
    pub(crate) fn waiting(&self) -> Vec<usize> {
        let state = self.state();
        state
            .sent
            .iter()
            .filter_map(|message| message.task)
            .collect()
    }

    /// Returns the messages that have been sent since the last call.
    pub(crate) fn new_messages(&self) -> Vec<(usize, Command)> {
        let mut state = self.state();
        let new = state.sent.iter_mut().filter(|message| !message.is_noted);
        new.filter_map(|message| {
            message.is_noted = true;
            Some((message.task?, message.command.clone()))
        })
        .collect()
    }

    pub(crate) fn held(&self) -> usize {
        self.state().held.len()
    }

    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.state().effects.clone()
    }

    /// Returns the keys after the effects from the `from`-th on, and before it.
    pub(crate) fn history(&self, from: usize) -> Vec<Keys> {
        self.state().history[from..].to_vec()
    }

    /// Executes a command, unless its connection is closed.
    fn execute(&self, connection: u64, command: &Command) -> Result<Value, Failure> {
        if !self.state().connections.contains(&connection) {
            return Err(Failure::Lost);
        }
        match command {
            Command::Kill(id) => {
                let mut state = self.state();
                let killed = state.connections.remove(id);
                state.held.retain(|message| message.connection != *id);
                Ok(Value::Int(i64::from(killed)))
            }
            Command::Evaluate {
                hash,
                keys,
                arguments,
            } => {
                if !self.is_recorded {
                    let reply = self.memory.run(hash, keys, arguments);
                    return reply.map_err(Failure::Rejected);
                }
                let before = self.memory.keys().clone();
                let reply = self.memory.run(hash, keys, arguments);
                let after = self.memory.keys().clone();
                let mut state = self.state();
                if before != after {
                    let call = arguments.get(1).cloned().unwrap_or_default();
                    state.effects.push(Effect { call });
                    state.history.push(after);
                }
                reply.map_err(Failure::Rejected)
            }
        }
    }

    /// Executes the message of a task, and answers it.
    pub(crate) fn answer(&self, task: usize) -> (Command, Option<Value>) {
        let mut message = self.take(task);
        let reply = self.execute(message.connection, &message.command);
        let told = reply.as_ref().ok().cloned();
        let answer = message.answer.take().expect("nobody has answered");
        let _ = answer.send(reply);
        (message.command, told)
    }

    /// Executes the message of a task, and loses the answer.
    pub(crate) fn lose_answer(&self, task: usize) {
        let message = self.take(task);
        let _ = self.execute(message.connection, &message.command);
    }

    /// Answers the message of a task without executing it, as a server does that is not ready.
    pub(crate) fn refuse(&self, task: usize) {
        let mut message = self.take(task);
        let answer = message.answer.take().expect("nobody has answered");
        let _ = answer.send(Err(Failure::Later { reconnect: false }));
    }

    /// Loses the message of a task.
    pub(crate) fn lose(&self, task: usize) {
        drop(self.take(task));
    }

    /// Holds the message of a task back, so that its client gives up waiting for the answer.
    pub(crate) fn hold(&self, task: usize) {
        let mut message = self.take(task);
        message.answer = None;
        self.state().held.push(message);
    }

    /// Executes the message that is held for longest.
    pub(crate) fn release(&self) {
        let message = self.state().held.remove(0);
        let _ = self.execute(message.connection, &message.command);
    }

    /// Closes all connections, as a restart of the server does. It loses the last changes.
    pub(crate) fn restart(&self, lost: usize) {
        let mut state = self.state();
        state.run += 1;
        state.connections.clear();
        state.held.clear();
        state.sent.clear();
        let kept = state.effects.len().saturating_sub(lost);
        state.effects.truncate(kept);
        state.history.truncate(kept + 1);
        let mut keys = state.history[kept].clone();
        keys.now = self.memory.keys().now;
        *self.memory.keys() = keys;
    }

    fn take(&self, task: usize) -> Message {
        let mut state = self.state();
        let at = state
            .sent
            .iter()
            .position(|message| message.task == Some(task));
        state.sent.remove(at.expect("the task waits for an answer"))
    }
}

impl Connection {
    /// Sends a command. During the preparation, it is answered at once.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        let command = parse(command);
        let Some(task) = TASK.get() else {
            return self.network.execute(self.id, &command);
        };
        let (answer, answered) = oneshot::channel();
        let message = Message {
            task: Some(task),
            connection: self.id,
            command,
            answer: Some(answer),
            is_noted: false,
        };
        self.post(message);
        answered.await.unwrap_or(Err(Failure::Lost))
    }
}

impl Connection {
    fn post(&self, message: Message) {
        let mut state = self.network.state();
        if state.connections.contains(&self.id) {
            state.sent.push(message);
        }
    }
}

fn parse(command: &Cmd) -> Command {
    let parts: Vec<Vec<u8>> = command
        .args_iter()
        .map(|part| match part {
            redis::Arg::Simple(bytes) => bytes.to_vec(),
            _ => unreachable!("no cursor is sent"),
        })
        .collect();
    let text = |i: usize| String::from_utf8(parts[i].clone()).expect("a text");
    match text(0).as_str() {
        "EVALSHA" => {
            let number: usize = text(2).parse().expect("a number");
            Command::Evaluate {
                hash: text(1),
                keys: parts[3..3 + number].to_vec(),
                arguments: parts[3 + number..].to_vec(),
            }
        }
        "CLIENT" => Command::Kill(text(3).parse().expect("an id")),
        other => unreachable!("{other} is not simulated"),
    }
}

impl Command {
    /// Whether it is a part of a new connection, and not of a call.
    pub(crate) fn is_of_a_connect(&self) -> bool {
        match self {
            Self::Kill(_) => true,
            Self::Evaluate { keys, .. } => keys.last().is_some_and(|key| key.ends_with(b":meta")),
        }
    }

    /// Returns the nonce of the call and whether it is marked as a resend, if it changes something.
    pub(crate) fn call(&self) -> Option<(Nonce, bool)> {
        let Self::Evaluate { arguments, .. } = self else {
            return None;
        };
        let nonce = arguments.get(1)?.as_slice().try_into().ok()?;
        Some((Nonce(nonce), arguments[0] == b"1"))
    }
}
