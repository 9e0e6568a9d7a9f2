//! The `TelemetryPipeline` resource, `millrace.dev/v1alpha1`: its types, defaults and rules, the
//! CRD generated from them, and loading of files with the same rules that an API server applies.
//!
//! What needs more than the resource's own text (references, programs, schemas) is checked by the
//! planner.

// The derive of schemas makes a hidden copy of each public type.
#![allow(unreachable_pub)]
// Each column of the resource has a type of its own, in one attribute of the derive.
#![allow(clippy::duplicated_attributes)]

mod archive;
mod broker;
mod cluster;
mod crd;
mod edge;
mod exposure;
mod http;
mod ingest;
pub mod load;
mod pipeline;
mod processors;
mod quantity;
mod query;
mod routes;
mod secret;
mod sinks;
mod status;
mod streams;
mod text;

pub use archive::*;
pub use broker::Broker;
pub use broker::CertificateAuthority;
pub use broker::Credentials;
pub use broker::Qos;
pub use cluster::*;
pub use crd::crd_schema;
pub use crd::crd_yaml;
pub use edge::*;
pub use exposure::*;
pub use http::*;
pub use ingest::*;
pub use load::LoadError;
pub use load::MAX_FILE_BYTES;
pub use load::load;
pub use load::nearest;
pub use pipeline::*;
pub use processors::*;
pub use quantity::Quantity;
pub use query::*;
pub use routes::*;
pub use secret::*;
pub use sinks::*;
pub use status::*;
pub use streams::*;
pub use text::*;

/// API group of the resource.
pub const GROUP: &str = "millrace.dev";

/// Version of the resource.
pub const VERSION: &str = "v1alpha1";

/// Kind of the resource.
pub const KIND: &str = "TelemetryPipeline";
