//! The cluster that the kubeconfig leads to, and what to say when it refuses.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use kube::Config;
use kube::config::KubeConfigOptions;
use kube::config::Kubeconfig;
use kube::config::KubeconfigError;

use crate::cli::ClusterOptions;

/// Longest time until the API server takes a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A cluster, and the namespace in which pipelines are looked for.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// A kubeconfig that leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The file cannot be read.
    #[error("cannot read the kubeconfig {0}: write another file behind --kubeconfig")]
    ReadFile(PathBuf, #[source] Box<KubeconfigError>),
    /// There is no kubeconfig, or it is none.
    #[error("no cluster is known: name a kubeconfig by --kubeconfig or KUBECONFIG")]
    Read(#[source] Box<KubeconfigError>),
    /// The context leads to no cluster.
    #[error(
        "the kubeconfig leads to no cluster: name one of the contexts that `kubectl config get-contexts` shows by --context"
    )]
    Choose(#[source] Box<KubeconfigError>),
    /// What the kubeconfig says of certificates or of the user cannot be used.
    #[error("what the kubeconfig says of the cluster cannot be used")]
    Client(#[source] Box<kube::Error>),
}

/// What was asked of the API server, as its roles name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Right {
    /// Verbs that it takes.
    verbs: &'static str,
    /// The resource.
    resource: &'static str,
    /// The role of Kubernetes that holds it.
    role: &'static str,
}

/// `get` of pipelines.
pub(crate) const GET_PIPELINES: Right =
    Right { verbs: "get", resource: "telemetrypipelines.millrace.dev", role: "view" };

/// `list` of pipelines.
pub(crate) const LIST_PIPELINES: Right =
    Right { verbs: "list", resource: "telemetrypipelines.millrace.dev", role: "view" };

/// `list` of pods.
pub(crate) const LIST_PODS: Right = Right { verbs: "list", resource: "pods", role: "view" };

/// `get` of ConfigMaps.
pub(crate) const GET_CONFIG_MAPS: Right =
    Right { verbs: "get", resource: "configmaps", role: "view" };

/// `list` of ConfigMaps.
pub(crate) const LIST_CONFIG_MAPS: Right =
    Right { verbs: "list", resource: "configmaps", role: "view" };

/// Forwarding of ports. Which of both verbs it takes depends on the version of Kubernetes.
pub(crate) const FORWARD_PORTS: Right =
    Right { verbs: "get or create", resource: "pods/portforward", role: "edit" };

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verbs, self.resource)
    }
}

/// Why the API server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// The user may not.
    #[error(
        "you may not {right} in namespace {namespace}: have the role {} bound to you there, which holds it",
        right.role
    )]
    Forbidden {
        /// What is missing.
        right: Right,
        /// Where.
        namespace: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The API server does not know who asks.
    #[error(
        "the API server does not know you: renew the credentials of the kubeconfig, or name another --context"
    )]
    Unknown(#[source] Box<kube::Error>),
    /// Nothing answers.
    #[error("the API server does not answer: see whether `kubectl version` reaches it")]
    Unreachable(#[source] Box<kube::Error>),
    /// Something else.
    #[error("the API server refused: {right} in namespace {namespace}")]
    Refused {
        /// What was asked for.
        right: Right,
        /// Where.
        namespace: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
}

impl Cluster {
    /// Reads the kubeconfig. Nothing is sent yet.
    pub(crate) async fn of(options: &ClusterOptions) -> Result<Self, ConnectError> {
        let kubeconfig = match &options.kubeconfig {
            Some(file) => Kubeconfig::read_from(file)
                .map_err(|error| ConnectError::ReadFile(file.clone(), Box::new(error)))?,
            None => Kubeconfig::read().map_err(|error| ConnectError::Read(Box::new(error)))?,
        };
        let chosen =
            KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &chosen);
        let mut config = config.await.map_err(|error| ConnectError::Choose(Box::new(error)))?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // A command ends by itself; a person would rather know now than after many attempts.
        config.default_retry = false;
        if let Some(user) = &options.impersonated {
            config.auth_info.impersonate = Some(user.clone());
        }
        let namespace =
            options.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))?;
        Ok(Self { client, namespace })
    }

    /// Says why something was not done; for `map_err`.
    pub(crate) fn refused(&self, right: Right) -> impl Fn(kube::Error) -> AskError {
        let namespace = self.namespace.clone();
        move |error| {
            let (namespace, source) = (namespace.clone(), Box::new(error));
            match &*source {
                kube::Error::Api(status) if status.code == 401 => AskError::Unknown(source),
                kube::Error::Api(status) if status.code == 403 => {
                    AskError::Forbidden { right, namespace, source }
                }
                kube::Error::Auth(_) => AskError::Unknown(source),
                kube::Error::HyperError(_) | kube::Error::Service(_) => {
                    AskError::Unreachable(source)
                }
                _ => AskError::Refused { right, namespace, source },
            }
        }
    }
}

/// Whether the API server knows nothing of this name.
pub(crate) fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// The last of an error's causes, which says what happened; those before it repeat it.
pub(crate) fn root_cause(error: &dyn Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Some(cause.to_string())
}
