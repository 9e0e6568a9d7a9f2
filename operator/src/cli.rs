//! Options of the program, each also an environment variable.

use std::net::SocketAddr;

use clap::Parser;
use clap::ValueEnum;

use crate::pipeline::Images;

/// What `--help` ends with.
const EXAMPLES: &str = "Examples:
  All namespaces, as a deployment of the chart runs it:
    millrace-operator --millrace-image registry.example.com/millrace:0.1.0

  Two namespaces, from a laptop, with the cluster of the current kubeconfig:
    millrace-operator --namespace factory --namespace lab --leader-election false \\
      --millrace-image millrace:dev

Every option is also an environment variable; several values of one are separated by commas.";

/// Turns TelemetryPipelines into running telemetry systems.
#[derive(Debug, Clone, Parser)]
#[command(name = "millrace-operator", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Arguments {
    /// A namespace whose pipelines are looked after; may be repeated. Default: all namespaces.
    #[arg(
        long = "namespace",
        short = 'n',
        env = "MILLRACE_OPERATOR_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub namespaces: Vec<String>,

    /// Pipelines that are brought up to date at once, 1 to 64.
    #[arg(
        long,
        env = "MILLRACE_OPERATOR_CONCURRENCY",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=64),
        value_name = "NUMBER"
    )]
    pub concurrency: u16,

    /// Where `/livez`, `/readyz` and `/metrics` are answered.
    #[arg(
        long,
        env = "MILLRACE_OPERATOR_HTTP_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS"
    )]
    pub http_listen: SocketAddr,

    /// Images of pods.
    #[command(flatten)]
    pub images: ImageArguments,

    /// Who works where several operators run.
    #[command(flatten)]
    pub leader: LeaderArguments,

    /// Logging.
    #[command(flatten)]
    pub logging: LoggingArguments,
}

/// Images of pods.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Images")]
pub struct ImageArguments {
    /// Image of ingest, workers, query and provision.
    #[arg(long, env = "MILLRACE_OPERATOR_MILLRACE_IMAGE", value_name = "IMAGE")]
    pub millrace_image: String,

    /// Image of the edge: nginx without root, 1.27.4 or later.
    #[arg(
        long,
        env = "MILLRACE_OPERATOR_NGINX_IMAGE",
        default_value = "docker.io/nginxinc/nginx-unprivileged:1.31",
        value_name = "IMAGE"
    )]
    pub nginx_image: String,

    /// Image of a managed Kafka: Apache's layout, 4.1 or later.
    #[arg(
        long,
        env = "MILLRACE_OPERATOR_KAFKA_IMAGE",
        default_value = "docker.io/apache/kafka:4.1.0",
        value_name = "IMAGE"
    )]
    pub kafka_image: String,

    /// Image of a managed Postgres: the official layout. `{version}` stands for the major version.
    #[arg(
        long,
        env = "MILLRACE_OPERATOR_POSTGRES_IMAGE",
        default_value = "docker.io/library/postgres:{version}",
        value_name = "IMAGE"
    )]
    pub postgres_image: String,

    /// A Secret of the pipeline's namespace for pulling images; may be repeated.
    #[arg(
        long = "image-pull-secret",
        env = "MILLRACE_OPERATOR_IMAGE_PULL_SECRETS",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub pull_secrets: Vec<String>,
}

impl ImageArguments {
    /// The images, where a pipeline names no others.
    #[must_use]
    pub fn images(&self) -> Images {
        Images {
            millrace: self.millrace_image.clone(),
            nginx: self.nginx_image.clone(),
            kafka: self.kafka_image.clone(),
            postgres: self.postgres_image.clone(),
            pull_secrets: self.pull_secrets.clone(),
        }
    }
}

/// Who works where several operators run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Leader election")]
pub struct LeaderArguments {
    /// Whether to work only while holding a Lease, so that several replicas are safe.
    #[arg(
        long,
        env = "MILLRACE_OPERATOR_LEADER_ELECTION",
        default_value_t = true,
        action = clap::ArgAction::Set,
        value_name = "BOOLEAN"
    )]
    pub leader_election: bool,

    /// Name of the Lease.
    #[arg(
        long,
        env = "MILLRACE_OPERATOR_LEASE_NAME",
        default_value = "millrace-operator",
        value_name = "NAME"
    )]
    pub lease_name: String,

    /// Namespace of the Lease. Default: the operator's own.
    #[arg(long, env = "MILLRACE_OPERATOR_LEASE_NAMESPACE", value_name = "NAME")]
    pub lease_namespace: Option<String>,

    /// Who this is to others, in the Lease and in Events. Default: the host's name, which is the
    /// pod's.
    #[arg(long, env = "MILLRACE_OPERATOR_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,
}

/// Logging.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Logging")]
pub struct LoggingArguments {
    /// What to log: a level (error, warn, info, debug, trace), or levels by module.
    #[arg(
        long = "log",
        env = "MILLRACE_OPERATOR_LOG",
        default_value = "warn,millrace_operator=info",
        value_name = "FILTER"
    )]
    pub filter: String,

    /// Form of the log.
    #[arg(
        long = "log-format",
        env = "MILLRACE_OPERATOR_LOG_FORMAT",
        default_value = "human",
        value_name = "FORMAT"
    )]
    pub format: LogFormat,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Human,
    /// A JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_option_is_also_an_environment_variable() {
        Arguments::command().debug_assert();
        for argument in Arguments::command().get_arguments() {
            let id = argument.get_id().as_str();
            if id == "help" || id == "version" {
                continue;
            }
            let variable = argument.get_env().and_then(|variable| variable.to_str());
            assert!(
                variable.is_some_and(|variable| variable.starts_with("MILLRACE_OPERATOR_")),
                "{id}"
            );
        }
    }
}
