//! Secrets and ConfigMaps that a resource names: whether they are there, with their keys.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::dereference::Content;
use crate::dereference::References;
use crate::dereference::wanted::Reader;
use crate::dereference::wanted::Wanted;
use crate::dereference::wanted::WantedKind;
use crate::names::Names;
use crate::pipeline::ContentHash;
use crate::pipeline::NamedSecret;
use crate::reasons;
use crate::validate::Problem;

/// What is missing.
pub(crate) fn missing(names: &Names, wanted: &[Wanted], found: &References) -> Vec<Problem> {
    wanted.iter().filter_map(|wanted| check(names, wanted, found.content(wanted))).collect()
}

/// Secrets that pods of ours mount, with who reads each. Without tables nobody reads how to reach
/// them.
pub(crate) fn secrets(
    wanted: &[Wanted],
    found: &References,
    has_tables: bool,
) -> BTreeMap<String, NamedSecret> {
    let mut secrets: BTreeMap<String, NamedSecret> = BTreeMap::new();
    for wanted in wanted.iter().filter(|wanted| wanted.kind == WantedKind::Secret) {
        let parts = wanted.reader.parts();
        let is_read = !parts.is_empty() && (has_tables || wanted.reader != Reader::Tables);
        let Some(content) = found.content(wanted).filter(|_| is_read) else { continue };
        let secret = secrets.entry(wanted.name.clone());
        let secret = secret
            .or_insert_with(|| NamedSecret { hash: content.hash(), readers: BTreeSet::new() });
        secret.readers.extend(parts);
    }
    secrets
}

/// Hashes of the ConfigMaps that pods of ours mount.
pub(crate) fn config_maps(wanted: &[Wanted], found: &References) -> BTreeMap<String, ContentHash> {
    let maps = wanted.iter().filter(|wanted| wanted.kind == WantedKind::ConfigMap);
    maps.filter_map(|wanted| Some((wanted.name.clone(), found.content(wanted)?.hash()))).collect()
}

fn check(names: &Names, wanted: &Wanted, found: Option<&Content>) -> Option<Problem> {
    let kind = wanted.kind.name();
    let Wanted { field, name, .. } = wanted;
    let message = match found {
        None => format!("there is no {kind} `{name}` in the namespace `{}`", names.namespace()),
        Some(content) => {
            let key = wanted.keys.iter().find(|key| !content.has(key))?;
            format!("the {kind} `{name}` has no key `{key}`")
        }
    };
    let hint = match (wanted.reader, found) {
        (Reader::Operator, _) => "wait for who makes it, or correct the name".to_owned(),
        (_, Some(_)) => format!(
            "add it: `kubectl -n {} edit {} {name}`",
            names.namespace(),
            kind.to_ascii_lowercase()
        ),
        (_, None) => format!("make it: `{}`", command(names.namespace(), wanted)),
    };
    Some(Problem {
        reason: reasons::REFERENCE_MISSING,
        path: field.clone(),
        message,
        hint: Some(hint),
    })
}

/// The command that makes it.
fn command(namespace: &str, wanted: &Wanted) -> String {
    let Wanted { name, keys, .. } = wanted;
    if keys.iter().any(|key| key == "tls.key") {
        return format!(
            "kubectl -n {namespace} create secret tls {name} --cert=tls.crt --key=tls.key"
        );
    }
    let what = match wanted.kind {
        WantedKind::Secret => "secret generic",
        WantedKind::ConfigMap => "configmap",
    };
    let mut command = format!("kubectl -n {namespace} create {what} {name}");
    if keys.is_empty() {
        command.push_str(" --from-file=FILE");
    }
    for key in keys {
        command.push_str(&format!(" --from-file={key}"));
    }
    command
}
