use coattail::id::SubscriptionId;
use coattail::wire::peer::Addressee;
use coattail::wire::{Place, Publication, Span};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::{signed, unsigned};
use super::group::Group;
use super::inbox::{begin, held_lane, place, release, wait};
use super::steps::{Step, steps};
use super::{Error, Store};

/// What a subscription of ours took of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It has all of it on disk, now or from before.
    Stored {
        /// How many are new.
        new: u64,
        /// How many it had already.
        duplicates: u64,
        /// How many sequences it will never get: the publisher does not have them any more.
        missed: u64,
        /// How many that it has are not those of the publisher any more, whose database was put back.
        gone: u64,
    },
    /// Nothing: it lacks what comes after this place, which the publisher believes it to have.
    Behind(Place),
    /// We hold no such subscription; its token was revoked.
    Unknown,
    /// It is to another log than that of the publications.
    OtherLog,
}

impl Store {
    /// Takes a delivery into the inbox, in one transaction: payloads once, and a row for each subscription that has
    /// not had them, even if it has handled them since. `publications` are of one log, in ascending order, and so are the
    /// `skipped` sequences between them, which are not for these subscriptions.
    ///
    /// Once this returns, the publisher may be told that it is stored.
    pub async fn store_delivery(
        &self,
        publications: Vec<Publication>,
        skipped: Vec<Span>,
        to: Vec<Addressee>,
    ) -> Result<Vec<(SubscriptionId, Taken)>, Error> {
        let in_order = |pair: &[Publication]| {
            let [a, b] = pair else { return true };
            a.issuer == b.issuer && a.action == b.action && a.sequence < b.sequence
        };
        if !publications.windows(2).all(in_order) {
            return Err(Error::Unordered);
        }
        self.write(move |group| {
            let delivery = steps(&publications, &skipped)?;
            let mut payloads = Payloads::new(publications.len(), to.len());
            let take = |to: &Addressee| Ok((to.subscription, take(group, &delivery, &mut payloads, to)?));
            let taken = to.iter().map(take).collect::<Result<_, Error>>()?;
            payloads.settle(group.db())?;
            Ok(taken)
        })
        .await
    }
}

/// The stored payloads of a delivery, shared by its subscriptions.
///
/// A row counts who wants it, and is written again as a whole when the count changes. So it is stored as wanted by
/// everyone to whom the delivery goes, and set right at the end for those who had it already.
struct Payloads {
    kept: Vec<Option<Kept>>,
    expected: i64,
}

/// The row of a payload, and how many subscriptions have taken it.
#[derive(Debug, Clone, Copy)]
struct Kept {
    row: i64,
    taken: i64,
}

impl Payloads {
    fn new(publications: usize, subscriptions: usize) -> Self {
        Self { kept: vec![None; publications], expected: signed(subscriptions as u64) }
    }

    /// The row of one, which is stored if it is not.
    fn row(&mut self, group: &mut Group<'_>, at: usize, publication: &Publication) -> Result<&mut Kept, Error> {
        match &mut self.kept[at] {
            Some(kept) => Ok(kept),
            none => {
                group.take_room(publication.payload.get().len() as u64)?;
                Ok(none.insert(Kept { row: store(group.db(), publication, self.expected)?, taken: 0 }))
            }
        }
    }

    fn settle(self, db: &Connection) -> Result<(), Error> {
        let too_many = |kept: &Kept| kept.taken < self.expected;
        self.kept
            .iter()
            .flatten()
            .copied()
            .filter(too_many)
            .try_for_each(|Kept { row, taken }| release(db, row, self.expected - taken))
    }
}

/// Stores what one subscription has not had.
fn take(group: &mut Group<'_>, delivery: &[Step<'_>], payloads: &mut Payloads, to: &Addressee) -> Result<Taken, Error> {
    let db = group.db();
    let Some(lane) = held_lane(db, to.subscription)? else { return Ok(Taken::Unknown) };
    // Without publications, who may deliver to a subscription speaks of the one log that it is for.
    let first = delivery.iter().find_map(|step| if let Step::Take(first, _) = step { Some(*first) } else { None });
    if first.is_some_and(|first| (&lane.publisher, &lane.action) != (&first.issuer, &first.action)) {
        return Ok(Taken::OtherLog);
    }
    let key = to.subscription.to_string();
    let cursor = "SELECT epoch, sequence FROM inbox_cursors WHERE subscription = ?1";
    let cursor = db.prepare_cached(cursor)?.query_row([&key], place).optional()?;
    let mut reached = cursor.unwrap_or(to.place());
    match cursor {
        Some(reached) if reached < to.place() => return Ok(Taken::Behind(reached)),
        Some(_) => {}
        // Before the first row that refers to it.
        None => begin(db, &lane, reached)?,
    }
    let (began, stored) = (reached, jiff::Timestamp::now().as_millisecond());
    let (mut new, mut duplicates, mut missed, mut gone) = (0, 0, 0, 0);
    for step in delivery {
        let (span, next) = (step.span(), reached.sequence.saturating_add(1));
        let place = span.end();
        if place.sequence <= to.after {
            continue;
        }
        if place <= reached {
            duplicates += u64::from(matches!(step, Step::Take(..)));
            continue;
        }
        let gap = span.first.saturating_sub(next);
        // What waits there from before the subscription was reset is not missed.
        let first = Place { epoch: span.epoch, sequence: span.first };
        missed += if gap == 0 { 0 } else { gap.saturating_sub(waiting_between(db, &key, reached, first)?) };
        // Within an epoch nothing is taken back; a span may have begun before.
        gone += if span.epoch == reached.epoch { 0 } else { next.saturating_sub(span.first) };
        reached = place;
        let Step::Take(publication, at) = *step else { continue };
        let kept = payloads.row(group, at, publication)?;
        // If it waits from before the subscription was reset, it does with a payload of its own.
        let is_new = wait(db, &key, place, kept.row, stored)?;
        kept.taken += i64::from(is_new);
        new += u64::from(is_new);
        duplicates += u64::from(!is_new);
    }
    if reached != began {
        db.prepare_cached("UPDATE inbox_cursors SET epoch = ?2, sequence = ?3 WHERE subscription = ?1")?
            .execute(params![key, reached.epoch, signed(reached.sequence)])?;
        group.tally.missed += signed(missed);
        group.tally.stored += signed(new);
        group.tally.waiting += signed(new);
    }
    Ok(Taken::Stored { new, duplicates, missed, gone })
}

/// The row of a payload, new or from an earlier delivery to other subscriptions, which so many more want.
///
/// Without `RETURNING` and `DO UPDATE`: for each statement that has one of those, SQLite first copies the pages that it is
/// about to change, to be able to undo it alone.
fn store(db: &Connection, publication: &Publication, wanted: i64) -> Result<i64, Error> {
    let Publication { id, issuer, action, sequence, epoch, time, payload, cause, hops, expires } = publication;
    let (id, issuer, sequence) = (id.to_string(), issuer.to_string(), signed(*sequence));
    let query = "INSERT OR IGNORE INTO inbox_publications
             (id, issuer, action, sequence, time, payload, cause, hops, epoch, expires, wanted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let cause = cause.map(|cause| cause.to_string());
    let values =
        params![id, issuer, action.as_str(), sequence, time, payload.get(), cause, hops, epoch, expires, wanted];
    if db.prepare_cached(query)?.execute(values)? == 1 {
        return Ok(db.last_insert_rowid());
    }
    let known = "SELECT row FROM inbox_publications WHERE issuer = ?1 AND action = ?2 AND sequence = ?3 AND id = ?4";
    let key = params![issuer, action.as_str(), sequence, id];
    let row = db.prepare_cached(known)?.query_row(key, |row| row.get(0))?;
    let more = "UPDATE inbox_publications SET wanted = wanted + ?2 WHERE row = ?1";
    db.prepare_cached(more)?.execute([row, wanted])?;
    Ok(row)
}

/// How many rows of a subscription lie between two places.
fn waiting_between(db: &Connection, subscription: &str, after: Place, before: Place) -> Result<u64, Error> {
    let query = "SELECT count(*) AS number FROM inbox
                 WHERE subscription = ?1 AND (epoch, sequence) > (?2, ?3) AND (epoch, sequence) < (?4, ?5)";
    let key = params![subscription, after.epoch, signed(after.sequence), before.epoch, signed(before.sequence)];
    Ok(db.prepare_cached(query)?.query_row(key, |row| unsigned(row, "number"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::WhichDead;
    use crate::store::testing::{at, failed, hold, publication, rows, store, to, tried};

    fn stored(new: u64, duplicates: u64, missed: u64) -> Taken {
        Taken::Stored { new, duplicates, missed, gone: 0 }
    }

    #[tokio::test]
    async fn what_was_stored_is_not_stored_again_even_after_it_was_handled() {
        let store = store();
        let id = hold(&store, "them", "a", "r").await;
        let publications: Vec<_> = (1..=6).map(|n| publication("them", "a", n)).collect();
        let deliver = async |range: std::ops::Range<usize>, after| {
            store.store_delivery(publications[range].to_vec(), vec![], vec![to(id, after)]).await.unwrap()[0].1
        };
        assert_eq!(deliver(0..2, 0).await, stored(2, 0, 0));
        assert_eq!(deliver(0..2, 0).await, stored(0, 2, 0));
        store.finish(id, at(1), tried()).await.unwrap();
        assert_eq!(deliver(0..3, 0).await, stored(1, 2, 0));
        assert_eq!(deliver(0..3, 3).await, stored(0, 0, 0));
        // The publisher believes that we have more.
        assert_eq!(deliver(4..6, 4).await, Taken::Behind(at(3)));
        // It has lost one to retention.
        assert_eq!(deliver(4..6, 3).await, stored(2, 0, 1));
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.stored, counts.handled, counts.waiting, counts.missed), (5, 1, 4, 1));
        assert_eq!(rows(&store, "inbox").await, 4);
    }

    #[tokio::test]
    async fn what_comes_in_a_later_epoch_is_new_whatever_its_sequence() {
        let store = store();
        let id = hold(&store, "them", "a", "r").await;
        store.begin_at(id, at(4)).await.unwrap();
        store.begin_at(id, at(2)).await.unwrap();
        let of = |epoch, sequence| Publication { epoch, ..publication("them", "a", sequence) };
        let deliver = async |publications: Vec<Publication>, epoch, after| {
            let to = Addressee { epoch, ..to(id, after) };
            store.store_delivery(publications, vec![], vec![to]).await.unwrap()[0].1
        };
        assert_eq!(deliver(vec![of(7, 5), of(7, 6)], 0, 4).await, stored(2, 0, 0));
        // It was put back to 5, and both of these are others than those of before.
        let gone = Taken::Stored { new: 2, duplicates: 1, missed: 0, gone: 1 };
        assert_eq!(deliver(vec![of(7, 5), of(8, 6), of(8, 7)], 0, 4).await, gone);
        assert_eq!(deliver(vec![of(8, 7)], 8, 6).await, stored(0, 1, 0));
        assert_eq!(deliver(vec![of(8, 9)], 8, 8).await, Taken::Behind(Place { epoch: 8, sequence: 7 }));
        assert_eq!(store.held().await.unwrap()[0].stored, Some(Place { epoch: 8, sequence: 7 }));
        for (epoch, sequence) in [(7, 5), (7, 6), (8, 6), (8, 7)] {
            let place = store.next_waiting(id).await.unwrap().unwrap().place;
            assert_eq!(place, Place { epoch, sequence });
            store.finish(id, place, tried()).await.unwrap();
        }
        for (restored, told) in [(0, 0), (5, 1), (5, 0), (4, 0), (6, 1)] {
            assert_eq!(store.note_restored(vec![id], restored).await.unwrap().len(), told, "{restored}");
        }
    }

    #[tokio::test]
    async fn what_is_not_for_a_subscription_is_passed_over_and_not_missed() {
        let store = store();
        let id = hold(&store, "them", "a", "r").await;
        store.begin_at(id, at(1)).await.unwrap();
        let span = |epoch, first, last| Span { epoch, first, last };
        let deliver = async |sequences: &[u64], skipped: &[Span], after| {
            let publications = sequences.iter().map(|n| publication("them", "a", *n)).collect();
            store.store_delivery(publications, skipped.to_vec(), vec![to(id, after)]).await.unwrap()[0].1
        };
        let stored_up_to = async || store.held().await.unwrap()[0].stored;
        assert_eq!(deliver(&[3, 6], &[span(0, 2, 2), span(0, 4, 5), span(0, 7, 9)], 1).await, stored(2, 0, 0));
        assert_eq!(stored_up_to().await, Some(at(9)));
        // Again, and with less than it has, and with more.
        assert_eq!(deliver(&[3, 6], &[span(0, 2, 2), span(0, 4, 5)], 1).await, stored(0, 2, 0));
        assert_eq!(deliver(&[], &[span(0, 8, 20)], 7).await, stored(0, 0, 0));
        assert_eq!(stored_up_to().await, Some(at(20)));
        // Between them is what retention has removed.
        assert_eq!(deliver(&[], &[span(0, 24, 30)], 20).await, stored(0, 0, 3));
        assert_eq!(deliver(&[], &[span(0, 50, 60)], 40).await, Taken::Behind(at(30)));
        // The publisher was put back to 26.
        assert_eq!(
            deliver(&[], &[span(5, 27, 28)], 26).await,
            Taken::Stored { new: 0, duplicates: 0, missed: 0, gone: 4 }
        );
        assert_eq!(stored_up_to().await, Some(Place { epoch: 5, sequence: 28 }));
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.stored, counts.waiting, counts.missed), (2, 2, 3));
        let wrong = store.store_delivery(vec![], vec![span(0, 9, 8)], vec![to(id, 1)]).await;
        assert!(matches!(wrong, Err(Error::Unordered)));
    }

    #[tokio::test]
    async fn a_payload_is_kept_once_and_until_the_last_needs_it() {
        let store = store();
        let (one, two) = (hold(&store, "them", "a", "r1").await, hold(&store, "them", "a", "r2").await);
        let publications: Vec<_> = (1..=2).map(|n| publication("them", "a", n)).collect();
        let taken = store.store_delivery(publications.clone(), vec![], vec![to(one, 0), to(two, 1)]).await.unwrap();
        assert_eq!(taken, [(one, stored(2, 0, 0)), (two, stored(1, 0, 0))]);
        assert_eq!(rows(&store, "inbox_publications").await, 2);
        // In a delivery of its own, too.
        let three = hold(&store, "them", "a", "r3").await;
        store.store_delivery(publications, vec![], vec![to(three, 1)]).await.unwrap();
        assert_eq!((rows(&store, "inbox").await, rows(&store, "inbox_publications").await), (4, 2));

        store.finish(one, at(2), tried()).await.unwrap();
        store.bury(two, at(2), failed(8, "no"), String::new(), 5).await.unwrap();
        assert_eq!(rows(&store, "inbox_publications").await, 2);
        store.finish(three, at(2), tried()).await.unwrap();
        assert_eq!(store.drop_dead_letters(WhichDead::All, 9).await.unwrap(), 1);
        assert_eq!(rows(&store, "inbox_publications").await, 1);
    }

    #[tokio::test]
    async fn a_delivery_goes_only_to_subscriptions_of_its_log() {
        let store = store();
        let (right, other_action) = (hold(&store, "them", "a", "r").await, hold(&store, "them", "b", "r").await);
        let other_publisher = hold(&store, "others", "a", "r").await;
        let unknown = SubscriptionId::new();
        let everyone = [right, other_action, other_publisher, unknown].map(|id| to(id, 0)).to_vec();
        let taken = store.store_delivery(vec![publication("them", "a", 1)], vec![], everyone).await.unwrap();
        let expected = [
            (right, stored(1, 0, 0)),
            (other_action, Taken::OtherLog),
            (other_publisher, Taken::OtherLog),
            (unknown, Taken::Unknown),
        ];
        assert_eq!(taken, expected);
        for other in [publication("them", "a", 1), publication("them", "b", 3), publication("others", "a", 3)] {
            let unordered = vec![publication("them", "a", 2), other];
            assert!(matches!(store.store_delivery(unordered, vec![], vec![to(right, 0)]).await, Err(Error::Unordered)));
        }
    }
}
