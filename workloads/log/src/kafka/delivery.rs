//! Delivery reports, brought to the calls that wait for them.
//!
//! librdkafka gives back one word with each report. It names the call and the entry's place in
//! it, so that nothing is allocated for a message.

use std::sync::Arc;

use millrace_core::Offset;
use parking_lot::Mutex;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::producer::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tokio::sync::oneshot;

use super::client::Connection;
use super::client::delegate_client;
use super::health::Health;

/// Offsets of all entries of a call in their order, or why one of them was not confirmed.
pub(super) type Confirmed = Result<Vec<Offset>, KafkaError>;

/// Bits of the word that are the place within a call; the others name the call.
const PLACE_BITS: u32 = 24;

/// Most entries of a call.
pub(super) const MAX_ENTRIES: usize = 1 << PLACE_BITS;

/// The context of a producer: it gathers the reports of each call.
pub(super) struct Deliveries {
    connection: Connection,
    health: Arc<Health>,
    calls: Mutex<Calls>,
}

delegate_client!(Deliveries, connection);

#[derive(Default)]
struct Calls {
    slots: Vec<Option<Call>>,
    free: Vec<usize>,
}

struct Call {
    offsets: Vec<Offset>,
    missing: usize,
    failure: Option<KafkaError>,
    waiting: oneshot::Sender<Confirmed>,
}

/// A call whose entries are being handed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallId(usize);

impl CallId {
    /// The word for the entry at this place.
    pub(super) fn word(self, place: usize) -> usize {
        self.0 << PLACE_BITS | place
    }
}

impl Deliveries {
    pub(super) fn new(connection: Connection, health: Arc<Health>) -> Self {
        Self { connection, health, calls: Mutex::default() }
    }

    /// A call of so many entries, at least 1 and at most [`MAX_ENTRIES`].
    pub(super) fn begin(&self, entries: usize) -> (CallId, oneshot::Receiver<Confirmed>) {
        let (waiting, confirmed) = oneshot::channel();
        let call = Call { offsets: vec![0; entries], missing: entries, failure: None, waiting };
        let mut calls = self.calls.lock();
        let slot = calls.free.pop().unwrap_or(calls.slots.len());
        match calls.slots.get_mut(slot) {
            Some(free) => *free = Some(call),
            None => calls.slots.push(Some(call)),
        }
        (CallId(slot), confirmed)
    }

    /// So many entries of a call could not be handed over: there will be no report of them.
    pub(super) fn give_up(&self, call: CallId, entries: usize, failure: KafkaError) {
        self.calls.lock().report(call.0, entries, |call| {
            call.failure.get_or_insert(failure);
        });
    }
}

impl Calls {
    fn report(&mut self, slot: usize, entries: usize, change: impl FnOnce(&mut Call)) {
        let Some(place) = self.slots.get_mut(slot) else { return };
        let Some(call) = place else { return };
        change(call);
        call.missing = call.missing.saturating_sub(entries);
        if call.missing == 0
            && let Some(call) = place.take()
        {
            self.free.push(slot);
            let confirmed = call.failure.map_or(Ok(call.offsets), Err);
            // Whoever waited may have given up.
            drop(call.waiting.send(confirmed));
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, word: usize) {
        let (slot, place) = (word >> PLACE_BITS, word & (MAX_ENTRIES - 1));
        match result {
            Ok(message) => {
                self.health.written();
                self.calls.lock().report(slot, 1, |call| {
                    if let Some(offset) = call.offsets.get_mut(place) {
                        *offset = message.offset();
                    }
                });
            }
            Err((error, message)) => {
                if concerns_the_cluster(error) {
                    let reason = format!("topic `{}` is not written: {error}", message.topic());
                    self.health.not_written(reason);
                }
                self.calls.lock().report(slot, 1, |call| {
                    call.failure.get_or_insert(error.clone());
                });
            }
        }
    }
}

/// Whether others would fail as well: not if one message or topic is at fault.
fn concerns_the_cluster(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerNotAvailable
                | RDKafkaErrorCode::NotEnoughReplicas
                | RDKafkaErrorCode::NotEnoughReplicasAfterAppend
                | RDKafkaErrorCode::KafkaStorageError
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries() -> Deliveries {
        Deliveries::new(Connection::default(), Arc::default())
    }

    #[test]
    fn calls_are_told_apart_and_their_places_used_again() {
        let deliveries = deliveries();
        let (first, mut of_first) = deliveries.begin(2);
        let (second, mut of_second) = deliveries.begin(1);
        assert_ne!(first.word(1), second.word(1));
        deliveries.give_up(second, 1, KafkaError::Canceled);
        assert_eq!(of_second.try_recv().unwrap(), Err(KafkaError::Canceled));
        let (third, _) = deliveries.begin(1);
        assert_eq!(third.0, second.0);
        let mut calls = deliveries.calls.lock();
        calls.report(first.0, 1, |call| call.offsets[1] = 8);
        assert!(of_first.try_recv().is_err());
        calls.report(first.0, 1, |call| call.offsets[0] = 7);
        assert_eq!(of_first.try_recv().unwrap(), Ok(vec![7, 8]));
    }

    #[test]
    fn one_failure_fails_the_call_when_all_is_reported() {
        let deliveries = deliveries();
        let (call, mut confirmed) = deliveries.begin(3);
        deliveries.give_up(call, 2, KafkaError::Canceled);
        assert!(confirmed.try_recv().is_err());
        deliveries.calls.lock().report(call.0, 1, |call| call.offsets[0] = 5);
        assert_eq!(confirmed.try_recv().unwrap(), Err(KafkaError::Canceled));
    }
}
