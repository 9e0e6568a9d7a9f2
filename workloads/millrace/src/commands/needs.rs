//! How it is told what a pipeline needs of Kafka and Postgres.

use crate::exit::Exit;
use crate::exit::Failure;
use crate::output;
use crate::process::difference::Need;
use crate::process::difference::NeedKind;
use crate::process::difference::NeedState;

/// Something that cannot become what is declared.
#[derive(Debug, thiserror::Error)]
#[error("the pipeline does not fit what is there:\n{0}")]
struct RefusedNeedsError(String);

/// Refuses what cannot become what is declared.
pub(super) fn check(needs: &[Need]) -> Result<(), Failure> {
    let refused = needs.iter().filter_map(|need| match &need.state {
        NeedState::Refused(reason) => {
            Some(format!("  {} {}: {reason}", kind(need.kind), need.name))
        }
        NeedState::There | NeedState::Missing | NeedState::ByItself => None,
    });
    let refused: Vec<_> = refused.collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(Exit::Data.because(RefusedNeedsError(refused.join("\n"))))
}

/// A line for each; what is missing is told by `missing`.
pub(super) fn lines(needs: &[Need], missing: &str) -> Vec<String> {
    let mut rows = vec![["KIND", "NAME", "PARTITIONS", "STATE"].map(str::to_owned).to_vec()];
    rows.extend(needs.iter().map(|need| {
        let partitions = need.partitions.map_or_else(|| "-".to_owned(), |p| p.to_string());
        let state = match &need.state {
            NeedState::There => "is there".to_owned(),
            NeedState::Missing => missing.to_owned(),
            NeedState::ByItself => "is made when it is first used".to_owned(),
            NeedState::Refused(reason) => format!("refused: {reason}"),
        };
        vec![kind(need.kind).to_owned(), need.name.clone(), partitions, state]
    }));
    output::columns(&rows)
}

const fn kind(kind: NeedKind) -> &'static str {
    match kind {
        NeedKind::Topic => "topic",
        NeedKind::Changelog => "changelog",
        NeedKind::Group => "group",
        NeedKind::Table => "table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_its_name_and_reason() {
        let need = |state| Need {
            kind: NeedKind::Topic,
            name: "race.cars".to_owned(),
            partitions: Some(4),
            state,
        };
        assert!(check(&[need(NeedState::There), need(NeedState::Missing)]).is_ok());
        let refused = [need(NeedState::Refused("it has 3 partitions".to_owned()))];
        let error = format!("{:?}", check(&refused).unwrap_err());
        assert!(error.contains("topic race.cars: it has 3 partitions"), "{error}");
        assert_eq!(
            lines(&refused, "is missing")[1],
            "topic  race.cars  4           refused: it has 3 partitions"
        );
    }
}
