//! How many connections there may be, and which of them goes when one too many comes.
//!
//! A connection that waits for its next request is *parked* here, in the order in which it began
//! to wait; so the one that has been idle for longest is found at once, and requests themselves
//! touch nothing here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;

/// How often a connection that found no room looks for one that has become idle.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A connection's place among the most that there may be; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: Option<OwnedSemaphorePermit>,
}

/// The places of all connections.
pub(super) struct Slots {
    room: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

/// A connection that waits for its next request, for as long as this lives.
pub(super) struct Parked<'a> {
    slots: &'a Slots,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl Slots {
    pub(super) fn new(connections: usize) -> Self {
        let room = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Self { room, idle: Mutex::default() }
    }

    /// A place for a connection that has come. Without room the connection that has been idle for
    /// longest is told to go; where none is idle this waits.
    pub(super) async fn take(&self) -> Slot {
        loop {
            if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
                return Slot { _permit: Some(permit) };
            }
            self.evict();
            let room = Arc::clone(&self.room).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(LOOK_AGAIN, room).await {
                return Slot { _permit: permit.ok() };
            }
        }
    }

    /// Tells the connection that has been idle for longest to go, if there is one.
    pub(super) fn evict(&self) -> bool {
        // A connection that is just leaving the map has dropped its end: the next one is asked.
        while let Some((_, connection)) = self.pop() {
            if connection.send(()).is_ok() {
                return true;
            }
        }
        false
    }

    fn pop(&self) -> Option<(u64, oneshot::Sender<()>)> {
        self.idle.lock().waiting.pop_first()
    }

    /// Marks a connection as idle from now on.
    pub(super) fn park(&self) -> Parked<'_> {
        let (sender, evicted) = oneshot::channel();
        let mut idle = self.idle.lock();
        let number = idle.next;
        idle.next += 1;
        idle.waiting.insert(number, sender);
        Parked { slots: self, number, evicted }
    }
}

impl Parked<'_> {
    /// Ends when the connection is to go.
    pub(super) async fn evicted(&mut self) {
        // The sender is dropped without a word only if the map itself is.
        let _ = (&mut self.evicted).await;
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.slots.idle.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_connection_that_is_idle_for_longest_goes_first() {
        let slots = Slots::new(2);
        let (mut first, mut second, third) = (slots.park(), slots.park(), slots.park());
        drop(third);
        assert!(slots.evict());
        first.evicted().await;
        assert!(slots.evict());
        second.evicted().await;
        assert!(!slots.evict());
    }

    #[tokio::test(start_paused = true)]
    async fn one_too_many_waits_until_another_is_idle_or_gone() {
        let slots = Arc::new(Slots::new(1));
        let busy = slots.take().await;
        let waiting = {
            let slots = Arc::clone(&slots);
            tokio::spawn(async move { slots.take().await })
        };
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!waiting.is_finished());
        let mut parked = slots.park();
        parked.evicted().await;
        drop(busy);
        waiting.await.unwrap();
    }
}
