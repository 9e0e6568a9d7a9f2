//! Why passwords, keys and certificates cannot be completed.

/// Why passwords, keys and certificates cannot be completed. No variant holds any of them.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// An object of this name is not ours.
    #[error(
        "{kind} {name} exists and was not made for this pipeline; delete or rename it, or give the pipeline another name"
    )]
    Adopt {
        /// `Secret` or `ConfigMap`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A Secret does not have what it had.
    #[error(
        "Secret {name} has no usable {key}; put it back, or delete the Secret to have a new one made"
    )]
    Read {
        /// Its name.
        name: String,
        /// What is missing or broken.
        key: &'static str,
    },
    /// A certificate cannot be made.
    #[error("cannot make the certificate of {what}")]
    Sign {
        /// Whose certificate.
        what: String,
        /// Why not.
        source: rcgen::Error,
    },
}
