//! Where nginx listens, what it reads and where it writes, and the ports of whom it asks.

/// Places of an nginx.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Port of plain HTTP.
    pub(super) http: u16,
    /// Port of HTTPS.
    pub(super) https: u16,
    /// Port of MQTT over TLS.
    pub(super) mqtt: u16,
    /// Folder with `tls.crt` and `tls.key`.
    pub(super) certificate: String,
    /// Folder that it may write.
    pub(super) temporary: String,
    /// Where the log of requests goes.
    pub(super) log: String,
    /// HTTP port of ingest.
    pub(super) ingest_http: u16,
    /// MQTT port of ingest.
    pub(super) ingest_mqtt: u16,
    /// HTTP port of query.
    pub(super) query_http: u16,
}

impl Places {
    /// Those of a pod.
    pub(super) fn of_pod() -> Self {
        Self {
            http: super::super::HTTP,
            https: super::super::HTTPS,
            mqtt: super::super::MQTT,
            certificate: super::super::CERTIFICATE_FOLDER.to_owned(),
            temporary: "/tmp".to_owned(),
            log: "/dev/stdout".to_owned(),
            ingest_http: 8080,
            ingest_mqtt: 1883,
            query_http: 8080,
        }
    }
}
