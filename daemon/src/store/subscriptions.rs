use std::collections::HashMap;

use coattail::filter::Filter;
use coattail::id::{IssuerHash, SubscriptionId, TokenId};
use coattail::name::{ActionName, ReceiverName};
use coattail::secret::Secret;
use coattail::wire::peer::Reached;
use rusqlite::{OptionalExtension as _, Row, params};

use super::columns::{parsed, parsed_if_any, signed, unsigned};
use super::epochs::reach;
use super::group::Group;
use super::stretch::Reader;
use super::{Error, Store};

/// A subscription that a remote instance holds here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The `jti` of the subscription token, the same at both ends.
    pub id: SubscriptionId,
    /// The subscriber.
    pub issuer: IssuerHash,
    /// The subscription token: with it we may deliver.
    pub jwt: Secret,
    /// To what.
    pub action: ActionName,
    /// Who handles it there.
    pub receiver: ReceiverName,
    /// Which publications; absent: all.
    pub filter: Option<Filter>,
    /// The token with which it was made, and with which it ends.
    pub authentication_token: TokenId,
    /// When it was made, in milliseconds.
    pub created: i64,
}

/// A subscription, and how far it has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionState {
    /// Which one.
    pub subscription: Subscription,
    /// The subscriber has stored everything up to this sequence, but for what retention removed before.
    pub cursor: u64,
    /// The epoch of that sequence.
    pub epoch: i64,
    /// How many publications are left to deliver.
    pub lag: u64,
    /// How many the subscriber has stored that are not in the log any more.
    pub ahead: u64,
    /// Why the last delivery failed; `None` once one has succeeded.
    pub last_error: Option<String>,
    /// Whether the owner wants nothing to be delivered for now.
    pub paused: bool,
}

/// A subscription of a lane, as far as a round of deliveries needs it: the token is needed by a dial only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Which one.
    pub id: SubscriptionId,
    /// As in [`SubscriptionState`].
    pub cursor: u64,
    /// The epoch of that sequence.
    pub epoch: i64,
    /// As in [`SubscriptionState`].
    pub lag: u64,
    /// As in [`SubscriptionState`].
    pub paused: bool,
}

/// How far a subscriber has got.
#[derive(Debug, Clone, Copy)]
pub struct Advance {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// Up to which sequence it has stored what is for it.
    pub to: u64,
    /// How many of the sequences on the way were not for it.
    pub skipped: u64,
    /// How many of those because their time was over.
    pub expired: u64,
}

/// All of it was stored.
impl From<(SubscriptionId, u64)> for Advance {
    fn from((subscription, to): (SubscriptionId, u64)) -> Self {
        Self { subscription, to, skipped: 0, expired: 0 }
    }
}

/// What the word of a subscriber has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetBack {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// By how many sequences the cursor went back: the subscriber was restored from a backup.
    pub by: u64,
    /// As in [`SubscriptionState`]: this database was restored.
    pub ahead: u64,
}

impl Store {
    /// Stores a subscription, which begins after the last publication of the log, and returns that sequence. There is
    /// one per action, subscriber and receiver.
    pub async fn add_subscription(&self, subscription: Subscription) -> Result<u64, Error> {
        self.write(move |group| insert(group, &subscription)).await
    }

    /// One subscription.
    pub async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionState>, Error> {
        Ok(self.states("subscriptions.id = ?1", Some(id.to_string())).await?.pop())
    }

    /// Every subscription, those made first first.
    pub async fn subscriptions(&self) -> Result<Vec<SubscriptionState>, Error> {
        self.states("true", None).await
    }

    /// Those to one action.
    pub async fn subscriptions_to(&self, action: ActionName) -> Result<Vec<SubscriptionState>, Error> {
        self.states("subscriptions.action = ?1", Some(action.to_string())).await
    }

    /// Those of one subscriber.
    pub async fn subscriptions_of(&self, issuer: IssuerHash) -> Result<Vec<SubscriptionState>, Error> {
        self.states("subscriptions.issuer = ?1", Some(issuer.to_string())).await
    }

    /// Who is subscribed to what; or of those only who lacks something.
    pub async fn readers(&self, behind: bool) -> Result<Vec<Reader>, Error> {
        self.read(move |db| {
            let query = "SELECT DISTINCT issuer, subscriptions.action AS action, filter
                         FROM subscriptions LEFT JOIN logs ON logs.action = subscriptions.action
                         WHERE NOT ?1 OR cursor < head";
            let reader = |row: &Row<'_>| {
                let filter = parsed_if_any(row, "filter")?;
                Ok(Reader { subscriber: parsed(row, "issuer")?, action: parsed(row, "action")?, filter })
            };
            Ok(db.prepare_cached(query)?.query_map([behind], reader)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Those of one subscriber to one action that want the same of it.
    pub async fn members(
        &self,
        issuer: IssuerHash,
        action: ActionName,
        filter: Option<Filter>,
    ) -> Result<Vec<Member>, Error> {
        self.read(move |db| {
            let query = format!(
                "SELECT subscriptions.id, cursor, paused, {PROGRESS}
                 FROM subscriptions LEFT JOIN logs ON logs.action = subscriptions.action
                 WHERE subscriptions.issuer = ?1 AND subscriptions.action = ?2 AND subscriptions.filter IS ?3
                 ORDER BY created, subscriptions.id"
            );
            let mut query = db.prepare_cached(&query)?;
            let key = params![issuer.to_string(), action.as_str(), filter.as_ref().map(Filter::as_str)];
            Ok(query.query_map(key, member)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Moves cursors forward to what subscribers have stored; never backwards and never beyond the log. Those that
    /// have ended meanwhile are passed over. Clears the last error. Lazily: what was stored is recognised if it is sent
    /// again.
    pub async fn advance_cursors<A>(&self, stored: Vec<A>) -> Result<(), Error>
    where
        A: Into<Advance> + Send + 'static,
    {
        self.write_lazily(move |group| stored.into_iter().try_for_each(|one| advance(group, one.into()))).await
    }

    /// Moves cursors back to what subscribers say that they have, never forward. What a subscriber has and the log
    /// does not is remembered. Returns those for which something has changed.
    pub async fn set_back(&self, reached: Vec<Reached>) -> Result<Vec<SetBack>, Error> {
        self.write(move |group| reached.iter().filter_map(|reached| set_back(group, reached).transpose()).collect())
            .await
    }

    /// Remembers how many publications a subscriber has that are not in the log any more. Returns whether it is news.
    pub async fn note_ahead(&self, id: SubscriptionId, count: u64) -> Result<bool, Error> {
        self.write(move |group| {
            let query = "UPDATE subscriptions SET ahead = ?2 WHERE id = ?1 AND ahead < ?2";
            let changed = group.db().prepare_cached(query)?.execute(params![id.to_string(), signed(count)])?;
            Ok(changed == 1)
        })
        .await
    }

    /// From now on nothing is delivered for it, or again. Returns how it is then.
    pub async fn pause_subscriber(&self, id: SubscriptionId, paused: bool) -> Result<Subscription, Error> {
        self.write(move |group| {
            let query = "UPDATE subscriptions SET paused = ?2 WHERE id = ?1 RETURNING *";
            let changed = group.db().prepare_cached(query)?.query_row(params![id.to_string(), paused], subscription);
            changed.optional()?.ok_or(Error::Missing("subscription"))
        })
        .await
    }

    /// When the first publication was accepted, in milliseconds, that each subscription lacks.
    pub async fn behind_since(&self) -> Result<HashMap<SubscriptionId, i64>, Error> {
        self.read(|db| {
            let query = "SELECT subscriptions.id, time FROM subscriptions JOIN logs USING (action) JOIN publications p
                         ON (p.log, p.sequence) = (logs.id, max(cursor + 1, oldest))";
            let behind = |row: &Row<'_>| Ok((parsed(row, "id")?, row.get("time")?));
            Ok(db.prepare_cached(query)?.query_map([], behind)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Ends a subscription.
    pub async fn remove_subscription(&self, id: SubscriptionId) -> Result<Subscription, Error> {
        self.write(move |group| {
            let query = "DELETE FROM subscriptions WHERE id = ?1 RETURNING *";
            let removed = group.db().prepare_cached(query)?.query_row([id.to_string()], subscription).optional()?;
            removed.ok_or(Error::Missing("subscription"))
        })
        .await
    }

    /// Keeps why the last delivery to these failed. Lazily: after a crash it fails again.
    pub async fn set_last_error(&self, ids: Vec<SubscriptionId>, error: String) -> Result<(), Error> {
        self.write_lazily(move |group| {
            let query = "UPDATE subscriptions SET last_error = ?2 WHERE id = ?1 AND last_error IS NOT ?2";
            let mut query = group.db().prepare_cached(query)?;
            ids.iter().try_for_each(|id| query.execute([&id.to_string(), &error]).map(drop))?;
            Ok(())
        })
        .await
    }

    pub(super) async fn states(
        &self,
        condition: &'static str,
        key: Option<String>,
    ) -> Result<Vec<SubscriptionState>, Error> {
        self.read(move |db| {
            let query = format!(
                "SELECT subscriptions.*, {PROGRESS}
                 FROM subscriptions LEFT JOIN logs ON logs.action = subscriptions.action
                 WHERE {condition} ORDER BY created, subscriptions.id"
            );
            let mut query = db.prepare_cached(&query)?;
            Ok(query.query_map(rusqlite::params_from_iter(key), state)?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn insert(group: &mut Group<'_>, subscription: &Subscription) -> Result<u64, Error> {
    let Subscription { id, issuer, jwt, action, receiver, filter, authentication_token, created } = subscription;
    let db = group.db();
    let (id, issuer) = (id.to_string(), issuer.to_string());
    let known = "SELECT 1 FROM subscriptions WHERE id = ?1 OR (action = ?2 AND issuer = ?3 AND receiver = ?4)";
    if db.prepare_cached(known)?.exists(params![id, action.as_str(), issuer, receiver.as_str()])? {
        return Err(Error::Exists("the subscription"));
    }
    // With what this group appended before: the subscription begins after it.
    let cursor = group.appends.head(db, action)?;
    db.prepare_cached(
        "INSERT INTO subscriptions (id, issuer, jwt, action, receiver, authentication_token, cursor, created, filter)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        id,
        issuer,
        jwt.reveal(),
        action.as_str(),
        receiver.as_str(),
        authentication_token.to_string(),
        signed(cursor),
        created,
        filter.as_ref().map(Filter::as_str)
    ])
    .map_err(|error| match error {
        // It was revoked while the subscription was being made.
        error if Error::is_constraint(&error) => Error::Missing("authentication token"),
        error => error.into(),
    })?;
    Ok(cursor)
}

fn advance(group: &mut Group<'_>, advance: Advance) -> Result<(), Error> {
    let Advance { subscription: id, to: stored, skipped, expired } = advance;
    let db = group.db();
    let place = "SELECT cursor, head, oldest, last_error IS NOT NULL AS failed
                 FROM subscriptions JOIN logs USING (action) WHERE subscriptions.id = ?1";
    let place = db.prepare_cached(place)?.query_row([id.to_string()], |row| {
        Ok((unsigned(row, "cursor")?, unsigned(row, "head")?, unsigned(row, "oldest")?, row.get::<_, bool>("failed")?))
    });
    let Some((cursor, head, oldest, failed)) = place.optional()? else { return Ok(()) };
    let moved = stored.min(head).max(cursor);
    if moved == cursor && !failed {
        return Ok(());
    }
    db.prepare_cached("UPDATE subscriptions SET cursor = ?2, last_error = NULL WHERE id = ?1")?
        .execute(params![id.to_string(), signed(moved)])?;
    // What retention removed before it was delivered does not count.
    let delivered = moved.saturating_sub(cursor.max(oldest - 1)).saturating_sub(skipped);
    group.tally.delivered += signed(delivered);
    group.tally.expired += signed(expired);
    Ok(())
}

fn set_back(group: &mut Group<'_>, reached: &Reached) -> Result<Option<SetBack>, Error> {
    let db = group.db();
    let Reached { subscription: id, place } = *reached;
    let log = "SELECT cursor, ahead, filter IS NOT NULL AS filtered, logs.id AS log, coalesce(head, 0) AS head, coalesce(oldest, 1) AS oldest
               FROM subscriptions LEFT JOIN logs USING (action) WHERE subscriptions.id = ?1";
    let log = db.prepare_cached(log)?.query_row([id.to_string()], |row| {
        let numbers = (unsigned(row, "cursor")?, unsigned(row, "ahead")?);
        let log = (row.get::<_, Option<i64>>("log")?, row.get::<_, bool>("filtered")?);
        Ok((numbers, log, unsigned(row, "head")?, unsigned(row, "oldest")?))
    });
    let Some(((cursor, ahead_before), (log, filtered), head, oldest)) = log.optional()? else { return Ok(None) };
    let reach = log.map_or(Ok(0), |log| reach(db, log, place.epoch, head))?;
    let now = cursor.min(place.sequence).min(reach);
    let ahead = place.sequence.saturating_sub(reach).max(ahead_before);
    if (now, ahead) == (cursor, ahead_before) {
        return Ok(None);
    }
    db.prepare_cached("UPDATE subscriptions SET cursor = ?2, ahead = ?3 WHERE id = ?1")?.execute(params![
        id.to_string(),
        signed(now),
        signed(ahead)
    ])?;
    // As far as it is sure that it was counted. What may have been skipped is counted twice if it is sent again.
    let limited = "SELECT count(*) FROM publications WHERE log = ?1 AND sequence > ?2 AND sequence <= ?3
                       AND (expires IS NOT NULL OR audience IS NOT NULL)";
    if !filtered && let Some(log) = log {
        let back = cursor.saturating_sub(now.max(oldest - 1));
        let key = params![log, signed(now), signed(cursor)];
        let limited: i64 = db.prepare_cached(limited)?.query_row(key, |row| row.get(0))?;
        group.tally.delivered -= signed(back) - limited;
    }
    Ok(Some(SetBack { subscription: id, by: cursor - now, ahead }))
}

fn member(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member {
        id: parsed(row, "id")?,
        cursor: unsigned(row, "cursor")?,
        epoch: row.get("epoch")?,
        lag: unsigned(row, "lag")?,
        paused: row.get("paused")?,
    })
}

fn state(row: &Row<'_>) -> rusqlite::Result<SubscriptionState> {
    Ok(SubscriptionState {
        subscription: subscription(row)?,
        cursor: unsigned(row, "cursor")?,
        epoch: row.get("epoch")?,
        lag: unsigned(row, "lag")?,
        ahead: unsigned(row, "ahead")?,
        last_error: row.get("last_error")?,
        paused: row.get("paused")?,
    })
}

pub(super) fn subscription(row: &Row<'_>) -> rusqlite::Result<Subscription> {
    Ok(Subscription {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer")?,
        jwt: row.get::<_, String>("jwt")?.into(),
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
        filter: parsed_if_any(row, "filter")?,
        authentication_token: parsed(row, "authentication_token")?,
        created: row.get("created")?,
    })
}

/// How far a subscription has got in its log, if that has begun.
const PROGRESS: &str = "coalesce(head - max(cursor, oldest - 1), 0) AS lag,
    coalesce((SELECT epoch FROM epochs WHERE epochs.log = logs.id AND first <= cursor
              ORDER BY first DESC LIMIT 1), 0) AS epoch";

#[cfg(test)]
mod tests {
    use super::*;
    use coattail::wire::Place;

    use crate::store::Database;
    use crate::store::testing::{Fixture, action, draft, issuer, signer, store, subscription, token};

    async fn store_with_token() -> (Fixture, TokenId) {
        let store = store();
        let token = token(None);
        let id = token.id;
        store.add_token(token).await.unwrap();
        (store, id)
    }

    #[tokio::test]
    async fn a_subscription_begins_at_the_head_and_its_cursor_never_goes_back() {
        let (store, token) = store_with_token().await;
        let early = subscription("early", "a", token);
        assert_eq!(store.add_subscription(early.clone()).await.unwrap(), 0);
        store.append_all((0..5).map(|_| draft("a", "1")).collect()).await.unwrap();
        let late = subscription("late", "a", token);
        assert_eq!(store.add_subscription(late.clone()).await.unwrap(), 5);

        for (stored, cursor) in [(2, 2), (1, 2), (0, 2), (4, 4), (4, 4), (99, 5)] {
            let moves = vec![(early.id, stored), (SubscriptionId::new(), 3)];
            store.advance_cursors(moves).await.unwrap();
            let state = store.subscription(early.id).await.unwrap().unwrap();
            assert_eq!((state.cursor, state.lag), (cursor, 5 - cursor), "after {stored}");
            assert_eq!(store.counts().await.unwrap().delivered, cursor);
        }
        let state = store.subscription(late.id).await.unwrap().unwrap();
        assert_eq!((state.cursor, state.lag, state.subscription), (5, 0, late));
        let member = Member { id: early.id, cursor: 5, epoch: state.epoch, lag: 0, paused: false };
        assert_eq!(store.members(early.issuer, action("a"), None).await.unwrap(), [member]);
        assert_eq!(store.members(early.issuer, action("b"), None).await.unwrap(), []);
    }

    #[tokio::test]
    async fn readers_are_told_apart_by_who_lacks_something() {
        let (store, token) = store_with_token().await;
        let filter: Option<Filter> = Some("/n".parse().unwrap());
        for one in [
            subscription("them", "a", token),
            Subscription { receiver: "other".parse().unwrap(), ..subscription("them", "a", token) },
            Subscription {
                receiver: "third".parse().unwrap(),
                filter: filter.clone(),
                ..subscription("them", "a", token)
            },
            subscription("them", "never", token),
        ] {
            store.add_subscription(one).await.unwrap();
        }
        let one = |to, filter| Reader { subscriber: issuer("them"), action: action(to), filter };
        let all = store.readers(false).await.unwrap();
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(store.readers(true).await.unwrap().is_empty());
        store.append(draft("a", "1")).await.unwrap();
        let behind = store.readers(true).await.unwrap();
        assert_eq!(behind.len(), 2, "{behind:?}");
        assert!([one("a", None), one("a", filter)].iter().all(|one| behind.contains(one)));
    }

    #[tokio::test]
    async fn what_was_skipped_is_not_counted_as_delivered() {
        let (store, token) = store_with_token().await;
        let one = Subscription { filter: Some("/n".parse().unwrap()), ..subscription("them", "a", token) };
        store.add_subscription(one.clone()).await.unwrap();
        store.append_all((0..5).map(|_| draft("a", "1")).collect()).await.unwrap();
        store.advance_cursors(vec![Advance { subscription: one.id, to: 5, skipped: 3, expired: 1 }]).await.unwrap();
        let state = store.subscription(one.id).await.unwrap().unwrap();
        assert_eq!((state.cursor, state.subscription), (5, one.clone()));
        let counts = async || store.counts().await.map(|counts| (counts.delivered, counts.expired)).unwrap();
        assert_eq!(counts().await, (2, 1));
        let place = store.place(action("a"), 1).await.unwrap();
        store.set_back(vec![Reached { subscription: one.id, place }]).await.unwrap();
        assert_eq!(counts().await, (2, 1), "nobody knows which of them were skipped");
    }

    #[tokio::test]
    async fn a_cursor_goes_back_to_what_the_subscriber_has_and_the_log_still_knows() {
        let (store, token) = store_with_token().await;
        let one = subscription("them", "a", token);
        store.add_subscription(one.clone()).await.unwrap();
        // Sequences 1 to 3 in one epoch, 4 and 5 in the next.
        store.append_all((0..3).map(|_| draft("a", "1")).collect()).await.unwrap();
        let first = store.place(action("a"), 1).await.unwrap().epoch;
        store.close().await;
        let store =
            Store::open(Database::open(&store.path).unwrap(), signer(), &store.path.with_extension("epoch")).unwrap();
        store.append_all((0..2).map(|_| draft("a", "1")).collect()).await.unwrap();
        let second = store.place(action("a"), 4).await.unwrap().epoch;
        for (epoch, sequence, cursor, ahead) in [
            (second, 5, 5, 0),
            (second, 4, 4, 0),
            (first, 2, 2, 0),
            (0, 0, 0, 0),
            // It has more of the first epoch than we know: the database was put back.
            (first, 7, 3, 4),
            // It was never told so, but what it has stays what it has.
            (second, 5, 5, 4),
            (second, 9, 5, 4),
            (second + 1, 10, 5, 5),
        ] {
            store.advance_cursors(vec![(one.id, 5)]).await.unwrap();
            let place = Place { epoch, sequence };
            store.set_back(vec![Reached { subscription: one.id, place }]).await.unwrap();
            let state = store.subscription(one.id).await.unwrap().unwrap();
            assert_eq!((state.cursor, state.ahead), (cursor, ahead), "{place:?}");
            assert_eq!(store.counts().await.unwrap().delivered, cursor);
        }
        let unknown = Reached { subscription: SubscriptionId::new(), place: Place { epoch: 0, sequence: 0 } };
        assert_eq!(store.set_back(vec![unknown]).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_subscription_begins_after_what_shares_its_transaction() {
        let (store, token) = store_with_token().await;
        let subscribe = || store.add_subscription(subscription("them", "a", token));
        let publish = || store.append(draft("a", "1"));
        let (first, cursor, second) = tokio::join!(publish(), subscribe(), publish());
        let (first, second) = (first.unwrap().sequence, second.unwrap().sequence);
        assert_eq!((first, cursor.unwrap(), second), (1, 1, 2));
    }

    #[tokio::test]
    async fn there_is_one_subscription_per_action_subscriber_and_receiver() {
        let (store, token) = store_with_token().await;
        let one = subscription("them", "a", token);
        store.add_subscription(one.clone()).await.unwrap();
        let again = store.add_subscription(subscription("them", "a", token)).await;
        assert!(matches!(again, Err(Error::Exists(_))));
        let revoked = store.add_subscription(subscription("them", "b", TokenId::new())).await;
        assert!(matches!(revoked, Err(Error::Missing(_))));
        store.add_subscription(subscription("them", "b", token)).await.unwrap();
        store.add_subscription(subscription("others", "a", token)).await.unwrap();

        assert_eq!(store.subscriptions().await.unwrap().len(), 3);
        assert_eq!(store.subscriptions_to(action("a")).await.unwrap().len(), 2);
        assert_eq!(store.subscriptions_of(issuer("them")).await.unwrap().len(), 2);
        assert_eq!(store.remove_subscription(one.id).await.unwrap(), one);
        assert!(matches!(store.remove_subscription(one.id).await, Err(Error::Missing(_))));
        assert!(store.subscription(one.id).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn who_is_behind_is_known_and_who_is_paused() {
        let (store, token) = store_with_token().await;
        let one = subscription("them", "a", token);
        store.add_subscription(one.clone()).await.unwrap();
        assert!(store.behind_since().await.unwrap().is_empty());
        store.append(draft("a", "1")).await.unwrap();
        store.append(draft("a", "2")).await.unwrap();
        assert_eq!(store.behind_since().await.unwrap(), HashMap::from([(one.id, 1000)]));
        store.advance_cursors(vec![(one.id, 2)]).await.unwrap();
        assert!(store.behind_since().await.unwrap().is_empty());

        for paused in [true, true, false] {
            assert_eq!(store.pause_subscriber(one.id, paused).await.unwrap(), one);
            assert_eq!(store.subscription(one.id).await.unwrap().unwrap().paused, paused);
        }
        assert!(matches!(store.pause_subscriber(SubscriptionId::new(), true).await, Err(Error::Missing(_))));
    }

    #[tokio::test]
    async fn the_last_error_lasts_until_a_delivery_succeeds() {
        let (store, token) = store_with_token().await;
        let one = subscription("them", "a", token);
        store.add_subscription(one.clone()).await.unwrap();
        store.append(draft("a", "1")).await.unwrap();
        store.set_last_error(vec![one.id], "unreachable".to_owned()).await.unwrap();
        let error = async || store.subscription(one.id).await.unwrap().unwrap().last_error;
        assert_eq!(error().await.as_deref(), Some("unreachable"));
        store.advance_cursors(vec![(one.id, 1)]).await.unwrap();
        assert_eq!(error().await, None);
    }
}
