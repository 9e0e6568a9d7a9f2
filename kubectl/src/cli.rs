//! The command line: options of the plugin's own, and what is passed on to `millrace` as it is.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Arg;
use clap::Args;
use clap::CommandFactory as _;
use clap::Parser;
use clap::Subcommand;

/// Ask a pipeline that runs on a cluster, as `millrace` asks one that runs here.
///
/// The pipeline is found by the kubeconfig; a port of one of its query pods is forwarded for as long
/// as the command takes. Options of a command are those of `millrace`: see `millrace help COMMAND`.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-millrace",
    bin_name = "kubectl millrace",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
PIPELINE may be left out where the namespace has one pipeline.

Examples:
  kubectl millrace status                            How the only pipeline of the namespace is
  kubectl millrace status race --namespace factory   How one of several is
  kubectl millrace tail race events --follow         Watch a stream of it
  kubectl millrace dlq race list                     What could not be processed, and why
  kubectl millrace rebuild race standings            Make a table anew
  kubectl millrace plan race                         What the resource on the cluster turns into";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show how a pipeline is: its parts, their lag, its streams and its log.
    #[command(override_usage = "kubectl millrace status [PIPELINE] [OPTIONS]")]
    Status(Passed),
    /// Show a stream's records; with --follow, further ones as they come.
    #[command(override_usage = "kubectl millrace tail [PIPELINE] STREAM [OPTIONS]")]
    Tail(Passed),
    /// List, show and replay what could not be processed.
    #[command(override_usage = "kubectl millrace dlq [PIPELINE] list|show|replay [OPTIONS]")]
    Dlq(Passed),
    /// Make a table, or what a processor computes, anew from the log.
    #[command(override_usage = "kubectl millrace rebuild [PIPELINE] NAME [OPTIONS]")]
    Rebuild(Passed),
    /// Append recorded events of a stream again, to the same or another one.
    #[command(
        override_usage = "kubectl millrace replay [PIPELINE] --stream STREAM --from TIME|OFFSET --to STREAM [OPTIONS]"
    )]
    Replay(Passed),
    /// Show what the resource on the cluster turns into.
    #[command(override_usage = "kubectl millrace plan [PIPELINE] [OPTIONS]")]
    Plan(Fetched),
    /// Say what is wrong with the resource on the cluster.
    #[command(override_usage = "kubectl millrace validate [PIPELINE] [OPTIONS]")]
    Validate(Fetched),
    /// Show this help.
    #[command(alias = "list")]
    Help,
}

/// A command that asks a running pipeline.
#[derive(Debug, Args)]
pub(crate) struct Passed {
    #[command(flatten)]
    pub(crate) cluster: ClusterOptions,

    /// The pipeline's name, then words and options of `millrace`, which are passed on as they are:
    /// see `millrace help COMMAND`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub(crate) rest: Vec<OsString>,
}

/// A command that reads the resource.
#[derive(Debug, Args)]
pub(crate) struct Fetched {
    /// What of the resource was valid last and goes on running, not what it says now.
    #[arg(long)]
    pub(crate) last_valid: bool,

    #[command(flatten)]
    pub(crate) passed: Passed,
}

/// Which pipeline of which cluster.
#[derive(Debug, Default, Args)]
pub(crate) struct ClusterOptions {
    /// Name of the pipeline. Default: the word behind the command, or the namespace's only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) pipeline: Option<String>,

    /// Namespace of the pipeline. Default: that of the kubeconfig's context.
    #[arg(long, short, value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// Context of the kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The kubeconfig. Default: KUBECONFIG, or `~/.kube/config`.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// User to be for the API server, where you may be another.
    #[arg(long = "as", value_name = "USER")]
    pub(crate) impersonated: Option<String>,
}

/// Puts the plugin's own options directly behind the command, wherever they were written, as
/// kubectl takes its own anywhere. What is behind `--` stays.
pub(crate) fn own_first(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut before: Vec<OsString> = arguments.next().into_iter().collect();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            others.push(argument);
            others.extend(arguments.by_ref());
        } else if let Some(takes_next) = own_option(&argument) {
            own.push(argument);
            own.extend(arguments.by_ref().take(usize::from(takes_next)));
        } else {
            others.push(argument);
        }
    }
    let is_command = |argument: &OsString| !begins_with_dash(argument);
    let command = others.iter().position(is_command).map_or(0, |position| position + 1);
    let behind = others.split_off(command);
    before.extend(others);
    before.extend(own);
    before.extend(behind);
    before
}

/// Whether an argument is an option and not a word.
pub(crate) fn begins_with_dash(argument: &OsStr) -> bool {
    argument.as_encoded_bytes().starts_with(b"-")
}

/// Whether an argument is one of the plugin's own options; if so, whether the next one is its value.
fn own_option(argument: &OsStr) -> Option<bool> {
    let argument = argument.to_str()?;
    let options = Cli::command();
    let options = options.get_subcommands().flat_map(clap::Command::get_arguments);
    for option in options.filter(|option| !option.is_positional()) {
        let takes_value = option.get_action().takes_values();
        if is_long(option, argument) {
            return Some(takes_value && !argument.contains('='));
        }
        let short = option.get_short().map(|short| format!("-{short}"));
        if let Some(rest) = short.and_then(|short| argument.strip_prefix(&short).map(str::len)) {
            return Some(takes_value && rest == 0);
        }
    }
    None
}

fn is_long(option: &Arg, argument: &str) -> bool {
    let name = argument.strip_prefix("--").map(|name| name.split('=').next().unwrap_or(name));
    name.is_some() && name == option.get_long()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(line: &str) -> String {
        let arguments = own_first(line.split(' ').map(OsString::from));
        arguments.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn own_options_may_stand_anywhere_before_two_dashes() {
        for (written, read) in [
            ("k tail race events -n a --follow", "k tail -n a race events --follow"),
            ("k -na --context=b tail events", "k tail -na --context=b events"),
            ("k plan race --output json --last-valid", "k plan --last-valid race --output json"),
            ("k tail --from now --as alice", "k tail --as alice --from now"),
            ("k tail -- -n a", "k tail -- -n a"),
            ("k --version", "k --version"),
        ] {
            assert_eq!(ordered(written), read);
        }
    }

    #[test]
    fn what_is_not_of_the_plugin_is_passed_on_as_it_is() {
        let line = "k tail -n factory race events --follow --output json -- x";
        let cli = Cli::try_parse_from(own_first(line.split(' ').map(OsString::from))).unwrap();
        let Command::Tail(Passed { cluster, rest }) = cli.command else { panic!("{cli:?}") };
        assert_eq!(cluster.namespace.as_deref(), Some("factory"));
        assert_eq!(rest, ["race", "events", "--follow", "--output", "json", "--", "x"]);
    }

    #[test]
    fn options_of_millrace_may_come_first() {
        let line = "k tail --follow events -n factory";
        let cli = Cli::try_parse_from(own_first(line.split(' ').map(OsString::from))).unwrap();
        let Command::Tail(Passed { cluster, rest }) = cli.command else { panic!("{cli:?}") };
        assert_eq!(cluster.namespace.as_deref(), Some("factory"));
        assert_eq!(rest, ["--follow", "events"]);
    }
}
