use coattail::name::ActionName;
use coattail::wire::Place;
use coattail::wire::places::{Beginning, Begun, Located, Oldest};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::{signed, unsigned};
use super::epochs::epoch_of;
use super::{Error, Store};

impl Store {
    /// Where in the log of an action something is, as the log is now: it comes after the place that is returned.
    pub async fn locate(&self, action: ActionName, from: Beginning) -> Result<Located, Error> {
        self.read(move |db| locate(db, &action, from)).await
    }
}

fn locate(db: &Connection, action: &ActionName, from: Beginning) -> Result<Located, Error> {
    let log = db
        .prepare_cached("SELECT id, head, oldest FROM logs WHERE action = ?1")?
        .query_row([action.as_str()], |row| {
            Ok((row.get::<_, i64>("id")?, unsigned(row, "head")?, unsigned(row, "oldest")?))
        })
        .optional()?;
    let Some((log, head, oldest)) = log else {
        return match from {
            Beginning::Sequence(sequence @ 2..) => Err(Error::NotYet { sequence, head: 0 }),
            _ => Ok(Located { place: Place { epoch: 0, sequence: 0 }, begun: Begun { waiting: 0, oldest: None } }),
        };
    };
    let first = first_from(db, log, oldest)?;
    let (after, is_cut) = match from {
        Beginning::Now => (head, false),
        Beginning::Start => (0, oldest > 1),
        Beginning::Sequence(sequence) if sequence > head + 1 => return Err(Error::NotYet { sequence, head }),
        Beginning::Sequence(sequence) => (sequence.saturating_sub(1), sequence.max(1) < oldest),
        // What is gone may have been published after that time, too, unless the first that is left was before it.
        Beginning::Time(time) => {
            (before(db, log, time, oldest, head)?, oldest > 1 && first.is_none_or(|(_, of)| of > time))
        }
    };
    let sequence = after.max(oldest - 1);
    let oldest = Oldest { sequence: oldest, time: first.map(|(_, time)| time) };
    Ok(Located {
        place: Place { epoch: epoch_of(db, log, sequence)?, sequence },
        begun: Begun { waiting: head - sequence, oldest: is_cut.then_some(oldest) },
    })
}

/// The sequence before the first that was published at this time or later.
///
/// Looks at a few rows only, however long the log is: times go up with sequences, but for those of publications that
/// were made at once, or while the clock was set.
fn before(db: &Connection, log: i64, time: i64, oldest: u64, head: u64) -> Result<u64, Error> {
    let (mut low, mut high) = (oldest, head + 1);
    while low < high {
        let middle = low.midpoint(high);
        match first_from(db, log, middle)?.filter(|(found, _)| *found < high) {
            Some((found, of)) if of < time.saturating_sub(DISORDER) => low = found + 1,
            _ => high = middle,
        }
    }
    let query = "SELECT sequence FROM publications WHERE log = ?1 AND sequence >= ?2 AND time >= ?3
                 ORDER BY sequence LIMIT 1";
    let first = db
        .prepare_cached(query)?
        .query_row(params![log, signed(low), time], |row| unsigned(row, "sequence"))
        .optional()?;
    Ok(first.map_or(head, |first| first - 1))
}

/// The first publication of a log from a sequence on, and its time: sequences can be missing.
fn first_from(db: &Connection, log: i64, sequence: u64) -> Result<Option<(u64, i64)>, Error> {
    let query = "SELECT sequence, time FROM publications WHERE log = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| Ok((unsigned(row, "sequence")?, row.get("time")?));
    Ok(db.prepare_cached(query)?.query_row(params![log, signed(sequence)], row).optional()?)
}

/// By how many milliseconds a publication may be older than one before it: how long it may have waited for its commit.
const DISORDER: i64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Draft;
    use crate::store::testing::{action, raw, store};

    const MINUTE: i64 = 60_000;

    #[tokio::test]
    async fn a_place_is_found_by_sequence_and_by_time_as_far_as_it_is_kept() {
        let store = store();
        let find = async |from| store.locate(action("a"), from).await;
        let nothing = find(Beginning::Start).await.unwrap();
        assert_eq!((nothing.place.sequence, nothing.begun.waiting, nothing.begun.oldest), (0, 0, None));
        assert!(matches!(find(Beginning::Sequence(2)).await, Err(Error::NotYet { sequence: 2, head: 0 })));

        // One every ten minutes, and two that were accepted in another order than they were made.
        let times = (1..=100).map(|n| match n {
            50 => 501 * MINUTE,
            51 => 500 * MINUTE + 30_000,
            n => n * 10 * MINUTE,
        });
        let draft = |time| Draft::new(action("a"), raw("1"), time);
        store.append_all(times.map(draft).collect()).await.unwrap();
        let check = async |from, after: u64, oldest: Option<u64>| {
            let found = find(from).await.unwrap();
            assert_eq!((found.place.sequence, found.begun.waiting), (after, 100 - after), "{from:?}");
            assert_eq!(found.begun.oldest.map(|oldest| oldest.sequence), oldest, "{from:?}");
        };
        for (from, after) in [
            (Beginning::Now, 100),
            (Beginning::Start, 0),
            (Beginning::Sequence(0), 0),
            (Beginning::Sequence(1), 0),
            (Beginning::Sequence(40), 39),
            (Beginning::Sequence(101), 100),
            (Beginning::Time(0), 0),
            (Beginning::Time(10 * MINUTE), 0),
            (Beginning::Time(10 * MINUTE + 1), 1),
            (Beginning::Time(500 * MINUTE), 49),
            (Beginning::Time(500 * MINUTE + 45_000), 49),
            (Beginning::Time(501 * MINUTE + 1), 51),
            (Beginning::Time(1000 * MINUTE), 99),
            (Beginning::Time(1000 * MINUTE + 1), 100),
            (Beginning::Time(i64::MIN), 0),
            (Beginning::Time(i64::MAX), 100),
        ] {
            check(from, after, None).await;
        }
        assert!(matches!(find(Beginning::Sequence(102)).await, Err(Error::NotYet { sequence: 102, head: 100 })));

        store.trim(action("a"), 205 * MINUTE, u64::MAX).await.unwrap();
        for (from, after, oldest) in [
            (Beginning::Start, 20, Some(21)),
            (Beginning::Sequence(20), 20, Some(21)),
            (Beginning::Sequence(21), 20, None),
            (Beginning::Time(209 * MINUTE), 20, Some(21)),
            (Beginning::Time(210 * MINUTE), 20, None),
            (Beginning::Time(211 * MINUTE), 21, None),
        ] {
            check(from, after, oldest).await;
        }
        let gone = find(Beginning::Start).await.unwrap().begun.oldest;
        assert_eq!(gone, Some(Oldest { sequence: 21, time: Some(210 * MINUTE) }));
        store.trim(action("a"), i64::MAX, 0).await.unwrap();
        let gone = find(Beginning::Time(0)).await.unwrap();
        assert_eq!((gone.place.sequence, gone.begun.oldest), (100, Some(Oldest { sequence: 101, time: None })));
    }
}
