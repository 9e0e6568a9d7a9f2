//! A race of cars along a track: who is where at each tick.

mod driver;
mod message;
mod simulation;
mod track;

pub use message::Message;
pub use message::topic;
pub use simulation::RaceSettings;
pub use simulation::RaceSimulation;
pub use simulation::Tick;
pub use track::ParseTrackError;
pub use track::Position;
pub use track::Track;
