//! From what is there and what is wanted to all that is needed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Secret;

use super::Authority;
use super::BrokerMaterial;
use super::DatabaseMaterial;
use super::Leaf;
use super::Login;
use super::Material;
use super::MaterialError;
use super::Notes;
use super::OWNER;
use super::Spares;
use super::authority;
use super::authority::Seen;
use super::identity::Identity;
use super::leaf;
use super::leaf::Order;
use super::leaf::Purpose;
use super::login;
use super::login::Turns;
use super::marks;
use super::stored;
use super::stored::Stored;
use crate::names::Names;
use crate::names::Part;

/// What the namespace has.
#[derive(Debug, Default)]
pub struct Existing {
    /// Those Secrets of [`secret_names`] that exist, by their names.
    pub secrets: BTreeMap<String, Secret>,
    /// Those ConfigMaps of [`config_map_names`] that exist, by their names.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// The annotations of each of the pipeline's pods that has not ended. Without them an exchange
    /// of the authority would not wait for them.
    pub pods: Vec<Notes>,
    /// Whether all nodes of the managed Kafka are ready now.
    pub kafka_is_ready: bool,
}

/// What the pipeline is to have.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Nodes of a managed Kafka; none where there is none.
    pub kafka_nodes: Option<i32>,
    /// Whether there is a managed Postgres.
    pub postgres: bool,
    /// Names and addresses of the edge's certificate; none where the resource names a certificate,
    /// or there is no edge.
    pub edge: Option<Vec<String>>,
}

/// Secrets that are read before [`complete`].
#[must_use]
pub fn secret_names(names: &Names) -> Vec<String> {
    let all = [
        "authority",
        "kafka-client",
        "kafka-client-spare",
        "kafka-node",
        "kafka-admin",
        "postgres-owner",
        "postgres-worker",
        "postgres-worker-spare",
        "postgres-query",
        "postgres-query-spare",
        "postgres-analyst",
        "postgres-analyst-spare",
        "postgres-server",
        "edge-certificate",
    ];
    all.iter().map(|what| names.of(what)).collect()
}

/// ConfigMaps that are read before [`complete`].
#[must_use]
pub fn config_map_names(names: &Names) -> Vec<String> {
    vec![names.of("kafka-identity")]
}

/// Keeps every password, id, key and certificate that is there and good, and makes what is missing,
/// ends soon, or is to be exchanged.
///
/// # Errors
/// An object of that name is not ours, a Secret is broken, or a certificate cannot be made.
pub fn complete(
    existing: &Existing,
    wanted: &Wanted,
    names: &Names,
    now: Timestamp,
) -> Result<Material, MaterialError> {
    let mut work = Work { existing, names, now, notes: BTreeMap::new() };
    let authority = work.authority()?;
    let broker = match wanted.kafka_nodes {
        Some(nodes) => Some(work.broker(nodes, &authority)?),
        None => None,
    };
    let database = if wanted.postgres { Some(work.database(&authority)?) } else { None };
    let edge = match &wanted.edge {
        Some(hosts) => Some(work.edge(hosts, &authority)?),
        None => None,
    };
    Ok(Material { authority, broker, database, edge, notes: work.notes })
}

struct Work<'a> {
    existing: &'a Existing,
    names: &'a Names,
    now: Timestamp,
    notes: BTreeMap<String, Notes>,
}

impl Work<'_> {
    fn authority(&mut self) -> Result<Authority, MaterialError> {
        let name = self.names.of("authority");
        let stored = self.stored(&name)?;
        let text = |key| stored.and_then(|stored| stored.text(key)).unwrap_or_default();
        let pods = &self.existing.pods;
        let trust = marks::all_trust(pods, &text("trusted.crt"));
        let node = self.names.of("kafka-node");
        let certificates = match self.stored(&node)?.and_then(|node| keystore(&node)) {
            Some((certificate, _)) => marks::all_show(pods, &certificate, &text("tls.crt")),
            None => true,
        };
        let (authority, notes) =
            authority::keep_or_make(stored, self.names, Seen { trust, certificates }, self.now)?;
        self.note(&name, notes);
        Ok(authority)
    }

    fn broker(
        &mut self,
        nodes: i32,
        authority: &Authority,
    ) -> Result<BrokerMaterial, MaterialError> {
        let identity = stored::config_map(
            &self.existing.config_maps,
            &self.names.of("kafka-identity"),
            self.names,
        )?;
        let identity = Identity::keep_or_make(identity, nodes, self.existing.kafka_is_ready);
        let name = self.names.of("kafka-client");
        let taken_up = match self.stored(&name)? {
            Some(stored) => marks::all_are(&self.existing.pods, &stored.login()?),
            None => true,
        };
        let [client, spare] = self.turns("kafka-client", ["millrace-a", "millrace-b"], taken_up)?;
        let mut hosts = self.hosts(Part::Kafka);
        let (set, host) = (self.names.part(Part::Kafka), self.names.host(Part::Kafka));
        hosts.extend((0..nodes).map(|node| format!("{set}-{node}.{host}")));
        let node = Order { name: "kafka-node", hosts: &hosts, purpose: Purpose::Peer };
        let admin = Order { name: "kafka-admin", hosts: &[], purpose: Purpose::Client };
        Ok(BrokerMaterial {
            cluster_id: identity.cluster_id,
            directory_ids: identity.directory_ids,
            formed: identity.formed,
            client,
            spare,
            node: self.leaf("kafka-node", keystore, &node, authority)?,
            admin: self.leaf("kafka-admin", keystore, &admin, authority)?,
        })
    }

    fn database(&mut self, authority: &Authority) -> Result<DatabaseMaterial, MaterialError> {
        let name = self.names.of("postgres-owner");
        let (owner, notes) = login::keep_or_make(self.stored(&name)?, OWNER)?;
        self.note(&name, notes);
        let [worker, next_worker] =
            self.turns("postgres-worker", ["worker_a", "worker_b"], true)?;
        let [query, next_query] = self.turns("postgres-query", ["query_a", "query_b"], true)?;
        let [analyst, next_analyst] =
            self.turns("postgres-analyst", ["analyst_a", "analyst_b"], true)?;
        let hosts = self.hosts(Part::Postgres);
        let server = Order { name: "postgres", hosts: &hosts, purpose: Purpose::Server };
        Ok(DatabaseMaterial {
            owner,
            worker,
            query,
            analyst,
            spares: Spares { worker: next_worker, query: next_query, analyst: next_analyst },
            server: self.leaf("postgres-server", pair, &server, authority)?,
        })
    }

    fn edge(&self, hosts: &[String], authority: &Authority) -> Result<Leaf, MaterialError> {
        let order = Order { name: "edge", hosts, purpose: Purpose::Server };
        self.leaf("edge-certificate", pair, &order, authority)
    }

    /// The user in use and its spare.
    fn turns(
        &mut self,
        what: &str,
        users: [&str; 2],
        taken_up: bool,
    ) -> Result<[Login; 2], MaterialError> {
        let (name, spare_name) = (self.names.of(what), self.names.of(&format!("{what}-spare")));
        let (stored, stored_spare) = (self.stored(&name)?, self.stored(&spare_name)?);
        let Turns { current, notes, spare, spare_notes } =
            login::take_turns(stored, stored_spare, users, taken_up, self.now)?;
        self.note(&name, notes);
        self.note(&spare_name, spare_notes);
        Ok([current, spare])
    }

    fn leaf(
        &self,
        what: &str,
        read: fn(&Stored<'_>) -> Option<(String, String)>,
        order: &Order<'_>,
        authority: &Authority,
    ) -> Result<Leaf, MaterialError> {
        let name = self.names.of(what);
        let existing = self.stored(&name)?.and_then(|stored| read(&stored));
        leaf::keep_or_issue(existing, order, authority, self.now)
    }

    /// Names of a part's Service.
    fn hosts(&self, part: Part) -> Vec<String> {
        let (service, namespace) = (self.names.part(part), self.names.namespace());
        vec![
            self.names.host(part),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}"),
            service,
        ]
    }

    fn stored<'a>(&'a self, name: &'a str) -> Result<Option<Stored<'a>>, MaterialError> {
        Stored::find(&self.existing.secrets, name, self.names)
    }

    fn note(&mut self, name: &str, notes: Notes) {
        if !notes.is_empty() {
            self.notes.insert(name.to_owned(), notes);
        }
    }
}

/// Certificate and key of a Secret for TLS.
fn pair(stored: &Stored<'_>) -> Option<(String, String)> {
    stored.text("tls.crt").zip(stored.text("tls.key"))
}

/// Certificate and key of a keystore: the key comes first.
fn keystore(stored: &Stored<'_>) -> Option<(String, String)> {
    let text = stored.text("keystore.pem")?;
    let (key, certificate) = text.split_at(text.find("-----BEGIN CERTIFICATE-----")?);
    Some((certificate.to_owned(), key.to_owned()))
}
