use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::access::Tokens;

/// How often tokens that have ended are looked for. Their own times are checked at every login and call; this ends what
/// goes on without either.
const EVERY: Duration = Duration::from_secs(5);

/// Ends what lives on tokens that have expired, until it is cancelled.
pub(crate) async fn run(tokens: Tokens, cancel: CancellationToken) {
    while cancel.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if let Some(Err(error)) = cancel.run_until_cancelled(tokens.end_expired()).await {
            tracing::warn!(%error, "what lives on tokens that have expired could not be ended");
        }
    }
}
