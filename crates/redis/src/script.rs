//! The scripts: their texts, and the hashes by which they are called.

/// A script of `src/scripts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Script {
    Register,
    Start,
    Advance,
    Heartbeat,
    End,
    Update,
    Keep,
    Lease,
    Stop,
    Remove,
    Retry,
    Verdict,
    Collect,
    Read,
    Walk,
    Counts,
    Lookup,
    Audit,
    Open,
}

/// The scripts in the order of [`Script`], with their names and their own texts.
const OWN: [(&str, &str); 19] = [
    ("register", include_str!("scripts/register.lua")),
    ("start", include_str!("scripts/start.lua")),
    ("advance", include_str!("scripts/advance.lua")),
    ("heartbeat", include_str!("scripts/heartbeat.lua")),
    ("end", include_str!("scripts/end.lua")),
    ("update", include_str!("scripts/update.lua")),
    ("keep", include_str!("scripts/keep.lua")),
    ("lease", include_str!("scripts/lease.lua")),
    ("stop", include_str!("scripts/stop.lua")),
    ("remove", include_str!("scripts/remove.lua")),
    ("retry", include_str!("scripts/retry.lua")),
    ("verdict", include_str!("scripts/verdict.lua")),
    ("collect", include_str!("scripts/collect.lua")),
    ("read", include_str!("scripts/read.lua")),
    ("walk", include_str!("scripts/walk.lua")),
    ("counts", include_str!("scripts/counts.lua")),
    ("lookup", include_str!("scripts/lookup.lua")),
    ("audit", include_str!("scripts/audit.lua")),
    ("open", include_str!("scripts/open.lua")),
];

/// The parts of the scripts' texts, by name. Tests replace some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) clock: String,
    pub(crate) prelude: String,
    pub(crate) own: Vec<(&'static str, String)>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            clock: include_str!("scripts/clock.lua").to_owned(),
            prelude: include_str!("scripts/prelude.lua").to_owned(),
            own: OWN.map(|(name, text)| (name, text.to_owned())).to_vec(),
        }
    }
}

/// The assembled scripts.
#[derive(Debug)]
pub(crate) struct Scripts(Vec<Assembled>);

#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) text: String,
    pub(crate) hash: String,
}

impl Scripts {
    pub(crate) fn new(parts: &Parts) -> Self {
        let assemble = |(_, own): &(&str, String)| {
            // The line with the flags has to come first.
            let (flags, rest) = own.split_once('\n').unwrap_or((own, ""));
            let text = format!("{flags}\n{}{}{rest}", parts.clock, parts.prelude);
            let hash = redis::Script::new(&text).get_hash().to_owned();
            Assembled { text, hash }
        };
        Self(parts.own.iter().map(assemble).collect())
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Assembled] {
        &self.0
    }

    pub(crate) fn get(&self, script: Script) -> &Assembled {
        &self.0[script as usize]
    }
}
