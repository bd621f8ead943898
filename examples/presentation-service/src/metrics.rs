//! `GET /metrics`: the registry's metrics, for Prometheus.

use crate::errors;
use crate::state::AppState;
use crate::store::Store;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use job_registry::{Counts, Status};
use job_registry_axum::Problem;
use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::fmt;

/// Bounds of the buckets, in seconds: from a step to an hour.
const BUCKETS: [f64; 10] = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 3600.0];

/// The metrics of the process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Starts recording, for the whole process.
    ///
    /// # Errors
    ///
    /// Returns an error if another recorder is installed.
    pub fn install() -> Result<Self, BuildError> {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS)?;
        let handle = builder.install_recorder()?;
        job_registry::describe_metrics();
        Ok(Self(handle))
    }

    async fn text(&self, store: &impl Store) -> String {
        store.publish_counts().await;
        self.0.run_upkeep();
        self.0.render()
    }
}

pub(crate) async fn metrics<S: Store>(
    State(state): State<AppState<S>>,
) -> Result<impl IntoResponse, Problem> {
    let metrics = state.metrics.as_ref().ok_or_else(errors::unknown_path)?;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, metrics.text(&state.store).await))
}

/// Sets the gauges of the presentations in a shared store, by the names that the library has.
#[expect(
    clippy::cast_precision_loss,
    reason = "the conversion is exact up to 2^53"
)]
pub(crate) fn set_jobs(counts: &Counts) {
    let by_status = [
        (Status::Pending, counts.pending),
        (Status::Running, counts.running),
        (Status::Stopping, counts.stopping),
        (Status::Completed, counts.completed),
        (Status::Failed, counts.failed),
        (Status::Cancelled, counts.cancelled),
    ];
    for (status, count) in by_status {
        gauge!("job_registry_jobs", "status" => status.as_str()).set(count as f64);
    }
}
