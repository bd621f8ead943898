//! `GET /metrics`: the registry's metrics, for Prometheus.

use crate::errors;
use crate::jobs::Presentation;
use crate::state::AppState;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use job_registry::JobRegistry;
use job_registry_axum::Problem;
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

    fn text(&self, registry: &JobRegistry<Presentation>) -> String {
        registry.publish_counts();
        self.0.run_upkeep();
        self.0.render()
    }
}

pub(crate) async fn metrics(State(state): State<AppState>) -> Result<impl IntoResponse, Problem> {
    let metrics = state.metrics.as_ref().ok_or_else(errors::unknown_path)?;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, metrics.text(&state.registry)))
}
