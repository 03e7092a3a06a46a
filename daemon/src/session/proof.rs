//! What each side signs. Both ends compute it from what they themselves saw, so nothing can be replayed on another
//! connection, host or time, and a man in the middle cannot pass a proof on: his channel differs.

use coattail::id::{IssuerHash, TokenId};
use sha2::{Digest as _, Sha256};

use crate::keys::{BadSignature, Domain, Identity, PublicIdentity};
use crate::transport::Channel;

/// Bytes of a nonce.
pub(super) const NONCE: usize = 32;

/// Separates these signatures from all others that the same key makes.
const DOMAIN: Domain = Domain::new("coattail session proof v1");

/// Everything that both ends know when a proof is made.
pub(super) struct Transcript<'a> {
    pub(super) channel: &'a Channel,
    pub(super) client: (IssuerHash, [u8; NONCE]),
    pub(super) server: (IssuerHash, [u8; NONCE]),
}

impl Transcript<'_> {
    /// The side that was dialled proves its key.
    pub(super) fn prove_server(&self, identity: &Identity) -> Vec<u8> {
        identity.sign(DOMAIN, &self.digest(b"server", None))
    }

    pub(super) fn check_server(&self, identity: &PublicIdentity, proof: &[u8]) -> Result<(), BadSignature> {
        identity.verify(DOMAIN, &self.digest(b"server", None), proof)
    }

    /// The side that dialled proves its key, for one token.
    pub(super) fn prove_client(&self, identity: &Identity, token: TokenId) -> Vec<u8> {
        identity.sign(DOMAIN, &self.digest(b"client", Some(token)))
    }

    pub(super) fn check_client(
        &self,
        identity: &PublicIdentity,
        token: TokenId,
        proof: &[u8],
    ) -> Result<(), BadSignature> {
        identity.verify(DOMAIN, &self.digest(b"client", Some(token)), proof)
    }

    /// SHA-256 of role, channel, nonces, identities and token, each behind its length as one byte, so that no two
    /// transcripts have the same bytes.
    fn digest(&self, role: &[u8], token: Option<TokenId>) -> [u8; 32] {
        let token = token.map(|token| token.to_string()).unwrap_or_default();
        let parts: [&[u8]; 7] = [
            role,
            self.channel.as_bytes(),
            &self.client.1,
            &self.server.1,
            self.client.0.as_bytes(),
            self.server.0.as_bytes(),
            token.as_bytes(),
        ];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update([u8::try_from(part.len()).expect("every part has at most 36 bytes")]);
            hash.update(part);
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s6_a_proof_holds_for_one_channel_one_pair_of_nonces_and_one_token() {
        let (client, server) = (Identity::generate(), Identity::generate());
        let (plain, token) = (Channel::plain(), TokenId::new());
        let transcript = |c: u8, s: u8| Transcript {
            channel: &plain,
            client: (client.issuer(), [c; NONCE]),
            server: (server.issuer(), [s; NONCE]),
        };
        let proof = transcript(1, 2).prove_client(&client, token);
        let check = |transcript: Transcript<'_>, token| transcript.check_client(client.public(), token, &proof).is_ok();
        assert!(check(transcript(1, 2), token));
        assert!(!check(transcript(1, 3), token), "another nonce of the server");
        assert!(!check(transcript(3, 2), token), "another nonce of the client");
        assert!(!check(transcript(1, 2), TokenId::new()), "another token");
        assert!(
            !check(Transcript { server: (client.issuer(), [2; NONCE]), ..transcript(1, 2) }, token),
            "another server"
        );
        assert!(transcript(1, 2).check_server(client.public(), &proof).is_err(), "another role");
        assert!(transcript(1, 2).check_client(server.public(), token, &proof).is_err(), "another key");
    }
}
