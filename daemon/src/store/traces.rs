use coattail::id::PublicationId;
use coattail::name::ActionName;
use rusqlite::{Row, params};

use super::columns::{parsed, signed, unsigned};
use super::history::{LISTED, read};
use super::{Error, Listed, Store, SubscriptionState};

/// Something that was not published, since too many publications had led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looped {
    /// What was being handled.
    pub cause: PublicationId,
    /// For which action.
    pub action: ActionName,
    /// How many had led to it.
    pub hops: u8,
    /// When it was refused, last, in milliseconds.
    pub time: i64,
}

impl Store {
    /// The publications of ours, or that came to us, whose ids begin so: the first `limit`.
    pub async fn ids_that_begin(&self, prefix: String, limit: u32) -> Result<Vec<PublicationId>, Error> {
        self.read(move |db| {
            // `~` comes after everything that ids are made of.
            let query = "SELECT id FROM publications WHERE id BETWEEN ?1 AND ?1 || '~'
                 UNION SELECT publication FROM outcomes WHERE publication BETWEEN ?1 AND ?1 || '~'
                 UNION SELECT id FROM inbox_publications WHERE id BETWEEN ?1 AND ?1 || '~'
                 LIMIT ?2";
            let mut query = db.prepare_cached(query)?;
            let ids = query.query_map(params![prefix, limit], |row| parsed(row, "id"))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// A publication of this instance, without its payload.
    pub async fn listed(&self, id: PublicationId) -> Result<Option<Listed>, Error> {
        let issuer = self.issuer();
        self.read(move |db| {
            let mut query = db.prepare_cached(&format!("{LISTED} WHERE publications.id = ?1"))?;
            Ok(query.query_map([id.to_string()], |row| read(issuer, row))?.next().transpose()?)
        })
        .await
    }

    /// What this instance has published while another publication was being handled: the first `limit`.
    pub async fn caused_by(&self, cause: PublicationId, limit: u32) -> Result<Vec<Listed>, Error> {
        let issuer = self.issuer();
        self.read(move |db| {
            let mut query =
                db.prepare_cached(&format!("{LISTED} WHERE cause = ?1 ORDER BY publications.rowid LIMIT ?2"))?;
            let made = query.query_map(params![cause.to_string(), limit], |row| read(issuer, row))?;
            Ok(made.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Who was subscribed when something was published here: the first `limit`, but for those that have ended since.
    pub async fn subscribed_at(&self, id: PublicationId, limit: usize) -> Result<Vec<SubscriptionState>, Error> {
        let mut states = self
            .states(
                "subscriptions.id IN (
                     SELECT s.id FROM publications p JOIN logs l ON l.id = p.log JOIN subscriptions s ON s.action = l.action
                     WHERE p.id = ?1 AND s.created <= p.time
                         AND (audience IS NULL OR instr(' ' || audience || ' ', ' ' || s.issuer || ' '))
                     ORDER BY s.created, s.id LIMIT 1000)",
                Some(id.to_string()),
            )
            .await?;
        states.truncate(limit);
        Ok(states)
    }

    /// Remembers that something was not published, since too many publications had led to it.
    pub async fn note_loop(&self, looped: Looped) -> Result<(), Error> {
        self.write(move |group| {
            let Looped { cause, action, hops, time } = looped;
            group
                .db()
                .prepare_cached("INSERT OR REPLACE INTO loops (cause, action, hops, time) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![cause.to_string(), action.as_str(), hops, time])?;
            group
                .db()
                .prepare_cached("DELETE FROM loops WHERE row <= (SELECT max(row) FROM loops) - ?1")?
                .execute([signed(MOST_LOOPS)])?;
            group.tally.looped += 1;
            Ok(())
        })
        .await
    }

    /// What was not published while a publication was being handled.
    pub async fn loops_of(&self, cause: PublicationId) -> Result<Vec<Looped>, Error> {
        self.read(move |db| {
            let mut query = db.prepare_cached("SELECT * FROM loops WHERE cause = ?1 ORDER BY row")?;
            Ok(query.query_map([cause.to_string()], looped)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What was last not published since a time, one of each action.
    pub async fn loops_since(&self, since: i64) -> Result<Vec<Looped>, Error> {
        self.read(move |db| {
            let query = "SELECT cause, action, hops, max(time) AS time FROM loops WHERE time >= ?1 GROUP BY action";
            Ok(db.prepare_cached(query)?.query_map([since], looped)?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Ends of loops that are remembered: enough to find the last of each.
const MOST_LOOPS: u64 = 1_000;

fn looped(row: &Row<'_>) -> rusqlite::Result<Looped> {
    Ok(Looped {
        cause: parsed(row, "cause")?,
        action: parsed(row, "action")?,
        hops: u8::try_from(unsigned(row, "hops")?).unwrap_or(u8::MAX),
        time: row.get("time")?,
    })
}

#[cfg(test)]
mod tests {
    use coattail::wire::fate::Reaching;

    use super::*;
    use crate::store::testing::{action, raw, rows, store, subscription, token};
    use crate::store::{Draft, Subscription};

    #[tokio::test]
    async fn what_was_published_because_of_what_is_found() {
        let store = store();
        let cause = PublicationId::new();
        let draft = |log| Draft::new(action(log), raw("1"), 5);
        let drafts = vec![draft("a"), draft("b").caused_by(cause, 3), draft("a").caused_by(cause, 3)];
        let all = store.append_all(drafts).await.unwrap();
        let made = store.caused_by(cause, 9).await.unwrap();
        assert_eq!(made.iter().map(|made| made.id).collect::<Vec<_>>(), [all[1].id, all[2].id]);
        assert_eq!(store.caused_by(cause, 1).await.unwrap().len(), 1);
        assert_eq!(store.listed(all[1].id).await.unwrap().as_ref(), Some(&made[0]));
        assert_eq!(store.listed(cause).await.unwrap(), None);
        let text = all[0].id.to_string();
        assert_eq!(store.ids_that_begin(text.clone(), 9).await.unwrap(), [all[0].id]);
        assert_eq!(store.ids_that_begin(text[..8].to_owned(), 9).await.unwrap().len(), 3);
        assert_eq!(store.ids_that_begin("%".to_owned(), 9).await.unwrap(), []);
    }

    #[tokio::test]
    async fn who_subscribes_later_was_not_subscribed_then() {
        let store = store();
        let token = token(None);
        let id = token.id;
        store.add_token(token).await.unwrap();
        for (name, created) in [("early", 4), ("late", 6)] {
            let subscription = Subscription { created, ..subscription(name, "a", id) };
            store.add_subscription(subscription).await.unwrap();
        }
        let publication = Draft::new(action("a"), raw("1"), 5);
        let publication = store.append(publication).await.unwrap().id;
        let then = store.subscribed_at(publication, 9).await.unwrap();
        assert_eq!(then.iter().map(|state| state.subscription.created).collect::<Vec<_>>(), [4]);
        let reaching = async || store.reaching(action("a"), publication).await.unwrap();
        assert_eq!(reaching().await, Some(Reaching { subscribers: 1, stored: 0, paused: 0 }));
        assert_eq!(store.lacking(publication, 9).await.unwrap(), [then[0].subscription.id]);
        store.pause_subscriber(then[0].subscription.id, true).await.unwrap();
        assert_eq!(reaching().await, Some(Reaching { subscribers: 1, stored: 0, paused: 1 }));
        store.advance_cursors(vec![(then[0].subscription.id, 1)]).await.unwrap();
        assert_eq!(reaching().await, Some(Reaching { subscribers: 1, stored: 1, paused: 0 }));
        assert_eq!(store.reaching(action("b"), publication).await.unwrap(), None);
        assert_eq!(store.lacking(publication, 9).await.unwrap(), []);
    }

    #[tokio::test]
    async fn the_ends_of_loops_are_counted_and_the_last_are_remembered() {
        let store = store();
        let looped = |time| Looped { cause: PublicationId::new(), action: action("a"), hops: 17, time };
        let first = looped(1);
        for _ in 0..2 {
            store.note_loop(first.clone()).await.unwrap();
        }
        assert_eq!(store.loops_of(first.cause).await.unwrap(), std::slice::from_ref(&first));
        for time in 2..MOST_LOOPS as i64 + 3 {
            store.note_loop(looped(time)).await.unwrap();
        }
        assert_eq!(store.loops_of(first.cause).await.unwrap(), []);
        assert!(rows(&store, "loops").await <= MOST_LOOPS as i64);
        assert_eq!(store.counts().await.unwrap().looped, MOST_LOOPS + 3);
        let last = store.loops_since(0).await.unwrap();
        assert_eq!((last.len(), last[0].time), (1, MOST_LOOPS as i64 + 2));
        assert_eq!(store.loops_since(i64::MAX).await.unwrap(), []);
    }
}
