//! Passwords, keys and certificates that the operator makes: once, and again when they end. They are
//! kept in Secrets of the pipeline's namespace and nowhere else.
//!
//! [`complete`] keeps what the Secrets have and makes what is missing or due; [`build_secrets`] says
//! what they hold then. Nothing here does I/O. What is exchanged is exchanged in steps, each of which
//! leaves whatever runs with what it needs: a new authority is trusted by all before it signs, and a
//! user's successor can log in before anybody is told of it.

mod authority;
mod certificate;
mod complete;
mod due;
mod error;
mod identity;
mod leaf;
mod login;
mod marks;
mod objects;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

pub use complete::Existing;
pub use complete::Wanted;
pub use complete::complete;
pub use complete::config_map_names;
pub use complete::secret_names;
pub use due::next_renewal;
pub use error::MaterialError;
pub use marks::CERTIFICATE;
pub use marks::CLIENT;
pub use marks::TRUST;
pub(crate) use marks::marks;
pub(crate) use marks::users_hash;
pub(crate) use objects::build_config_maps;
pub(crate) use objects::build_secrets;

/// Annotation by which somebody asks for a new password, key or authority: any value that is another
/// than the last time.
pub const ROTATE: &str = "millrace.dev/rotate";

/// Name of the database of a managed Postgres.
pub const DATABASE: &str = "millrace";

/// Name of a managed Postgres' superuser.
pub const OWNER: &str = "postgres";

/// What a pipeline needs.
#[derive(Debug, Clone)]
pub struct Material {
    /// The pipeline's own certificate authority.
    pub authority: Authority,
    /// Of a managed Kafka.
    pub broker: Option<BrokerMaterial>,
    /// Of a managed Postgres.
    pub database: Option<DatabaseMaterial>,
    /// The edge's certificate, where the resource names no other one.
    pub edge: Option<Leaf>,
    /// Annotations by which Secrets and ConfigMaps remember what has been done, by their names.
    pub notes: BTreeMap<String, Notes>,
}

/// Annotations by which an object remembers what has been done.
pub type Notes = BTreeMap<String, String>;

/// A certificate authority.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Its certificate, which signs; PEM.
    pub certificate: String,
    /// Its key, PKCS #8 in PEM.
    pub key: Hidden,
    /// Certificates that are trusted, in PEM: its own, and while it changes its successor's or
    /// predecessor's.
    pub trusted: String,
    /// The one that signs as soon as all trust it.
    pub successor: Option<Successor>,
    /// When it ends.
    pub expires: Timestamp,
}

/// An authority that does not sign yet.
#[derive(Debug, Clone)]
pub struct Successor {
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its key, PKCS #8 in PEM.
    pub key: Hidden,
}

/// A certificate that the authority has signed.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its key, PKCS #8 in PEM.
    pub key: Hidden,
    /// When it ends.
    pub expires: Timestamp,
}

/// A user and its password.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: Hidden,
}

/// What a managed Kafka needs.
#[derive(Debug, Clone)]
pub struct BrokerMaterial {
    /// Id of the cluster: 16 bytes in URL-safe base64 without padding.
    pub cluster_id: String,
    /// Id of the log folder of each node at its first creation, likewise.
    pub directory_ids: Vec<String>,
    /// Whether all nodes have once been ready: an empty volume is then one that was lost.
    pub formed: bool,
    /// The user of ingest, workers, query and provision (SCRAM-SHA-512).
    pub client: Login,
    /// The user that comes after it, or came before it; it can log in, too.
    pub spare: Login,
    /// Certificate of the nodes, for all their names; also towards each other.
    pub node: Leaf,
    /// Certificate of whoever makes users: a super user.
    pub admin: Leaf,
}

/// What a managed Postgres needs.
#[derive(Debug, Clone)]
pub struct DatabaseMaterial {
    /// The user that owns the database; provision's.
    pub owner: Login,
    /// The user that writes.
    pub worker: Login,
    /// The user that reads and answers.
    pub query: Login,
    /// The user that may read tables, for people.
    pub analyst: Login,
    /// The users that come after these three, or came before them; they can log in, too.
    pub spares: Spares,
    /// The server's certificate.
    pub server: Leaf,
}

/// Users that take turns with those in use.
#[derive(Debug, Clone)]
pub struct Spares {
    /// With the one that writes.
    pub worker: Login,
    /// With the one that answers.
    pub query: Login,
    /// With the one for people.
    pub analyst: Login,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// A text to be hidden.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for where it has to go.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
