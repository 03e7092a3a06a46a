use coattail::id::SubscriptionId;
use coattail::wire::Place;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::{signed, unsigned};
use super::epochs::reach;
use super::inbox::{begin, held_lane, place as read_place};
use super::subscriptions::subscription as read_subscription;
use super::{Error, Store, Subscription};

/// What it comes to that a subscription of ours goes on from another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Jump {
    /// How many publications that were handled, or given up, come again.
    pub again: u64,
    /// How many do not come any more: they were not delivered yet, or wait for the receiver.
    pub skipped: u64,
}

/// What becomes of publications before the place that wait for their receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// They were accepted, and are handled.
    Kept,
    /// Our owner wants none of them.
    Skipped,
}

impl Store {
    /// What it would come to that a subscription of ours goes on after this place.
    pub async fn weigh_reset(&self, id: SubscriptionId, to: Place) -> Result<Jump, Error> {
        self.read(move |db| {
            held_lane(db, id)?.ok_or(Error::Missing("subscription"))?;
            weigh(db, id, to)
        })
        .await
    }

    /// A subscription of ours goes on after this place, whether it had got further or less far. What waits beyond it is
    /// left where it is, and handled when the publisher has delivered what comes before.
    pub async fn reset_held(&self, id: SubscriptionId, to: Place, waiting: Pending) -> Result<Jump, Error> {
        self.write(move |group| {
            let db = group.db();
            let lane = held_lane(db, id)?.ok_or(Error::Missing("subscription"))?;
            begin(db, &lane, to)?;
            let jump = weigh(db, id, to)?;
            let key = id.to_string();
            db.prepare_cached("UPDATE inbox_cursors SET epoch = ?2, sequence = ?3 WHERE subscription = ?1")?
                .execute(params![key, to.epoch, signed(to.sequence)])?;
            if waiting == Pending::Skipped {
                group.tally.waiting -= skip(db, id, to)?;
            }
            Ok(jump)
        })
        .await
    }

    /// A subscriber is to go on after this place, as soon as it can be told.
    pub async fn order_move(&self, id: SubscriptionId, to: Place) -> Result<Subscription, Error> {
        self.write(move |group| {
            let query = "UPDATE subscriptions SET move_epoch = ?2, move_sequence = ?3 WHERE id = ?1 RETURNING *";
            let ordered = group
                .db()
                .prepare_cached(query)?
                .query_row(params![id.to_string(), to.epoch, signed(to.sequence)], read_subscription);
            ordered.optional()?.ok_or(Error::Missing("subscription"))
        })
        .await
    }

    /// A subscriber has done what was ordered. Nothing changes if something else has been ordered since.
    pub async fn moved(&self, id: SubscriptionId, to: Place) -> Result<(), Error> {
        self.write(move |group| if is_ordered(group.db(), id, to)? { set_cursor(group.db(), id, to) } else { Ok(()) })
            .await
    }

    /// A subscriber does not do what was ordered: it goes on from where it is. Nothing changes if something else has been
    /// ordered since.
    pub async fn give_up_move(&self, id: SubscriptionId, to: Place, why: String) -> Result<(), Error> {
        self.write(move |group| {
            let query = "UPDATE subscriptions SET move_epoch = NULL, move_sequence = NULL, last_error = ?4
                         WHERE id = ?1 AND move_epoch = ?2 AND move_sequence = ?3";
            let key = params![id.to_string(), to.epoch, signed(to.sequence), why];
            group.db().prepare_cached(query)?.execute(key)?;
            Ok(())
        })
        .await
    }

    /// A subscriber goes on after this place, by itself, as far as the log knows it. Nothing is ordered any more.
    pub async fn reset_cursor(&self, id: SubscriptionId, to: Place) -> Result<(), Error> {
        self.write(move |group| set_cursor(group.db(), id, to)).await
    }
}

fn weigh(db: &Connection, id: SubscriptionId, to: Place) -> Result<Jump, Error> {
    let (key, sequence) = (id.to_string(), signed(to.sequence));
    let query = "SELECT epoch, sequence FROM inbox_cursors WHERE subscription = ?1";
    let reached = db.prepare_cached(query)?.query_row([&key], read_place).optional()?.unwrap_or(to);
    let count = |query: &str| {
        db.prepare_cached(query)?.query_row(params![key, to.epoch, sequence], |row| unsigned(row, "number"))
    };
    let before =
        count("SELECT count(*) AS number FROM inbox WHERE subscription = ?1 AND (epoch, sequence) <= (?2, ?3)")?;
    if to >= reached {
        return Ok(Jump { again: 0, skipped: before + to.sequence.saturating_sub(reached.sequence) });
    }
    let beyond =
        count("SELECT count(*) AS number FROM inbox WHERE subscription = ?1 AND (epoch, sequence) > (?2, ?3)")?;
    // Of those that wait beyond it nothing was handled.
    let again = reached.sequence.saturating_sub(to.sequence).saturating_sub(beyond);
    Ok(Jump { again, skipped: before })
}

/// Deletes what waits up to a place, and payloads that nobody else needs. Returns how many.
fn skip(db: &Connection, id: SubscriptionId, to: Place) -> Result<i64, Error> {
    let (key, sequence) = (id.to_string(), signed(to.sequence));
    let mut deleted = 0;
    for query in [
        "UPDATE inbox_publications SET wanted = wanted - 1 WHERE row IN (
             SELECT publication FROM inbox WHERE subscription = ?1 AND (epoch, sequence) <= (?2, ?3))",
        "DELETE FROM inbox_publications WHERE wanted = 0 AND row IN (
             SELECT publication FROM inbox WHERE subscription = ?1 AND (epoch, sequence) <= (?2, ?3))",
        "DELETE FROM inbox WHERE subscription = ?1 AND (epoch, sequence) <= (?2, ?3)",
    ] {
        deleted = db.prepare_cached(query)?.execute(params![key, to.epoch, sequence])?;
    }
    Ok(signed(deleted as u64))
}

fn is_ordered(db: &Connection, id: SubscriptionId, to: Place) -> Result<bool, Error> {
    let query = "SELECT 1 FROM subscriptions WHERE id = ?1 AND move_epoch = ?2 AND move_sequence = ?3";
    Ok(db.prepare_cached(query)?.exists(params![id.to_string(), to.epoch, signed(to.sequence)])?)
}

fn set_cursor(db: &Connection, id: SubscriptionId, to: Place) -> Result<(), Error> {
    let query = "SELECT logs.id AS log, coalesce(head, 0) AS head
                 FROM subscriptions LEFT JOIN logs USING (action) WHERE subscriptions.id = ?1";
    let log = db
        .prepare_cached(query)?
        .query_row([id.to_string()], |row| Ok((row.get::<_, Option<i64>>("log")?, unsigned(row, "head")?)));
    let (log, head) = log.optional()?.ok_or(Error::Missing("subscription"))?;
    let reach = log.map_or(Ok(0), |log| reach(db, log, to.epoch, head))?;
    let query = "UPDATE subscriptions SET cursor = ?2, move_epoch = NULL, move_sequence = NULL, last_error = NULL
                 WHERE id = ?1";
    db.prepare_cached(query)?.execute(params![id.to_string(), signed(to.sequence.min(reach))])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Fixture, with_waiting};
    use crate::store::testing::{
        action, at, draft, failed, hold, publication, rows, store, subscription, to, token, tried,
    };
    use crate::store::{Advance, Taken, WhichDead};

    async fn deliver(store: &Fixture, id: SubscriptionId, after: u64, sequences: &[u64]) -> Taken {
        let publications = sequences.iter().map(|n| publication("them", "a", *n)).collect();
        store.store_delivery(publications, vec![], vec![to(id, after)]).await.unwrap()[0].1
    }

    fn stored(new: u64, duplicates: u64, missed: u64) -> Taken {
        Taken::Stored { new, duplicates, missed, gone: 0 }
    }

    #[tokio::test]
    async fn what_lies_beyond_comes_again_in_order_and_what_waits_is_not_stored_twice() {
        let (store, id) = with_waiting(6).await;
        for sequence in 1..=4 {
            store.finish(id, at(sequence), tried()).await.unwrap();
        }
        // 5 and 6 wait.
        assert_eq!(store.weigh_reset(id, at(2)).await.unwrap(), Jump { again: 2, skipped: 0 });
        assert_eq!(store.reset_held(id, at(2), Pending::Skipped).await.unwrap(), Jump { again: 2, skipped: 0 });
        assert_eq!((rows(&store, "inbox").await, store.counts().await.unwrap().waiting), (2, 2));
        assert!(store.next_waiting(id).await.unwrap().is_none(), "3 and 4 come first");
        // The publisher believes that all of it is stored.
        assert_eq!(deliver(&store, id, 6, &[7]).await, Taken::Behind(at(2)));
        let waiting: Vec<_> = (3..=6).map(|n| publication("them", "a", n)).collect();
        let again = store.store_delivery(waiting[..2].to_vec(), vec![], vec![to(id, 2)]).await.unwrap()[0].1;
        assert_eq!(again, stored(2, 0, 0));
        assert_eq!(store.next_waiting(id).await.unwrap().unwrap().place, at(3));
        store.finish(id, at(3), tried()).await.unwrap();
        store.finish(id, at(4), tried()).await.unwrap();
        assert!(store.next_waiting(id).await.unwrap().is_none());
        assert_eq!(deliver(&store, id, 4, &[5, 6]).await, stored(0, 2, 0), "they wait already");
        assert_eq!((rows(&store, "inbox").await, rows(&store, "inbox_publications").await), (2, 2));
        for sequence in 5..=6 {
            assert_eq!(store.next_waiting(id).await.unwrap().unwrap().place, at(sequence));
            store.finish(id, at(sequence), tried()).await.unwrap();
        }
        assert_eq!((rows(&store, "inbox_publications").await, store.counts().await.unwrap().waiting), (0, 0));
    }

    #[tokio::test]
    async fn what_lies_before_is_skipped_and_not_missed() {
        let (store, id) = with_waiting(4).await;
        let other = hold(&store, "them", "a", "other").await;
        deliver(&store, other, 0, &[1]).await;
        assert_eq!(store.weigh_reset(id, at(9)).await.unwrap(), Jump { again: 0, skipped: 9 });
        assert_eq!(store.reset_held(id, at(9), Pending::Kept).await.unwrap(), Jump { again: 0, skipped: 9 });
        assert_eq!(store.next_waiting(id).await.unwrap().unwrap().place, at(1), "it was accepted");
        // The publisher did not hear of it.
        assert_eq!(deliver(&store, id, 4, &[5, 8, 10]).await, stored(1, 2, 0));
        store.reset_held(id, at(3), Pending::Skipped).await.unwrap();
        assert_eq!((rows(&store, "inbox").await, rows(&store, "inbox_publications").await), (3, 3));
        assert_eq!(store.counts().await.unwrap().waiting, 3);
        assert_eq!(deliver(&store, id, 3, &[10]).await, stored(0, 1, 5), "4 waits, and what is gone is missed");
        assert_eq!(store.counts().await.unwrap().missed, 5);
        let unknown = SubscriptionId::new();
        assert!(matches!(store.reset_held(unknown, at(1), Pending::Kept).await, Err(Error::Missing(_))));
    }

    #[tokio::test]
    async fn what_was_given_up_comes_again_and_lies_in_one_place() {
        let (store, id) = with_waiting(2).await;
        for sequence in 1..=2 {
            store.bury(id, at(sequence), failed(1, "no"), String::new(), 5).await.unwrap();
        }
        assert_eq!(store.reset_held(id, at(0), Pending::Skipped).await.unwrap(), Jump { again: 2, skipped: 0 });
        deliver(&store, id, 0, &[1, 2]).await;
        // One is given up again, the other is replayed while it waits.
        store.bury(id, at(1), failed(2, "never"), String::new(), 6).await.unwrap();
        let dead = store.dead_letters(WhichDead::All, 9).await.unwrap();
        assert!(dead.iter().map(|dead| (dead.place, dead.attempts)).eq([(at(2), 1), (at(1), 2)]));
        store.replay_dead_letters(WhichDead::One(dead[0].id), 9).await.unwrap();
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.waiting, counts.dead, rows(&store, "inbox").await), (1, 1, 1));
        store.finish(id, at(2), tried()).await.unwrap();
        store.drop_dead_letters(WhichDead::All, 9).await.unwrap();
        assert_eq!(rows(&store, "inbox_publications").await, 0);
    }

    #[tokio::test]
    async fn what_was_accepted_is_handled_though_the_subscription_ends() {
        let (store, id) = with_waiting(2).await;
        store.reset_held(id, at(0), Pending::Kept).await.unwrap();
        assert!(store.next_waiting(id).await.unwrap().is_none());
        store.revoke_token(id).await.unwrap();
        assert_eq!(store.next_waiting(id).await.unwrap().unwrap().place, at(1));
    }

    #[tokio::test]
    async fn a_cursor_goes_where_its_subscriber_is_and_nothing_else_moves_it() {
        let store = store();
        let with = token(None);
        store.add_token(with.clone()).await.unwrap();
        let one = subscription("them", "a", with.id);
        store.append_all((0..5).map(|_| draft("a", "1")).collect()).await.unwrap();
        store.add_subscription_after(one.clone(), 2).await.unwrap();
        let place = async |sequence| store.place(action("a"), sequence).await.unwrap();
        let state = async || {
            let state = store.subscription(one.id).await.unwrap().unwrap();
            (state.cursor, state.moving)
        };
        assert_eq!(state().await, (2, None));
        let (first, second) = (place(1).await, place(4).await);
        store.order_move(one.id, first).await.unwrap();
        store.order_move(one.id, second).await.unwrap();
        assert_eq!(state().await, (2, Some(second)));
        store.moved(one.id, first).await.unwrap();
        store.give_up_move(one.id, first, "no".to_owned()).await.unwrap();
        assert_eq!(state().await, (2, Some(second)), "something else was ordered since");
        store.moved(one.id, second).await.unwrap();
        assert_eq!(state().await, (4, None));
        store.order_move(one.id, first).await.unwrap();
        store.reset_cursor(one.id, place(3).await).await.unwrap();
        assert_eq!(state().await, (3, None));
        // What was sent before, and answered since.
        let late = Advance { subscription: one.id, from: Some(4), to: 5, skipped: 0, expired: 0 };
        store.advance_cursors(vec![late]).await.unwrap();
        assert_eq!(state().await, (3, None));
        store.reset_cursor(one.id, Place { sequence: 99, ..second }).await.unwrap();
        assert_eq!(state().await, (5, None));
        assert!(matches!(store.order_move(SubscriptionId::new(), first).await, Err(Error::Missing(_))));
    }
}
