use coattail::wire::doctor::Finding;

use super::finding::Area;
use crate::store::{Disk, Store};

const AREA: Area = Area("disk");

/// Whether the disk of the database takes more.
pub(super) async fn check(store: &Store) -> Vec<Finding> {
    let disk = match store.disk().await {
        Ok(disk) => disk,
        Err(error) => return vec![AREA.failed("data.db", error)],
    };
    let Disk { free, reserve, refusal } = disk;
    let left = format!("{} MiB are left, of which {} MiB are kept", free >> 20, reserve >> 20);
    vec![match refusal {
        Some(error) => AREA.failed("data.db", error),
        None if free < reserve.saturating_mul(SOON) => {
            AREA.warning("data.db", left, "make room on the disk before nothing new is accepted any more")
        }
        None => AREA.ok("data.db", left),
    }]
}

/// So many times what is kept: whoever has less left should know.
const SOON: u64 = 4;
