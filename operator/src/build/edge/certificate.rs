//! Where the edge's certificate is.

use crate::pipeline::Pipeline;

/// Name, after the pipeline's, of the Secret that cert-manager writes.
pub(crate) const ISSUED: &str = "issued-certificate";

/// The Secret with the edge's `tls.crt` and `tls.key`: the one that the resource names, the one that
/// cert-manager writes, or our own.
pub(crate) fn certificate_secret(pipeline: &Pipeline) -> String {
    let Pipeline { names, exposure, .. } = pipeline;
    let tls = exposure.tls.as_ref();
    if let Some(secret) = tls.and_then(|tls| tls.secret.as_ref()) {
        return secret.name.to_string();
    }
    match tls.and_then(|tls| tls.cert_manager.as_ref()) {
        Some(_) => names.of(ISSUED),
        None => names.of("edge-certificate"),
    }
}
