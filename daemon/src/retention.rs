use std::time::Duration;

use coattail::kill_point;
use tokio_util::sync::CancellationToken;

use crate::actions::Jobs;
use crate::config::Limits;
use crate::store::Store;

/// How often what is past its retention is looked for.
const EVERY: Duration = Duration::from_secs(60);

/// Removes what is past its retention, until it is cancelled: publications (who has not had them is told of the gap),
/// what became of what was received, the audit, and jobs that have ended.
pub(crate) async fn run(store: Store, jobs: Jobs, limits: Limits, cancel: CancellationToken) {
    // At once, too: much may have come past it while the service was away.
    let mut every = tokio::time::interval(EVERY);
    while cancel.run_until_cancelled(every.tick()).await.is_some() {
        if let Err(error) = trim(&store, &limits).await {
            tracing::warn!(%error, "what is past its retention could not be removed");
        }
        if let Err(failure) = jobs.trim().await {
            tracing::warn!(%failure, "jobs past their retention could not be removed");
        }
    }
}

async fn trim(store: &Store, limits: &Limits) -> Result<(), crate::store::Error> {
    let now = jiff::Timestamp::now().as_millisecond();
    let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    for head in store.heads().await? {
        // In steps, so that a long tail does not hold up those who publish.
        loop {
            kill_point!("retention.before-delete");
            let trimmed = store.trim(head.action.clone(), before(limits.retention), limits.retention_bytes).await?;
            if trimmed.removed > 0 {
                kill_point!("retention.deleted");
                tracing::info!(action = %head.action, removed = trimmed.removed, oldest = trimmed.oldest, "removed publications past their retention");
            }
            if !trimmed.more {
                break;
            }
        }
    }
    while store.trim_outcomes(before(limits.retention), limits.outcomes).await? {}
    while store.trim_audit(before(limits.audit), limits.audit_entries).await? {}
    Ok(())
}
