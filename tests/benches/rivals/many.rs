//! Subscriptions in numbers that nobody would make one by one.

use coattail::id::{IssuerHash, SubscriptionId};
use coattail_tests::{Cluster, Instance, plugin};
use rusqlite::{Connection, params};

use crate::load::unlimited;

/// A publisher whose action `log` has one subscriber, which is offline.
pub(super) fn publisher_of_one() -> Instance {
    let publisher = super::publish::publisher();
    let grants = ["--performable", "[\"*\"]", "--publishable", "[\"*\"]", "--subscribable", "[\"*\"]"];
    let cluster = Cluster::of(publisher, unlimited("subscriber"), &grants);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::ECHO_SH);
    cluster.subscribe("log", "keep");
    let Cluster { publisher, mut subscriber, .. } = cluster;
    subscriber.stop();
    publisher
}

/// Has so many subscribers hold a subscription like the first one, each with a key of its own, by rows in the database.
/// The service is started again. `behind` is how many publications each lacks.
pub(super) fn multiply(instance: &mut Instance, action: &str, most: u32, behind: u32) {
    instance.stop();
    let mut db = Connection::open(instance.path("data.db")).expect("it is a database");
    let group = db.transaction().expect("nobody else writes");
    let there: u32 = group.query_row("SELECT count(*) FROM subscriptions", [], |row| row.get(0)).expect("a count");
    let copy = "INSERT INTO subscriptions (id, issuer, jwt, action, receiver, authentication_token, cursor, created)
                SELECT ?1, ?2, jwt, ?3, receiver, authentication_token,
                    coalesce((SELECT head FROM logs WHERE logs.action = ?3), 0) - ?4, created
                FROM subscriptions LIMIT 1";
    {
        let mut copy = group.prepare(copy).expect("the tables are these");
        for number in there..most {
            let issuer = IssuerHash::of_public_key(&format!("subscriber {number}"));
            let key = params![SubscriptionId::new().to_string(), issuer.to_string(), action, behind];
            copy.execute(key).expect("a row");
        }
    }
    group.commit().expect("the disk takes it");
    drop(db);
    instance.start();
}
