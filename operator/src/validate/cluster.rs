//! What a resource may say in one process, and not on a cluster: files of a machine.

use millrace_api::Broker;
use millrace_api::SecretValueSpec;
use millrace_api::TelemetryPipelineSpec;

use crate::validate::Problem;

/// All fields that name files of a machine.
pub(crate) fn files(spec: &TelemetryPipelineSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if spec.exposure.tls.as_ref().is_some_and(|tls| tls.files.is_some()) {
        problems.push(Problem::invalid(
            "spec.exposure.tls.files",
            "pods of a cluster have no files of yours",
            "write secret: {name: …} with a Secret of type kubernetes.io/tls, or certManager",
        ));
    }
    for (index, rule) in spec.exposure.auth.iter().enumerate() {
        let field = format!("spec.exposure.auth[{index}]");
        if let Some(basic) = &rule.basic {
            value(&format!("{field}.basic.users"), &basic.users, &mut problems);
        }
        if let Some(keys) = rule.bearer.as_ref().and_then(|bearer| bearer.keys.as_ref()) {
            value(&format!("{field}.bearer.keys"), keys, &mut problems);
        }
    }
    if let Some(mqtt) = &spec.exposure.mqtt {
        value("spec.exposure.mqtt.users", &mqtt.users, &mut problems);
    }
    for (index, ingest) in spec.ingest.iter().enumerate() {
        if let Some(connect) = ingest.mqtt.as_ref().and_then(|mqtt| mqtt.connect.as_ref()) {
            let field = format!("spec.ingest[{index}].mqtt.connect.broker");
            broker(&field, &connect.broker, &mut problems);
        }
    }
    for (index, sink) in spec.sinks.iter().enumerate() {
        let field = format!("spec.sinks[{index}]");
        if let Some(to) = sink.mqtt.as_ref().and_then(|mqtt| mqtt.broker.as_ref()) {
            broker(&format!("{field}.mqtt.broker"), to, &mut problems);
        }
        if let Some(webhook) = &sink.webhook
            && let Some(secret) = &webhook.signing_secret
        {
            value(&format!("{field}.webhook.signingSecret"), secret, &mut problems);
        }
        let headers = sink.webhook.iter().flat_map(|webhook| &webhook.secret_headers);
        for (index, header) in headers.enumerate() {
            let field = format!("{field}.webhook.secretHeaders[{index}].value");
            value(&field, &header.value, &mut problems);
        }
        if let Some(archive) = &sink.archive
            && !archive.url.contains("://")
        {
            problems.push(Problem::invalid(
                format!("{field}.archive.url"),
                "is a folder, and pods of a cluster keep nothing on disk",
                "write the address of an object store, such as s3://bucket/prefix",
            ));
        }
    }
    problems
}

fn value(field: &str, value: &SecretValueSpec, problems: &mut Vec<Problem>) {
    if value.file.is_some() {
        problems.push(Problem::invalid(
            format!("{field}.file"),
            "pods of a cluster have no files of yours",
            "write secret: {name: …, key: …}",
        ));
    }
}

fn broker(field: &str, broker: &Broker, problems: &mut Vec<Problem>) {
    let folder = broker.credentials.as_ref().is_some_and(|login| login.folder.is_some());
    let authority = broker.certificate_authority.as_ref();
    let file = authority.is_some_and(|authority| authority.file.is_some());
    let all = [
        (folder, "credentials.folder", "write secret: {name: …}, with username and password"),
        (file, "certificateAuthority.file", "write secret: {name: …, key: …}"),
    ];
    for (_, part, hint) in all.into_iter().filter(|(is_file, ..)| *is_file) {
        let field = format!("{field}.{part}");
        problems.push(Problem::invalid(field, "pods of a cluster have no files of yours", hint));
    }
}
