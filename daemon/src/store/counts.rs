use coattail::wire::control::Counts;
use rusqlite::Connection;

use super::columns::unsigned;
use super::{Error, Store};

/// What a group adds to the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) published: i64,
    pub(super) delivered: i64,
    pub(super) stored: i64,
    pub(super) handled: i64,
    pub(super) waiting: i64,
    pub(super) dead: i64,
    pub(super) missed: i64,
    pub(super) expired: i64,
    pub(super) looped: i64,
}

impl Tally {
    pub(super) fn write(&self, db: &Connection) -> Result<(), Error> {
        if *self != Self::default() {
            let Self { published, delivered, stored, handled, waiting, dead, missed, expired, looped } = self;
            db.prepare_cached(
                "UPDATE counts SET published = published + ?1, delivered = delivered + ?2, stored = stored + ?3,
                     handled = handled + ?4, waiting = waiting + ?5, dead = dead + ?6, missed = missed + ?7,
                     expired = expired + ?8, looped = looped + ?9",
            )?
            .execute([published, delivered, stored, handled, waiting, dead, missed, expired, looped])?;
        }
        Ok(())
    }
}

impl Store {
    /// Publications and what became of them, since the database was made. Costs a row and one per subscription.
    pub async fn counts(&self) -> Result<Counts, Error> {
        self.read(|db| {
            let counts = "SELECT counts.*, (
                              SELECT coalesce(sum(head - max(cursor, oldest - 1)), 0)
                              FROM subscriptions JOIN logs USING (action)
                          ) AS undelivered FROM counts";
            Ok(db.prepare_cached(counts)?.query_row([], |row| {
                Ok(Counts {
                    published: unsigned(row, "published")?,
                    delivered: unsigned(row, "delivered")?,
                    undelivered: unsigned(row, "undelivered")?,
                    stored: unsigned(row, "stored")?,
                    handled: unsigned(row, "handled")?,
                    waiting: unsigned(row, "waiting")?,
                    dead: unsigned(row, "dead")?,
                    missed: unsigned(row, "missed")?,
                    expired: unsigned(row, "expired")?,
                    looped: unsigned(row, "looped")?,
                })
            })?)
        })
        .await
    }
}
