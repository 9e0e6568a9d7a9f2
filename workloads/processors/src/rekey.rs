//! Rekeying: each event passes unchanged, under the key that the emitter makes for it.

use millrace_core::Event;

use crate::Cause;
use crate::Emitter;
use crate::Operator;

/// The operator.
pub(crate) struct Rekey;

impl Operator for Rekey {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        out.emit(&Cause::from(event), event.value.clone());
    }
}
