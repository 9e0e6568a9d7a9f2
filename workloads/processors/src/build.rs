//! From the plan to operators.

use millrace_plan::model::Operation;
use millrace_plan::model::OperatorPlan;

use crate::Operator;
use crate::alert::Alert;
use crate::dedupe::Dedupe;
use crate::enrich::Enrich;
use crate::geofence::Geofence;
use crate::laps::Laps;
use crate::motion::Motion;
use crate::program::Filter;
use crate::program::Map;
use crate::rank::Rank;
use crate::rekey::Rekey;
use crate::window;

/// Makes the operator of a plan, with empty state.
///
/// The key that the plan declares is the emitter's matter, see [`crate::Emitter::new`].
#[must_use]
pub fn build(plan: &OperatorPlan) -> Box<dyn Operator> {
    match &plan.operation {
        Operation::Map(program) => Box::new(Map::new(program.clone())),
        Operation::Filter(program) => Box::new(Filter::new(program.clone())),
        Operation::Rekey => Box::new(Rekey),
        Operation::Motion(settings) => Box::new(Motion::new(settings.clone())),
        Operation::Rank(settings) => Box::new(Rank::new(settings.clone())),
        Operation::Laps(settings) => Box::new(Laps::new(settings.clone())),
        Operation::Geofence(settings) => Box::new(Geofence::new(settings.clone())),
        Operation::Dedupe(settings) => Box::new(Dedupe::new(settings.clone())),
        Operation::Enrich(settings) => Box::new(Enrich::new(settings.clone())),
        Operation::Alert(settings) => Box::new(Alert::new(settings.clone())),
        Operation::Window(settings) => window::window(settings),
        Operation::WindowPartial(settings) => window::partial(settings),
        Operation::WindowCombine { window, field } => window::combine(window, field),
    }
}
