//! Replays dead letters through the way in that refused them.

use async_trait::async_trait;
use millrace_core::DeadLetter;
use millrace_core::with_causes;
use millrace_ingest::Accepted;
use millrace_ingest::Acceptor;
use millrace_query::ReplayOutcome;
use millrace_query::Replayer;

use crate::process::live::now_millis;

/// Replays dead letters through an acceptor.
pub(crate) struct AcceptorReplayer {
    acceptor: Acceptor,
}

impl AcceptorReplayer {
    pub(crate) const fn new(acceptor: Acceptor) -> Self {
        Self { acceptor }
    }
}

#[async_trait]
impl Replayer for AcceptorReplayer {
    async fn replay(&self, letter: DeadLetter) -> Result<ReplayOutcome, String> {
        match self.acceptor.replay(&letter, now_millis()).await {
            Ok(Accepted::Stored { id, partition, offset }) => {
                Ok(ReplayOutcome { id, partition, offset })
            }
            Ok(Accepted::Dropped) => Err("the mapping drops it (`abort`)".to_owned()),
            Err(error) => Err(with_causes(&error)),
        }
    }
}
