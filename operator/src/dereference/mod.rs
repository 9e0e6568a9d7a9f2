//! What a resource names, read from the API server: Secrets and ConfigMaps by their names, and what
//! the operator has made for it before. I/O alone: nothing is decided here.

pub mod wanted;

use std::collections::BTreeMap;
use std::fmt;

use futures::StreamExt as _;
use futures::TryStreamExt as _;
use futures::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Client;
use millrace_plan::ConfigMapError;
use serde::de::DeserializeOwned;

use self::wanted::Wanted;
use self::wanted::WantedKind;
use crate::material::Existing;
use crate::pipeline::ContentHash;

/// Reads at once for one pipeline.
const AT_ONCE: usize = 8;

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DereferenceError {
    /// The API server does not give it.
    #[error("cannot read {kind} {name}")]
    Get {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why not.
        source: kube::Error,
    },
}

/// What a Secret or ConfigMap holds. It is not shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Content(BTreeMap<String, Vec<u8>>);

impl Content {
    /// Content of these keys.
    #[must_use]
    pub const fn new(data: BTreeMap<String, Vec<u8>>) -> Self {
        Self(data)
    }

    /// Whether it has this key, with anything in it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !value.is_empty())
    }

    /// What is under this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        let mut hasher = blake3::Hasher::new();
        for (key, value) in &self.0 {
            // Lengths keep apart what would read the same one behind the other.
            for part in [key.as_bytes(), value] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        ContentHash(hasher.finalize().to_hex()[..32].to_owned())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl From<&Secret> for Content {
    fn from(secret: &Secret) -> Self {
        let data = secret.data.iter().flatten();
        Self(data.map(|(key, value)| (key.clone(), value.0.clone())).collect())
    }
}

impl From<&ConfigMap> for Content {
    fn from(map: &ConfigMap) -> Self {
        let texts = map.data.iter().flatten();
        let texts = texts.map(|(key, value)| (key.clone(), value.clone().into_bytes()));
        let bytes = map.binary_data.iter().flatten();
        let bytes = bytes.map(|(key, value)| (key.clone(), value.0.clone()));
        Self(texts.chain(bytes).collect())
    }
}

/// What a resource names, as it is now.
#[derive(Debug, Clone, Default)]
pub struct References {
    /// What it names.
    pub wanted: Vec<Wanted>,
    /// Those of it that are there.
    pub found: BTreeMap<(WantedKind, String), Content>,
    /// How many workers its StatefulSet asks for.
    pub workers: Option<i32>,
}

impl References {
    /// What is named there, if it is there.
    #[must_use]
    pub fn content(&self, wanted: &Wanted) -> Option<&Content> {
        self.found.get(&(wanted.kind, wanted.name.clone()))
    }

    /// The text of a key of a ConfigMap, for the planner.
    ///
    /// # Errors
    /// It is not there, or no text.
    pub fn text(&self, name: &str, key: &str) -> Result<String, ConfigMapError> {
        let wrong = |message: String| ConfigMapError { message, hint: None };
        let content = self
            .found
            .get(&(WantedKind::ConfigMap, name.to_owned()))
            .ok_or_else(|| wrong(format!("there is no ConfigMap `{name}`")))?;
        let value = content
            .get(key)
            .ok_or_else(|| wrong(format!("the ConfigMap `{name}` has no key `{key}`")))?;
        String::from_utf8(value.to_vec())
            .map_err(|_| wrong(format!("the key `{key}` of the ConfigMap `{name}` is no text")))
    }

    /// The Secret of this name, if it is there and the resource names it.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&Content> {
        self.found.get(&(WantedKind::Secret, name.to_owned()))
    }
}

/// Reads what is named. What is not there is left out.
///
/// # Errors
/// The API server does not answer.
pub async fn dereference(
    client: &Client,
    namespace: &str,
    wanted: Vec<Wanted>,
    workers: Option<i32>,
) -> Result<References, DereferenceError> {
    let names = wanted::names(&wanted);
    let found = stream::iter(names)
        .map(async |(kind, name)| {
            let content = match kind {
                WantedKind::Secret => get::<Secret>(client, namespace, kind.name(), &name)
                    .await?
                    .map(|secret| Content::from(&secret)),
                WantedKind::ConfigMap => get::<ConfigMap>(client, namespace, kind.name(), &name)
                    .await?
                    .map(|map| Content::from(&map)),
            };
            Ok(content.map(|content| ((kind, name), content)))
        })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(async |found| Ok(found))
        .try_collect()
        .await?;
    Ok(References { wanted, found, workers })
}

/// Reads Secrets and ConfigMaps that the operator has made for a pipeline. What is not there is left
/// out.
///
/// # Errors
/// The API server does not answer.
pub async fn existing(
    client: &Client,
    namespace: &str,
    secrets: Vec<String>,
    config_maps: Vec<String>,
) -> Result<Existing, DereferenceError> {
    Ok(Existing {
        secrets: all(client, namespace, "Secret", secrets).await?,
        config_maps: all(client, namespace, "ConfigMap", config_maps).await?,
        ..Existing::default()
    })
}

/// Reads the ConfigMap of this name, if it is there.
///
/// # Errors
/// The API server does not answer.
pub async fn config_map(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<ConfigMap>, DereferenceError> {
    get(client, namespace, "ConfigMap", name).await
}

async fn all<K>(
    client: &Client,
    namespace: &str,
    kind: &'static str,
    names: Vec<String>,
) -> Result<BTreeMap<String, K>, DereferenceError>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + fmt::Debug
        + DeserializeOwned,
{
    stream::iter(names)
        .map(async |name| {
            let found = get(client, namespace, kind, &name).await?;
            Ok(found.map(|found| (name, found)))
        })
        .buffer_unordered(AT_ONCE)
        .try_filter_map(async |found| Ok(found))
        .try_collect()
        .await
}

async fn get<K>(
    client: &Client,
    namespace: &str,
    kind: &'static str,
    name: &str,
) -> Result<Option<K>, DereferenceError>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let found = api.get_opt(name).await;
    found.map_err(|source| DereferenceError::Get { kind, name: name.to_owned(), source })
}
