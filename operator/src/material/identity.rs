//! Who a managed Kafka is: its cluster id, and the ids of its nodes' log folders. They are no
//! secrets, and have to stay for as long as the volumes do.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::login;

const CLUSTER: &str = "cluster-id";
const FORMED: &str = "formed";

/// Who a managed Kafka is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its cluster id.
    pub(super) cluster_id: String,
    /// The id of each node's log folder.
    pub(super) directory_ids: Vec<String>,
    /// Whether all nodes have once been ready.
    pub(super) formed: bool,
}

impl Identity {
    /// What the ConfigMap says, and what is missing in it made.
    pub(super) fn keep_or_make(existing: Option<&ConfigMap>, nodes: i32, ready: bool) -> Self {
        let data = existing.and_then(|config_map| config_map.data.as_ref());
        let get = |key: &str| data.and_then(|data| data.get(key)).filter(|text| !text.is_empty());
        let directory = |node| get(&directory_key(node)).cloned().unwrap_or_else(id);
        Self {
            cluster_id: get(CLUSTER).cloned().unwrap_or_else(id),
            directory_ids: (0..usize::try_from(nodes).unwrap_or_default()).map(directory).collect(),
            formed: ready || get(FORMED).is_some_and(|text| text == "true"),
        }
    }
}

/// What the ConfigMap says.
pub(super) fn data(
    cluster_id: &str,
    directory_ids: &[String],
    formed: bool,
) -> BTreeMap<String, String> {
    let directories = directory_ids.iter().enumerate();
    let mut data: BTreeMap<_, _> =
        directories.map(|(node, id)| (directory_key(node), id.clone())).collect();
    data.insert(CLUSTER.to_owned(), cluster_id.to_owned());
    data.insert(FORMED.to_owned(), formed.to_string());
    data
}

fn directory_key(node: usize) -> String {
    format!("directory-id-{node}")
}

/// An id as Kafka wants it. One that began with `-` would be read as an option by its tools.
fn id() -> String {
    loop {
        let id = login::random::<16>();
        if !id.starts_with('-') {
            return id;
        }
    }
}
