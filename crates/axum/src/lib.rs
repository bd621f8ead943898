#![doc = include_str!("../README.md")]

mod events;
mod form;
mod headers;
mod once;
#[cfg(feature = "openapi")]
mod openapi;
mod problem;
mod registry;
mod routes;
mod time;

pub use form::{
    Form, JobList, JobSummary, McpTask, McpTaskList, Operation, OperationError, OperationList,
    OperationMetadata, PlainJob, StatusCounts,
};
pub use once::IdempotencyKey;
pub use problem::{PROBLEM_TYPE, Problem};
pub use registry::{Part, Registry, WallClock};
pub use routes::JobRoutes;
pub use time::Time;
