//! Checks that the table has a row for every public call.

use crate::rows::ROWS;
use std::collections::BTreeSet;

const SOURCES: [(&str, &str); 11] = [
    ("JobRegistry", include_str!("../../src/api/registry.rs")),
    ("Keys", include_str!("../../src/api/keys.rs")),
    (
        "JobRegistry",
        include_str!("../../src/telemetry/metrics.rs"),
    ),
    ("JobRegistry", include_str!("../../src/task/shutdown.rs")),
    ("JobRegistry", include_str!("../../src/task/reaper.rs")),
    ("JobRegistry", include_str!("../../src/task/spawn.rs")),
    ("Job", include_str!("../../src/task/run.rs")),
    ("Job", include_str!("../../src/api/job.rs")),
    ("Job", include_str!("../../src/telemetry/tracing.rs")),
    ("JobGuard", include_str!("../../src/api/guard.rs")),
    ("Watch", include_str!("../../src/api/watch.rs")),
];

/// Public functions in these files that belong to no registry, keys, job, guard or watch.
const OTHERS: [&str; 8] = [
    "JobRegistry::describe_metrics",
    "JobRegistry::hangs",
    "JobRegistry::is_clean",
    "JobRegistry::stop",
    "Job::log_full_ids",
    "Keys::as_bytes",
    "Keys::as_fingerprint",
    "Keys::fingerprint",
];

/// P11: a new call without a row fails here.
#[test]
fn the_table_has_a_row_for_every_public_call() {
    let mut covered: BTreeSet<String> = BTreeSet::new();
    for row in ROWS {
        covered.extend(row.covers.split(' ').map(str::to_owned));
    }
    let mut missing = Vec::new();
    for (of, text) in SOURCES {
        for line in text.lines().map(str::trim_start) {
            let rest = line
                .strip_prefix("pub fn ")
                .or(line.strip_prefix("pub async fn "));
            let Some(rest) = rest else { continue };
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let name = format!("{of}::{name}");
            if !covered.contains(&name) && !OTHERS.contains(&name.as_str()) {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "without a row: {missing:?}");
    for name in [
        "Job::drop",
        "JobGuard::drop",
        "Watch::drop",
        "Heartbeat::drop",
        "JobRegistry::drop",
        "Job::heartbeat_every",
        "Job::spawn",
        "Job::spawn_blocking",
        "JobRegistry::heartbeat_every",
    ] {
        assert!(covered.contains(name), "without a row: {name}");
    }
}
