//! Arguments that the commands of separate processes share, and what these say when they begin.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use millrace_http::Clients;
use millrace_log::kafka::StandbyOptions;
use millrace_plan::Plan;
use serde_json::Value;

use crate::connections::Connections;
use crate::connections::has_tables;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;
use crate::process::separate::SeparateOptions;

/// How a process of many is started.
#[derive(Debug, Args)]
pub(super) struct SeparateArguments {
    /// Folder with `kafka.yaml`, and with `postgres.yaml` where the pipeline has tables.
    #[arg(long, value_name = "DIR")]
    connections: PathBuf,

    /// Name of this process, which no other one of the pipeline may have at the same time, and which
    /// it keeps when it starts again: a pod's name, say.
    ///
    /// Without it the machine's name and the number of the HTTP port.
    #[arg(long, value_name = "NAME")]
    process_name: Option<String>,

    /// Folder of Secrets: a folder for each, with a file for each of its keys, such as
    /// `secrets/multivac-users/users`. Files are read again when they change.
    #[arg(long, value_name = "DIR", default_value = "secrets")]
    secrets: PathBuf,

    /// Seconds that the process may take to end after Ctrl-C or SIGTERM. A second signal ends it at
    /// once.
    #[arg(long, value_name = "SECONDS", default_value_t = 25,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    grace: u64,

    /// Take the last address of `X-Forwarded-For` for that of the client, as a proxy before this
    /// process writes it. Nobody else may reach the port then.
    #[arg(long)]
    trust_proxy: bool,
}

impl SeparateArguments {
    /// What a process with this HTTP address needs to begin. `with_tables` says whether it uses
    /// them.
    pub(super) fn options(
        self,
        plan: &Plan,
        http: SocketAddr,
        with_tables: bool,
        data: PathBuf,
    ) -> Result<SeparateOptions, Failure> {
        let connections = Connections::read(&self.connections, with_tables && has_tables(plan))?;
        Ok(SeparateOptions {
            http,
            name: self.process_name,
            clients: if self.trust_proxy { Clients::BehindProxy } else { Clients::Direct },
            grace: Duration::from_secs(self.grace),
            connections,
            secrets: self.secrets,
            data,
            standbys: StandbyOptions::default(),
        })
    }
}

/// Says that a process has begun, and where it is.
pub(super) fn begun(what: &str, fields: &[(&str, String)], output: OutputFormat) -> Outcome {
    match output {
        OutputFormat::Json => {
            let fields = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
            output::json_line(&Value::Object(fields.collect()))?;
        }
        OutputFormat::Text => {
            output::line(what)?;
            let rows: Vec<_> = fields
                .iter()
                .map(|(name, value)| vec![format!("  {name}"), value.clone()])
                .collect();
            for line in output::columns(&rows) {
                output::line(&line)?;
            }
        }
    }
    Ok(())
}

/// An address at which this machine reaches what listens on all of its addresses.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_is_reached_on_this_machine() {
        let address = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(address("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(address("[::]:8080"), "[::1]:8080");
        assert_eq!(address("10.0.0.1:80"), "10.0.0.1:80");
    }
}
