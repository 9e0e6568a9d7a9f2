//! Group commit: claims and commits that wait become durable with one transaction.
//!
//! Each has a savepoint in it, and so is still written whole or not at all. While a transaction is
//! being synced, the next ones gather in the queue; so transactions grow with the load, and a lone
//! caller waits for one fsync only. Nobody is answered before the transaction is durable.

use std::sync::Arc;

use millrace_core::Offset;
use sqlx::Connection as _;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::commit;
use super::commit::Failure;
use super::sql::Table;
use crate::ClaimError;
use crate::CommitError;
use crate::Row;
use crate::SinkClaim;
use crate::SinkPartition;

/// Most requests of a transaction, and most that wait for it. Further callers wait with what they
/// have to write.
const REQUESTS: usize = 64;

/// A transaction takes no further request beyond this many rows: it bounds how long those at its
/// beginning wait.
const ROWS: usize = 16_000;

/// Rows with a position, as a queue takes them.
struct Commit {
    claim: SinkClaim,
    table: Arc<Table>,
    rows: Vec<Row>,
    from: Offset,
    next: Offset,
}

/// The answer to a claim: its epoch and the next offset to read.
type Claimed = Result<(i64, Offset), String>;
/// The answer to a commit: the rows that were new or changed.
type Committed = Result<u64, CommitError>;

enum Request {
    Claim { partition: SinkPartition, reply: oneshot::Sender<Claimed> },
    Commit { commit: Commit, reply: oneshot::Sender<Committed> },
}

/// What is told once the transaction is durable.
enum Answer {
    Claimed(oneshot::Sender<Claimed>, (i64, Offset)),
    Committed(oneshot::Sender<Committed>, Committed),
}

/// The way to the task that writes. The task ends with the last of these.
pub(super) struct Writer {
    requests: mpsc::Sender<Request>,
}

impl Writer {
    /// Starts the task.
    pub(super) fn start(pool: SqlitePool) -> Self {
        let (requests, queue) = mpsc::channel(REQUESTS);
        tokio::spawn(serve(pool, queue));
        Self { requests }
    }

    /// Raises a partition's epoch.
    pub(super) async fn claim(
        &self,
        partition: &SinkPartition,
    ) -> Result<(SinkClaim, Offset), ClaimError> {
        let failed = |reason| ClaimError { sink: partition.sink.clone(), reason };
        let (reply, answer) = oneshot::channel();
        let request = Request::Claim { partition: partition.clone(), reply };
        let _ = self.requests.send(request).await;
        let answer = answer.await.map_err(|_| failed(CLOSED.to_owned()))?;
        let (epoch, next) = answer.map_err(failed)?;
        Ok((SinkClaim { partition: partition.clone(), epoch }, next))
    }

    /// Writes rows and moves the position.
    pub(super) async fn commit(
        &self,
        claim: &SinkClaim,
        table: &Arc<Table>,
        rows: &[Row],
        from: Offset,
        next: Offset,
    ) -> Result<u64, CommitError> {
        let closed = || CommitError::Unavailable(CLOSED.to_owned());
        // Rows are copied once there is room for them.
        let room = self.requests.reserve().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let (claim, table) = (claim.clone(), Arc::clone(table));
        let rows = table.distinct.rows(rows).into_iter().cloned().collect();
        let commit = Commit { claim, table, rows, from, next };
        room.send(Request::Commit { commit, reply });
        answer.await.map_err(|_| closed())?
    }
}

const CLOSED: &str = "the tables were closed";

async fn serve(pool: SqlitePool, mut queue: mpsc::Receiver<Request>) {
    let mut requests = Vec::with_capacity(REQUESTS);
    while queue.recv_many(&mut requests, REQUESTS).await > 0 {
        let mut waiting = requests.drain(..).peekable();
        while waiting.peek().is_some() {
            write(&pool, &mut waiting).await;
        }
    }
}

/// Writes one transaction of what waits, and answers.
async fn write(pool: &SqlitePool, waiting: &mut impl Iterator<Item = Request>) {
    let mut connection = match pool.acquire().await {
        Ok(connection) => connection,
        Err(error) => {
            let reason = error.to_string();
            for request in waiting {
                request.refuse(&reason);
            }
            return;
        }
    };
    let mut answers = Vec::new();
    match write_on(&mut connection, waiting, &mut answers).await {
        Ok(()) => {
            for answer in answers {
                answer.tell();
            }
        }
        Err(Failure { reason }) => {
            // After a failure of the disk the connection's state is unknown; the next transaction
            // opens the file anew.
            connection.close_on_drop();
            for answer in answers {
                answer.refuse(&reason);
            }
        }
    }
}

/// Fails as a whole, with nothing written; what concerns a single request is among the answers.
async fn write_on(
    connection: &mut SqliteConnection,
    waiting: &mut impl Iterator<Item = Request>,
    answers: &mut Vec<Answer>,
) -> Result<(), Failure> {
    let mut transaction = match connection.begin_with("BEGIN IMMEDIATE").await {
        Ok(transaction) => transaction,
        Err(error) => {
            let failure = Failure::from(error);
            for request in waiting {
                request.refuse(&failure.reason);
            }
            return Err(failure);
        }
    };
    let mut rows = 0;
    while rows < ROWS
        && let Some(request) = waiting.next()
    {
        match request {
            Request::Claim { partition, reply } => {
                match commit::claim(&mut transaction, &partition).await {
                    Ok(claimed) => answers.push(Answer::Claimed(reply, claimed)),
                    Err(error) => {
                        let failure = Failure::from(error);
                        let _ = reply.send(Err(failure.reason.clone()));
                        return Err(failure);
                    }
                }
            }
            Request::Commit { commit, reply } => {
                rows += commit.rows.len();
                let Commit { claim, table, rows, from, next } = commit;
                let written =
                    commit::commit(&mut transaction, &claim, &table, rows, from, next).await;
                match written {
                    Ok(result) => answers.push(Answer::Committed(reply, result)),
                    Err(failure) => {
                        let _ = reply.send(Err(CommitError::Unavailable(failure.reason.clone())));
                        return Err(failure);
                    }
                }
            }
        }
    }
    Ok(transaction.commit().await?)
}

impl Request {
    /// Tells that nothing was written for now.
    fn refuse(self, reason: &str) {
        match self {
            Self::Claim { reply, .. } => drop(reply.send(Err(reason.to_owned()))),
            Self::Commit { reply, .. } => {
                drop(reply.send(Err(CommitError::Unavailable(reason.to_owned()))));
            }
        }
    }
}

impl Answer {
    fn tell(self) {
        match self {
            Self::Claimed(reply, claimed) => drop(reply.send(Ok(claimed))),
            Self::Committed(reply, committed) => drop(reply.send(committed)),
        }
    }

    /// Tells that nothing was written for now.
    fn refuse(self, reason: &str) {
        match self {
            Self::Claimed(reply, _) => drop(reply.send(Err(reason.to_owned()))),
            Self::Committed(reply, _) => {
                drop(reply.send(Err(CommitError::Unavailable(reason.to_owned()))));
            }
        }
    }
}
