//! What Secrets and ConfigMaps of the namespace have, and whether they are ours.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;

use super::Hidden;
use super::Login;
use super::MaterialError;
use super::ROTATE;
use crate::labels;
use crate::names::Names;

/// Annotation with the value of [`ROTATE`] that has been obeyed.
pub(super) const ROTATED: &str = "millrace.dev/rotated";

/// Annotation with the time from which what was exchanged is no longer used.
pub(super) const RETIRE: &str = "millrace.dev/retire-after";

/// A Secret as it is in the namespace.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    name: &'a str,
    secret: &'a Secret,
}

impl<'a> Stored<'a> {
    /// The Secret of this name, if there is one.
    ///
    /// # Errors
    /// It is not ours.
    pub(super) fn find(
        secrets: &'a BTreeMap<String, Secret>,
        name: &'a str,
        names: &Names,
    ) -> Result<Option<Self>, MaterialError> {
        let Some(secret) = secrets.get(name) else { return Ok(None) };
        if ours(&secret.metadata, names) {
            Ok(Some(Self { name, secret }))
        } else {
            Err(MaterialError::Adopt { kind: "Secret", name: name.to_owned() })
        }
    }

    /// The text under a key, if it is there.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let bytes = &self.secret.data.as_ref()?.get(key)?.0;
        String::from_utf8(bytes.clone()).ok()
    }

    /// The text under a key.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn needed(&self, key: &'static str) -> Result<String, MaterialError> {
        self.text(key).filter(|text| !text.is_empty()).ok_or_else(|| self.broken(key))
    }

    /// A user and its password.
    ///
    /// # Errors
    /// One of them is not there.
    pub(super) fn login(&self) -> Result<Login, MaterialError> {
        Ok(Login {
            username: self.needed("username")?,
            password: Hidden::new(self.needed("password")?),
        })
    }

    /// That a key is missing or broken.
    pub(super) fn broken(&self, key: &'static str) -> MaterialError {
        MaterialError::Read { name: self.name.to_owned(), key }
    }

    /// What somebody asks for that has not been done yet: the value of the annotation.
    pub(super) fn asked(&self) -> Option<&'a str> {
        asked(&self.secret.metadata)
    }

    /// The value of [`ROTATE`] that has been obeyed.
    pub(super) fn obeyed(&self) -> Option<&'a str> {
        annotation(&self.secret.metadata, ROTATED)
    }

    /// The value of an annotation.
    pub(super) fn note(&self, key: &str) -> Option<&'a str> {
        annotation(&self.secret.metadata, key)
    }

    /// From when on what was exchanged is no longer used.
    pub(super) fn retire(&self) -> Option<Timestamp> {
        annotation(&self.secret.metadata, RETIRE)?.parse().ok()
    }
}

/// The ConfigMap of this name, if there is one.
///
/// # Errors
/// It is not ours.
pub(super) fn config_map<'a>(
    config_maps: &'a BTreeMap<String, ConfigMap>,
    name: &str,
    names: &Names,
) -> Result<Option<&'a ConfigMap>, MaterialError> {
    let Some(config_map) = config_maps.get(name) else { return Ok(None) };
    if ours(&config_map.metadata, names) {
        Ok(Some(config_map))
    } else {
        Err(MaterialError::Adopt { kind: "ConfigMap", name: name.to_owned() })
    }
}

fn ours(metadata: &ObjectMeta, names: &Names) -> bool {
    let labels = metadata.labels.as_ref();
    labels.is_some_and(|labels| {
        labels::common(names).iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

fn asked(metadata: &ObjectMeta) -> Option<&str> {
    let asked = annotation(metadata, ROTATE)?;
    (annotation(metadata, ROTATED) != Some(asked)).then_some(asked)
}

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(key).map(String::as_str)
}
