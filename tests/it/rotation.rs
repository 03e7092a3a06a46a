//! Every key can be replaced while the service runs, and nobody who knew the old one loses anything in the overlap.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::Value;

#[test]
fn tokens_that_the_old_key_signed_are_taken_until_the_overlap_ends() {
    let cluster = with_echo();
    let Cluster { publisher, .. } = &cluster;
    let pid = publisher.pid();
    let keys = publisher.json(&["keys", "rotate", "auth", "--overlap", "1h"]);
    assert_eq!(states(&keys, "auth"), ["current", "overlap"]);
    assert_eq!(publisher.json(&["keys", "list"]), keys, "a command that comes at once finds the new keys");
    assert_eq!(publisher.pid(), pid, "the process is the same");
    until("the old token to be taken again", || echo(&cluster).then_some(()));
    // New tokens are signed by the new key, and taken, too.
    let other = Instance::running("other");
    coattail_tests::cluster::add_peer(publisher, &other, &["--performable", "*"]);

    publisher.json(&["keys", "rotate", "auth", "--overlap", "0"]);
    assert_eq!(states(&publisher.json(&["keys", "list"]), "auth"), ["current", "ended", "overlap"]);
    until("the first key to be taken still", || echo(&cluster).then_some(()));
    assert!(!publisher.log().contains("stays in memory"), "what was open with the old keys is gone");
}

#[test]
fn a_token_is_refused_when_the_overlap_of_its_key_has_ended() {
    let cluster = with_echo();
    assert!(echo(&cluster));
    let publisher = &cluster.publisher;
    publisher.json(&["keys", "rotate", "auth", "--overlap", "1s"]);
    until("the overlap to end", || {
        (states(&publisher.json(&["keys", "list"]), "auth") == ["current", "ended"]).then_some(())
    });
    // A session that was opened in the overlap goes on, since the key only lets in; the next one is refused.
    publisher.json(&["keys", "rotate", "tls"]);
    let error = until("the session to end", || Some(perform(&cluster)).filter(|output| output.code != Some(0)));
    error.failed(4, "token-refused");
}

#[test]
fn a_shared_secret_is_not_replaced_and_why_is_said() {
    let instance = Instance::new("secret");
    let config = fs::read_to_string(instance.path("config.yml")).expect("its own folder");
    let secret = "{ type: string, value: a-secret-of-at-least-thirty-two-bytes }";
    let with_secret = ["auth-key.pem", "auth-key.pub"]
        .into_iter()
        .fold(config, |config, name| config.replace(&format!("{{ type: file, value: keys/{name} }}"), secret));
    fs::write(instance.path("config.yml"), with_secret).expect("its own folder");
    fs::set_permissions(instance.path("config.yml"), fs::Permissions::from_mode(0o600)).expect("its own folder");
    instance.run(&["keys", "rotate", "auth", "--json"]).failed(2, "invalid-input");
    let keys = instance.json(&["keys", "list"]);
    assert_eq!((states(&keys, "auth").len(), states(&keys, "identity").len()), (0, 1));
}

#[test]
fn peers_and_subscribers_follow_to_a_new_identity_and_lose_nothing() {
    let mut cluster = with_echo();
    cluster.subscribe("echo", "keep");
    let early = cluster.publisher.run(&["token", "issue", "-q", "-r"]).ok().stdout;
    cluster.publish("echo", "1");
    cluster.subscriber.wait_for("handled", 1);
    // The subscriber is away while things are published under both keys.
    cluster.subscriber.stop();
    cluster.publish("echo", "2");
    let before = issuer(&cluster.publisher);
    let keys = cluster.publisher.json(&["keys", "rotate", "identity", "--overlap", "1h"]);
    assert_eq!(states(&keys, "identity"), ["current", "overlap"]);
    let after = issuer(&cluster.publisher);
    assert_ne!(before, after);
    cluster.publish("echo", "3");
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 3);
    assert_eq!(received(&cluster.subscriber), "1\n2\n3\n");
    assert!(echo(&cluster));
    assert_eq!(cluster.subscriber.json(&["peer", "show", &cluster.peer])["issuer"], after);

    // Online, and with nothing to do: it is told.
    cluster.publisher.json(&["keys", "rotate", "identity", "--overlap", "1h"]);
    let newest = issuer(&cluster.publisher);
    cluster.publish("echo", "4");
    cluster.subscriber.wait_for("handled", 4);
    assert_eq!(cluster.subscriber.json(&["peer", "show", &cluster.peer])["issuer"], newest);
    // The other side replaces its own: the publisher follows, and delivers.
    cluster.subscriber.json(&["keys", "rotate", "identity", "--overlap", "1h"]);
    let subscriber = issuer(&cluster.subscriber);
    cluster.publish("echo", "5");
    cluster.subscriber.wait_for("handled", 5);
    assert_eq!(received(&cluster.subscriber), "1\n2\n3\n4\n5\n");
    assert_eq!(cluster.publisher.json(&["subscribers", "list"])[0]["issuer"], subscriber);
    // A token from before the first rotation still makes a peer, of the newest identity.
    let third = Instance::running("third");
    let added = third.run_with(&["peer", "add", "-", "--json"], &early).ok().json();
    assert_eq!(added["issuer"], newest);
    // What is new is made with the new keys.
    cluster.subscriber.plugin("receivers/other.sh", plugin::KEEP_SH);
    cluster.subscribe("echo", "other");
}

#[test]
fn whoever_comes_after_the_overlap_is_told_that_the_key_is_over() {
    let mut cluster = with_echo();
    cluster.subscribe("echo", "keep");
    cluster.subscriber.stop();
    cluster.publisher.json(&["keys", "rotate", "identity", "--overlap", "0"]);
    cluster.subscriber.start();
    let arguments = ["action", "perform", "--peer", &cluster.peer, "--action", "echo", "--data", "1", "--json"];
    let error = cluster.subscriber.run(&arguments).failed(6, "wrong-peer");
    assert!(error["message"].as_str().expect("a text").contains("could be followed until"), "{error}");
    assert_eq!(states(&cluster.publisher.json(&["keys", "list"]), "identity"), ["current", "ended"]);
}

#[test]
fn an_instance_that_is_restored_with_a_replaced_identity_is_refused() {
    let mut cluster = with_echo();
    let bound = bind_to_subscriber(&cluster);
    let copy = copy_of_keys(&cluster.subscriber);
    cluster.subscriber.json(&["keys", "rotate", "identity", "--overlap", "1h"]);
    let perform = ["action", "perform", "--peer", &bound, "--action", "echo", "--data", "1", "--json"];
    // The validation token at the publisher is that of the old key: it is followed.
    let _ = cluster.subscriber.run(&perform).ok();
    cluster.subscriber.stop();
    for name in ["vt-key.pem", "vt-key.pub"] {
        fs::copy(copy.path().join(name), cluster.subscriber.path("keys").join(name)).expect("its own folder");
    }
    let refused = cluster.subscriber.run(&perform).exited(2).error();
    assert!(refused["message"].as_str().expect("a text").contains("was replaced"), "{refused}");
    // Somebody with a copy of everything from before gets no further.
    fs::remove_file(cluster.subscriber.path("data.db")).expect("its own folder");
    let _ = cluster.subscriber.run(&["data", "migrate", "latest"]).ok();
    let token = cluster.publisher.run(&["token", "issue", "-q", "-r", "--performable", "*"]).ok().stdout;
    let error = cluster.subscriber.run_with(&["peer", "add", "-", "--json"], &token).failed(4, "token-refused");
    assert!(error["message"].as_str().expect("a text").contains("was replaced"), "{error}");
}

#[test]
fn peers_that_expect_the_old_certificate_get_it_and_learn_the_new_one() {
    let cluster = with_echo();
    let certificate =
        |instance: &Instance| fs::read_to_string(instance.path("keys/tls-cert.pem")).expect("its own folder");
    let before = certificate(&cluster.publisher);
    let keys = cluster.publisher.json(&["tls", "generate", "--overlap", "1h"]);
    assert_eq!(states(&keys, "tls"), ["current", "overlap"]);
    assert_ne!(certificate(&cluster.publisher), before);
    until("the token with the old certificate to work", || echo(&cluster).then_some(()));
    // Now it knows the new one, and does without the old one.
    cluster.publisher.json(&["keys", "rotate", "tls", "--overlap", "1h"]);
    until("the one before to work", || echo(&cluster).then_some(()));
    for old in fs::read_dir(cluster.publisher.path("keys")).expect("its own folder").flatten() {
        if old.file_name().to_string_lossy().ends_with(".old") {
            fs::remove_file(old.path()).expect("its own folder");
        }
    }
    cluster.publisher.json(&["keys", "rotate", "auth"]);
    until("the newest one to work", || echo(&cluster).then_some(()));
}

#[test]
fn a_certificate_that_cannot_be_used_is_made_anew() {
    let mut instance = Instance::new("broken");
    fs::write(instance.path("keys/tls-cert.pem"), "no certificate").expect("its own folder");
    let keys = instance.json(&["tls", "generate"]);
    assert_eq!(states(&keys, "tls"), ["current"]);
    instance.start();
    assert_eq!(states(&instance.json(&["tls", "generate"]), "tls"), ["current", "overlap"]);
}

#[test]
fn an_instance_that_is_killed_while_a_key_is_replaced_works() {
    let mut cluster = with_echo();
    cluster.subscribe("echo", "keep");
    let mut published = 0;
    for (round, kind) in ["auth", "identity", "tls", "identity", "auth", "tls"].into_iter().enumerate() {
        let folder = cluster.publisher.folder().display().to_string();
        let mut rotating = cluster
            .publisher
            .command(&["keys", "rotate", kind, "--overlap", "1h", "--instance", &folder])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the program can be started");
        let known = states(&cluster.publisher.json(&["keys", "list"]), kind).len();
        // Sooner or later on each round: while it is written, stored, renamed, or taken over.
        if round % 2 == 0 {
            until("the key to be replaced or being replaced", || {
                let next = fs::read_dir(cluster.publisher.path("keys")).expect("its own folder").flatten().count() > 6;
                (next || rotating.try_wait().expect("a child can be waited for").is_some()).then_some(())
            });
        }
        cluster.publisher.kill();
        let _ = rotating.wait();
        cluster.publisher.start();
        let keys = cluster.publisher.json(&["keys", "list"]);
        assert!((known..=known + 1).contains(&states(&keys, kind).len()), "{keys}");
        published += 1;
        cluster.publish("echo", &published.to_string());
        cluster.subscriber.wait_for("handled", published);
        until("the token to work", || echo(&cluster).then_some(()));
    }
    assert!(
        fs::read_dir(cluster.publisher.path("keys"))
            .expect("its own folder")
            .flatten()
            .all(|file| { !file.file_name().to_string_lossy().ends_with(".next") })
    );
    assert_eq!(received(&cluster.subscriber).lines().count() as u64, published);
}

#[test]
fn keys_are_replaced_without_a_service_too() {
    let instance = Instance::new("alone");
    let before = instance.json(&["token", "issuer"]);
    for kind in ["identity", "auth", "tls"] {
        let keys = instance.json(&["keys", "rotate", kind]);
        assert_eq!(states(&keys, kind), ["current", "overlap"]);
    }
    assert_ne!(instance.json(&["token", "issuer"]), before);
}

fn with_echo() -> Cluster {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin(
        "receivers/keep.sh",
        "#!/bin/sh\ncat >> \"$COATTAIL_INSTANCE/received.jsonl\"\necho >> \"$COATTAIL_INSTANCE/received.jsonl\"\n",
    );
    cluster
}

fn perform(cluster: &Cluster) -> coattail_tests::Output {
    let arguments = ["action", "perform", "--peer", &cluster.peer, "--action", "echo", "--data", "1", "--json"];
    cluster.subscriber.run(&arguments)
}

fn echo(cluster: &Cluster) -> bool {
    perform(cluster).code == Some(0)
}

fn issuer(instance: &Instance) -> Value {
    instance.json(&["token", "issuer"])["issuer"].clone()
}

fn received(instance: &Instance) -> String {
    let text = fs::read_to_string(instance.path("received.jsonl")).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}

/// The states of the keys of one kind.
fn states<'a>(keys: &'a Value, kind: &str) -> Vec<&'a str> {
    let keys = keys.as_array().expect("a list").iter().filter(|key| key["kind"] == kind);
    keys.map(|key| key["state"].as_str().expect("a word")).collect()
}

/// Makes the subscriber a peer anew, with a token that only it can use; returns the id of the peer.
fn bind_to_subscriber(cluster: &Cluster) -> String {
    let Cluster { publisher, subscriber, peer } = cluster;
    subscriber.json(&["peer", "remove", peer, "--yes"]);
    let validation = subscriber.run(&["validation", "issue", "-q", "-r"]).ok().stdout;
    let added = publisher.run_with(&["validation", "add", "-", "--json"], &validation).ok().json();
    let bearer = format!("vt://{}", added["id"].as_str().expect("an id"));
    coattail_tests::cluster::add_peer(publisher, subscriber, &["--performable", "*", "--bearers", &bearer])
}

fn copy_of_keys(instance: &Instance) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary folder");
    for entry in fs::read_dir(instance.path("keys")).expect("its own folder").flatten() {
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("its own folder");
    }
    copy
}
