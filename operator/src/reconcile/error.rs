//! Why a pass failed.

use crate::apply::ApplyError;
use crate::dereference::DereferenceError;
use crate::material::MaterialError;
use crate::reasons;
use crate::status::StatusError;

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// Something that the resource names cannot be read.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// Pods cannot be listed.
    #[error("cannot list pods")]
    ListPods(#[source] kube::Error),
    /// The edge's Service cannot be read.
    #[error("cannot read the Service of the edge")]
    GetService(#[source] kube::Error),
    /// Passwords and certificates cannot be made.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The resource cannot be written for pods or kept.
    #[error("cannot express the resource; report this")]
    Express(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An object cannot be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The status cannot be written.
    #[error(transparent)]
    Status(#[from] StatusError),
}

impl PassError {
    /// The reason in conditions, Events and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Dereference(_) => "ReadFailed",
            Self::ListPods(_) => "ListPodsFailed",
            Self::GetService(_) => "GetServiceFailed",
            Self::Material(MaterialError::Adopt { .. }) => reasons::NAME_TAKEN,
            Self::Material(_) => "MaterialFailed",
            Self::Express(_) => "ExpressFailed",
            Self::Apply(error) => error.reason(),
            Self::Status(_) => "StatusFailed",
        }
    }

    /// What the API server said, if it did.
    #[must_use]
    pub const fn api_error(&self) -> Option<&kube::Error> {
        match self {
            Self::Dereference(DereferenceError::Get { source, .. })
            | Self::ListPods(source)
            | Self::GetService(source)
            | Self::Status(StatusError::Write(source))
            | Self::Apply(
                ApplyError::Get { source, .. }
                | ApplyError::Apply { source, .. }
                | ApplyError::Delete { source, .. },
            ) => Some(source),
            _ => None,
        }
    }
}
