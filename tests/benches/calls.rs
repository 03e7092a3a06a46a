//! Actions that return what they were given.

use std::fs;

use coattail::id::CallId;
use coattail::name::ActionName;
use coattail::rpc::Session;
use coattail::wire::{Raw, host, peer};
use coattail_tests::instance::binary;
use coattail_tests::{Cluster, Instance, plugin};

use crate::effort::Effort;
use crate::load::{self, Round, client, control, unlimited};
use crate::peer::Dialer;
use crate::report::Section;

/// Calls that wait for an answer at once.
pub(crate) const IN_FLIGHT: [usize; 3] = [1, 16, 256];

const ACTIONS: [(&str, &str); 3] = [("Rust", "rust"), ("Node", "node"), ("Python", "python")];

pub(crate) fn remote(effort: &Effort) -> Section {
    let grants = ["--performable", "[\"*\"]"];
    let cluster = Cluster::of(with_actions("publisher"), Instance::running("subscriber"), &grants);
    let peer = Some(cluster.peer.parse().expect("the id of a peer"));
    section(
        "A client → control socket → its daemon → TLS over loopback → the peer's daemon → a warm worker that returns its \
         input, and back.",
        |action, in_flight| {
            client(async { through(effort, control(&cluster.subscriber).await, peer, action, in_flight).await })
        },
    )
}

pub(crate) fn direct(effort: &Effort) -> Section {
    let instance = with_actions("direct");
    let dialer = Dialer::new(&instance);
    section(
        "As above, but the client itself holds the session with the peer: client → TLS over loopback → daemon → a warm \
         worker, and back.",
        |action, in_flight| {
            client(async {
                let session = dialer.dial().await;
                let action = name(action);
                let call = move || {
                    let (session, action) = (session.clone(), action.clone());
                    async move {
                        let call = CallId::new();
                        let perform = peer::Perform {
                            call,
                            action,
                            input: Some(input()),
                            publish: false,
                            timeout_ms: None,
                            key: None,
                            cause: None,
                            start_timeout_ms: None,
                            follow: false,
                        };
                        session.call(&perform).await.expect("it echoes");
                    }
                };
                load::rounds(effort, in_flight, call).await
            })
        },
    )
}

pub(crate) fn local(effort: &Effort) -> Section {
    let instance = with_actions("local");
    section(
        "A client → control socket → daemon → a warm worker that returns its input, and back.",
        |action, in_flight| client(async { through(effort, control(&instance).await, None, action, in_flight).await }),
    )
}

fn section(note: &str, measure: impl Fn(&str, usize) -> Vec<Round>) -> Section {
    let mut rows = Vec::new();
    for (language, action) in ACTIONS {
        for in_flight in IN_FLIGHT {
            rows.push(load::row(format!("{language}, {in_flight} in flight"), &measure(action, in_flight)));
        }
    }
    Section { note: note.to_owned(), columns: load::COLUMNS, rows }
}

async fn through(
    effort: &Effort,
    session: Session,
    peer: Option<coattail::id::PeerId>,
    action: &str,
    in_flight: usize,
) -> Vec<Round> {
    let perform = host::Perform {
        call: None,
        peer,
        action: name(action),
        input: Some(input()),
        publish: false,
        timeout_ms: None,
        key: None,
        start_timeout_ms: None,
        follow: false,
        parent: None,
    };
    let call = move || {
        let (session, perform) = (session.clone(), perform.clone());
        async move {
            session.call(&perform).await.expect("it echoes");
        }
    };
    load::rounds(effort, in_flight, call).await
}

fn with_actions(name: &str) -> Instance {
    let instance = unlimited(name);
    fs::copy(binary("fixture-plugin"), instance.path("actions/rust")).expect("copied");
    instance.plugin("actions/node.js", plugin::ECHO_JS);
    instance.plugin("actions/python.py", plugin::ECHO_PY);
    instance
}

pub(crate) fn name(action: &str) -> ActionName {
    ActionName::new(action).expect("a valid name")
}

pub(crate) fn input() -> Raw {
    Raw::from(serde_json::value::RawValue::from_string("{\"n\":1.50,\"text\":\"hello\"}".to_owned()).expect("JSON"))
}
