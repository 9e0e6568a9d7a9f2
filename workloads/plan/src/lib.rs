//! The planner: a `TelemetryPipeline` in, a checked plan out, or all that is wrong with it.
//!
//! It cuts the processors into stages, resolves every reference, compiles every program and
//! schema, and does no I/O.

mod build;
mod display;
mod error;
mod generations;
pub mod model;
mod own_paths;
pub mod program;
pub mod schema;

pub use build::ConfigMapError;
pub use build::ConfigMaps;
pub use build::plan;
pub use build::plan_with;
pub use error::PlanError;
pub use generations::Generations;
pub use generations::Raise;
pub use model::Plan;
pub use own_paths::OWN_PATHS;
