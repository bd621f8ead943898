//! Follows one presentation from its submission to its removal, and compares every answer with the
//! previous one.

use super::Failure;
use super::client::{Client, Polled};
use super::progress::Bar;
use crate::views::View;
use job_registry::Version;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);
/// Tolerance for the time of a removal.
const LATE: Duration = Duration::from_secs(5);

/// The observations about one presentation.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Number of answers.
    pub(super) polls: usize,
    /// Number of "unchanged" answers, to polls that named a version.
    pub(super) unchanged: usize,
    /// Answers after the first that showed an end.
    pub(super) after_end: usize,
    /// The different values of each.
    pub(super) progress: BTreeSet<u64>,
    pub(super) versions: BTreeSet<Version>,
    pub(super) heartbeats: BTreeSet<String>,
    /// How it ended.
    pub(super) ending: Option<String>,
    /// Its error.
    pub(super) error: Option<String>,
    /// Number of frames and bytes of the downloaded file.
    pub(super) frames: usize,
    pub(super) bytes: usize,
    /// Number of pictures that the service reported at the end.
    pub(super) pictures: usize,
    /// Whether it was removed, and not before the retention.
    pub(super) gone: bool,
    pub(super) early: bool,
    /// Observed violations, one sentence each.
    pub(super) decreases: Vec<String>,
    pub(super) revived: Vec<String>,
}

/// Follows a presentation until it is removed, or its removal is late.
pub(super) async fn follow(
    client: &Client,
    id: String,
    bar: Bar,
    retention: Duration,
) -> Result<Followed, Failure> {
    let mut seen = Followed::default();
    let mut before: Option<View> = None;
    // The end came after this moment, because a later answer still showed a running job.
    let mut not_ended_at = Instant::now();
    let mut ended_by: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        // Every other poll of an ended job names its version, like a client that saves traffic.
        let known = before
            .as_ref()
            .filter(|_| ended_by.is_some() && seen.polls % 2 == 0);
        let known = known.map(|view| view.version.clone());
        let polled = client.poll(&id, known.as_deref()).await?;
        seen.polls += 1;
        seen.after_end += usize::from(ended_by.is_some());
        match polled {
            Polled::Gone => {
                seen.gone = true;
                seen.early = not_ended_at.elapsed() < retention;
                bar.gone();
                return Ok(seen);
            }
            Polled::Unchanged => seen.unchanged += 1,
            Polled::There(view) => {
                if let Some(before) = &before {
                    seen.compare(before, &view)?;
                }
                seen.note(&view)?;
                bar.show(&view, seen.heartbeats.len());
                if ended(&view) {
                    if ended_by.is_none() {
                        ended_by = Some(Instant::now());
                        seen.end(client, &view).await?;
                    }
                } else {
                    not_ended_at = asked;
                }
                before = Some(*view);
            }
        }
        if ended_by.is_some_and(|at| at.elapsed() > retention + LATE) {
            return Ok(seen);
        }
        tokio::time::sleep(POLL).await;
    }
}

impl Followed {
    /// Records violations between two answers.
    fn compare(&mut self, before: &View, now: &View) -> Result<(), Failure> {
        if now.progress < before.progress {
            self.decreases.push(format!(
                "progress decreased from {} to {}",
                before.progress, now.progress
            ));
        }
        if version(now)? < version(before)? {
            self.decreases.push(format!(
                "the version decreased from {} to {}",
                before.version, now.version
            ));
        }
        if now.last_heartbeat < before.last_heartbeat {
            self.decreases
                .push(format!("the heartbeat decreased to {}", now.last_heartbeat));
        }
        let same = now.status == before.status && now.version == before.version;
        if ended(before) && !same {
            self.revived
                .push(format!("{} became {}", before.status, now.status));
        }
        Ok(())
    }

    fn note(&mut self, view: &View) -> Result<(), Failure> {
        // Progress has six digits, so it can be compared as an integer.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 100"
        )]
        self.progress
            .insert((view.progress * 10_000.0).round() as u64);
        self.versions.insert(version(view)?);
        self.heartbeats.insert(view.last_heartbeat.clone());
        Ok(())
    }

    /// Handles the first answer that shows an end. The file must be there at once.
    async fn end(&mut self, client: &Client, view: &View) -> Result<(), Failure> {
        self.ending = Some(view.status.clone());
        self.error.clone_from(&view.reason);
        self.pictures = view.payload.slides;
        if let Some(path) = &view.payload.file {
            let file = client.download(path).await?;
            self.bytes = file.len();
            self.frames = tokio::task::spawn_blocking(move || frames(&file)).await??;
        }
        Ok(())
    }
}

fn ended(view: &View) -> bool {
    ["completed", "failed", "cancelled"].contains(&&*view.status)
}

fn version(view: &View) -> Result<Version, Failure> {
    Ok(view.version.parse()?)
}

/// Decodes an animation, and returns its number of frames.
pub(super) fn frames(file: &[u8]) -> Result<usize, gif::DecodingError> {
    let mut reader = gif::DecodeOptions::new().read_info(file)?;
    let mut frames = 0;
    while reader.read_next_frame()?.is_some() {
        frames += 1;
    }
    Ok(frames)
}
