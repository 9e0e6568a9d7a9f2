//! Ctrl-C and SIGTERM: the first asks the process to finish, the second ends it at once.

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;

/// Exit code of a program that a signal ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Signals that cannot be received.
#[derive(Debug, thiserror::Error)]
#[error("cannot receive signals")]
pub(crate) struct ReceiveSignalsError(#[source] std::io::Error);

/// A token that the first Ctrl-C or SIGTERM cancels. The second ends the process at once; what
/// was acknowledged is durable even then.
pub(crate) fn shutdown() -> Result<CancellationToken, ReceiveSignalsError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ReceiveSignalsError)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ReceiveSignalsError)?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        for is_second in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if is_second {
                std::process::exit(INTERRUPTED);
            }
            cancelled.cancel();
        }
    });
    Ok(token)
}
