//! The audit: whether the hashes, the sorted sets, the counts and the keys of a namespace agree.

use crate::error::Error;
use crate::registry::JobRegistry;
use crate::script::Script;
use crate::state::walk_all;
use crate::store::{BATCH, Store};
use job_registry::JobId;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) async fn audit<T: Send + 'static>(jobs: &JobRegistry<T>) -> Result<Vec<String>, Error> {
    let store = &*jobs.state.store;
    let mut found = Vec::new();
    let mut ids = BTreeSet::new();
    for set in ["run", "due", "all"] {
        ids.extend(walk_all(store, set, "+inf").await?);
    }
    let mut of_clients = Vec::new();
    ids.extend(jobs_of_keys(store, &mut found, &mut of_clients).await?);
    for name in of_clients {
        let mut reply = store
            .ask(Script::Lookup, std::slice::from_ref(&name), &[])
            .await?;
        let id = reply.text()?;
        let id: Option<JobId> = id.and_then(|id| id.parse().ok());
        if id.is_none_or(|id| !ids.contains(&id)) {
            found.push(format!("the client's key {name} leads to no job"));
        }
    }
    let ids: Vec<JobId> = ids.into_iter().collect();
    let mut statuses = BTreeMap::new();
    for batch in ids.chunks(BATCH) {
        let mut reply = store
            .ask(
                Script::Audit,
                &store.keys.of_all(&["j", "p", "f"], batch),
                &[],
            )
            .await?;
        for _ in batch {
            let (status, differences) = (reply.word()?, reply.word()?);
            *statuses.entry(status).or_insert(0) += 1;
            found.extend(Some(differences).filter(|text| !text.is_empty()));
        }
    }
    let counts = jobs.counts().await?;
    let counted = [
        counts.pending,
        counts.running,
        counts.stopping,
        counts.completed,
        counts.failed,
        counts.cancelled,
    ];
    for (status, counted) in (1..).zip(counted) {
        let there = statuses.get(&status.to_string()).copied().unwrap_or(0);
        if counted != there {
            found.push(format!(
                "{counted} jobs are counted in status {status}, and {there} exist"
            ));
        }
    }
    Ok(found)
}

/// Returns the jobs that the keys of the namespace name, and reports keys of no known kind.
async fn jobs_of_keys(
    store: &Store,
    found: &mut Vec<String>,
    of_clients: &mut Vec<String>,
) -> Result<Vec<JobId>, Error> {
    let mut jobs = Vec::new();
    for key in store.scan().await? {
        match store.keys.kind(&key) {
            Some((_, Some(id))) => jobs.push(id),
            Some(("k", None)) => of_clients.push(key),
            Some((_, None)) => {}
            None => found.push(format!("the key {key} is of no known kind")),
        }
    }
    Ok(jobs)
}
