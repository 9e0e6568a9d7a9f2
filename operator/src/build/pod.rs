//! Pods: what is the same in all of them, whatever runs there. Each passes Pod Security
//! `restricted`, has a root file system that cannot be written, no token and no links of Services.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Capabilities;
use k8s_openapi::api::core::v1::ConfigMapVolumeSource;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use k8s_openapi::api::core::v1::KeyToPath;
use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::api::core::v1::PodSecurityContext;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::core::v1::SeccompProfile;
use k8s_openapi::api::core::v1::SecretVolumeSource;
use k8s_openapi::api::core::v1::SecurityContext;
use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use k8s_openapi::api::core::v1::Volume;
use k8s_openapi::api::core::v1::VolumeMount;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ObjectMeta;
use millrace_api::TaintEffect;
use millrace_api::TolerationOperator;
use millrace_api::TolerationSpec;

use crate::build::account;
use crate::labels;
use crate::material;
use crate::names::Part;
use crate::pipeline::Pipeline;

/// Annotation of a pod with the hash of what it reads once, at its start.
pub(crate) const READS: &str = "millrace.dev/reads";

/// Over whose values pods are spread, where the resource names no other label.
const NODES: &str = "kubernetes.io/hostname";

/// The volume at `/tmp`.
const TEMPORARY: &str = "tmp";

/// Who may read mounted files: the owner and the group, which is the pod's own.
const READABLE: i32 = 0o440;

/// What is different from pod to pod.
pub(crate) struct Pod {
    /// The part that it is of.
    pub(crate) part: Part,
    /// Number of the user and group that it runs as, and of the group of its volumes.
    pub(crate) user: i64,
    /// What runs in it. Security contexts and `/tmp` are added.
    pub(crate) containers: Vec<Container>,
    /// What runs before, likewise.
    pub(crate) init_containers: Vec<Container>,
    /// Volumes beside `/tmp`.
    pub(crate) volumes: Vec<Volume>,
    /// Most that `/tmp` may hold, such as `64Mi`.
    pub(crate) temporary: &'static str,
    /// Seconds that it has to end.
    pub(crate) grace_seconds: i64,
    /// What it reads once, at its start: another one starts it anew.
    pub(crate) reads: Reads,
}

/// What a pod reads once, at its start. Only a hash of it leaves this type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    hasher: blake3::Hasher,
}

impl Reads {
    /// And this, too.
    #[must_use]
    pub(crate) fn and(mut self, name: &str, content: &str) -> Self {
        // Lengths keep apart what would read the same one behind the other.
        for text in [name, content] {
            self.hasher.update(&(text.len() as u64).to_le_bytes());
            self.hasher.update(text.as_bytes());
        }
        self
    }

    /// The hash, as 32 hexadecimal digits.
    #[must_use]
    pub(crate) fn hash(&self) -> String {
        self.hasher.finalize().to_hex()[..32].to_owned()
    }
}

/// The template of a part's pods.
pub(crate) fn template(pipeline: &Pipeline, pod: Pod) -> PodTemplateSpec {
    let Pod { part, user, containers, init_containers, mut volumes, .. } = pod;
    let placement = &pipeline.placement;
    let mut labels = texts(&placement.labels);
    labels.extend(labels::recommended(&pipeline.names, part));
    let mut annotations = texts(&placement.annotations);
    annotations.insert(READS.to_owned(), pod.reads.hash());
    annotations.extend(material::marks(part, &pipeline.material));
    volumes.push(empty_volume(TEMPORARY, pod.temporary));
    let node_selector = texts(&placement.node_selector);
    let pull_secrets = &pipeline.images.pull_secrets;
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            containers: containers.into_iter().map(hardened).collect(),
            init_containers: some(init_containers.into_iter().map(hardened).collect()),
            volumes: Some(volumes),
            security_context: Some(security_context(user)),
            service_account_name: Some(account::name(&pipeline.names)),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(pod.grace_seconds),
            topology_spread_constraints: Some(vec![spread(pipeline, part)]),
            node_selector: (!node_selector.is_empty()).then_some(node_selector),
            tolerations: some(placement.tolerations.iter().map(toleration).collect()),
            priority_class_name: placement.priority_class_name.as_ref().map(ToString::to_string),
            image_pull_secrets: some(
                pull_secrets
                    .iter()
                    .map(|name| LocalObjectReference { name: name.clone() })
                    .collect(),
            ),
            ..PodSpec::default()
        }),
    }
}

/// What a Job of ours asks for.
pub(crate) fn job_resources() -> ResourceRequirements {
    let amounts = |amounts: &[(&str, &str)]| {
        let amounts = amounts.iter();
        Some(
            amounts
                .map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())))
                .collect(),
        )
    };
    ResourceRequirements {
        requests: amounts(&[("cpu", "50m"), ("memory", "64Mi")]),
        limits: amounts(&[("memory", "256Mi")]),
        ..ResourceRequirements::default()
    }
}

/// A folder that is empty at the pod's start, and holds at most so much.
pub(crate) fn empty_volume(name: &str, size: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(size.to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A Secret as a volume: all of its keys, or those that are named, each with its file's name.
pub(crate) fn secret_volume(name: &str, secret: &str, files: &[(&str, &str)]) -> Volume {
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: some(items(files)),
            default_mode: Some(READABLE),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A ConfigMap as a volume: all of its keys, or those that are named, each with its file's name.
pub(crate) fn config_map_volume(name: &str, config_map: &str, files: &[(&str, &str)]) -> Volume {
    Volume {
        name: name.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            items: some(items(files)),
            default_mode: Some(READABLE),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A volume that a container reads.
pub(crate) fn read_mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..write_mount(volume, path) }
}

/// A volume that a container writes.
pub(crate) fn write_mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

/// A container that can do nothing but what its program does, with `/tmp`.
fn hardened(mut container: Container) -> Container {
    container.security_context = Some(SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    });
    // Its last words are then in the status of the pod, and so in that of the pipeline.
    container.termination_message_policy = Some("FallbackToLogsOnError".to_owned());
    container.volume_mounts.get_or_insert_default().push(write_mount(TEMPORARY, "/tmp"));
    container
}

fn security_context(user: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(user),
        // Otherwise the modes of all files change at each start, which Postgres refuses.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

fn spread(pipeline: &Pipeline, part: Part) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: pipeline.placement.spread.as_deref().unwrap_or(NODES).to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::selector(&pipeline.names, part)),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    }
}

fn toleration(spec: &TolerationSpec) -> Toleration {
    let operator = match spec.operator {
        TolerationOperator::Equal => "Equal",
        TolerationOperator::Exists => "Exists",
    };
    let effect = spec.effect.map(|effect| match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    });
    Toleration {
        key: spec.key.as_ref().map(ToString::to_string),
        operator: Some(operator.to_owned()),
        value: spec.value.as_ref().map(ToString::to_string),
        effect: effect.map(str::to_owned),
        toleration_seconds: spec.toleration_seconds,
    }
}

fn items(files: &[(&str, &str)]) -> Vec<KeyToPath> {
    let items = files.iter().map(|(key, path)| KeyToPath {
        key: (*key).to_owned(),
        path: (*path).to_owned(),
        ..KeyToPath::default()
    });
    items.collect()
}

/// A list, or nothing where it is empty: an empty list is not what the API server returns.
pub(crate) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn texts<T: ToString>(map: &BTreeMap<String, T>) -> BTreeMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.to_string())).collect()
}
