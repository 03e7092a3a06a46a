use std::collections::HashMap;

use coattail::name::ActionName;
use rusqlite::{Connection, OptionalExtension as _};

use super::columns::{signed, unsigned};
use super::epochs::forget_before;
use super::{Error, Store};

/// What retention has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    /// How many publications.
    pub removed: u64,
    /// The first that is left; who has a cursor below `oldest - 1` has a gap.
    pub oldest: u64,
    /// Whether there is more to remove: call again, so that other writes get their turn between.
    pub more: bool,
}

impl Store {
    /// Removes the oldest publications of a log: those before a time, and more until the rest takes no more than
    /// `max_bytes`. Sequences are not given out again.
    pub async fn trim(&self, action: ActionName, before_time: i64, max_bytes: u64) -> Result<Trimmed, Error> {
        self.write(move |group| trim(group.db(), &action, before_time, max_bytes)).await
    }
}

fn trim(db: &Connection, action: &ActionName, before_time: i64, max_bytes: u64) -> Result<Trimmed, Error> {
    let log = db
        .prepare_cached("SELECT id, head, oldest, bytes FROM logs WHERE action = ?1")?
        .query_row([action.as_str()], |row| {
            Ok((row.get::<_, i64>("id")?, unsigned(row, "head")?, unsigned(row, "oldest")?, unsigned(row, "bytes")?))
        })
        .optional()?;
    let Some((log, head, mut oldest, mut bytes)) = log else {
        return Ok(Trimmed { removed: 0, oldest: 1, more: false });
    };
    let old = db
        .prepare_cached(
            "SELECT sequence, time, octet_length(payload) AS bytes, signed_group FROM publications
             WHERE log = ?1 ORDER BY sequence LIMIT ?2",
        )?
        .query_map([log, i64::from(TRIM_ROWS)], |row| {
            Ok((unsigned(row, "sequence")?, row.get("time")?, unsigned(row, "bytes")?, row.get("signed_group")?))
        })?
        .collect::<Result<Vec<(u64, i64, u64, i64)>, _>>()?;
    let mut groups: HashMap<i64, i64> = HashMap::new();
    let mut removed = 0;
    for &(sequence, time, size, group) in &old {
        if time >= before_time && bytes <= max_bytes {
            break;
        }
        (oldest, bytes) = (sequence + 1, bytes.saturating_sub(size));
        *groups.entry(group).or_default() += 1;
        removed += 1;
    }
    if removed > 0 {
        db.prepare_cached("DELETE FROM publications WHERE log = ?1 AND sequence < ?2")?
            .execute([log, signed(oldest)])?;
        db.prepare_cached("UPDATE logs SET oldest = ?2, bytes = ?3 WHERE id = ?1")?.execute([
            log,
            signed(oldest),
            signed(bytes),
        ])?;
        forget_before(db, log, oldest)?;
        for (group, gone) in groups {
            db.prepare_cached("UPDATE signed_groups SET remaining = remaining - ?2 WHERE id = ?1")?
                .execute([group, gone])?;
            db.prepare_cached("DELETE FROM signed_groups WHERE id = ?1 AND remaining = 0")?.execute([group])?;
        }
    }
    Ok(Trimmed { removed, oldest, more: removed == u64::from(TRIM_ROWS) && oldest <= head })
}

/// Rows that one call of [`Store::trim`] removes at most: some milliseconds, then other writes get their turn.
const TRIM_ROWS: u32 = 1000;

#[cfg(test)]
mod tests {

    use super::*;
    use crate::store::Draft;
    use crate::store::testing::{action, draft, raw, rows, store, subscription, token};

    #[tokio::test]
    async fn retention_removes_the_oldest_and_never_gives_a_sequence_twice() {
        let store = store();
        let at = |time| Draft::new(action("a"), raw("1234"), time);
        let token = token(None);
        let token_id = token.id;
        store.add_token(token).await.unwrap();
        store.append(at(0)).await.unwrap();
        let behind = subscription("them", "a", token_id);
        assert_eq!(store.add_subscription(behind.clone()).await.unwrap(), 1);
        store.append_all((1..10).map(at).collect()).await.unwrap();

        for (before, bytes, removed, oldest) in
            [(0, 40, 0, 1), (3, 40, 3, 4), (0, 27, 1, 5), (0, 27, 0, 5), (99, 0, 6, 11), (99, 0, 0, 11)]
        {
            let trimmed = store.trim(action("a"), before, bytes).await.unwrap();
            assert_eq!(trimmed, Trimmed { removed, oldest, more: false }, "{before} {bytes}");
            let head = store.head(action("a")).await.unwrap().unwrap();
            assert_eq!((head.head, head.oldest, head.bytes), (10, oldest, (11 - oldest) * 4));
            let state = store.subscription(behind.id).await.unwrap().unwrap();
            assert_eq!(state.lag, 10 - (oldest - 1).max(1));
            assert_eq!(store.counts().await.unwrap().undelivered, state.lag);
        }
        assert_eq!(rows(&store, "signed_groups").await, 0);
        assert_eq!(store.append(at(9)).await.unwrap().sequence, 11);
        // Only what was there to be delivered was delivered.
        store.advance_cursors(vec![(behind.id, 11)]).await.unwrap();
        assert_eq!(store.counts().await.unwrap().delivered, 1);
        assert_eq!(store.trim(action("none"), 99, 0).await.unwrap().removed, 0);
    }

    #[tokio::test]
    async fn a_long_log_is_trimmed_in_steps() {
        let store = store();
        store.append_all((0..u64::from(TRIM_ROWS) + 5).map(|_| draft("a", "1")).collect()).await.unwrap();
        let first = store.trim(action("a"), i64::MAX, 0).await.unwrap();
        assert_eq!((first.removed, first.more), (u64::from(TRIM_ROWS), true));
        let second = store.trim(action("a"), i64::MAX, 0).await.unwrap();
        assert_eq!((second.removed, second.more), (5, false));
    }
}
