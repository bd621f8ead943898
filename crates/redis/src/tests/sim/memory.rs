//! [`Memory`]: a store in memory that runs the scripts as a server does.

use crate::script::Scripts;
use mlua::{Function, Lua, MultiValue, Table, Variadic};
use redis::Value as Reply;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

/// A server's commands, as far as the scripts use them, and its interpreter of scripts.
pub(crate) struct Memory {
    keys: Arc<Mutex<Keys>>,
    lua: Lua,
    scripts: Mutex<HashMap<String, Function>>,
}

/// The keys of a store, and its clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Keys {
    values: BTreeMap<Bytes, Value>,
    /// Times at which keys are deleted, in milliseconds.
    expiries: BTreeMap<Bytes, u64>,
    /// Time in milliseconds since 1970.
    pub(crate) now: u64,
}

type Bytes = Vec<u8>;

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Hash(BTreeMap<Bytes, Bytes>),
    Sorted(BTreeMap<Bytes, f64>),
}

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

fn lua_error(message: impl Into<String>) -> mlua::Error {
    mlua::Error::runtime(message.into())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a text")
}

fn number(bytes: &[u8]) -> Result<f64, String> {
    match text(bytes) {
        "+inf" => Ok(f64::INFINITY),
        text => text
            .parse()
            .map_err(|_| "ERR value is not a float".to_owned()),
    }
}

/// Prints a score as the server does.
fn score(score: f64) -> Reply {
    Reply::BulkString(format!("{score}").into_bytes())
}

fn bulk(bytes: Option<&Bytes>) -> Reply {
    bytes.map_or(Reply::Nil, |bytes| Reply::BulkString(bytes.clone()))
}

fn int(number: usize) -> Reply {
    Reply::Int(i64::try_from(number).expect("a small number"))
}

impl Keys {
    fn hash(&mut self, key: &Bytes) -> Result<Option<&mut BTreeMap<Bytes, Bytes>>, String> {
        match self.values.get_mut(key) {
            None => Ok(None),
            Some(Value::Hash(fields)) => Ok(Some(fields)),
            Some(Value::Sorted(_)) => Err(WRONG_TYPE.to_owned()),
        }
    }

    fn sorted(&mut self, key: &Bytes) -> Result<Option<&mut BTreeMap<Bytes, f64>>, String> {
        match self.values.get_mut(key) {
            None => Ok(None),
            Some(Value::Sorted(members)) => Ok(Some(members)),
            Some(Value::Hash(_)) => Err(WRONG_TYPE.to_owned()),
        }
    }

    fn created_hash(&mut self, key: &Bytes) -> Result<&mut BTreeMap<Bytes, Bytes>, String> {
        let created = Value::Hash(BTreeMap::new());
        match self.values.entry(key.clone()).or_insert(created) {
            Value::Hash(fields) => Ok(fields),
            Value::Sorted(_) => Err(WRONG_TYPE.to_owned()),
        }
    }

    /// Deletes a key that has become empty, as a server does.
    fn delete_if_empty(&mut self, key: &Bytes) {
        let is_empty = match self.values.get(key) {
            Some(Value::Hash(fields)) => fields.is_empty(),
            Some(Value::Sorted(members)) => members.is_empty(),
            None => false,
        };
        if is_empty {
            self.values.remove(key);
            self.expiries.remove(key);
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        let over: Vec<Bytes> = self
            .expiries
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.expiries.remove(&key);
            self.values.remove(&key);
        }
    }

    /// Executes a command.
    #[allow(clippy::too_many_lines)] // an arm for each command
    fn execute(&mut self, command: &[Bytes]) -> Result<Reply, String> {
        let (name, arguments) = command.split_first().expect("a command");
        let key = &arguments.first().cloned().unwrap_or_default();
        let rest = arguments.get(1..).unwrap_or_default();
        Ok(match text(name) {
            "TIME" => {
                let (seconds, micros) = (self.now / 1000, self.now % 1000 * 1000);
                let parts = [seconds, micros].map(|part| part.to_string().into_bytes());
                Reply::Array(parts.map(Reply::BulkString).to_vec())
            }
            "PUBLISH" => Reply::Int(0),
            "EXISTS" => int(usize::from(self.values.contains_key(key))),
            "DEL" => int(arguments
                .iter()
                .filter(|key| {
                    self.expiries.remove(*key);
                    self.values.remove(*key).is_some()
                })
                .count()),
            "EXPIRE" => {
                let seconds: u64 = text(&rest[0]).parse().expect("seconds");
                let is_there = self.values.contains_key(key);
                if is_there {
                    self.expiries.insert(key.clone(), self.now + seconds * 1000);
                }
                int(usize::from(is_there))
            }
            "TTL" => match (self.values.contains_key(key), self.expiries.get(key)) {
                (false, _) => Reply::Int(-2),
                (true, None) => Reply::Int(-1),
                (true, Some(at)) => {
                    Reply::Int(i64::try_from((at - self.now) / 1000).expect("soon"))
                }
            },
            "HGET" => bulk(self.hash(key)?.and_then(|fields| fields.get(&rest[0]))),
            "HMGET" => {
                let fields = self.hash(key)?;
                let of = |field| bulk(fields.as_ref().and_then(|fields| fields.get(field)));
                Reply::Array(rest.iter().map(of).collect())
            }
            "HGETALL" => {
                let fields = self
                    .hash(key)?
                    .map(|fields| fields.clone())
                    .unwrap_or_default();
                let parts = fields.into_iter().flat_map(|(field, value)| [field, value]);
                Reply::Array(parts.map(Reply::BulkString).collect())
            }
            "HLEN" => int(self.hash(key)?.map_or(0, |fields| fields.len())),
            "HEXISTS" => {
                let fields = self.hash(key)?;
                int(usize::from(
                    fields.is_some_and(|it| it.contains_key(&rest[0])),
                ))
            }
            "HSET" => {
                let fields = self.created_hash(key)?;
                let pairs = rest.chunks_exact(2);
                assert!(pairs.remainder().is_empty() && !rest.is_empty(), "pairs");
                int(pairs
                    .filter(|pair| fields.insert(pair[0].clone(), pair[1].clone()).is_none())
                    .count())
            }
            "HSETNX" => {
                let fields = self.created_hash(key)?;
                let is_new = !fields.contains_key(&rest[0]);
                if is_new {
                    fields.insert(rest[0].clone(), rest[1].clone());
                }
                int(usize::from(is_new))
            }
            "HINCRBY" => {
                let fields = self.created_hash(key)?;
                let field = fields
                    .entry(rest[0].clone())
                    .or_insert_with(|| b"0".to_vec());
                let by: i64 = text(&rest[1]).parse().map_err(|_| "ERR not an integer")?;
                let value: i64 = text(field).parse().map_err(|_| "ERR not an integer")?;
                *field = (value + by).to_string().into_bytes();
                Reply::Int(value + by)
            }
            "HDEL" => {
                let fields = self.hash(key)?;
                let deleted = fields.map_or(0, |fields| {
                    rest.iter()
                        .filter(|field| fields.remove(*field).is_some())
                        .count()
                });
                self.delete_if_empty(key);
                int(deleted)
            }
            "ZADD" => {
                let (only_present, rest) = match rest.split_first() {
                    Some((first, rest)) if first == b"XX" => (true, rest),
                    _ => (false, rest),
                };
                let (at, member) = (number(&rest[0])?, rest[1].clone());
                if only_present {
                    if let Some(there) = self.sorted(key)?.and_then(|it| it.get_mut(&member)) {
                        *there = at;
                    }
                    return Ok(Reply::Int(0));
                }
                let created = Value::Sorted(BTreeMap::new());
                match self.values.entry(key.clone()).or_insert(created) {
                    Value::Sorted(members) => {
                        int(usize::from(members.insert(member, at).is_none()))
                    }
                    Value::Hash(_) => return Err(WRONG_TYPE.to_owned()),
                }
            }
            "ZREM" => {
                let members = self.sorted(key)?;
                let removed = members.is_some_and(|members| members.remove(&rest[0]).is_some());
                self.delete_if_empty(key);
                int(usize::from(removed))
            }
            "ZSCORE" => {
                let at = self
                    .sorted(key)?
                    .and_then(|members| members.get(&rest[0]).copied());
                at.map_or(Reply::Nil, score)
            }
            "ZCARD" => int(self.sorted(key)?.map_or(0, |members| members.len())),
            "ZRANGE" => {
                // ZRANGE key first last BYSCORE LIMIT passed most WITHSCORES
                let (first, last) = (number(&rest[0])?, number(&rest[1])?);
                let passed: usize = text(&rest[4]).parse().expect("a number");
                let most: usize = text(&rest[5]).parse().expect("a number");
                let members = self.sorted(key)?.map(|members| members.clone());
                let members = members.unwrap_or_default().into_iter();
                let mut found: Vec<_> = members
                    .filter(|(_, at)| (first..=last).contains(at))
                    .collect();
                found.sort_by(|one, other| one.1.total_cmp(&other.1).then(one.0.cmp(&other.0)));
                let found = found.into_iter().skip(passed).take(most);
                let parts = found.flat_map(|(member, at)| [Reply::BulkString(member), score(at)]);
                Reply::Array(parts.collect())
            }
            other => return Err(format!("ERR a command that is not known: {other}")),
        })
    }
}

impl Memory {
    fn new() -> mlua::Result<Self> {
        let (lua, keys) = (Lua::new(), Arc::new(Mutex::new(Keys::default())));
        let redis = lua.create_table()?;
        let raises = {
            let keys = keys.clone();
            lua.create_function(move |lua, command: Variadic<mlua::Value>| {
                let reply = execute(&keys, &command).map_err(lua_error)?;
                to_lua(lua, reply)
            })?
        };
        let returns = {
            let keys = keys.clone();
            lua.create_function(move |lua, command: Variadic<mlua::Value>| {
                match execute(&keys, &command) {
                    Ok(reply) => to_lua(lua, reply),
                    Err(message) => {
                        let error = lua.create_table()?;
                        error.set("err", message)?;
                        Ok(mlua::Value::Table(error))
                    }
                }
            })?
        };
        redis.set("call", raises)?;
        redis.set("pcall", returns)?;
        redis.set(
            "acl_check_cmd",
            lua.create_function(|_, _: MultiValue| Ok(true))?,
        )?;
        lua.globals().set("redis", redis)?;
        let scripts = Mutex::default();
        Ok(Self { keys, lua, scripts })
    }

    /// Returns an interpreter of these scripts.
    pub(crate) fn with(scripts: &Scripts) -> Arc<Self> {
        let memory = Self::new().expect("an interpreter");
        for script in scripts.all() {
            memory.load(&script.hash, &script.text);
        }
        Arc::new(memory)
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap()
    }

    /// Keeps a script, as `SCRIPT LOAD` does.
    fn load(&self, hash: &str, script: &str) {
        let mut scripts = self.scripts.lock().unwrap();
        if !scripts.contains_key(hash) {
            // The line of the flags is no Lua.
            let (_, rest) = script.split_once('\n').expect("more than one line");
            let function = self.lua.load(format!("--\n{rest}")).into_function();
            scripts.insert(hash.to_owned(), function.expect("a script"));
        }
    }

    /// Runs a script that has been loaded. What it wrote before an error stays, as on a server.
    pub(crate) fn run(
        &self,
        hash: &str,
        keys: &[Bytes],
        arguments: &[Bytes],
    ) -> Result<Reply, String> {
        let script = self.scripts.lock().unwrap().get(hash).cloned();
        let script = script.ok_or("NOSCRIPT")?;
        self.keys().expire();
        let list = |items: &[Bytes]| -> mlua::Result<Table> {
            let items = items.iter().map(|item| self.lua.create_string(item));
            self.lua
                .create_sequence_from(items.collect::<mlua::Result<Vec<_>>>()?)
        };
        let globals = self.lua.globals();
        let run = || -> mlua::Result<Reply> {
            globals.set("KEYS", list(keys)?)?;
            globals.set("ARGV", list(arguments)?)?;
            from_lua(&script.call::<mlua::Value>(())?)
        };
        run().map_err(|error| format!("ERR {error}"))
    }
}

fn execute(keys: &Mutex<Keys>, command: &[mlua::Value]) -> Result<Reply, String> {
    let argument = |value: &mlua::Value| match value {
        mlua::Value::String(text) => Ok(text.as_bytes().to_vec()),
        mlua::Value::Integer(number) => Ok(number.to_string().into_bytes()),
        // Redis prints 17 digits.
        mlua::Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
            Ok(format!("{number:.0}").into_bytes())
        }
        other => Err(format!("ERR not an argument of a command: {other:?}")),
    };
    let command: Vec<Bytes> = command.iter().map(argument).collect::<Result<_, _>>()?;
    keys.lock().unwrap().execute(&command)
}

fn to_lua(lua: &Lua, reply: Reply) -> mlua::Result<mlua::Value> {
    Ok(match reply {
        Reply::Nil => mlua::Value::Boolean(false),
        #[allow(clippy::cast_precision_loss)] // Lua has no integers
        Reply::Int(number) => mlua::Value::Number(number as f64),
        Reply::BulkString(bytes) => mlua::Value::String(lua.create_string(bytes)?),
        Reply::Array(items) => {
            let items = items.into_iter().map(|item| to_lua(lua, item));
            let items = items.collect::<mlua::Result<Vec<_>>>()?;
            mlua::Value::Table(lua.create_sequence_from(items)?)
        }
        other => return Err(lua_error(format!("not a reply: {other:?}"))),
    })
}

fn from_lua(value: &mlua::Value) -> mlua::Result<Reply> {
    Ok(match value {
        mlua::Value::Nil | mlua::Value::Boolean(false) => Reply::Nil,
        mlua::Value::Integer(number) => Reply::Int(*number),
        #[allow(clippy::cast_possible_truncation)] // as the server does
        mlua::Value::Number(number) => Reply::Int(*number as i64),
        mlua::Value::String(text) => Reply::BulkString(text.as_bytes().to_vec()),
        mlua::Value::Table(table) => {
            let items = table.sequence_values::<mlua::Value>();
            let items = items.map(|item| from_lua(&item?));
            Reply::Array(items.collect::<mlua::Result<Vec<_>>>()?)
        }
        other => return Err(lua_error(format!("not a value of a reply: {other:?}"))),
    })
}
