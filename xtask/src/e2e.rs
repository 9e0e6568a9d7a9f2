//! `cargo xtask e2e`: the operator and the examples on the cluster of a kubeconfig.
//!
//! It makes the image, installs the chart, and runs what `tests/cluster` and `tests/examples` hold of
//! pipelines there. Namespaces of tests are new ones and are deleted; the release is uninstalled at the
//! end, the CRD stays.

use std::path::PathBuf;

use clap::Args;

use crate::command;
use crate::command::Outcome;
use crate::image;
use crate::workspace;

/// Namespace and name of the release.
const RELEASE: &str = "millrace-e2e";

#[derive(Debug, Args)]
pub(crate) struct EndToEndArguments {
    /// The kubeconfig of the cluster. Tests make namespaces, and the operator manages all of them.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: PathBuf,

    /// A program that gets the image's archive onto the nodes, called with the file as its last
    /// argument, such as `minikube image load`. Without it the nodes have to have the image.
    #[arg(long, value_name = "COMMAND")]
    load: Option<String>,

    /// The program that is Helm, 3.17 or later.
    #[arg(long, value_name = "COMMAND", default_value = "helm")]
    helm: String,

    /// Address of this machine as pods reach it. Without it what is sent out of the cluster is not
    /// tested: alerts by webhook.
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,

    /// A program that installs definitions of others, by its name or whole path, called with `gateway
    /// cert-manager keda monitoring`, on a cluster that has none of them. Without it objects of theirs
    /// are not tested.
    #[arg(long, value_name = "COMMAND")]
    crds: Option<String>,

    /// An image of another version of this program that the nodes have, which replaces the operator
    /// for a while. Without it that is not tested.
    #[arg(long, value_name = "IMAGE")]
    other: Option<String>,

    /// Profile of cargo to build the image with.
    #[arg(long, default_value = "dev")]
    profile: String,

    /// Only tests whose names contain this, or one of these, such as `race::`.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,

    /// Leave the release where it is.
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &EndToEndArguments) -> Outcome {
    let root = workspace::root();
    let kubeconfig = format!("KUBECONFIG={}", arguments.kubeconfig.display());
    // Through `env`, so that all programs see the same cluster.
    let with = |program: &str, rest: &[&str]| {
        let program: Vec<&str> = program.split_whitespace().collect();
        command::run(&root, "env", &[&[kubeconfig.as_str()], &program[..], rest].concat())
    };
    let archive = workspace::target().join("millrace-e2e.tar");
    let name = image::make(&archive, &arguments.profile)?;
    if let Some(load) = &arguments.load {
        with(load, &[&archive.display().to_string()])?;
    }
    let (repository, tag) = name.rsplit_once(':').unwrap_or((&name, "latest"));
    let repository = format!("image.repository={repository}");
    let tag = format!("image.tag={tag}");
    with(
        &arguments.helm,
        &[
            "upgrade",
            "--install",
            RELEASE,
            "charts/millrace",
            "--namespace",
            RELEASE,
            "--create-namespace",
            // The CRD stays when a release is deleted, as that of whom it was.
            "--take-ownership",
            "--wait",
            "--timeout",
            "3m",
            "--set",
            "allNamespaces=true",
            "--set",
            &repository,
            "--set",
            &tag,
        ],
    )?;
    let outcome = test(&with, arguments);
    if !arguments.keep {
        with(&arguments.helm, &["uninstall", RELEASE, "--namespace", RELEASE, "--wait"])?;
    }
    Ok(outcome?)
}

fn test<E>(
    with: &impl Fn(&str, &[&str]) -> Result<(), E>,
    arguments: &EndToEndArguments,
) -> Result<(), E> {
    let settings = [
        ("MILLRACE_TEST_HOST", &arguments.host),
        ("MILLRACE_CRDS", &arguments.crds),
        ("MILLRACE_OTHER_IMAGE", &arguments.other),
    ];
    let settings = settings
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
    let settings: Vec<String> = settings.collect();
    let mut cargo: Vec<&str> = settings.iter().map(String::as_str).collect();
    cargo.extend(["MILLRACE_TEST_KUBERNETES=1", "cargo", "test", "--workspace"]);
    cargo.extend(["--no-fail-fast", "--test"]);
    // Each pipeline has a Kafka of its own, and some tests end the operator: one after the other.
    // They say how far they are.
    let alone = ["--", "--nocapture", "--test-threads", "1"];
    let only: Vec<&str> = arguments.only.iter().map(String::as_str).collect();
    // What the process answers itself, and what it does without its Secret, is not of a cluster.
    let examples = ["--skip", "all::", "--skip", "without_the_secret_it_does_not_start"];
    let run = |tests: &[&[&str]]| {
        let rest = tests.concat();
        with("env", &[&cargo[..], &rest].concat())
    };
    let operator = run(&[&["cluster"], &alone, &only]);
    // Who mends one failure wants to know of the others.
    run(&[&["examples"], &alone, &examples, &only]).and(operator)
}
