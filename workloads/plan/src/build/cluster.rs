//! What the sections of a cluster say, as far as it can be judged without one: amounts, times,
//! addresses and names that Kubernetes would refuse later.

use std::net::IpAddr;

use millrace_api as api;
use millrace_api::TelemetryPipelineSpec;

use super::checks::Checks;

/// Longest part of a host name, and longest name of a label without its prefix.
const MAX_LABEL: usize = 63;

/// Least memory that is meant, in thousandths of a byte: `500m` is half a byte.
const LEAST_MEMORY: i128 = 1000 << 20;

/// Checks them.
pub(super) fn check(spec: &TelemetryPipelineSpec, checks: &mut Checks) {
    exposure(&spec.exposure, checks);
    broker(&spec.broker, checks);
    database(&spec.database, checks);
    resources(&spec.resources, checks);
    placement(&spec.placement, checks);
}

fn exposure(spec: &api::ExposureSpec, checks: &mut Checks) {
    for (index, host) in spec.hosts.iter().enumerate() {
        let at = format!("spec.exposure.hosts[{index}]");
        if host.parse::<IpAddr>().is_ok() {
            let message = format!("`{host}` is an address");
            checks.error_with_hint(at, message, "write a name, such as `race.example.com`");
        } else if host.split('.').any(|part| part.len() > MAX_LABEL) {
            let message = format!("`{host}` has a part of more than {MAX_LABEL} characters");
            checks.error_with_hint(at, message, "write a shorter one");
        }
    }
    for (index, range) in spec.edge.service.source_ranges.iter().enumerate() {
        if !is_range(range) {
            checks.error_with_hint(
                format!("spec.exposure.edge.service.sourceRanges[{index}]"),
                format!("`{range}` is no range of addresses"),
                "write an address and how many of its bits count, such as `10.0.0.0/8`",
            );
        }
    }
    let annotations = &spec.edge.service.annotations;
    keys("spec.exposure.edge.service.annotations", annotations.keys(), checks);
    if let Some(ingress) = &spec.ingress {
        keys("spec.exposure.ingress.annotations", ingress.annotations.keys(), checks);
    }
}

fn is_range(range: &str) -> bool {
    let Some((address, bits)) = range.split_once('/') else { return false };
    match (address.parse(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}

fn broker(spec: &api::BrokerSpec, checks: &mut Checks) {
    if let Some(managed) = &spec.managed {
        size("spec.broker.managed.storage.size", &managed.storage, checks);
    }
    let servers = spec.external.iter().flat_map(|external| &external.bootstrap_servers);
    for (index, server) in servers.enumerate() {
        let port = server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            checks.error_with_hint(
                format!("spec.broker.external.bootstrapServers[{index}]"),
                format!("`{server}` has no port of 1 to 65535"),
                "write a host and a port, such as `kafka.example.com:9093`",
            );
        }
    }
}

fn database(spec: &api::DatabaseSpec, checks: &mut Checks) {
    if let Some(managed) = &spec.managed {
        size("spec.database.managed.storage.size", &managed.storage, checks);
        if let Some(backup) = &managed.backup {
            size("spec.database.managed.backup.storage.size", &backup.storage, checks);
            if !is_schedule(&backup.schedule) {
                checks.error_with_hint(
                    "spec.database.managed.backup.schedule",
                    format!("`{}` is no time that cron knows", backup.schedule),
                    "write minute, hour, day of the month, month and day of the week, such as `0 3 * * *`",
                );
            }
        }
    }
    let schema = spec.external.as_ref().and_then(|external| external.schema.as_deref());
    if let Some(schema) = schema
        && schema.starts_with("pg_")
    {
        checks.error_with_hint(
            "spec.database.external.schema",
            format!("`{schema}` is a name that Postgres keeps for itself"),
            "write another one",
        );
    }
}

fn size(at: &str, storage: &api::StorageSpec, checks: &mut Checks) {
    if storage.size.thousandths().is_none_or(|size| size < LEAST_MEMORY) {
        let message = format!("`{}` is no size of a volume", storage.size);
        checks.error_with_hint(at, message, "write an amount such as `10Gi`");
    }
}

fn resources(spec: &api::ResourcesSpec, checks: &mut Checks) {
    let parts = [
        ("ingest", &spec.ingest),
        ("workers", &spec.workers),
        ("query", &spec.query),
        ("edge", &spec.edge),
        ("broker", &spec.broker),
        ("database", &spec.database),
    ];
    for (name, part) in parts {
        let Some(part) = part else { continue };
        let at = format!("spec.resources.{name}");
        let amounts = [
            ("cpu", &part.requests.cpu, &part.limits.cpu, 1, "`500m`"),
            ("memory", &part.requests.memory, &part.limits.memory, LEAST_MEMORY, "`256Mi`"),
        ];
        for (kind, request, limit, least, example) in amounts {
            let mut known = |of: &str, amount: &Option<api::Quantity>| {
                let text = amount.as_ref()?;
                let thousandths = text.thousandths().filter(|amount| *amount >= least);
                if thousandths.is_none() {
                    checks.error_with_hint(
                        format!("{at}.{of}.{kind}"),
                        format!("`{text}` is too small"),
                        format!("write an amount such as {example}"),
                    );
                }
                thousandths
            };
            let (wanted, most) = (known("requests", request), known("limits", limit));
            if let (Some(wanted), Some(most)) = (wanted, most)
                && wanted > most
            {
                checks.error_with_hint(
                    format!("{at}.requests.{kind}"),
                    "is above the limit",
                    format!("write at most what limits.{kind} says"),
                );
            }
        }
    }
}

fn placement(spec: &api::PlacementSpec, checks: &mut Checks) {
    keys("spec.placement.nodeSelector", spec.node_selector.keys(), checks);
    keys("spec.placement.labels", spec.labels.keys(), checks);
    keys("spec.placement.annotations", spec.annotations.keys(), checks);
    keys(
        "spec.placement.serviceAccountAnnotations",
        spec.service_account_annotations.keys(),
        checks,
    );
}

fn keys<'a>(at: &str, keys: impl Iterator<Item = &'a String>, checks: &mut Checks) {
    for key in keys.filter(|key| !is_qualified(key)) {
        checks.error_with_hint(
            at,
            format!("`{key}` is no key of a label or annotation"),
            "write one such as `team` or `example.com/team`",
        );
    }
}

/// Whether a text is a name, perhaps with a DNS name and a slash before it.
fn is_qualified(key: &str) -> bool {
    let (prefix, name) =
        key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let ends = |text: &str, is: fn(&u8) -> bool| {
        text.as_bytes().first().is_some_and(is) && text.as_bytes().last().is_some_and(is)
    };
    let in_prefix =
        |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'.');
    let in_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    let prefix_is_right = prefix.is_none_or(|prefix| {
        prefix.len() <= 253
            && prefix.bytes().all(in_prefix)
            && prefix.split('.').all(|part| ends(part, u8::is_ascii_alphanumeric))
    });
    prefix_is_right
        && name.len() <= MAX_LABEL
        && name.bytes().all(in_name)
        && ends(name, u8::is_ascii_alphanumeric)
}

/// Whether cron knows this time: five fields of lists of ranges with steps.
fn is_schedule(text: &str) -> bool {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let fields = [(0, 59, &[][..]), (0, 23, &[]), (1, 31, &[]), (1, 12, &MONTHS), (0, 6, &DAYS)];
    let texts: Vec<&str> = text.split(' ').collect();
    let value = |text: &str, least: usize, names: &[&str]| {
        let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
        named.map(|index| index + least).or_else(|| text.parse().ok())
    };
    let fits = |text: &str, (least, most, names): (usize, usize, &[&str])| {
        let (range, step) = text.split_once('/').unwrap_or((text, "1"));
        let is_step = step.parse::<usize>().is_ok_and(|step| step >= 1);
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (value(from, least, names), value(to, least, names)),
            None if range == "*" => (Some(least), Some(most)),
            None => (value(range, least, names), value(range, least, names)),
        };
        is_step && from.zip(to).is_some_and(|(from, to)| least <= from && from <= to && to <= most)
    };
    texts.len() == fields.len()
        && texts.iter().zip(fields).all(|(text, field)| text.split(',').all(|one| fits(one, field)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_knows_five_fields_of_numbers_and_names() {
        for right in ["0 3 * * *", "*/15 0-6 1,15 jan-mar MON", "59 23 31 12 6"] {
            assert!(is_schedule(right), "{right}");
        }
        for wrong in [
            "0 3 * *",
            "60 3 * * *",
            "0 24 * * *",
            "0 3 0 * *",
            "0 3 * 13 *",
            "*/0 3 * * *",
            "0 6-3 * * *",
            "a 3 * * *",
            "0 3 * * 7",
        ] {
            assert!(!is_schedule(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_a_name_with_a_dns_name_before_it_at_most() {
        for right in ["team", "example.com/team", "a/B_c.d-1"] {
            assert!(is_qualified(right), "{right}");
        }
        let long = "x".repeat(64);
        for wrong in
            ["", "/team", "example.com/", "Example.com/team", "a/b/c", "-team", "a b", &long]
        {
            assert!(!is_qualified(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_range_is_an_address_and_its_bits() {
        assert!(is_range("10.0.0.0/8") && is_range("fd00::/8") && is_range("0.0.0.0/0"));
        assert!(!is_range("10.0.0.0/33") && !is_range("10.0.0/8") && !is_range("fd00::/129"));
    }
}
