use coattail::address::PeerAddress;
use coattail::id::IssuerHash;
use coattail::secret::Secret;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::parsed;
use super::{Error, Store};
use crate::keys::rotation::Link;

/// What is known of another instance beside the tokens that it issued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// Where our owner says that it is reached.
    pub by_hand: Vec<PeerAddress>,
    /// Where it says itself that it is reached.
    pub addresses: Vec<PeerAddress>,
    /// The certificate (PEM) that it says to present.
    pub certificate: Option<String>,
    /// Whether it has to be told where we are, and with which keys.
    pub untold: bool,
}

/// An identity of another instance that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The identity that was next.
    pub new: IssuerHash,
    /// The text of the old public key file.
    pub old_key: String,
}

impl Store {
    /// What is known of an instance.
    pub async fn remote(&self, issuer: IssuerHash) -> Result<Remote, Error> {
        let query = "SELECT * FROM remotes WHERE issuer = ?1";
        self.read(move |db| {
            let found = db.prepare_cached(query)?.query_row([issuer.to_string()], remote).optional()?;
            Ok(found.unwrap_or_default())
        })
        .await
    }

    /// An instance says where it is. Only of those is it kept that are a peer or a subscriber, so that nobody can fill
    /// the table.
    pub async fn set_whereabouts(
        &self,
        issuer: IssuerHash,
        addresses: Vec<PeerAddress>,
        certificate: Option<String>,
    ) -> Result<(), Error> {
        self.write(move |group| {
            group
                .db()
                .prepare_cached(
                    "INSERT INTO remotes (issuer, addresses, certificate) SELECT ?1, ?2, ?3
                     WHERE EXISTS (SELECT 1 FROM peers WHERE issuer = ?1)
                         OR EXISTS (SELECT 1 FROM subscriptions WHERE issuer = ?1)
                     ON CONFLICT (issuer) DO UPDATE
                     SET addresses = excluded.addresses, certificate = excluded.certificate",
                )?
                .execute(params![issuer.to_string(), written(&addresses), certificate])?;
            Ok(())
        })
        .await
    }

    /// Our owner says where an instance is.
    pub async fn set_addresses_by_hand(&self, issuer: IssuerHash, addresses: Vec<PeerAddress>) -> Result<(), Error> {
        self.write(move |group| {
            let upsert = "INSERT INTO remotes (issuer, by_hand) VALUES (?1, ?2)
                          ON CONFLICT (issuer) DO UPDATE SET by_hand = excluded.by_hand";
            group.db().prepare_cached(upsert)?.execute(params![issuer.to_string(), written(&addresses)])?;
            Ok(())
        })
        .await
    }

    /// Where others are told that we are, from now on. If that is new, every peer and subscriber has to be told.
    pub async fn advertise(&self, whereabouts: String) -> Result<(), Error> {
        self.write(move |group| {
            let db = group.db();
            let query = "SELECT whereabouts FROM advertised";
            let before: Option<String> = db.prepare_cached(query)?.query_row([], |row| row.get(0)).optional()?;
            if before.as_deref() == Some(&whereabouts) {
                return Ok(());
            }
            db.prepare_cached("INSERT OR REPLACE INTO advertised (only, whereabouts) VALUES (0, ?1)")?
                .execute([whereabouts])?;
            // The first time, there is nothing that anybody could know otherwise but by our tokens.
            if before.is_some() { all_untold(db) } else { Ok(()) }
        })
        .await
    }

    /// Who has to be told, with every token by which they might be reached: that of a peer first.
    pub async fn untold(&self) -> Result<Vec<(IssuerHash, Vec<Secret>)>, Error> {
        self.read(|db| {
            let query = "SELECT issuer, jwt FROM remotes JOIN
                             (SELECT issuer, jwt, 0 AS place FROM peers
                              UNION ALL SELECT issuer, jwt, 1 FROM subscriptions) USING (issuer)
                         WHERE untold ORDER BY issuer, place";
            let mut query = db.prepare_cached(query)?;
            let mut rows = query.query([])?;
            let mut untold: Vec<(IssuerHash, Vec<Secret>)> = Vec::new();
            while let Some(row) = rows.next()? {
                let (issuer, jwt) = (parsed(row, "issuer")?, Secret::from(row.get::<_, String>("jwt")?));
                match untold.last_mut() {
                    Some((last, tokens)) if *last == issuer => tokens.push(jwt),
                    _ => untold.push((issuer, vec![jwt])),
                }
            }
            Ok(untold)
        })
        .await
    }

    /// An instance was told.
    pub async fn told(&self, issuer: IssuerHash) -> Result<(), Error> {
        self.write(move |group| {
            let query = "UPDATE remotes SET untold = 0 WHERE issuer = ?1 AND untold";
            group.db().prepare_cached(query)?.execute([issuer.to_string()])?;
            Ok(())
        })
        .await
    }

    /// Instances have replaced their identity: what was theirs is theirs, under the new key. All of it or nothing.
    ///
    /// The tokens stay as they are: who they are from and for is decided by our rows.
    pub async fn follow(&self, links: Vec<Link>) -> Result<(), Error> {
        self.write(move |group| links.iter().try_for_each(|link| follow(group.db(), link))).await
    }

    /// What became of an identity, if it was replaced.
    pub async fn followed(&self, old: IssuerHash) -> Result<Option<Followed>, Error> {
        let query = "SELECT * FROM followed WHERE old = ?1";
        self.read(move |db| {
            let found = |row: &Row<'_>| Ok(Followed { new: parsed(row, "new")?, old_key: row.get("old_key")? });
            Ok(db.prepare_cached(query)?.query_row([old.to_string()], found).optional()?)
        })
        .await
    }
}

fn follow(db: &Connection, link: &Link) -> Result<(), Error> {
    let (old, new) = (link.old.issuer().to_string(), link.new.issuer().to_string());
    let mut changed = 0;
    // Where both are known, the old one stays behind: it can be seen and removed, and serves nobody any more.
    for query in [
        "UPDATE OR IGNORE peers SET issuer = ?2 WHERE issuer = ?1",
        "UPDATE OR IGNORE subscriptions SET issuer = ?2 WHERE issuer = ?1",
        "UPDATE inbox_cursors SET publisher = ?2 WHERE publisher = ?1",
        "UPDATE OR REPLACE remotes SET issuer = ?2 WHERE issuer = ?1",
    ] {
        changed += db.prepare_cached(query)?.execute([&old, &new])?;
    }
    // What is addressed to it, and not delivered yet. The condition is that of the index.
    for query in [
        "UPDATE publications SET audience = replace(audience, ?1, ?2) WHERE audience IS NOT NULL AND instr(audience, ?1)",
        "UPDATE scheduled SET audience = replace(audience, ?1, ?2) WHERE instr(audience, ?1)",
    ] {
        db.prepare_cached(query)?.execute([&old, &new])?;
    }
    let query = "UPDATE validation_tokens SET issuer = ?2, public_key = ?3 WHERE issuer = ?1";
    changed += db.prepare_cached(query)?.execute([&old, &new, link.new.pem()])?;
    // Of whom nothing is known, nothing is kept.
    if changed > 0 {
        let query = "INSERT OR REPLACE INTO followed (old, new, old_key) VALUES (?1, ?2, ?3)";
        db.prepare_cached(query)?.execute([&old, &new, link.old.pem()])?;
    }
    Ok(())
}

/// Every peer and subscriber has to be told where we are, and with which keys.
pub(super) fn all_untold(db: &Connection) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO remotes (issuer, untold)
         SELECT issuer, 1 FROM (SELECT issuer FROM peers UNION SELECT issuer FROM subscriptions) WHERE true
         ON CONFLICT (issuer) DO UPDATE SET untold = 1",
    )?
    .execute([])?;
    Ok(())
}

/// Addresses have no spaces.
fn written(addresses: &[PeerAddress]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn remote(row: &Row<'_>) -> rusqlite::Result<Remote> {
    let addresses = |column: &str| {
        let text: Option<String> = row.get(column)?;
        // Ours to write; what an older version cannot read is passed over.
        Ok::<_, rusqlite::Error>(text.unwrap_or_default().split(' ').filter_map(|text| text.parse().ok()).collect())
    };
    Ok(Remote {
        by_hand: addresses("by_hand")?,
        addresses: addresses("addresses")?,
        certificate: row.get("certificate")?,
        untold: row.get("untold")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Identity;
    use crate::store::testing::{action, hold, issuer, store, subscription, token, validation};
    use crate::store::{InboxLane, Peer};

    fn links(of: &[&Identity]) -> Vec<Link> {
        let link = |pair: &[&Identity]| Link { old: pair[0].public().clone(), new: pair[1].public().clone() };
        of.windows(2).map(link).collect()
    }

    fn addresses(texts: &[&str]) -> Vec<PeerAddress> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn whoever_is_followed_keeps_everything() {
        let store = store();
        let [a, b, c] = [(); 3].map(|()| Identity::generate());
        let held = hold(&store, a.public_pem(), "log", "receiver").await;
        let peer = store.peer_of_issuer(a.issuer()).await.unwrap().unwrap();
        let with = token(None);
        store.add_token(with.clone()).await.unwrap();
        store.add_subscription(subscription(a.public_pem(), "log", with.id)).await.unwrap();
        store.add_subscription(subscription("another", "log", with.id)).await.unwrap();
        store.set_addresses_by_hand(a.issuer(), addresses(&["net:h:1"])).await.unwrap();

        store.follow(links(&[&a, &b, &c])).await.unwrap();
        assert_eq!(store.peer(peer.id).await.unwrap(), Some(Peer { issuer: c.issuer(), ..peer }));
        assert_eq!(store.subscriptions_of(a.issuer()).await.unwrap(), []);
        assert_eq!(store.subscriptions_of(c.issuer()).await.unwrap().len(), 1);
        assert_eq!(store.subscriptions_of(issuer("another")).await.unwrap().len(), 1);
        let validation = store.token(held).await.unwrap().unwrap().held.unwrap().validation;
        assert_eq!(store.validations_of_key(c.public_pem().to_owned()).await.unwrap(), [validation]);
        assert_eq!(store.validations_of_key(a.public_pem().to_owned()).await.unwrap(), []);
        assert_eq!(store.remote(c.issuer()).await.unwrap().by_hand, addresses(&["net:h:1"]));
        let followed = |of: &Identity| store.followed(of.issuer());
        assert_eq!(followed(&a).await.unwrap().unwrap().new, b.issuer());
        assert_eq!(followed(&b).await.unwrap().unwrap().old_key, b.public_pem());
        assert_eq!(followed(&c).await.unwrap(), None);
        let lane = InboxLane {
            subscription: held,
            publisher: c.issuer(),
            action: action("log"),
            receiver: "receiver".parse().unwrap(),
        };
        assert!(store.subscriptions_with_waiting().await.unwrap().iter().all(|found| *found == lane));
    }

    #[tokio::test]
    async fn of_strangers_nothing_is_kept_and_of_two_rows_one() {
        let store = store();
        let [a, b, c] = [(); 3].map(|()| Identity::generate());
        store.follow(links(&[&a, &b])).await.unwrap();
        assert_eq!(store.followed(a.issuer()).await.unwrap(), None);
        store.set_whereabouts(a.issuer(), addresses(&["net:h:1"]), None).await.unwrap();
        assert_eq!(store.remote(a.issuer()).await.unwrap(), Remote::default());

        for known in [&b, &c] {
            store.add_validation(validation(known.public_pem(), None)).await.unwrap();
            hold(&store, known.public_pem(), "log", "receiver").await;
        }
        store.follow(links(&[&b, &c])).await.unwrap();
        assert!(store.peer_of_issuer(b.issuer()).await.unwrap().is_some(), "it can still be removed");
        assert!(store.peer_of_issuer(c.issuer()).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn what_is_known_of_a_peer_goes_with_it() {
        let store = store();
        hold(&store, "them", "a", "r").await;
        store.set_whereabouts(issuer("them"), addresses(&["net:h:1", "net:[::1]:2~tls"]), None).await.unwrap();
        store.set_addresses_by_hand(issuer("them"), addresses(&["net:i:1"])).await.unwrap();
        let known = store.remote(issuer("them")).await.unwrap();
        assert_eq!(known.addresses, addresses(&["net:h:1", "net:[::1]:2~tls"]));
        assert_eq!(known.by_hand, addresses(&["net:i:1"]));
        let id = store.peer_of_issuer(issuer("them")).await.unwrap().unwrap().id;
        store.remove_peer(id).await.unwrap();
        assert_eq!(store.remote(issuer("them")).await.unwrap(), Remote::default());
    }

    #[tokio::test]
    async fn everybody_is_told_once_of_each_move() {
        let store = store();
        let them = hold(&store, "them", "a", "r").await;
        assert!(store.token(them).await.unwrap().is_some());
        let untold = async || store.untold().await.unwrap().into_iter().map(|(issuer, _)| issuer).collect::<Vec<_>>();
        store.advertise("here".to_owned()).await.unwrap();
        assert_eq!(untold().await, [], "our tokens say so");
        store.advertise("there".to_owned()).await.unwrap();
        assert_eq!(untold().await, [issuer("them")]);
        store.told(issuer("them")).await.unwrap();
        store.advertise("there".to_owned()).await.unwrap();
        assert_eq!(untold().await, []);
    }
}
