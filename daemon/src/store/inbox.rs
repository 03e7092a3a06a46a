use coattail::id::{IssuerHash, PublicationId, SubscriptionId};
use coattail::name::{ActionName, ReceiverName};
use coattail::wire::fate::Handling;
use coattail::wire::peer::Addressee;
use coattail::wire::{Place, Publication, Raw, Span};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::{parsed, parsed_if_any, payload, signed, unsigned};
use super::group::Group;
use super::outcomes::{self, LastTry};
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

/// A subscription with something in the inbox. It may have ended meanwhile: what was accepted is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxLane {
    /// Which one.
    pub subscription: SubscriptionId,
    /// Whose publications.
    pub publisher: IssuerHash,
    /// From which log.
    pub action: ActionName,
    /// Who handles them.
    pub receiver: ReceiverName,
}

/// A call of a receiver that has failed.
#[derive(Debug, Clone)]
pub struct FailedTry {
    /// Which one, counted from 1.
    pub attempt: u32,
    /// When it began, in milliseconds.
    pub began: i64,
    /// Why it failed.
    pub reason: String,
}

/// A publication that waits for a receiver.
#[derive(Debug, Clone)]
pub struct InboxItem {
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// Its place in the publisher's log.
    pub place: Place,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before this time, in milliseconds.
    pub next_attempt: i64,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// The same at its origin and at everyone who gets it.
    pub id: PublicationId,
    /// Who published it.
    pub issuer: IssuerHash,
    /// For which action.
    pub action: ActionName,
    /// Who handles it.
    pub receiver: ReceiverName,
    /// When it was accepted there, in milliseconds.
    pub time: i64,
    /// What was published.
    pub payload: Raw,
    /// The publication that was being handled when this one was made.
    pub cause: Option<PublicationId>,
    /// How many publications led to this one.
    pub hops: u8,
    /// Until when somebody wants it, in milliseconds; absent: for ever, or it was put back by its owner.
    pub expires: Option<i64>,
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
            let mut kept = vec![None; publications.len()];
            let take = |to: &Addressee| Ok((to.subscription, take(group, &delivery, &mut kept, to)?));
            let taken = to.iter().map(take).collect::<Result<_, Error>>()?;
            kept.into_iter().flatten().try_for_each(|kept| count_more(group.db(), kept))?;
            Ok(taken)
        })
        .await
    }

    /// The first publication that waits for the receiver of a subscription, whether or not its time has come. Nothing
    /// while it is paused.
    pub async fn next_waiting(&self, subscription: SubscriptionId) -> Result<Option<InboxItem>, Error> {
        self.read(move |db| {
            let query = "SELECT p.*, i.subscription, i.attempts, i.next_attempt, i.reason, i.replayed, c.receiver
                         FROM inbox i JOIN inbox_cursors c USING (subscription)
                             JOIN inbox_publications p ON p.row = i.publication
                         WHERE i.subscription = ?1
                             AND NOT EXISTS (SELECT 1 FROM paused WHERE paused.subscription = ?1)
                         ORDER BY i.epoch, i.sequence LIMIT 1";
            Ok(db.prepare_cached(query)?.query_row([subscription.to_string()], item).optional()?)
        })
        .await
    }

    /// Where a subscription that was just made begins, as its publisher says. Without a delivery nobody else knows.
    pub async fn begin_at(&self, subscription: SubscriptionId, place: Place) -> Result<(), Error> {
        self.write(move |group| {
            let Some(lane) = held_lane(group.db(), subscription)? else { return Ok(()) };
            begin(group.db(), &lane, place)
        })
        .await
    }

    /// A publisher says when its database was put back. Returns those of the subscriptions that had not been told so.
    pub async fn note_restored(&self, held: Vec<SubscriptionId>, restored: i64) -> Result<Vec<SubscriptionId>, Error> {
        self.write(move |group| {
            let query = "UPDATE inbox_cursors SET restored = ?2
                         WHERE subscription = ?1 AND coalesce(restored, 0) < ?2 AND ?2 > (
                             SELECT issued FROM issued_tokens WHERE issued_tokens.id = subscription)";
            let mut query = group.db().prepare_cached(query)?;
            let mut told = Vec::new();
            for id in held {
                if query.execute(params![id.to_string(), restored])? == 1 {
                    told.push(id);
                }
            }
            Ok(told)
        })
        .await
    }

    /// Those with something that waits for its receiver.
    pub async fn subscriptions_with_waiting(&self) -> Result<Vec<InboxLane>, Error> {
        self.read(|db| {
            let query = "SELECT * FROM inbox_cursors c
                         WHERE EXISTS (SELECT 1 FROM inbox i WHERE i.subscription = c.subscription)";
            Ok(db.prepare_cached(query)?.query_map([], lane)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The receiver has handled it: the row goes, and the payload with the last row that needs it. Lazily: only if the
    /// machine ends in this moment is the receiver called again.
    pub async fn finish(&self, subscription: SubscriptionId, place: Place, last: LastTry) -> Result<(), Error> {
        self.write_lazily(move |group| {
            outcomes::note(group.db(), subscription, place, Handling::Handled, last)?;
            let row = take_out(group.db(), "DELETE FROM inbox", subscription, place)?;
            release(group.db(), row)?;
            forget_if_drained(group.db(), subscription)?;
            group.tally.waiting -= 1;
            group.tally.handled += 1;
            Ok(())
        })
        .await
    }

    /// Its time was over before a receiver had it: the row goes as if it were handled, and is counted.
    pub async fn expire(&self, subscription: SubscriptionId, place: Place, last: LastTry) -> Result<(), Error> {
        self.write(move |group| {
            outcomes::note(group.db(), subscription, place, Handling::Expired, last)?;
            let db = group.db();
            let row = take_out(db, "DELETE FROM inbox", subscription, place)?;
            release(db, row)?;
            db.prepare_cached("UPDATE inbox_cursors SET expired = expired + 1 WHERE subscription = ?1")?
                .execute([subscription.to_string()])?;
            forget_if_drained(db, subscription)?;
            group.tally.waiting -= 1;
            group.tally.expired += 1;
            Ok(())
        })
        .await
    }

    /// The receiver could not take it: it is tried again at `next_attempt`.
    pub async fn retry(
        &self,
        subscription: SubscriptionId,
        place: Place,
        failed: FailedTry,
        next_attempt: i64,
    ) -> Result<(), Error> {
        self.write(move |group| {
            let query = "UPDATE inbox SET attempts = ?4, next_attempt = ?5, reason = ?6,
                             first_attempt = coalesce(first_attempt, ?7)
                         WHERE subscription = ?1 AND epoch = ?2 AND sequence = ?3";
            let key = subscription.to_string();
            let changed = group.db().prepare_cached(query)?.execute(params![
                key,
                place.epoch,
                signed(place.sequence),
                failed.attempt,
                next_attempt,
                failed.reason,
                failed.began
            ])?;
            if changed == 1 { Ok(()) } else { Err(Error::Missing("publication in the inbox")) }
        })
        .await
    }
}

/// Deletes the cursor of a subscription that has ended once nothing of it is left in the inbox.
pub(super) fn forget_if_drained(db: &Connection, subscription: SubscriptionId) -> Result<(), Error> {
    let drained = db
        .prepare_cached(
            "DELETE FROM inbox_cursors WHERE subscription = ?1
             AND NOT EXISTS (SELECT 1 FROM issued_tokens WHERE id = ?1)
             AND NOT EXISTS (SELECT 1 FROM inbox WHERE subscription = ?1)
             AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE subscription = ?1)",
        )?
        .execute([subscription.to_string()])?;
    if drained > 0 {
        db.prepare_cached("DELETE FROM paused WHERE subscription = ?1")?.execute([subscription.to_string()])?;
    }
    Ok(())
}

/// The row of a payload, and how many subscriptions want it beside the first: a row is written again as a whole when its
/// count changes, so that is done once.
#[derive(Debug, Clone, Copy)]
struct Kept {
    row: i64,
    more: i64,
}

/// Stores what one subscription has not had. `kept` are the stored payloads, shared by all subscriptions.
fn take(
    group: &mut Group<'_>,
    delivery: &[Step<'_>],
    kept: &mut [Option<Kept>],
    to: &Addressee,
) -> Result<Taken, Error> {
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
    let began = reached;
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
        missed += span.first.saturating_sub(next);
        // Within an epoch nothing is taken back; a span may have begun before.
        gone += if span.epoch == reached.epoch { 0 } else { next.saturating_sub(span.first) };
        reached = place;
        let Step::Take(publication, at) = *step else { continue };
        new += 1;
        let row = match &mut kept[at] {
            Some(Kept { row, more }) => {
                *more += 1;
                *row
            }
            none => {
                group.take_room(publication.payload.get().len() as u64)?;
                none.insert(Kept { row: store(db, publication)?, more: 0 }).row
            }
        };
        wait(db, to.subscription, place, row, false)?;
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

/// Begins the cursor of a subscription, unless there is one.
fn begin(db: &Connection, lane: &InboxLane, place: Place) -> Result<(), Error> {
    let InboxLane { subscription, publisher, action, receiver } = lane;
    db.prepare_cached(
        "INSERT OR IGNORE INTO inbox_cursors (subscription, publisher, action, receiver, epoch, sequence)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        subscription.to_string(),
        publisher.to_string(),
        action.as_str(),
        receiver.as_str(),
        place.epoch,
        signed(place.sequence)
    ])?;
    Ok(())
}

/// What a subscription is for, as long as we hold its token.
fn held_lane(db: &Connection, subscription: SubscriptionId) -> Result<Option<InboxLane>, Error> {
    let query = "SELECT issued_tokens.id AS subscription, peers.issuer AS publisher, action, receiver
                 FROM issued_tokens JOIN peers ON peers.id = peer WHERE issued_tokens.id = ?1";
    Ok(db.prepare_cached(query)?.query_row([subscription.to_string()], lane).optional()?)
}

/// The row of a payload, new or from an earlier delivery to another subscription, which one more wants.
fn store(db: &Connection, publication: &Publication) -> Result<i64, Error> {
    let Publication { id, issuer, action, sequence, epoch, time, payload, cause, hops, expires, proof: _ } =
        publication;
    let (id, issuer, sequence) = (id.to_string(), issuer.to_string(), signed(*sequence));
    let known = "UPDATE inbox_publications SET wanted = wanted + 1
                 WHERE issuer = ?1 AND action = ?2 AND sequence = ?3 AND id = ?4 RETURNING row";
    let known = db
        .prepare_cached(known)?
        .query_row(params![issuer, action.as_str(), sequence, id], |row| row.get(0))
        .optional()?;
    if let Some(row) = known {
        return Ok(row);
    }
    db.prepare_cached(
        "INSERT INTO inbox_publications (id, issuer, action, sequence, time, payload, cause, hops, epoch, expires, wanted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)",
    )?
    .execute(params![
        id,
        issuer,
        action.as_str(),
        sequence,
        time,
        payload.get(),
        cause.map(|cause| cause.to_string()),
        hops,
        epoch,
        expires
    ])?;
    Ok(db.last_insert_rowid())
}

fn count_more(db: &Connection, Kept { row, more }: Kept) -> Result<(), Error> {
    if more > 0 {
        let query = "UPDATE inbox_publications SET wanted = wanted + ?2 WHERE row = ?1";
        db.prepare_cached(query)?.execute([row, more])?;
    }
    Ok(())
}

pub(super) fn wait(
    db: &Connection,
    subscription: SubscriptionId,
    place: Place,
    row: i64,
    replayed: bool,
) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO inbox (subscription, epoch, sequence, publication, replayed, stored)
         VALUES (?1, ?2, ?3, ?4, ?5, CAST(unixepoch('subsec') * 1000 AS INTEGER))",
    )?
    .execute(params![subscription.to_string(), place.epoch, signed(place.sequence), row, replayed])?;
    Ok(())
}

/// Deletes the row of a subscription and returns that of the payload, which it still counts for.
pub(super) fn take_out(
    db: &Connection,
    delete: &str,
    subscription: SubscriptionId,
    place: Place,
) -> Result<i64, Error> {
    let query = format!("{delete} WHERE subscription = ?1 AND epoch = ?2 AND sequence = ?3 RETURNING publication");
    let key = params![subscription.to_string(), place.epoch, signed(place.sequence)];
    let row = db.prepare_cached(&query)?.query_row(key, |row| row.get(0)).optional()?;
    row.ok_or(Error::Missing("publication in the inbox"))
}

/// One row less needs a payload.
pub(super) fn release(db: &Connection, row: i64) -> Result<(), Error> {
    db.prepare_cached("UPDATE inbox_publications SET wanted = wanted - 1 WHERE row = ?1")?.execute([row])?;
    db.prepare_cached("DELETE FROM inbox_publications WHERE row = ?1 AND wanted = 0")?.execute([row])?;
    Ok(())
}

fn lane(row: &Row<'_>) -> rusqlite::Result<InboxLane> {
    Ok(InboxLane {
        subscription: parsed(row, "subscription")?,
        publisher: parsed(row, "publisher")?,
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
    })
}

/// From the columns `epoch` and `sequence`.
pub(super) fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place { epoch: row.get("epoch")?, sequence: unsigned(row, "sequence")? })
}

pub(super) fn item(row: &Row<'_>) -> rusqlite::Result<InboxItem> {
    Ok(InboxItem {
        subscription: parsed(row, "subscription")?,
        place: place(row)?,
        attempts: row.get("attempts")?,
        next_attempt: row.get("next_attempt")?,
        reason: row.get("reason")?,
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer")?,
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
        time: row.get("time")?,
        payload: payload(row, "payload")?,
        cause: parsed_if_any(row, "cause")?,
        hops: row.get("hops")?,
        // Whoever puts it back wants it.
        expires: if row.get("replayed")? { None } else { row.get("expires")? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::WhichDead;
    use crate::store::testing::{at, failed, hold, publication, receiver, rows, store, to, tried, with_waiting};

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
    async fn what_came_too_late_goes_and_is_counted() {
        let (store, id) = with_waiting(2).await;
        store.expire(id, at(1), tried()).await.unwrap();
        assert!(matches!(store.expire(id, at(1), tried()).await, Err(Error::Missing(_))));
        assert_eq!((rows(&store, "inbox").await, rows(&store, "inbox_publications").await), (1, 1));
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.waiting, counts.handled, counts.expired), (1, 0, 1));
        assert_eq!(store.backlogs().await.unwrap()[0].expired, 1);
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

    #[tokio::test]
    async fn what_waits_comes_in_order_and_as_it_was_sent() {
        let (store, id) = with_waiting(3).await;
        let lanes = store.subscriptions_with_waiting().await.unwrap();
        assert_eq!((lanes.len(), lanes[0].subscription, &lanes[0].receiver), (1, id, &receiver("r")));

        store.retry(id, at(1), failed(2, "busy"), 7000).await.unwrap();
        let first = store.next_waiting(id).await.unwrap().unwrap();
        assert_eq!((first.place.sequence, first.attempts, first.next_attempt), (1, 2, 7000));
        assert_eq!((first.reason.as_deref(), first.payload.get()), (Some("busy"), "{\"n\":1}"));

        for sequence in 1..=3 {
            assert_eq!(store.next_waiting(id).await.unwrap().unwrap().place.sequence, sequence);
            store.finish(id, at(sequence), tried()).await.unwrap();
        }
        assert!(store.next_waiting(id).await.unwrap().is_none());
        assert!(store.subscriptions_with_waiting().await.unwrap().is_empty());
        assert!(matches!(store.finish(id, at(3), tried()).await, Err(Error::Missing(_))));
        assert!(matches!(store.retry(id, at(3), failed(1, ""), 1).await, Err(Error::Missing(_))));
        assert_eq!(rows(&store, "inbox_publications").await, 0);
    }
}
