//! `window`: aggregates over stretches of event time.
//!
//! Aggregates do not depend on the order of events, and what several tasks have of a window can be
//! merged: counts, exact sums, lowest and highest numbers, sketches and histograms. A report's
//! `timestamp` is the end of its window; its id follows from its window and its group.

mod aligned;
mod buckets;
mod combine;
mod grid;
mod groups;
mod history;
mod identity;
mod idle;
mod layout;
mod number;
mod pane;
mod panes;
mod parcel;
mod partial;
mod report;
mod session;
mod sketch;
mod sum;

use millrace_plan::model::WindowSettings;
use millrace_plan::model::WindowSpan;

use crate::Operator;
use crate::entity::EntityError;
use aligned::AlignedWindow;
use combine::CombineWindows;
use grid::Grid;
use groups::TooManyGroups;
use layout::NotANumber;
use panes::EnterPane;
use partial::PartialWindow;
use session::SessionWindow;

/// Why an event is refused.
#[derive(Debug, thiserror::Error)]
enum RefuseEvent {
    #[error(transparent)]
    Entity(#[from] EntityError),
    #[error(transparent)]
    Number(#[from] NotANumber),
    #[error(transparent)]
    Enter(#[from] EnterPane),
    #[error(transparent)]
    TooMany(#[from] TooManyGroups),
}

/// A report for each group and window.
pub(crate) fn window(settings: &WindowSettings) -> Box<dyn Operator> {
    match settings.span {
        WindowSpan::Aligned { .. } => {
            Box::new(AlignedWindow::new(settings, Grid::of(settings.span)))
        }
        WindowSpan::Session { gap, longest } => {
            Box::new(SessionWindow::new(settings, gap, longest))
        }
    }
}

/// What a task has of each window over all keys.
pub(crate) fn partial(settings: &WindowSettings) -> Box<dyn Operator> {
    Box::new(PartialWindow::new(settings, Grid::of(settings.span)))
}

/// A report of all groups for each window, which this field of it lists.
pub(crate) fn combine(settings: &WindowSettings, field: &str) -> Box<dyn Operator> {
    Box::new(CombineWindows::new(settings, Grid::of(settings.span), field))
}
