use std::time::Instant;

use coattail::wire::doctor::Finding;

use super::finding::{Area, timed};
use crate::store::Store;

const AREA: Area = Area("database");

/// Faults that are told one by one; a broken file has thousands.
const MOST: usize = 10;

/// Reads the whole file.
pub(super) async fn check(store: &Store) -> Vec<Finding> {
    let started = Instant::now();
    match store.check().await {
        Err(error) => vec![AREA.failed("data.db", error)],
        Ok(faults) if faults.is_empty() => {
            vec![timed(AREA.ok("data.db", "is whole"), started.elapsed())]
        }
        Ok(faults) => faults
            .into_iter()
            .take(MOST)
            .map(|fault| AREA.failure("data.db", fault, "restore it from a backup"))
            .collect(),
    }
}
