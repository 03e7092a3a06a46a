use std::path::Path;

use coattail::address::PeerAddress;
use coattail::wire::doctor::Finding;
use jiff::Timestamp;

use super::{config, database, disk, keys, peers, plugins, port, receivers, runtimes, tokens};
use crate::parts::Parts;

/// Looks at everything.
pub(crate) async fn check(parts: &Parts) -> Vec<Finding> {
    let now = Timestamp::now();
    let mut findings = look_at_files(&parts.instance, parts.address.get(), now).await;
    findings.extend(disk::check(&parts.store).await);
    findings.extend(database::check(&parts.store).await);
    findings.extend(tokens::check(&parts.store, now).await);
    findings.extend(peers::check(&parts.store, &parts.sessions, now).await);
    findings.extend(plugins::check(&parts.plugins).await);
    findings.extend(receivers::check(&parts.store, &parts.inbox, now).await);
    findings
}

/// Looks at what can be looked at when the instance cannot be opened: its files.
pub async fn check_files(folder: &Path) -> Vec<Finding> {
    look_at_files(folder, None, Timestamp::now()).await
}

/// The files as they are now, which a service that runs may have read before they were changed. `serving` is where it
/// listens, if it does.
async fn look_at_files(folder: &Path, serving: Option<&PeerAddress>, now: Timestamp) -> Vec<Finding> {
    let (config, finding) = config::check(folder);
    let mut findings = vec![finding];
    // Without it nobody knows where the rest is.
    if let Some(config) = config {
        findings.extend(keys::check(&config, now));
        findings.extend(runtimes::check(folder, &config).await);
        findings.extend(port::check(folder, &config, serving));
    }
    findings
}
