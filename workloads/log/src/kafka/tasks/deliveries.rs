//! What became of the records of a transaction: the brokers tell of each one where it went.

use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use parking_lot::Condvar;
use parking_lot::Mutex;

/// Reports of the records of one transaction at a time.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    current: Mutex<Current>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Current {
    /// Tells the transaction from earlier ones, whose reports may still come.
    number: u32,
    offsets: Vec<Option<Offset>>,
    outstanding: usize,
    failure: Option<String>,
}

/// A record of a transaction, as it is handed to the producer and comes back with its report.
pub(super) type Token = usize;

const INDEX_BITS: u32 = 32;

impl Deliveries {
    /// Begins a transaction of so many records.
    pub(super) fn begin(&self, records: usize) {
        let mut current = self.current.lock();
        current.number = current.number.wrapping_add(1);
        current.offsets = vec![None; records];
        current.outstanding = 0;
        current.failure = None;
    }

    /// The token of a record that is about to be handed over.
    pub(super) fn token(&self, index: usize) -> Token {
        let mut current = self.current.lock();
        current.outstanding += 1;
        ((current.number as usize) << INDEX_BITS) | index
    }

    /// The record was not taken after all.
    pub(super) fn withdraw(&self) {
        self.current.lock().outstanding -= 1;
    }

    /// A report: where the record is, or why it is nowhere.
    pub(super) fn report(&self, token: Token, result: Result<Offset, String>) {
        let mut current = self.current.lock();
        if token >> INDEX_BITS != current.number as usize {
            return;
        }
        current.outstanding = current.outstanding.saturating_sub(1);
        match result {
            Ok(offset) => {
                let index = token & (u32::MAX as usize);
                if let Some(slot) = current.offsets.get_mut(index) {
                    *slot = Some(offset);
                }
            }
            Err(reason) => {
                current.failure.get_or_insert(reason);
            }
        }
        if current.outstanding == 0 || current.failure.is_some() {
            self.changed.notify_all();
        }
    }

    /// Waits until every record is with the brokers; returns where each one is.
    pub(super) fn wait(&self, patience: Duration) -> Result<Vec<Offset>, String> {
        let deadline = Instant::now() + patience;
        let mut current = self.current.lock();
        loop {
            if let Some(reason) = current.failure.take() {
                return Err(reason);
            }
            if current.outstanding == 0 {
                let offsets = current.offsets.iter().copied().collect::<Option<Vec<_>>>();
                return offsets.ok_or_else(|| "a record was not handed over".to_owned());
            }
            if self.changed.wait_until(&mut current, deadline).timed_out() {
                let waited = patience.as_secs();
                let missing = current.outstanding;
                return Err(format!("{missing} records were not confirmed within {waited} s"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_records_are_waited_for_and_told_in_the_order_of_their_tokens() {
        let deliveries = Deliveries::default();
        deliveries.begin(2);
        let (first, second) = (deliveries.token(0), deliveries.token(1));
        deliveries.report(second, Ok(8));
        assert!(deliveries.wait(Duration::ZERO).unwrap_err().starts_with("1 records"));
        deliveries.report(first, Ok(3));
        assert_eq!(deliveries.wait(Duration::ZERO), Ok(vec![3, 8]));
    }

    #[test]
    fn a_failure_ends_the_wait() {
        let deliveries = Deliveries::default();
        deliveries.begin(2);
        let (first, _) = (deliveries.token(0), deliveries.token(1));
        deliveries.report(first, Err("no".to_owned()));
        assert_eq!(
            deliveries.wait(Duration::MAX.min(Duration::from_secs(1))),
            Err("no".to_owned())
        );
    }

    #[test]
    fn reports_of_an_earlier_transaction_do_not_count() {
        let deliveries = Deliveries::default();
        deliveries.begin(1);
        let late = deliveries.token(0);
        deliveries.begin(1);
        let own = deliveries.token(0);
        deliveries.report(late, Err("purged".to_owned()));
        deliveries.report(late, Ok(1));
        assert!(deliveries.wait(Duration::ZERO).is_err());
        deliveries.report(own, Ok(2));
        assert_eq!(deliveries.wait(Duration::ZERO), Ok(vec![2]));
    }
}
