//! The claims as they are written in a JWT: the original's names, and `addresses`.

use coattail::address::PeerAddress;
use coattail::name::{ActionName, ReceiverName};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::claims::{AUTHENTICATION, PUBLISHER_AUTHENTICATION};
use super::{Bearer, Claims, Grants, SubscriptionGrant, TokenError, Use, Validity};

/// In the order of the original. What is unknown is ignored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawClaims {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
    #[serde(default)]
    valid_bearers: Vec<String>,
    #[serde(default)]
    performable: Vec<String>,
    #[serde(default)]
    publishable: Vec<String>,
    #[serde(default)]
    subscribable: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication_token_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    subscribed_to: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<String>,
    /// Ours. The first of them is also `host`, `port` and `tls`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// The issuer, as in the original, where it was never checked.
    #[serde(skip_deserializing)]
    aud: String,
    iss: Option<String>,
    jti: Option<String>,
    /// Only validation tokens have one.
    #[serde(skip_serializing)]
    public_key: Option<IgnoredAny>,
}

impl From<&Claims> for RawClaims {
    fn from(claims: &Claims) -> Self {
        let first = claims.addresses.first();
        let mut raw = Self {
            host: first.map(|address| address.host.clone()),
            port: first.map(|address| address.port),
            tls: first.map(|address| address.tls),
            valid_bearers: claims.bearers.iter().map(ToString::to_string).collect(),
            performable: Vec::new(),
            publishable: Vec::new(),
            subscribable: Vec::new(),
            cert: claims.certificate.clone(),
            usage: Some(claims.usage.name().to_owned()),
            authentication_token_id: None,
            subscribed_to: Vec::new(),
            receiver: None,
            peer_id: None,
            addresses: claims.addresses.iter().map(ToString::to_string).collect(),
            iat: Some(claims.validity.issued.as_second()),
            nbf: Some(claims.validity.not_before.as_second()),
            exp: claims.validity.expires.map(Timestamp::as_second),
            aud: claims.issuer.to_string(),
            iss: Some(claims.issuer.to_string()),
            jti: Some(claims.id.to_string()),
            public_key: None,
        };
        match &claims.usage {
            Use::Authentication(grants) => {
                raw.performable = grants.performable.to_strings();
                raw.publishable = grants.publishable.to_strings();
                raw.subscribable = grants.subscribable.to_strings();
            }
            Use::PublisherAuthentication(subscription) => {
                raw.authentication_token_id = Some(subscription.authentication_token.to_string());
                raw.subscribed_to = vec![subscription.action.to_string()];
                raw.receiver = Some(subscription.receiver.to_string());
                raw.peer_id = subscription.peer.map(|peer| peer.to_string());
            }
        }
        raw
    }
}

impl TryFrom<RawClaims> for Claims {
    type Error = TokenError;

    fn try_from(raw: RawClaims) -> Result<Self, TokenError> {
        if raw.public_key.is_some() {
            return Err(TokenError::IsValidation);
        }
        let usage = match raw.usage.as_deref() {
            None | Some(AUTHENTICATION) => Use::Authentication(
                Grants::parse(&raw.performable, &raw.publishable, &raw.subscribable)
                    .map_err(|_| TokenError::Malformed { claim: "performable, publishable or subscribable" })?,
            ),
            Some(PUBLISHER_AUTHENTICATION) => Use::PublisherAuthentication(raw.subscription()?),
            Some(_) => return Err(TokenError::Malformed { claim: "use" }),
        };
        Ok(Self {
            id: parse(raw.jti.as_deref(), "jti")?,
            issuer: parse(raw.iss.as_deref(), "iss")?,
            validity: validity(raw.iat, raw.nbf, raw.exp)?,
            addresses: raw.addresses()?,
            bearers: raw.valid_bearers.iter().map(|text| Bearer::parse(text)).collect(),
            certificate: raw.cert,
            usage,
        })
    }
}

impl RawClaims {
    fn subscription(&self) -> Result<SubscriptionGrant, TokenError> {
        let [action] = self.subscribed_to.as_slice() else {
            return Err(TokenError::Malformed { claim: "subscribedTo" });
        };
        // A subscription is to one action and for one receiver: here `*` stands for nothing.
        for (name, claim) in [(Some(action), "subscribedTo"), (self.receiver.as_ref(), "receiver")] {
            if name.is_some_and(|name| name == "*") {
                return Err(TokenError::Malformed { claim });
            }
        }
        Ok(SubscriptionGrant {
            action: parse::<ActionName>(Some(action), "subscribedTo")?,
            receiver: parse::<ReceiverName>(self.receiver.as_deref(), "receiver")?,
            authentication_token: parse(self.authentication_token_id.as_deref(), "authenticationTokenId")?,
            peer: self.peer_id.as_deref().map(|text| parse(Some(text), "peerId")).transpose()?,
        })
    }

    /// `addresses` if there are any that we understand, else what the original has.
    fn addresses(&self) -> Result<Vec<PeerAddress>, TokenError> {
        let known: Vec<_> = self.addresses.iter().filter_map(|text| text.parse().ok()).take(MAX_ADDRESSES).collect();
        if !known.is_empty() {
            return Ok(known);
        }
        let (Some(host), Some(port)) = (&self.host, self.port) else {
            return Err(TokenError::Malformed { claim: "host or port" });
        };
        let address = PeerAddress { host: host.clone(), port, tls: self.tls.unwrap_or(false) };
        // Read once more, which checks the host.
        Ok(vec![parse(Some(&address.to_string()), "host or port")?])
    }
}

pub(super) fn parse<T: std::str::FromStr>(text: Option<&str>, claim: &'static str) -> Result<T, TokenError> {
    text.and_then(|text| text.parse().ok()).ok_or(TokenError::Malformed { claim })
}

pub(super) fn validity(iat: Option<i64>, nbf: Option<i64>, exp: Option<i64>) -> Result<Validity, TokenError> {
    let at = |second, claim| Timestamp::from_second(second).map_err(|_| TokenError::Malformed { claim });
    let issued = at(iat.ok_or(TokenError::Malformed { claim: "iat" })?, "iat")?;
    Ok(Validity {
        issued,
        not_before: nbf.map_or(Ok(issued), |second| at(second, "nbf"))?,
        expires: exp.map(|second| at(second, "exp")).transpose()?,
    })
}

/// Addresses that are taken from a token: each costs a time-out when nobody is there.
const MAX_ADDRESSES: usize = 16;
