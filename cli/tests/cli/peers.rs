use coattail::id::IssuerHash;
use coattail::wire::control::{AddPeer, PeerRemoved, PeerToken, RemovePeer, ShowPeerToken};
use coattail::wire::host::{ListPeers, ListSubscribers, Peer, RevokeSubscriber, ShowPeer, Subscriber, Unsubscribed};
use coattail::wire::subscriptions::Flow;
use coattail::wire::{ErrorCode, Failure};

use crate::harness::{Canned, FakeDaemon, Instance};

const ID: &str = "0194d5c8-0000-7000-8000-000000000001";

fn peer() -> Peer {
    Peer {
        id: ID.parse().expect("an id"),
        issuer: IssuerHash::of_public_key("a key"),
        addresses: vec!["net:127.0.0.1:1".parse().expect("an address")],
        token: "the token's id".to_owned(),
        performable: vec!["echo".to_owned()],
        publishable: vec![],
        subscribable: vec!["*".to_owned()],
        expires: None,
        connected: true,
    }
}

fn daemon(instance: &Instance) -> FakeDaemon {
    Canned::new()
        .on(|call: AddPeer| match call.token.reveal() {
            "sesame" => Ok(peer()),
            _ => Err(Failure::new(ErrorCode::TokenRefused, "the token has expired")),
        })
        .on(|_: ListPeers| Ok(vec![peer()]))
        .on(|_: ShowPeer| Ok(peer()))
        .on(|_: ShowPeerToken| Ok(PeerToken { raw: "sesame".into() }))
        .on(|call: RemovePeer| Ok(PeerRemoved { id: call.peer, subscriptions: 1, sessions: 2 }))
        .serve(instance)
}

fn shown() -> String {
    format!(
        "id            {ID}\nissuer        {}\naddresses     net:127.0.0.1:1\nconnected     yes\n\
         token         the token's id\nperformable   echo\npublishable   none\nsubscribable  *\nexpires       never\n",
        IssuerHash::of_public_key("a key")
    )
}

const NO_TLS: &str = "warning: this peer is reached without TLS: others on the way can read what is sent\n";
const VISIBLE: &str =
    "warning: others on this machine can see the token in the list of processes; `peer add -` reads it from stdin\n";

#[test]
fn a_token_comes_from_stdin_a_file_or_an_argument() {
    let instance = Instance::new();
    let daemon = daemon(&instance);
    let file = instance.path().join("token");
    std::fs::write(&file, "sesame\n").expect("a file");
    let file = file.to_str().expect("UTF-8");
    instance.coattail(&["peer", "add", "-"]).stdin("sesame\n").run().is(0, &shown(), NO_TLS);
    instance.coattail(&["peer", "add", "--token-file", file]).run().is(0, &shown(), NO_TLS);
    for arguments in [["peer", "add", "-t", "sesame"].as_slice(), &["peer", "add", "sesame"]] {
        instance.coattail(arguments).run().is(0, &shown(), &format!("{VISIBLE}{NO_TLS}"));
    }
    assert_eq!(daemon.asked(), [r#"peers.add {"token":"sesame"}"#; 4]);
}

#[test]
fn a_token_that_is_refused_exits_with_4() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    instance.coattail(&["peer", "add", "-"]).stdin("x").run().is(
        4,
        "",
        "error: the token has expired\n  try: ask the owner of the other instance for a new token\n",
    );
    instance.coattail(&["peer", "add", "-"]).run().is(
        2,
        "",
        "error: the token is empty\n  try: take it from `coattail token issue -q -r` at the other instance\n",
    );
}

#[test]
fn peers_are_listed_shown_and_removed() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    instance.coattail(&["peer", "list"]).env("COATTAIL_OUTPUT", "plain").run().is(
        0,
        &format!("{ID}\tnet:127.0.0.1:1\tyes\tnever\n"),
        "",
    );
    instance.coattail(&["peer", "show", ID]).run().is(0, &shown(), "");
    instance.coattail(&["peer", "show", "--print-raw-token", ID]).run().is(0, "sesame\n", "");
    instance.coattail(&["peer", "remove", "--id", ID, "--yes", "--json"]).run().is(
        0,
        &format!("{{\"id\":\"{ID}\",\"subscriptions\":1,\"sessions\":2}}\n"),
        "",
    );
}

#[test]
fn an_empty_list_is_an_empty_answer() {
    let instance = Instance::new();
    let _daemon = Canned::new().on(|_: ListPeers| Ok(vec![])).serve(&instance);
    instance.coattail(&["peer", "list"]).run().is(0, "", "this instance has no peers; `coattail peer add` adds one\n");
    instance.coattail(&["peer", "list", "--json"]).run().is(0, "[]\n", "");
    instance.coattail(&["peer", "list"]).env("COATTAIL_OUTPUT", "plain").run().is(0, "", "");
}

#[test]
fn the_instance_is_found_by_option_by_environment_or_by_folder() {
    let instance = Instance::new();
    let elsewhere = Instance::new();
    let _daemon = Canned::new().on(|_: ListPeers| Ok(vec![])).serve(&instance);
    let path = instance.path();
    let path = path.to_str().expect("UTF-8");
    elsewhere.coattail(&["peer", "list", "--json", "-i", path]).run().is(0, "[]\n", "");
    elsewhere.coattail(&["peer", "list", "--json"]).env("COATTAIL_INSTANCE", path).run().is(0, "[]\n", "");
    elsewhere.coattail(&["peer", "list", "-i", path, "--json"]).env("COATTAIL_INSTANCE", "/x").run().is(0, "[]\n", "");
    instance.coattail(&["peer", "list", "--json"]).run().is(0, "[]\n", "");
}

#[test]
fn subscribers_are_listed_and_revoked() {
    let instance = Instance::new();
    let _daemon = Canned::new()
        .on(|_: ListSubscribers| {
            Ok(vec![Subscriber {
                id: ID.parse().expect("an id"),
                issuer: IssuerHash::of_public_key("a key"),
                addresses: vec![],
                action: "report".parse().expect("a name"),
                receiver: "keep".parse().expect("a name"),
                filter: Some("/n > 3".parse().expect("a filter")),
                token: "t".to_owned(),
                cursor: 7,
                ahead: 0,
                reset_to: None,
                lag: 3,
                attached: false,
                lag_seconds: Some(70),
                state: Flow::Failing,
                next_attempt: Some("soon".to_owned()),
                last_error: Some("refused\nthen\tgone".to_owned()),
            }])
        })
        .on(|call: RevokeSubscriber| Ok(Unsubscribed { id: call.subscription, told: false, undelivered: Some(7) }))
        .serve(&instance);
    let issuer = IssuerHash::of_public_key("a key");
    instance.coattail(&["subscribers", "list"]).env("COATTAIL_OUTPUT", "plain").run().is(
        0,
        &format!("{ID}\treport\tkeep\t-\tt\tno\t3\trefused\\nthen\\tgone\tfailing\t7\t70 s\tsoon\t/n > 3\t{issuer}\n"),
        "",
    );
    instance.coattail(&["subscribers", "revoke", "-s", ID, "--yes"]).run().is(
        0,
        &format!("id           {ID}\ntold         no\nundelivered  7\n"),
        "the subscriber could not be reached; it is told when it comes back\n",
    );
}

#[test]
fn on_a_terminal_a_person_is_asked() {
    let instance = Instance::new();
    let daemon = daemon(&instance);
    let remove = || instance.coattail(&["peer", "remove", ID]).env("TERM", "dumb");
    let question = format!("forget the peer {ID}, and end the subscriptions held there? [y/N] ");

    let (code, shown) = remove().run_on_a_terminal("n\n");
    assert!(shown.contains(&question), "{shown}");
    assert!(shown.ends_with("error: nothing was done\r\n  try: answer `y`, or add `--yes`\r\n"), "{shown}");
    assert_eq!((code, daemon.asked().len()), (130, 0));

    let (code, shown) = remove().run_on_a_terminal("y\n");
    assert!(shown.contains(&question), "{shown}");
    assert_eq!((code, daemon.asked().len()), (0, 1));
}

#[test]
fn colour_is_for_terminals() {
    let instance = Instance::new();
    let show = || instance.coattail(&["peer", "show", "x"]);
    let (_, shown) = show().env("TERM", "xterm").run_on_a_terminal("");
    assert!(shown.starts_with("\x1b[1;31merror:\x1b[0m there is no peer"), "{shown}");
    let (_, shown) = show().env("TERM", "xterm").env("NO_COLOR", "1").run_on_a_terminal("");
    assert!(shown.starts_with("error: there is no peer"), "{shown}");
}
