use coattail::id::IssuerHash;
use coattail::wire::control::{ListTokens, Token};
use coattail::wire::host::{Entry, ListActions, ListPeers, ListReceivers, Peer, ShowPeer};
use coattail::wire::plugin::Kind;

use crate::harness::{Canned, Coattail, FakeDaemon, Instance};

const ID: &str = "0194d5c8-0000-7000-8000-000000000001";

fn entry(name: &str, kind: Kind) -> Entry {
    Entry {
        name: name.to_owned(),
        kind,
        performable: true,
        publishable: true,
        subscribable: true,
        runtime: None,
        description: Some("does it".to_owned()),
        input: None,
        output: None,
        problem: None,
        state: None,
        reason: None,
    }
}

fn peer() -> Peer {
    Peer {
        id: ID.parse().expect("an id"),
        issuer: IssuerHash::of_public_key("a key"),
        addresses: vec!["net:127.0.0.1:1~tls".parse().expect("an address")],
        token: "t".to_owned(),
        performable: vec!["far".to_owned()],
        publishable: vec![],
        subscribable: vec!["news".to_owned()],
        expires: None,
        connected: false,
    }
}

fn token() -> Token {
    Token {
        id: ID.parse().expect("an id"),
        usage: "Authentication".to_owned(),
        issuer: IssuerHash::of_public_key("a key"),
        issued: String::new(),
        effective: String::new(),
        expires: None,
        addresses: vec![],
        bearers: vec![],
        performable: vec![],
        publishable: vec![],
        subscribable: vec![],
        subscribed_to: vec![],
        receiver: None,
        sessions: None,
        subscriptions: None,
        raw: None,
    }
}

fn daemon(instance: &Instance) -> FakeDaemon {
    Canned::new()
        .on(|_: ListActions| Ok(vec![entry("echo", Kind::Action), entry("My Action", Kind::Action)]))
        .on(|_: ListReceivers| Ok(vec![entry("keep", Kind::Receiver)]))
        .on(|_: ListPeers| Ok(vec![peer()]))
        .on(|_: ShowPeer| Ok(peer()))
        .on(|_: ListTokens| Ok(vec![token()]))
        .serve(instance)
}

/// What bash is told may come in place of the last word.
fn bash(instance: &Instance, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let run = instance.coattail(&[&["--"], words].concat()).env("COATTAIL_COMPLETE", "bash");
    let run = run.env("_CLAP_COMPLETE_INDEX", &index).env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_IFS", "\n");
    let outcome = run.run();
    assert_eq!((outcome.code(), outcome.0.stderr.as_slice()), (0, &b""[..]), "{words:?}");
    String::from_utf8(outcome.0.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[test]
fn live_names_come_from_the_instance() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    for (words, offered) in [
        (&["coattail", "action", "perform", "-a", ""][..], &["echo", r"My\ Action"][..]),
        (&["coattail", "action", "perform", "-a", r"My\ A"], &[r"My\ Action"]),
        (&["coattail", "action", "perform", "--action", "x"], &[]),
        (&["coattail", "action", "perform", "-p", ID, "-a", ""], &["far", "news"]),
        (&["coattail", "action", "perform", "--peer", "nobody", "-a", ""], &[]),
        (&["coattail", "action", "subscribe", "-r", ""], &["keep"]),
        (&["coattail", "action", "list", "--peer", "0194"], &[ID]),
        (&["coattail", "token", "revoke", "0194"], &[ID]),
        (&["coattail", "token", "issue", "--perform", "e"], &["echo"]),
        (&["coattail", "peer", "show", "--id", ""], &[ID]),
    ] {
        assert_eq!(bash(&instance, words), offered, "{words:?}");
    }
}

#[test]
fn commands_and_options_come_from_the_definitions() {
    let instance = Instance::new();
    assert_eq!(bash(&instance, &["coattail", "valid"]), ["validation"]);
    assert_eq!(bash(&instance, &["coattail", "token", "revoke", "--dry"]), ["--dry-run"]);
    assert_eq!(bash(&instance, &["coattail", "completions", "f"]), ["fish"]);
}

#[test]
fn without_an_instance_nothing_is_offered_and_nothing_said() {
    let instance = Instance::new();
    assert!(bash(&instance, &["coattail", "action", "perform", "-a", "e"]).is_empty());
    assert!(bash(&instance, &["coattail", "-i", "/nowhere", "token", "show", "0"]).is_empty());
}

#[test]
fn a_daemon_that_does_not_answer_holds_nobody_up() {
    let instance = Instance::new();
    let (canned, _seen) = Canned::new().stuck::<ListActions>();
    let _daemon = canned.serve(&instance);
    let started = std::time::Instant::now();
    assert!(bash(&instance, &["coattail", "action", "perform", "-a", "e"]).is_empty());
    // 150 ms of patience, and a busy machine that starts a program.
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let outcome = Coattail::new(&["completions", shell]).run();
        assert_eq!(outcome.code(), 0);
        let script = String::from_utf8(outcome.0.stdout).expect("UTF-8");
        assert!(script.contains("COATTAIL_COMPLETE") && script.contains("coattail"), "{shell}: {script}");
    }
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man1");
    let path = pages.to_str().expect("UTF-8");
    let outcome = Coattail::new(&["man", path, "--json"]).run();
    assert_eq!(outcome.code(), 0);
    let said: serde_json::Value = serde_json::from_slice(&outcome.0.stdout).expect("JSON");
    let written = std::fs::read_dir(&pages).expect("it is there").count();
    assert_eq!(said["pages"], written);
    for (page, word) in [
        ("coattail.1", "EXIT CODES"),
        ("coattail-token-issue.1", "performable"),
        ("coattail-action-perform.1", "notify"),
        ("coattail-doctor.1", "doctor"),
    ] {
        let text = std::fs::read_to_string(pages.join(page)).expect(page);
        assert!(text.contains(word), "{page}: {text}");
    }
}
