//! `rank`: the order of entities in a group, and who passed whom.
//!
//! A frame is one event time of a group. After all its events the standing is evaluated, and the
//! outputs are due to the frame's last event in release order: first the changed positions,
//! ascending, then the overtakes by (passer's new position, passed one's).

mod frame;
mod reversals;
mod standing;

use millrace_core::Event;
use millrace_core::Value;
use millrace_plan::model::RankSettings;
use serde::Deserialize;
use serde::Serialize;

use crate::Cause;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;
use crate::entity::Entity;
use crate::entity::EntityError;
use crate::entity::EntityRef;
use crate::field::FieldError;
use crate::field::number;
use crate::object::object;
use crate::state::EntityTable;
use crate::state::TooManyEntities;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;
use frame::Frame;
use standing::Competitor;
use standing::Order;
use standing::Parts;
use standing::Standing;

/// Groups remembered per task; events of further ones are refused.
const MAX_GROUPS: usize = 10_000;

/// The operator.
pub(crate) struct Rank {
    settings: RankSettings,
    /// Hold in milliseconds.
    hold: i64,
    groups: EntityTable<Group>,
    /// Groups with events at the current event time, in the order of their first ones.
    open: Vec<usize>,
}

/// One group.
#[derive(Default)]
struct Group {
    standing: Standing,
    frame: Frame,
    /// What the standing is put back from, before the first event.
    parts: Parts,
}

/// Key of a state entry: one for the order of a group, one for each of its entities, so that a
/// frame of a few entities stores a few of them.
#[derive(Serialize, Deserialize)]
enum StateKey<'a, E> {
    Order { scope: &'a [u8], group: E },
    Competitor { scope: &'a [u8], group: E, number: u32 },
}

/// Why an event is refused.
#[derive(Debug, thiserror::Error)]
enum RefuseEvent {
    #[error(transparent)]
    Entity(#[from] EntityError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error(transparent)]
    TooMany(#[from] TooManyEntities),
    #[error("there are already {MAX_GROUPS} groups, as many as a task remembers")]
    TooManyGroups,
}

impl Rank {
    pub(crate) fn new(settings: RankSettings) -> Self {
        let hold = i64::try_from(settings.hold.as_millis()).unwrap_or(i64::MAX);
        let groups = EntityTable::new(MAX_GROUPS);
        Self { settings, hold, groups, open: Vec::new() }
    }

    fn take(&mut self, event: &Event) -> Result<(), RefuseEvent> {
        let group = EntityRef::of(&event.value, &self.settings.group)?;
        let entity = EntityRef::of(&event.value, &self.settings.entity)?;
        let value = number(&event.value, &self.settings.by, "number to rank by")?;
        let index = match self.groups.find(&event.key, group) {
            Some(index) => index,
            None => self
                .groups
                .add(&event.key, group, Group::default())
                .map_err(|_| RefuseEvent::TooManyGroups)?,
        };
        let limit = self.settings.max_entities;
        let Group { standing, frame, .. } = self.groups.change(index);
        let was_open = frame.is_open();
        frame.add(standing, entity, value, limit)?;
        frame.close_with(Cause::from(event));
        if !was_open {
            self.open.push(index);
        }
        Ok(())
    }
}

impl Operator for Rank {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        if let Err(reason) = self.take(event) {
            out.refuse(event, reason.to_string());
        }
    }

    fn end_of_time(&mut self, time: i64, out: &mut Emitter<'_>) {
        for index in self.open.drain(..) {
            let hold = self.hold;
            let Group { standing, frame, .. } = self.groups.change(index);
            let Some(cause) = frame.finish(standing) else { continue };
            standing.evaluate(time, hold);
            let group = self.groups.entity(index);
            emit(&self.groups.get(index).standing, time, group, &cause, out);
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let key: StateKey<'_, Entity> = decode_key(key)?;
        let (StateKey::Order { scope, group } | StateKey::Competitor { scope, group, .. }) = &key;
        let parts = &mut self.groups.restore(scope, group.clone(), Group::default).parts;
        match key {
            StateKey::Order { .. } => parts.order(decode_value(value)?),
            StateKey::Competitor { number, .. } => parts.competitor(number, decode_value(value)?),
        }
        Ok(())
    }

    fn finish_restore(&mut self) -> Result<(), RestoreError> {
        for group in self.groups.iter_mut() {
            group.standing = std::mem::take(&mut group.parts).finish()?;
        }
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.groups.take_changes(|scope, group, state| {
            let group = group.borrow();
            state.standing.take_changes(|part| match part {
                standing::Changed::Order(order) => {
                    let key = StateKey::Order { scope, group };
                    change(&encode_key(&key), Some(encode_value::<Order>(order)));
                }
                standing::Changed::Competitor(number, competitor) => {
                    let key = StateKey::Competitor { scope, group, number };
                    change(&encode_key(&key), Some(encode_value::<Competitor>(competitor)));
                }
            });
        });
    }

    fn state_entries(&self) -> usize {
        self.groups.iter().map(|group| group.standing.len() + 1).sum()
    }
}

fn emit(standing: &Standing, time: i64, group: &Entity, cause: &Cause, out: &mut Emitter<'_>) {
    for moved in standing.moved() {
        let fields = [
            ("kind", Value::from("position")),
            ("timestamp", Value::Integer(time)),
            ("group", group.to_value()),
            ("entity", standing.entity(moved.competitor).to_value()),
            ("position", Value::Integer(moved.position)),
            ("previous", moved.previous.map_or(Value::Null, Value::Integer)),
        ];
        out.emit(cause, object(fields));
    }
    for overtake in standing.overtakes() {
        let fields = [
            ("kind", Value::from("overtake")),
            ("timestamp", Value::Integer(time)),
            ("group", group.to_value()),
            ("entity", standing.entity(overtake.passer).to_value()),
            ("passed", standing.entity(overtake.passed).to_value()),
            ("position", Value::Integer(overtake.position)),
        ];
        out.emit(cause, object(fields));
    }
}
