use coattail::wire::Failure;
use coattail::wire::doctor::{Finding, Level};
use jiff::Timestamp;

use super::expiry::Ending;
use super::finding::Area;
use crate::store::Store;
use crate::tokens::{inspect, validation};

const AREA: Area = Area("tokens");

/// Ends of the tokens that we issued, and of the keys they are bound to. One line for all that is well.
pub(super) async fn check(store: &Store, now: Timestamp) -> Vec<Finding> {
    let mut findings = issued(store, now).await.unwrap_or_else(|failure| vec![AREA.failed("issued", failure)]);
    findings.extend(stored(store, now).await.unwrap_or_else(|failure| vec![AREA.failed("validation", failure)]));
    findings
}

async fn issued(store: &Store, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    // Its holder cannot come in any more; here nothing is broken by it.
    let ending = Ending {
        area: AREA,
        ended: Level::Warning,
        hint: "issue a new one to its holder, and `coattail token revoke` this one",
    };
    let tokens = store.tokens().await?;
    let found = tokens.iter().filter_map(|token| match inspect(token.jwt.reveal()) {
        Ok(read) => ending.check(token.id, read.claims().validity.expires, now),
        Err(error) => Some(AREA.failed(token.id, error)),
    });
    Ok(with_summary("issued", tokens.len(), found.collect()))
}

async fn stored(store: &Store, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let ending = Ending {
        area: AREA,
        ended: Level::Warning,
        hint: "ask its owner for a new validation token, and issue tokens that are bound to that",
    };
    let tokens = store.validations().await?;
    let found = tokens.iter().filter_map(|token| match validation::read_stored(&token.jwt) {
        Ok(read) => ending.check(format!("validation {}", token.id), read.validity.expires, now),
        Err(error) => Some(AREA.failed(format!("validation {}", token.id), error)),
    });
    Ok(with_summary("validation", tokens.len(), found.collect()))
}

fn with_summary(subject: &str, total: usize, mut found: Vec<Finding>) -> Vec<Finding> {
    let well = total - found.len();
    if well > 0 || total == 0 {
        let message = match well {
            0 => "there are none".to_owned(),
            well => format!("{well} that do not end within 14 days"),
        };
        found.insert(0, AREA.ok(subject, message));
    }
    found
}
