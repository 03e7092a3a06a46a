//! The one place that decides whether a peer may do something.

use coattail::id::{IssuerHash, SubscriptionId, TokenId};
use coattail::name::{ActionName, ReceiverName};
use coattail::wire::ErrorCode;

use super::{Claims, Evidence, Grants, SubscriptionGrant, Use};

/// What a peer wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// See an action in a list.
    ListAction(&'a ActionName),
    /// See a receiver in a list.
    ListReceiver(&'a ReceiverName),
    /// Perform an action.
    Perform(&'a ActionName),
    /// Publish for an action without performing it.
    Publish(&'a ActionName),
    /// Perform an action and publish the result.
    PerformAndPublish(&'a ActionName),
    /// Subscribe to an action.
    Subscribe(&'a ActionName),
    /// Have a subscription delivered over this session.
    Attach(Owner),
    /// End a subscription, as the subscriber.
    EndSubscription(Owner),
    /// Deliver publications of an action to a subscription.
    Deliver {
        /// To which one.
        subscription: SubscriptionId,
        /// Of which action.
        action: &'a ActionName,
        /// To which receiver.
        receiver: &'a ReceiverName,
    },
    /// End a subscription, as the publisher.
    RevokeSubscription {
        /// Which one.
        subscription: SubscriptionId,
    },
}

/// Whose a subscription is, as its row at the publisher says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The token with which it was made.
    pub authentication_token: TokenId,
    /// Who made it: the issuer of the subscription token. A token may have several bearers.
    pub subscriber: IssuerHash,
}

/// What can be granted for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// `performable`.
    Perform,
    /// `publishable`.
    Publish,
    /// `subscribable`.
    Subscribe,
}

/// Why a peer may not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token is for somebody else.
    #[error("the token may not be used by this bearer")]
    NotBearer,
    /// The token does not grant it.
    #[error("the token does not allow to {} `{action}`", right.verb())]
    NotGranted {
        /// What is missing.
        right: Right,
        /// For which action.
        action: ActionName,
    },
    /// The token does not let the action be seen.
    #[error("the token does not allow to see this")]
    NotVisible,
    /// A token of one kind, an operation of the other.
    #[error("a token for {usage} does not allow this")]
    WrongUse {
        /// The kind of the token.
        usage: &'static str,
    },
    /// It is another peer's, or another subscription.
    #[error("this subscription does not belong to the bearer of the token")]
    NotYours,
}

impl Denied {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotBearer => {
                Some("ask its issuer for a token that is bound to the validation token of this instance".to_owned())
            }
            Self::NotGranted { right, action } => {
                let list = match right {
                    Right::Perform => "performable",
                    Right::Publish => "publishable",
                    Right::Subscribe => "subscribable",
                };
                Some(format!("ask its issuer for a token that has `{action}` in its list `{list}`"))
            }
            Self::NotVisible | Self::WrongUse { .. } | Self::NotYours => None,
        }
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotBearer => ErrorCode::TokenRefused,
            _ => ErrorCode::NotPermitted,
        }
    }
}

impl Right {
    fn verb(self) -> &'static str {
        match self {
            Self::Perform => "perform",
            Self::Publish => "publish for",
            Self::Subscribe => "subscribe to",
        }
    }
}

/// Whether the bearer of a token may do something: default is deny.
///
/// That the token is verified, has a row and is within its times holds before this is called.
pub fn authorize(claims: &Claims, evidence: &Evidence, operation: &Operation<'_>) -> Result<(), Denied> {
    if !claims.bearers.iter().any(|bearer| bearer.is_satisfied_by(evidence)) {
        return Err(Denied::NotBearer);
    }
    match &claims.usage {
        Use::Authentication(grants) => client(claims, grants, evidence, operation),
        Use::PublisherAuthentication(subscription) => publisher(claims, subscription, operation),
    }
}

fn client(claims: &Claims, grants: &Grants, evidence: &Evidence, operation: &Operation<'_>) -> Result<(), Denied> {
    let need = |right, action: &ActionName| {
        let allowed = match right {
            Right::Perform => &grants.performable,
            Right::Publish => &grants.publishable,
            Right::Subscribe => &grants.subscribable,
        };
        if allowed.allows(action) { Ok(()) } else { Err(Denied::NotGranted { right, action: action.clone() }) }
    };
    match *operation {
        Operation::ListAction(action) if grants.allows_any(action) => Ok(()),
        Operation::ListAction(_) => Err(Denied::NotVisible),
        Operation::Perform(action) => need(Right::Perform, action),
        Operation::Publish(action) => need(Right::Publish, action),
        Operation::PerformAndPublish(action) => {
            need(Right::Perform, action)?;
            need(Right::Publish, action)
        }
        Operation::Subscribe(action) => need(Right::Subscribe, action),
        Operation::Attach(owner) | Operation::EndSubscription(owner) => {
            let proven = evidence.key.as_ref().map(|key| key.issuer());
            let own = owner.authentication_token == claims.id && proven == Some(owner.subscriber);
            if own { Ok(()) } else { Err(Denied::NotYours) }
        }
        Operation::ListReceiver(_) | Operation::Deliver { .. } | Operation::RevokeSubscription { .. } => {
            Err(Denied::WrongUse { usage: claims.usage.name() })
        }
    }
}

fn publisher(claims: &Claims, granted: &SubscriptionGrant, operation: &Operation<'_>) -> Result<(), Denied> {
    let own = match *operation {
        Operation::ListReceiver(receiver) => {
            return if *receiver == granted.receiver { Ok(()) } else { Err(Denied::NotVisible) };
        }
        Operation::Deliver { subscription, action, receiver } => {
            subscription == claims.id && *action == granted.action && *receiver == granted.receiver
        }
        Operation::RevokeSubscription { subscription } => subscription == claims.id,
        Operation::ListAction(_)
        | Operation::Perform(_)
        | Operation::Publish(_)
        | Operation::PerformAndPublish(_)
        | Operation::Subscribe(_)
        | Operation::Attach(_)
        | Operation::EndSubscription(_) => return Err(Denied::WrongUse { usage: claims.usage.name() }),
    };
    if own { Ok(()) } else { Err(Denied::NotYours) }
}

#[cfg(test)]
mod tests {
    use coattail::id::ValidationId;
    use jiff::Timestamp;

    use super::super::{Bearer, Source, Validity};
    use super::*;
    use crate::keys::Identity;

    const NARROWED: &str = "narrowed";

    /// Every operation on: the action `report` or another, the own subscription or another.
    struct World {
        report: ActionName,
        other_action: ActionName,
        keep: ReceiverName,
        other_receiver: ReceiverName,
        token: TokenId,
        other_token: TokenId,
        peer: Identity,
        other_peer: Identity,
        validation: ValidationId,
    }

    impl World {
        fn new() -> Self {
            Self {
                report: ActionName::new("report").unwrap(),
                other_action: ActionName::new("other").unwrap(),
                keep: ReceiverName::new("keep").unwrap(),
                other_receiver: ReceiverName::new("other").unwrap(),
                token: TokenId::new(),
                other_token: TokenId::new(),
                peer: Identity::generate(),
                other_peer: Identity::generate(),
                validation: ValidationId::new(),
            }
        }

        fn operations(&self) -> Vec<(&'static str, Operation<'_>)> {
            let (report, other, keep) = (&self.report, &self.other_action, &self.keep);
            let owner =
                |authentication_token, peer: &Identity| Owner { authentication_token, subscriber: peer.issuer() };
            let own = owner(self.token, &self.peer);
            let others = owner(self.other_token, &self.peer);
            let sharers = owner(self.token, &self.other_peer);
            let deliver = |subscription, action, receiver| Operation::Deliver { subscription, action, receiver };
            vec![
                ("list report", Operation::ListAction(report)),
                ("list other", Operation::ListAction(other)),
                ("list receiver keep", Operation::ListReceiver(keep)),
                ("list receiver other", Operation::ListReceiver(&self.other_receiver)),
                ("perform report", Operation::Perform(report)),
                ("perform other", Operation::Perform(other)),
                ("publish report", Operation::Publish(report)),
                ("publish other", Operation::Publish(other)),
                ("perform and publish report", Operation::PerformAndPublish(report)),
                ("perform and publish other", Operation::PerformAndPublish(other)),
                ("subscribe report", Operation::Subscribe(report)),
                ("subscribe other", Operation::Subscribe(other)),
                ("attach own", Operation::Attach(own)),
                ("attach of another token", Operation::Attach(others)),
                ("attach of another peer", Operation::Attach(sharers)),
                ("end own", Operation::EndSubscription(own)),
                ("end of another token", Operation::EndSubscription(others)),
                ("end of another peer", Operation::EndSubscription(sharers)),
                ("deliver", deliver(self.token, report, keep)),
                ("deliver to another subscription", deliver(self.other_token, report, keep)),
                ("deliver another action", deliver(self.token, other, keep)),
                ("deliver to another receiver", deliver(self.token, report, &self.other_receiver)),
                ("revoke", Operation::RevokeSubscription { subscription: self.token }),
                ("revoke another", Operation::RevokeSubscription { subscription: self.other_token }),
            ]
        }

        fn claims(&self, usage: Use, bearers: Vec<Bearer>) -> Claims {
            Claims {
                id: self.token,
                issuer: Identity::generate().issuer(),
                validity: Validity::endless(Timestamp::UNIX_EPOCH),
                addresses: Vec::new(),
                certificate: None,
                bearers,
                usage,
            }
        }

        fn client(&self, performable: &[&str], publishable: &[&str], subscribable: &[&str]) -> Use {
            let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
            Use::Authentication(Grants::parse(&list(performable), &list(publishable), &list(subscribable)).unwrap())
        }

        fn publisher(&self) -> Use {
            Use::PublisherAuthentication(SubscriptionGrant {
                action: self.report.clone(),
                receiver: self.keep.clone(),
                authentication_token: self.other_token,
                peer: None,
            })
        }

        fn one_bearer(&self) -> Vec<Bearer> {
            vec![Bearer::Validation(self.validation)]
        }

        fn evidence(&self, address: &str, key: Option<&Identity>, validated: bool) -> Evidence {
            let source = Source::Network(address.parse().unwrap());
            let mut evidence = Evidence::new(source, key.map(|key| key.public().clone()));
            evidence.validations.extend(validated.then_some(self.validation));
            evidence
        }
    }

    /// Every operation with every kind of token. What is not listed is denied.
    #[test]
    fn s1_every_operation_with_every_kind_of_token() {
        let world = World::new();
        let own = ["attach own", "end own"];
        let table: [(&str, Use, &[&str]); 10] = [
            ("nothing", world.client(&[], &[], &[]), &[]),
            ("perform report", world.client(&["report"], &[], &[]), &["list report", "perform report"]),
            ("publish report", world.client(&[], &["report"], &[]), &["list report", "publish report"]),
            (
                "perform one, publish another",
                world.client(&["report"], &["other"], &[]),
                &["list report", "list other", "perform report", "publish other"],
            ),
            (
                "perform and publish report",
                world.client(&["report"], &["report"], &[]),
                &["list report", "perform report", "publish report", "perform and publish report"],
            ),
            ("subscribe report", world.client(&[], &[], &["report"]), &["list report", "subscribe report"]),
            (
                "perform all",
                world.client(&["*"], &[], &[]),
                &["list report", "list other", "perform report", "perform other"],
            ),
            (
                "all",
                world.client(&["*"], &["*"], &["*"]),
                &[
                    "list report",
                    "list other",
                    "perform report",
                    "perform other",
                    "publish report",
                    "publish other",
                    "perform and publish report",
                    "perform and publish other",
                    "subscribe report",
                    "subscribe other",
                ],
            ),
            // Narrowed: to one action by its name, one right on it, and one bearer by his key.
            (NARROWED, world.client(&["report"], &[], &[]), &["list report", "perform report"]),
            ("subscription", world.publisher(), &["list receiver keep", "deliver", "revoke"]),
        ];
        let evidence = world.evidence("10.0.0.1", Some(&world.peer), true);
        for (token, usage, allowed) in table {
            let is_client = matches!(usage, Use::Authentication(_));
            let bearers = if token == NARROWED { world.one_bearer() } else { Bearer::everyone() };
            let claims = world.claims(usage, bearers);
            for (operation, value) in world.operations() {
                let expected = allowed.contains(&operation) || is_client && own.contains(&operation);
                let decided = authorize(&claims, &evidence, &value);
                assert_eq!(decided.is_ok(), expected, "{token}: {operation}: {decided:?}");
                assert!(decided.is_ok() || decided.unwrap_err().code() == ErrorCode::NotPermitted);
            }
        }
    }

    /// A narrowed token is what `token issue --perform report --subscribe [] --bearers vt://ID` makes. It allows what it
    /// names to whom it names, and nothing as soon as any part of that is another.
    #[test]
    fn narrowed_tokens_allow_one_thing_to_one_bearer() {
        let world = World::new();
        let (peer, other) = (Some(&world.peer), Some(&world.other_peer));
        let claims = world.claims(world.client(&["report"], &[], &[]), world.one_bearer());
        let mut known_by_another = world.evidence("10.0.0.1", peer, false);
        known_by_another.validations.push(ValidationId::new());
        let local = Evidence { source: Source::Local, ..world.evidence("10.0.0.1", peer, true) };
        for (state, evidence, is_bearer) in [
            ("the bearer", world.evidence("10.0.0.1", peer, true), true),
            ("the bearer, from elsewhere", world.evidence("2001:db8::1", peer, true), true),
            ("the bearer, on this machine", local, true),
            ("nobody has been proven", world.evidence("10.0.0.1", None, false), false),
            ("claimed and not proven", world.evidence("10.0.0.1", None, true), false),
            ("another key", world.evidence("10.0.0.1", other, false), false),
            ("the key, which nobody vouches for any more", world.evidence("10.0.0.1", peer, false), false),
            ("the key, by another validation token", known_by_another, false),
        ] {
            for (operation, value) in world.operations() {
                // Whoever is let in ends the subscriptions that he made; there can be none, as he may not subscribe.
                let allowed = ["list report", "perform report", "attach own", "end own"].contains(&operation);
                let decided = authorize(&claims, &evidence, &value);
                assert_eq!(decided.is_ok(), is_bearer && allowed, "{state}: {operation}: {decided:?}");
                assert_eq!(decided == Err(Denied::NotBearer), !is_bearer, "{state}: {operation}");
            }
            for (name, is_it) in [
                ("report", true),
                ("Report", false),
                ("REPORT", false),
                ("reports", false),
                ("repor", false),
                ("*", false),
                ("rep\u{43e}rt", false),
                ("\u{ff52}eport", false),
                ("repor\u{1d42d}", false),
                ("re\u{301}port", false),
                ("report\u{fe0f}", false),
                ("rep\u{ad}ort", false),
            ] {
                // What is no name at all is refused before it comes here.
                let Ok(action) = ActionName::new(name) else { continue };
                let allowed = |operation| authorize(&claims, &evidence, &operation).is_ok();
                let expected = is_bearer && is_it;
                assert_eq!(allowed(Operation::Perform(&action)), expected, "{state}: {name:?}");
                assert_eq!(allowed(Operation::ListAction(&action)), expected, "{state}: {name:?}");
                assert!(!allowed(Operation::Publish(&action)), "{state}: {name:?}");
                assert!(!allowed(Operation::PerformAndPublish(&action)), "{state}: {name:?}");
                assert!(!allowed(Operation::Subscribe(&action)), "{state}: {name:?}");
            }
        }
    }

    /// Every operation in every state of a connection: who is not a bearer may do nothing at all.
    #[test]
    fn every_operation_with_every_bearer() {
        let world = World::new();
        let (peer, other) = (Some(&world.peer), Some(&world.other_peer));
        let validation = || vec![Bearer::Validation(world.validation)];
        let network = |text: &str| vec![Bearer::parse(text)];
        let ten = "10.0.0.1";
        for (name, bearers, evidence, expected) in [
            ("everyone", Bearer::everyone(), world.evidence(ten, None, false), true),
            ("everyone, IPv6", Bearer::everyone(), world.evidence("2001:db8::1", None, false), true),
            ("nobody", Vec::new(), world.evidence(ten, peer, true), false),
            ("IPv4 only, from IPv6", network("ipv4://0.0.0.0/0"), world.evidence("::1", peer, true), false),
            ("in the network", network("ipv4://10.0.0.0/8"), world.evidence(ten, None, false), true),
            ("mapped into IPv6", network("ipv4://10.0.0.0/8"), world.evidence("::ffff:10.0.0.1", None, false), true),
            ("outside the network", network("ipv4://10.0.0.0/8"), world.evidence("11.0.0.1", peer, true), false),
            ("proven key", validation(), world.evidence(ten, peer, true), true),
            ("key of nobody we know", validation(), world.evidence(ten, other, false), false),
            ("no key", validation(), world.evidence(ten, None, false), false),
            ("claimed and not proven", validation(), world.evidence(ten, None, true), false),
            ("another key", vec![Bearer::Validation(ValidationId::new())], world.evidence(ten, peer, true), false),
            ("not understood", network("10.0.0.0/8"), world.evidence(ten, peer, true), false),
            (
                "one of several",
                [network("x://y"), validation(), network("ipv4://10.0.0.1")].concat(),
                world.evidence(ten, None, false),
                true,
            ),
        ] {
            for usage in [world.client(&["*"], &["*"], &["*"]), world.publisher()] {
                let claims = world.claims(usage, bearers.clone());
                for (operation, value) in world.operations() {
                    let refused = authorize(&claims, &evidence, &value) == Err(Denied::NotBearer);
                    assert_eq!(refused, !expected, "{name}: {operation}");
                }
            }
        }
    }

    #[test]
    fn s5_a_subscription_is_its_owners_alone() {
        let world = World::new();
        let claims = world.claims(world.client(&["*"], &["*"], &["*"]), Bearer::everyone());
        let own = Owner { authentication_token: world.token, subscriber: world.peer.issuer() };
        for (key, expected) in [
            (Some(&world.peer), Ok(())),
            (Some(&world.other_peer), Err(Denied::NotYours)),
            (None, Err(Denied::NotYours)),
        ] {
            let evidence = world.evidence("10.0.0.1", key, false);
            assert_eq!(authorize(&claims, &evidence, &Operation::Attach(own)), expected);
            assert_eq!(authorize(&claims, &evidence, &Operation::EndSubscription(own)), expected);
        }
    }

    #[test]
    fn what_is_denied_says_what_is_missing() {
        let world = World::new();
        let claims = world.claims(world.client(&["report"], &[], &[]), Bearer::everyone());
        let evidence = world.evidence("10.0.0.1", None, false);
        let denied = authorize(&claims, &evidence, &Operation::PerformAndPublish(&world.report)).unwrap_err();
        assert_eq!(denied.to_string(), "the token does not allow to publish for `report`");
        assert!(denied.hint().unwrap().contains("`publishable`"));
    }
}
