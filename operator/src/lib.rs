//! The operator: a controller that turns `TelemetryPipeline`s into running telemetry systems.
//!
//! A pass over one pipeline goes one way: [`dereference`](crate::dereference) reads what the
//! resource names, [`validate`](crate::validate) makes a [`Pipeline`](crate::pipeline::Pipeline) of
//! it, [`build`](crate::build) makes objects of that, [`apply`](crate::apply) brings them to the API
//! server, and [`status`](crate::status) says what came of it. Only the first and the last two do
//! I/O. It never speaks to a broker or a database.

#[cfg(test)]
pub(crate) mod api_server;
pub mod apply;
pub mod build;
pub mod cli;
pub mod context;
pub mod controller;
pub mod dereference;
pub mod discover;
pub mod events;
#[cfg(test)]
pub(crate) mod fixture;
pub mod health;
pub mod labels;
pub mod last_valid;
pub mod leader;
pub mod logging;
pub mod material;
pub mod metrics;
pub mod names;
pub mod object;
pub mod outward;
pub mod owned;
pub mod pipeline;
pub mod rbac;
pub mod reasons;
pub mod reconcile;
pub mod run;
pub mod scale;
pub mod status;
pub mod turns;
pub mod validate;
pub mod watch;
