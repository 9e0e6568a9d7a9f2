//! The resource as a file that `millrace plan` and `validate` read, with the ConfigMaps that it names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::ListParams;
use millrace_api::GROUP;
use millrace_api::KIND;
use millrace_api::VERSION;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::cluster::AskError;
use crate::cluster::Cluster;
use crate::cluster::GET_CONFIG_MAPS;
use crate::cluster::LIST_CONFIG_MAPS;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::pipeline::Pipeline;

/// The key of what was valid last, in its ConfigMap.
const LAST_VALID: &str = "spec.json";

/// A file for what only the owner of a file may read.
const MODE: u32 = 0o600;

/// A document that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteDocumentError {
    /// The API server refused.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Nothing was valid yet.
    #[error(
        "nothing of {0} was valid yet: leave out --last-valid to see what it says and what is wrong with it"
    )]
    NeverValid(String),
    /// What was valid last is not JSON.
    #[error("what was valid last of {0} cannot be read: leave out --last-valid")]
    Parse(String, #[source] serde_json::Error),
    /// There is no room for a file.
    #[error("cannot write a temporary file: set TMPDIR to a folder that can be written")]
    Write(#[from] io::Error),
}

impl From<WriteDocumentError> for Failure {
    fn from(error: WriteDocumentError) -> Self {
        match error {
            WriteDocumentError::Ask(error) => error.into(),
            WriteDocumentError::NeverValid(_) | WriteDocumentError::Parse(..) => {
                Exit::NoInput.because(error)
            }
            WriteDocumentError::Write(_) => Exit::CannotCreate.because(error),
        }
    }
}

/// Files that are there until this is dropped.
pub(crate) struct Document {
    folder: TempDir,
    file: PathBuf,
    has_config_maps: bool,
}

impl Document {
    /// Writes what the pipeline declares, or what was valid last.
    pub(crate) async fn write(
        cluster: &Cluster,
        pipeline: &Pipeline,
        last_valid: bool,
    ) -> Result<Self, WriteDocumentError> {
        let spec = if last_valid {
            last_valid_spec(cluster, pipeline).await?
        } else {
            pipeline.spec().clone()
        };
        let folder = tempfile::tempdir()?;
        let file = folder.path().join(format!("{}.json", pipeline.name()));
        let text = document(pipeline, &spec).to_string();
        write(&file, text.as_bytes())?;
        let names = config_maps(&spec);
        let api = Api::<ConfigMap>::namespaced(cluster.client.clone(), &cluster.namespace);
        for name in &names {
            let map = api.get_opt(name).await.map_err(cluster.refused(GET_CONFIG_MAPS))?;
            let into = folder.path().join("config-maps").join(name);
            std::fs::create_dir_all(&into)?;
            // One that is missing is told by who reads it.
            for (key, text) in map.and_then(|map| map.data).unwrap_or_default() {
                write(&into.join(key), text.as_bytes())?;
            }
        }
        Ok(Self { folder, file, has_config_maps: !names.is_empty() })
    }

    /// The file.
    pub(crate) fn file(&self) -> OsString {
        self.file.clone().into()
    }

    /// Options that lead to ConfigMaps, unless others are given.
    pub(crate) fn options(&self, passed: &[OsString]) -> Vec<OsString> {
        const NAME: &str = "--config-maps";
        let is_given =
            passed.iter().any(|argument| argument.as_encoded_bytes().starts_with(NAME.as_bytes()));
        if is_given || !self.has_config_maps {
            return Vec::new();
        }
        vec![NAME.into(), self.folder.path().join("config-maps").into()]
    }
}

/// The resource without what the API server and the operator add.
fn document(pipeline: &Pipeline, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": {"name": pipeline.name(), "namespace": pipeline.0.namespace()},
        "spec": spec,
    })
}

/// What was valid last, as the operator keeps it.
async fn last_valid_spec(
    cluster: &Cluster,
    pipeline: &Pipeline,
) -> Result<Value, WriteDocumentError> {
    let api = Api::<ConfigMap>::namespaced(cluster.client.clone(), &cluster.namespace);
    let of_pipeline =
        ListParams::default().labels(&format!("millrace.dev/pipeline={}", pipeline.name()));
    let maps = api.list(&of_pipeline).await.map_err(cluster.refused(LIST_CONFIG_MAPS))?;
    let text = kept(&maps.items, pipeline.0.uid().as_deref())
        .ok_or_else(|| WriteDocumentError::NeverValid(pipeline.name()))?;
    serde_json::from_str(text).map_err(|error| WriteDocumentError::Parse(pipeline.name(), error))
}

/// What is kept for the pipeline of this identity; one of a former pipeline says nothing of it.
fn kept<'a>(maps: &'a [ConfigMap], uid: Option<&str>) -> Option<&'a str> {
    let is_of = |map: &&ConfigMap| {
        map.owner_references().iter().any(|owner| Some(owner.uid.as_str()) == uid)
    };
    let texts = |map: &'a ConfigMap| map.data.as_ref()?.get(LAST_VALID).map(String::as_str);
    maps.iter().filter(is_of).find_map(texts)
}

/// ConfigMaps that streams have their schemas in.
fn config_maps(spec: &Value) -> BTreeSet<String> {
    let streams = spec["streams"].as_array().into_iter().flatten();
    let names = streams.filter_map(|stream| stream["schema"]["configMap"]["name"].as_str());
    names.map(str::to_owned).collect()
}

fn write(file: &Path, content: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(file)?.write_all(content)
}

/// What to know of a resource that is not what runs.
pub(crate) fn remark(pipeline: &Pipeline) -> Option<String> {
    let condition = pipeline.condition("Valid").filter(|condition| condition.status == "False")?;
    let runs = if pipeline.has_parts() {
        "what was valid last goes on running, and --last-valid shows it"
    } else {
        "nothing of it runs until it is"
    };
    Some(format!(
        "note: generation {} of {} is not valid ({}): {runs}",
        condition.observed_generation.unwrap_or_default(),
        pipeline.name(),
        condition.reason
    ))
}

#[cfg(test)]
mod tests;
