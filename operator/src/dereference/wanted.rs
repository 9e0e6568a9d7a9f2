//! Which Secrets and ConfigMaps a resource names, and where. Pure.

use std::collections::BTreeSet;

use millrace_api::Broker;
use millrace_api::SecretKeySpec;
use millrace_api::SecretValueSpec;
use millrace_api::StrimziAuthentication;
use millrace_api::TelemetryPipelineSpec;

use crate::names::Part;

/// Something outside of the resource that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Path of the field that names it.
    pub field: String,
    /// What it is.
    pub kind: WantedKind,
    /// Its name.
    pub name: String,
    /// Keys that it must have.
    pub keys: Vec<String>,
    /// Who reads it.
    pub reader: Reader,
}

/// What is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WantedKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// Who reads what is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// All processes of ours: schemas, and what they connect to Kafka with.
    All,
    /// Processes that know tables: what they connect to Postgres with.
    Tables,
    /// Processes that others send requests to: who may do so.
    Requests,
    /// Processes that take events in: they subscribe at other brokers.
    Ingest,
    /// Processes that compute: they send results to others.
    Workers,
    /// The edge alone.
    Edge,
    /// The Job that copies dumps to an object store.
    Backup,
    /// The operator alone, which makes a Secret of its own of it.
    Operator,
}

impl Reader {
    /// Parts whose pods mount it to run Millrace.
    #[must_use]
    pub const fn parts(self) -> &'static [Part] {
        match self {
            Self::All => &[Part::Ingest, Part::Workers, Part::Query, Part::Provision],
            Self::Tables => &[Part::Workers, Part::Query, Part::Provision],
            Self::Requests => &[Part::Ingest, Part::Query],
            Self::Ingest => &[Part::Ingest],
            Self::Workers => &[Part::Workers],
            Self::Edge | Self::Backup | Self::Operator => &[],
        }
    }
}

impl WantedKind {
    /// Its kind in Kubernetes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// All that a resource names, once for each field.
#[must_use]
pub fn wanted(spec: &TelemetryPipelineSpec) -> Vec<Wanted> {
    let mut list = List::default();
    list.schemas(spec);
    list.exposure(spec);
    list.ways(spec);
    list.broker(spec);
    list.database(spec);
    list.0
}

/// Names of all Secrets and ConfigMaps that a resource names.
#[must_use]
pub fn names(wanted: &[Wanted]) -> BTreeSet<(WantedKind, String)> {
    wanted.iter().map(|wanted| (wanted.kind, wanted.name.clone())).collect()
}

#[derive(Default)]
struct List(Vec<Wanted>);

impl List {
    fn secret(&mut self, field: String, name: &str, keys: &[&str], reader: Reader) {
        self.0.push(Wanted {
            field,
            kind: WantedKind::Secret,
            name: name.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            reader,
        });
    }

    fn key(&mut self, field: &str, key: &SecretKeySpec, reader: Reader) {
        self.secret(field.to_owned(), &key.name, &[key.key.as_str()], reader);
    }

    fn value(&mut self, field: &str, value: &SecretValueSpec, reader: Reader) {
        if let Some(key) = &value.secret {
            self.key(&format!("{field}.secret"), key, reader);
        }
    }

    fn mqtt(&mut self, field: &str, broker: &Broker, reader: Reader) {
        let login = broker.credentials.as_ref().and_then(|login| login.secret.as_ref());
        if let Some(secret) = login {
            let field = format!("{field}.credentials.secret.name");
            self.secret(field, &secret.name, &["username", "password"], reader);
        }
        let authority = broker.certificate_authority.as_ref();
        if let Some(key) = authority.and_then(|authority| authority.secret.as_ref()) {
            self.key(&format!("{field}.certificateAuthority.secret"), key, reader);
        }
    }

    fn schemas(&mut self, spec: &TelemetryPipelineSpec) {
        for (index, stream) in spec.streams.iter().enumerate() {
            let schema = stream.schema.as_ref();
            if let Some(key) = schema.and_then(|schema| schema.config_map.as_ref()) {
                self.0.push(Wanted {
                    field: format!("spec.streams[{index}].schema.configMap"),
                    kind: WantedKind::ConfigMap,
                    name: key.name.to_string(),
                    keys: vec![key.key.to_string()],
                    reader: Reader::All,
                });
            }
        }
    }

    fn exposure(&mut self, spec: &TelemetryPipelineSpec) {
        if let Some(secret) = spec.exposure.tls.as_ref().and_then(|tls| tls.secret.as_ref()) {
            let field = "spec.exposure.tls.secret.name".to_owned();
            self.secret(field, &secret.name, &["tls.crt", "tls.key"], Reader::Edge);
        }
        if let Some(mqtt) = &spec.exposure.mqtt {
            self.value("spec.exposure.mqtt.users", &mqtt.users, Reader::Ingest);
        }
        for (index, rule) in spec.exposure.auth.iter().enumerate() {
            let field = format!("spec.exposure.auth[{index}]");
            if let Some(basic) = &rule.basic {
                self.value(&format!("{field}.basic.users"), &basic.users, Reader::Requests);
            }
            if let Some(keys) = rule.bearer.as_ref().and_then(|bearer| bearer.keys.as_ref()) {
                self.value(&format!("{field}.bearer.keys"), keys, Reader::Requests);
            }
        }
    }

    fn ways(&mut self, spec: &TelemetryPipelineSpec) {
        for (index, ingest) in spec.ingest.iter().enumerate() {
            if let Some(connect) = ingest.mqtt.as_ref().and_then(|mqtt| mqtt.connect.as_ref()) {
                let field = format!("spec.ingest[{index}].mqtt.connect.broker");
                self.mqtt(&field, &connect.broker, Reader::Ingest);
            }
        }
        for (index, sink) in spec.sinks.iter().enumerate() {
            let field = format!("spec.sinks[{index}]");
            if let Some(broker) = sink.mqtt.as_ref().and_then(|mqtt| mqtt.broker.as_ref()) {
                self.mqtt(&format!("{field}.mqtt.broker"), broker, Reader::Workers);
            }
            if let Some(secret) = sink.webhook.as_ref().and_then(|to| to.signing_secret.as_ref()) {
                self.value(&format!("{field}.webhook.signingSecret"), secret, Reader::Workers);
            }
            for (index, header) in sink.webhook.iter().flat_map(|to| &to.secret_headers).enumerate()
            {
                let field = format!("{field}.webhook.secretHeaders[{index}].value");
                self.value(&field, &header.value, Reader::Workers);
            }
            if let Some(secret) = sink.archive.as_ref().and_then(|to| to.credentials.as_ref()) {
                let field = format!("{field}.archive.credentials.name");
                self.secret(field, &secret.name, &[], Reader::Workers);
            }
        }
    }

    fn broker(&mut self, spec: &TelemetryPipelineSpec) {
        if let Some(external) = &spec.broker.external {
            let field = "spec.broker.external";
            if let Some(tls) = &external.tls {
                if let Some(authority) = &tls.certificate_authority {
                    let field = format!("{field}.tls.certificateAuthority");
                    self.key(&field, authority, Reader::All);
                }
                if let Some(certificate) = &tls.client_certificate {
                    let field = format!("{field}.tls.clientCertificate.name");
                    self.secret(field, &certificate.name, &["tls.crt", "tls.key"], Reader::All);
                }
            }
            if let Some(sasl) = &external.sasl {
                let keys: &[&str] = match sasl.mechanism {
                    millrace_api::KafkaSaslMechanism::OAuthBearer => &["token"],
                    _ => &["username", "password"],
                };
                let field = format!("{field}.sasl.secret.name");
                self.secret(field, &sasl.secret.name, keys, Reader::All);
            }
        }
        if let Some(strimzi) = &spec.broker.strimzi {
            let authority = format!("{}-cluster-ca-cert", strimzi.cluster);
            let field = "spec.broker.strimzi.cluster".to_owned();
            self.secret(field, &authority, &["ca.crt"], Reader::All);
            let keys: &[&str] = match strimzi.authentication {
                StrimziAuthentication::Scram => &["password"],
                StrimziAuthentication::Certificate => &["user.crt", "user.key"],
            };
            let field = "spec.broker.strimzi.user".to_owned();
            self.secret(field, &strimzi.user, keys, Reader::Operator);
        }
    }

    fn database(&mut self, spec: &TelemetryPipelineSpec) {
        let backup = spec.database.managed.as_ref().and_then(|managed| managed.backup.as_ref());
        let store = backup.and_then(|backup| backup.copy_to.as_ref());
        if let Some(secret) = store.and_then(|store| store.credentials.as_ref()) {
            let field = "spec.database.managed.backup.copyTo.credentials.name".to_owned();
            self.secret(field, &secret.name, &[], Reader::Backup);
        }
        if let Some(external) = &spec.database.external {
            let field = "spec.database.external";
            self.secret(
                format!("{field}.credentials.name"),
                &external.credentials.name,
                &["username", "password"],
                Reader::Tables,
            );
            if let Some(authority) = &external.tls.certificate_authority {
                let field = format!("{field}.tls.certificateAuthority");
                self.key(&field, authority, Reader::Tables);
            }
        }
        if let Some(cluster) = &spec.database.cloud_native_pg {
            let field = "spec.database.cloudNativePg.cluster";
            let app = format!("{}-app", cluster.cluster);
            self.secret(field.to_owned(), &app, &["username", "password"], Reader::Tables);
            let authority = format!("{}-ca", cluster.cluster);
            self.secret(field.to_owned(), &authority, &["ca.crt"], Reader::Tables);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_of_the_store_of_dumps_is_found() {
        let text = "
streams: [{name: s, key: [.k]}]
database: {managed: {backup: {schedule: '0 3 * * *', copyTo: {url: 's3://b', credentials: {name: store}}}}}
";
        let found = wanted(&serde_yaml_ng::from_str(text).unwrap());
        let [Wanted { field, name, reader, .. }] = &found[..] else { unreachable!("{found:?}") };
        assert_eq!(
            (field.as_str(), name.as_str(), *reader),
            ("spec.database.managed.backup.copyTo.credentials.name", "store", Reader::Backup)
        );
    }

    #[test]
    fn every_secret_of_a_resource_is_found_with_its_keys() {
        let spec: TelemetryPipelineSpec = serde_yaml_ng::from_str(
            "
streams: [{name: s, key: [.k], schema: {configMap: {name: schemas, key: s.json}}}]
exposure:
  tls: {secret: {name: site}}
  auth:
    - {path: /, basic: {users: {secret: {name: people, key: users}}}}
    - {path: /api, bearer: {keys: {secret: {name: keys, key: jwks}}}}
  mqtt: {users: {secret: {name: devices, key: users}}}
ingest:
  - name: in
    to: s
    mqtt: {connect: {topics: [a], broker: {url: 'mqtts://b', credentials: {secret: {name: mqtt}}, certificateAuthority: {secret: {name: mqtt-ca, key: ca}}}}}
sinks:
  - {name: hook, from: [s], webhook: {url: 'https://example.com', signingSecret: {secret: {name: sign, key: key}}, secretHeaders: [{name: Authorization, value: {secret: {name: sign, key: token}}}]}}
  - {name: files, from: [s], archive: {url: 's3://b', credentials: {name: store}}}
broker: {strimzi: {cluster: logs, user: race}}
database: {cloudNativePg: {cluster: tables}}
",
        )
        .unwrap();
        let found: Vec<String> = wanted(&spec)
            .iter()
            .map(|wanted| {
                let Wanted { field, name, keys, reader, .. } = wanted;
                format!("{field} {name} {keys:?} {reader:?}")
            })
            .collect();
        assert_eq!(
            found,
            [
                r#"spec.streams[0].schema.configMap schemas ["s.json"] All"#,
                r#"spec.exposure.tls.secret.name site ["tls.crt", "tls.key"] Edge"#,
                r#"spec.exposure.mqtt.users.secret devices ["users"] Ingest"#,
                r#"spec.exposure.auth[0].basic.users.secret people ["users"] Requests"#,
                r#"spec.exposure.auth[1].bearer.keys.secret keys ["jwks"] Requests"#,
                r#"spec.ingest[0].mqtt.connect.broker.credentials.secret.name mqtt ["username", "password"] Ingest"#,
                r#"spec.ingest[0].mqtt.connect.broker.certificateAuthority.secret mqtt-ca ["ca"] Ingest"#,
                r#"spec.sinks[0].webhook.signingSecret.secret sign ["key"] Workers"#,
                r#"spec.sinks[0].webhook.secretHeaders[0].value.secret sign ["token"] Workers"#,
                r"spec.sinks[1].archive.credentials.name store [] Workers",
                r#"spec.broker.strimzi.cluster logs-cluster-ca-cert ["ca.crt"] All"#,
                r#"spec.broker.strimzi.user race ["password"] Operator"#,
                r#"spec.database.cloudNativePg.cluster tables-app ["username", "password"] Tables"#,
                r#"spec.database.cloudNativePg.cluster tables-ca ["ca.crt"] Tables"#,
            ]
        );
    }
}
