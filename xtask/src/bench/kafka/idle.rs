//! Processes that nobody asks for anything.

use std::time::Duration;

use crate::bench::kafka::Extent;
use crate::bench::kafka::Figures;
use crate::bench::kafka::bed;
use crate::bench::kafka::bed::Bed;
use crate::bench::kafka::role::Role;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;
use crate::bench::usage::Meter;

/// How long the processes are left alone before it is looked at what they use, and how long that
/// is looked at.
const SETTLE: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_secs(30);

/// Measures the race's processes without a race.
pub(super) fn measure(_: &Extent) -> Figures {
    let bed = Bed::start(&bed::example("race.yaml")?)?;
    let mut roles = Vec::new();
    for role in ["ingest", "worker", "query"] {
        roles.push(Role::start_ready(role, &bed)?);
    }
    std::thread::sleep(SETTLE);
    let mut watched: Vec<_> = roles.iter().map(Role::watched).collect();
    watched.extend(bed.watched());
    let meter = Meter::start(watched);
    std::thread::sleep(LOOK);
    Ok(vec![Figure {
        target: "",
        method: format!(
            "release program, {} s after the start, CPU time of {} s",
            SETTLE.as_secs(),
            LOOK.as_secs()
        ),
        measurement: Measurement {
            what: format!("processes of examples/race.yaml, idle for {} s", LOOK.as_secs()),
            processes: meter.read()?,
            ..Measurement::default()
        },
    }])
}
