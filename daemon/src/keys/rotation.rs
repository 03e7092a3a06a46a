//! One identity replaces another: a statement signed by both keys, and the chains that such statements form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::id::IssuerHash;
use coattail::wire::peer::Rotation;
use jiff::Timestamp;

use super::{Domain, Identity, PublicIdentity};

/// Separates these signatures from all others that the same keys make.
const DOMAIN: Domain = Domain::new("coattail identity rotation v1");

/// The longest chain that is sent or followed: each link costs whoever follows it two signatures.
pub const MAX_CHAIN: usize = 8;

/// States that `new` replaces `old`, until a moment after which nobody may follow any more.
pub fn state(old: &Identity, new: &Identity, since: Timestamp, until: Timestamp) -> Rotation {
    let (old_pem, new_pem) = (old.public_pem().to_owned(), new.public_pem().to_owned());
    let (since, until) = (since.as_millisecond(), until.as_millisecond());
    let bytes = signed_bytes(&old_pem, &new_pem, since, until);
    let sign = |key: &Identity| STANDARD.encode(key.sign(DOMAIN, &bytes));
    Rotation { by_old: sign(old), by_new: sign(new), old: old_pem, new: new_pem, since, until }
}

/// An identity that was replaced, and by which.
#[derive(Debug, Clone)]
pub struct Link {
    /// The key that was known.
    pub old: PublicIdentity,
    /// The key that is in its place.
    pub new: PublicIdentity,
}

/// Why nobody may take a key for the one that was known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// The statements do not lead from the known key to the presented one.
    #[error("no statement of rotation leads from the known key to this one")]
    NoChain,
    /// They do, and could be followed only until this moment.
    #[error("the key was replaced, and its successor could be followed until {until}")]
    Expired {
        /// The first end of a statement on the way.
        until: Timestamp,
    },
    /// A signature does not hold.
    #[error("the statement of rotation is not signed by both keys")]
    BadSignature,
}

/// The links from the identity that is known to the one that is presented, oldest first. Whether the private half of
/// `presented` is there has to be proven elsewhere.
pub fn follow(
    chain: &[Rotation],
    known: IssuerHash,
    presented: &PublicIdentity,
    now: Timestamp,
) -> Result<Vec<Link>, NotFollowed> {
    let links = trail(chain, presented)?;
    let from = links.iter().position(|(link, _)| link.old.issuer() == known).ok_or(NotFollowed::NoChain)?;
    links.into_iter().skip(from).map(|(link, statement)| checked(link, statement, now)).collect()
}

/// As much of a chain as can be followed to the identity that is presented, oldest first: what it may have been known
/// by.
pub fn former(chain: &[Rotation], presented: &PublicIdentity, now: Timestamp) -> Vec<Link> {
    let links = trail(chain, presented).unwrap_or_default();
    let newest_first = links.into_iter().rev().map_while(|(link, statement)| checked(link, statement, now).ok());
    let mut links: Vec<Link> = newest_first.collect();
    links.reverse();
    links
}

/// The statements that end in `presented`, each where the one before has ended. Nothing is verified yet.
fn trail<'a>(chain: &'a [Rotation], presented: &PublicIdentity) -> Result<Vec<(Link, &'a Rotation)>, NotFollowed> {
    if chain.len() > MAX_CHAIN {
        return Err(NotFollowed::NoChain);
    }
    let mut links = Vec::new();
    let mut new = presented.clone();
    let mut seen = vec![new.issuer()];
    for statement in chain.iter().rev() {
        if statement.new != new.pem() {
            break;
        }
        let Ok(old) = PublicIdentity::from_pem(&statement.old) else { break };
        // A loop leads nowhere: a key that was replaced does not come back.
        if seen.contains(&old.issuer()) {
            break;
        }
        seen.push(old.issuer());
        links.push((Link { old: old.clone(), new }, statement));
        new = old;
    }
    links.reverse();
    Ok(links)
}

fn checked(link: Link, statement: &Rotation, now: Timestamp) -> Result<Link, NotFollowed> {
    let until = Timestamp::from_millisecond(statement.until).map_err(|_| NotFollowed::NoChain)?;
    let bytes = signed_bytes(&statement.old, &statement.new, statement.since, statement.until);
    for (key, signature) in [(&link.old, &statement.by_old), (&link.new, &statement.by_new)] {
        let signature = STANDARD.decode(signature).map_err(|_| NotFollowed::BadSignature)?;
        key.verify(DOMAIN, &bytes, &signature).map_err(|_| NotFollowed::BadSignature)?;
    }
    if now < until { Ok(link) } else { Err(NotFollowed::Expired { until }) }
}

/// Each text behind its length, so that no two statements have the same bytes.
fn signed_bytes(old: &str, new: &str, since: i64, until: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(old.len() + new.len() + 32);
    for text in [old, new] {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.extend_from_slice(&since.to_be_bytes());
    bytes.extend_from_slice(&until.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn rotation(old: &Identity, new: &Identity) -> Rotation {
        state(old, new, at(0), at(100))
    }

    #[test]
    fn a_chain_is_followed_only_as_far_as_each_link_holds() {
        let [a, b, c, evil] = [(); 4].map(|()| Identity::generate());
        let (ab, bc) = (rotation(&a, &b), rotation(&b, &c));
        let forged = |change: fn(&mut Rotation, &Rotation)| {
            let (mut statement, evils) = (ab.clone(), rotation(&evil, &b));
            change(&mut statement, &evils);
            statement
        };
        let (no_chain, bad) = (NotFollowed::NoChain, NotFollowed::BadSignature);
        let expired = NotFollowed::Expired { until: at(100) };
        for (name, chain, known, presented, now, expected) in [
            ("one link", vec![ab.clone()], &a, &b, 99, Ok(1)),
            ("two links", vec![ab.clone(), bc.clone()], &a, &c, 0, Ok(2)),
            ("from the middle", vec![ab.clone(), bc.clone()], &b, &c, 0, Ok(1)),
            ("the end has come", vec![ab.clone()], &a, &b, 100, Err(expired.clone())),
            (
                "an early link ended",
                vec![state(&a, &b, at(0), at(100)), state(&b, &c, at(0), at(900))],
                &a,
                &c,
                500,
                Err(expired),
            ),
            ("a gap", vec![ab.clone(), rotation(&evil, &c)], &a, &c, 0, Err(no_chain.clone())),
            ("the wrong order", vec![bc.clone(), ab.clone()], &a, &c, 0, Err(no_chain.clone())),
            ("a loop", vec![rotation(&b, &a), ab.clone()], &b, &b, 0, Err(no_chain.clone())),
            ("somebody else's", vec![rotation(&evil, &b)], &a, &b, 0, Err(no_chain.clone())),
            ("another presented", vec![ab.clone()], &a, &evil, 0, Err(no_chain.clone())),
            ("nothing", vec![], &a, &b, 0, Err(no_chain.clone())),
            ("too long", vec![ab.clone(); MAX_CHAIN + 1], &a, &b, 0, Err(no_chain)),
            (
                "signed by another old key",
                vec![forged(|s, e| s.by_old.clone_from(&e.by_old))],
                &a,
                &b,
                0,
                Err(bad.clone()),
            ),
            (
                "signed by another new key",
                vec![forged(|s, e| s.by_new.clone_from(&e.by_old))],
                &a,
                &b,
                0,
                Err(bad.clone()),
            ),
            ("a later end", vec![forged(|s, _| s.until += 1)], &a, &b, 0, Err(bad.clone())),
            ("an earlier start", vec![forged(|s, _| s.since -= 1)], &a, &b, 0, Err(bad.clone())),
            ("no base64", vec![forged(|s, _| s.by_new = "!".to_owned())], &a, &b, 0, Err(bad)),
        ] {
            let links = follow(&chain, known.issuer(), presented.public(), at(now)).map(|links| links.len());
            assert_eq!(links, expected, "{name}");
        }
    }

    #[test]
    fn what_somebody_was_known_by_ends_at_the_first_link_that_does_not_hold() {
        let [a, b, c] = [(); 3].map(|()| Identity::generate());
        let chain = [state(&a, &b, at(0), at(100)), state(&b, &c, at(0), at(900))];
        let known = |now| former(&chain, c.public(), at(now)).iter().map(|link| link.old.issuer()).collect::<Vec<_>>();
        assert_eq!(known(50), [a.issuer(), b.issuer()]);
        assert_eq!(known(500), [b.issuer()]);
        assert_eq!(known(900), []);
    }
}
