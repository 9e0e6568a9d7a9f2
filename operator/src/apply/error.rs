//! Why an object cannot be brought to the API server.

use crate::reasons;

/// Why an object cannot be brought to the API server. None shows what is in a Secret.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Whether it is there cannot be found out.
    #[error("cannot read {object}")]
    Get {
        /// Its kind and name.
        object: String,
        /// Why not.
        source: kube::Error,
    },
    /// It cannot be expressed.
    #[error("cannot express {object} as JSON; report this")]
    Write {
        /// Its kind and name.
        object: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The API server refuses it.
    #[error("cannot apply {object}")]
    Apply {
        /// Its kind and name.
        object: String,
        /// Why not.
        source: kube::Error,
    },
    /// It cannot be deleted.
    #[error("cannot delete {object}")]
    Delete {
        /// Its kind and name.
        object: String,
        /// Why not.
        source: kube::Error,
    },
    /// An object of that name is not this pipeline's.
    #[error(
        "{object} exists in the namespace {namespace} and was not made for this pipeline; delete or rename it, or give the pipeline another name"
    )]
    NameTaken {
        /// Its kind and name.
        object: String,
        /// Its namespace.
        namespace: String,
    },
    /// An object of that name is ours and was not known.
    #[error("{object} was not known yet, and is looked at again")]
    Unseen {
        /// Its kind and name.
        object: String,
    },
    /// An object of that name is still being deleted.
    #[error("{object} is still being deleted, and is made again then")]
    Deleting {
        /// Its kind and name.
        object: String,
    },
}

impl ApplyError {
    /// The reason in conditions, Events and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NameTaken { .. } => reasons::NAME_TAKEN,
            Self::Deleting { .. } | Self::Unseen { .. } => reasons::WAITING,
            _ => reasons::APPLY_FAILED,
        }
    }
}
