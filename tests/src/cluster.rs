//! Instances that are peers.

use crate::instance::Instance;

/// Two instances with their services: `publisher` has issued a token to `subscriber`, who added it as a peer.
#[derive(Debug)]
pub struct Cluster {
    /// Issued the token.
    pub publisher: Instance,
    /// Holds it.
    pub subscriber: Instance,
    /// The id of the publisher among the subscriber's peers.
    pub peer: String,
}

impl Cluster {
    /// Two instances; the token grants everything.
    ///
    /// # Panics
    /// If they cannot be made; so do all methods here if something fails that should not.
    #[track_caller]
    pub fn pair() -> Self {
        Self::with_grants(&["--performable", "[\"*\"]", "--publishable", "[\"*\"]", "--subscribable", "[\"*\"]"])
    }

    /// Two instances; these options of `token issue` say what the token grants.
    #[track_caller]
    pub fn with_grants(grants: &[&str]) -> Self {
        Self::of(Instance::running("publisher"), Instance::running("subscriber"), grants)
    }

    /// Makes peers of two instances whose services run.
    #[track_caller]
    pub fn of(publisher: Instance, subscriber: Instance, grants: &[&str]) -> Self {
        let peer = add_peer(&publisher, &subscriber, grants);
        Self { publisher, subscriber, peer }
    }

    /// Subscribes a receiver to an action; returns the id of the subscription.
    #[track_caller]
    pub fn subscribe(&self, action: &str, receiver: &str) -> String {
        let arguments = ["action", "subscribe", "--peer", &self.peer, "--action", action, "--receiver", receiver];
        self.subscriber.json(&arguments)["id"].as_str().expect("an id").to_owned()
    }

    /// Publishes a value at the publisher; returns its sequence number.
    #[track_caller]
    pub fn publish(&self, action: &str, value: &str) -> u64 {
        let arguments = ["action", "publish", "--action", action, "--data", value];
        self.publisher.json(&arguments)["sequence"].as_u64().expect("a sequence number")
    }
}

/// Issues a token at one instance and adds it at another; returns the id of the peer there.
///
/// # Panics
/// If it is not accepted.
#[track_caller]
pub fn add_peer(issuer: &Instance, holder: &Instance, grants: &[&str]) -> String {
    let issue = [&["token", "issue", "--quiet", "--print-raw-token"], grants].concat();
    let token = issuer.run(&issue).ok().stdout;
    let added = holder.run_with(&["peer", "add", "-", "--json"], &token).ok().json();
    added["id"].as_str().expect("an id").to_owned()
}
