use coattail::wire::Failure;
use coattail::wire::doctor::{Finding, Level};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use jiff::Timestamp;

use super::expiry::Ending;
use super::finding::{Area, timed};
use crate::session::Sessions;
use crate::store::{Peer, Store};
use crate::tokens::inspect;

const AREA: Area = Area("peers");

/// Peers that are dialled at once, each at all of its addresses, of which there are at most sixteen.
const AT_ONCE: usize = 8;

/// Every peer at each of its addresses.
pub(super) async fn check(store: &Store, sessions: &Sessions, now: Timestamp) -> Vec<Finding> {
    match store.peers().await {
        Err(error) => vec![AREA.failed("all", error)],
        Ok(peers) if peers.is_empty() => vec![AREA.ok("all", "there are none")],
        Ok(peers) => {
            let each = peers.into_iter().map(|peer| one(sessions, peer, now));
            let found: Vec<Vec<Finding>> = stream::iter(each).buffered(AT_ONCE).collect().await;
            found.into_iter().flatten().collect()
        }
    }
}

async fn one(sessions: &Sessions, peer: Peer, now: Timestamp) -> Vec<Finding> {
    let subject = peer.id.to_string();
    let target = match sessions.target(&peer.jwt, peer.issuer).await {
        Ok(target) => target,
        Err(failure) => return vec![AREA.failed(subject, failure)],
    };
    let ending = Ending { area: AREA, ended: Level::Failure, hint: "ask its owner for a new token" };
    // `Target` could read it, so it can be read.
    let expires = inspect(peer.jwt.reveal()).ok().and_then(|token| token.into_claims().validity.expires);
    let mut findings: Vec<Finding> =
        ending.check(format!("the token of {subject}"), expires, now).into_iter().collect();
    if target.dialer.addresses.is_empty() {
        findings.push(AREA.failure(subject, "its token names no address", "ask its owner for a new token"));
        return findings;
    }
    let tried = join_all(
        target
            .dialer
            .addresses
            .iter()
            .map(async |address| (format!("{subject} at {address}"), sessions.try_address(&target, address).await)),
    );
    let tried = tried.await;
    let reached = tried.iter().any(|(_, outcome)| outcome.is_ok());
    findings.extend(tried.into_iter().map(|(subject, outcome)| match outcome {
        Ok(took) => timed(AREA.ok(subject, "has let us in"), took),
        Err(failure) => unreached(subject, failure, reached),
    }));
    findings
}

/// One address of several may fail: the others are tried.
fn unreached(subject: String, failure: Failure, elsewhere: bool) -> Finding {
    let finding = AREA.failed(subject, failure);
    let level = if elsewhere { Level::Warning } else { Level::Failure };
    Finding { level, ..finding }
}
