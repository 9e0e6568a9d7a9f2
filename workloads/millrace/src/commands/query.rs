//! `millrace query`: a process that answers.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::commands::separate::SeparateArguments;
use crate::commands::separate::begun;
use crate::commands::separate::reachable;
use crate::exit::Exit;
use crate::exit::Outcome;
use crate::exposed;
use crate::output;
use crate::output::OutputFormat;
use crate::pipeline;
use crate::pipeline::ConfigMaps;
use crate::process::query::QueryProcess;
use crate::process::signals;
use crate::process::traces::Traces;
use crate::process::traces::TracesOptions;

/// Answer what is asked, as one of several processes over Kafka and Postgres: tables, live streams,
/// the dashboard and the API, which `status`, `tail`, `dlq`, `replay`, `rebuild` and `sql` use.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace query race.yaml --connections /etc/millrace/connections
  millrace query race.yaml --connections ./connections --http-listen 0.0.0.0:8080
  millrace query race.yaml --connections ./connections --http-listen 0.0.0.0:8080 --admin-listen 127.0.0.1:9090
  millrace query race.yaml --connections ./connections --http-listen 127.0.0.1:0 --output json")]
pub(crate) struct QueryArguments {
    /// File with a TelemetryPipeline.
    file: PathBuf,

    /// Address of the HTTP port. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    http_listen: SocketAddr,

    #[command(flatten)]
    config_maps: ConfigMaps,

    /// Address of a port for operators, on this machine alone: dead letters, rebuilds, replays,
    /// backups, and why something waits. The HTTP port then has none of these. Whoever reaches
    /// this machine's loopback needs no credentials there.
    ///
    /// Without it the HTTP port answers everything.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    admin_listen: Option<SocketAddr>,

    #[command(flatten)]
    separate: SeparateArguments,

    #[command(flatten)]
    traces: TracesOptions,
}

/// Runs the command.
pub(crate) async fn run(arguments: QueryArguments, output: OutputFormat) -> Outcome {
    let QueryArguments { file, http_listen, admin_listen, config_maps, separate, traces } =
        arguments;
    let plan = pipeline::load_to_run(&file, &config_maps)?;
    if let Some(warning) = exposed::warning(&plan) {
        output::note(&warning);
    }
    let pipeline = plan.pipeline.clone();
    let options = separate.options(&plan, http_listen, true, PathBuf::from("."))?;
    let shutdown = signals::shutdown().map_err(Exit::Software.of())?;
    let process = QueryProcess::open(plan, options, admin_listen).await?;
    let traces =
        Traces::start(&traces, &pipeline, process.observer()).map_err(Exit::Config.of())?;
    let address = reachable(process.http_address());
    let mut fields = vec![
        ("pipeline", pipeline),
        ("process", process.name().to_owned()),
        ("url", format!("{}://{address}", process.http_scheme())),
    ];
    if let Some(address) = process.admin_address() {
        fields.push(("admin", format!("http://{address}")));
    }
    begun("The process answers. Ctrl-C stops it.", &fields, output)?;
    if let Some(running) = process.start(&shutdown).await? {
        shutdown.cancelled().await;
        running.stop().await;
    }
    traces.stop().await;
    Ok(())
}

/// An address that nobody but this machine reaches.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write 127.0.0.1:9090, say".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("it needs no credentials, so others must not reach it: write 127.0.0.1:9090, say"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_answered_on_the_loopback_alone() {
        assert_eq!(loopback("127.0.0.1:9090"), Ok(SocketAddr::from(([127, 0, 0, 1], 9090))));
        assert!(loopback("[::1]:9090").is_ok());
        for open in ["0.0.0.0:9090", "[::]:9090", "10.0.0.1:9090"] {
            assert!(loopback(open).unwrap_err().starts_with("it needs no credentials"), "{open}");
        }
        assert!(loopback("9090").is_err());
    }
}
