//! A handshake that somebody has recorded, byte by byte, opens nothing: neither whole nor in part.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use coattail::wire::ErrorCode;
use coattail_daemon::keys::Identity;
use coattail_tests::{Instance, plugin};
use serde_json::{Value, json};

use crate::raw_peer::{RawPeer, issue, keys_of, plain_service, rand_nonce};

/// What the client has said, line by line: hello, login, and what it then called.
fn record(publisher: &Instance, subscriber: &Instance, token: &str) -> Vec<String> {
    let ear = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = ear.local_addr().expect("it listens").port();
    // The address of a peer is a hint, and this token's is the one where somebody listens.
    let led_astray = super::tokens::resigned(publisher, token, |claims| {
        claims.addresses = vec![format!("net:127.0.0.1:{port}").parse().expect("an address")];
        claims.certificate = None;
    });
    let publisher_port = publisher.port();
    let listening = thread::spawn(move || {
        let (mut client, _) = ear.accept().expect("it dials");
        let mut server = TcpStream::connect(("127.0.0.1", publisher_port)).expect("it listens");
        let (mut back, mut answers) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
        thread::spawn(move || std::io::copy(&mut answers, &mut back));
        let (mut recorded, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = client.read(&mut piece) {
            recorded.extend_from_slice(&piece[..read]);
            if server.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        String::from_utf8(recorded).expect("text").lines().map(|line| format!("{line}\n")).collect()
    });
    let added = subscriber.run_with(&["peer", "add", "-", "--json"], &led_astray).ok().json();
    let peer = added["id"].as_str().expect("an id");
    let _ = subscriber.run(&["action", "perform", "keep", "--data", "1", "--peer", peer]).ok();
    let _ = subscriber.run(&["peer", "remove", peer, "--yes"]).ok();
    listening.join().expect("recorded")
}

#[test]
fn s6_a_recorded_handshake_opens_nothing_whole_or_in_part() {
    let (publisher, subscriber) = (plain_service("publisher", ""), plain_service("subscriber", ""));
    publisher.plugin("actions/keep.sh", plugin::KEEP_SH);
    let token = issue(&publisher, &["--performable", "*"]);
    let lines = record(&publisher, &subscriber, &token);
    let whole = lines.concat();
    assert!(whole.contains("session.hello") && whole.contains("session.authenticate"), "{whole}");
    assert!(whole.contains("actions.perform"), "a login that works was recorded");
    let login = lines.iter().position(|line| line.contains("session.authenticate")).expect("checked");
    assert_eq!(publisher.received(), [json!(1)]);
    let sessions = |name: &str| {
        let status = publisher.json(&["service", "status"]);
        assert_eq!(status[0]["sessions"], 0, "{name}");
    };
    // Whole, and cut off at every line and in the middle of each.
    let mut recordings = vec![("whole".to_owned(), whole.clone())];
    recordings.push(("the login alone".to_owned(), lines[login].clone()));
    recordings.push(("without the hello".to_owned(), lines[1..].concat()));
    recordings.push(("the hello twice".to_owned(), format!("{}{whole}", lines[0])));
    recordings.push(("the login first".to_owned(), format!("{}{}", lines[login], lines[0])));
    recordings.push(("the login twice".to_owned(), format!("{}{}{}", lines[0], lines[login], lines[login])));
    for end in 1..=lines.len() {
        let (before, last) = (lines[..end - 1].concat(), &lines[end - 1]);
        recordings.push((format!("up to half of line {end}"), format!("{before}{}", &last[..last.len() / 2])));
        recordings.push((format!("up to line {end}"), format!("{before}{last}")));
    }
    for (name, recording) in recordings {
        let mut peer = RawPeer::connect(publisher.port());
        let _ = peer.send(recording.as_bytes());
        peer.end();
        for answer in peer.rest() {
            assert!(answer["result"]["session"].is_null(), "{name} has logged in: {answer}");
        }
        sessions(&name);
    }
    assert_eq!(publisher.received(), [json!(1)], "an action was performed");
    // In the answers to a hello of our own, with the nonce of the recording: the server's is another.
    let hello: Value = serde_json::from_str(&lines[0]).expect("JSON");
    let recorded: Value = serde_json::from_str(&lines[login]).expect("JSON");
    let mut peer = RawPeer::connect(publisher.port());
    peer.call("session.hello", &hello["params"]).expect("a hello is no secret");
    assert_eq!(peer.call("session.authenticate", &recorded["params"]), Err(ErrorCode::WrongPeer));
    // The token that was heard, presented by whoever heard it, is good: it was issued to everyone who has it.
    let token = recorded["params"]["token"].as_str().expect("a token");
    let _ = RawPeer::log_in(publisher.port(), &Identity::generate(), token);
}

#[test]
fn s6_a_server_that_replays_its_welcome_is_not_believed() {
    let (publisher, subscriber) = (plain_service("publisher", ""), plain_service("subscriber", ""));
    // What the publisher has once answered to somebody else.
    let mut peer = RawPeer::connect(publisher.port());
    let hello = crate::raw_peer::hello(&keys_of(&subscriber), &rand_nonce());
    let welcome = peer.call("session.hello", &hello).expect("a welcome");
    let stage = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = stage.local_addr().expect("it listens").port();
    let token = super::tokens::resigned(&publisher, &issue(&publisher, &["--performable", "*"]), |claims| {
        claims.addresses = vec![format!("net:127.0.0.1:{port}").parse().expect("an address")];
        claims.certificate = None;
    });
    let replaying = thread::spawn(move || {
        let (mut stream, _) = stage.accept().expect("it dials");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        let mut reader = std::io::BufReader::new(stream.try_clone().expect("a handle"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut reader, &mut line).expect("a hello");
        let hello: Value = serde_json::from_str(&line).expect("JSON");
        let answer = json!({"jsonrpc": "2.0", "id": hello["id"], "result": welcome});
        stream.write_all(format!("{answer}\n").as_bytes()).expect("it reads");
        let mut rest = String::new();
        let _ = reader.read_to_string(&mut rest);
        rest
    });
    let _ = subscriber.run_with(&["peer", "add", "-", "--json"], &token).failed(6, "wrong-peer");
    assert_eq!(replaying.join().expect("it ended"), "", "the token was shown");
}
