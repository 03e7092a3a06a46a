//! While a subscription is made: it can be made again, both sides agree on it, and what is published from then on is
//! handled once.

use coattail_tests::{Instance, until};
use serde_json::json;

use super::fleet::{Fleet, PUBLISHER};
use super::points::{During, Side};
use super::rounds::Round;

/// Who subscribes, and is not yet.
const SUBSCRIBER: usize = 1;

#[test]
fn p2_what_is_half_subscribed_can_be_subscribed_again() {
    let mut fleet = Fleet::new("");
    let peer = fleet.subscribers()[0].json(&["peer", "list"])[0]["id"].as_str().expect("an id").to_owned();
    let names = ["--peer", &peer, "--action", "feed", "--receiver", "record"];
    let command = |name: &'static str| [&["action", name], &names[..]].concat();
    let _ = fleet.subscribers()[0].run(&command("unsubscribe")).ok();
    let mut handled = fleet.subscribers()[0].counts()["handled"].as_u64().expect("a number");
    for round in Round::all(&[During::Subscribing]) {
        let victim = if round.point.side == Side::Publisher { PUBLISHER } else { SUBSCRIBER };
        fleet.arm(victim, &round);
        fleet.wait_until_ready(victim);
        let failed = fleet.subscribers()[0].run(&command("subscribe"));
        assert_ne!(failed.code, Some(0), "it was answered by one that was killed {}: {failed:#?}", round.again());
        fleet.wait_for_the_kill(victim, &round, |_| ());
        fleet.start_all();
        // What is half there goes, or is whole.
        let subscriber = &fleet.subscribers()[0];
        until(&format!("it to be subscribed again, after a kill {}", round.again()), || {
            let again = subscriber.run(&[&command("subscribe")[..], &["--json"]].concat());
            let is_there = again.code != Some(0) && again.error()["code"] == "already-exists";
            (again.code == Some(0) || is_there && ids(fleet.publisher(), subscriber).1 == 1).then_some(())
        });
        let publish = ["action", "publish", "--action", "feed", "--data", &json!({"fails": 0}).to_string()];
        let _ = fleet.publisher().run(&publish).ok();
        handled += 1;
        subscriber.wait_for("handled", handled);
        let _ = subscriber.run(&command("unsubscribe")).ok();
        until(&format!("both to have forgotten it, after a kill {}", round.again()), || {
            (ids(fleet.publisher(), subscriber) == (0, 0)).then_some(())
        });
        assert_eq!(subscriber.counts()["handled"], handled, "handled twice");
    }
}

/// How many subscriptions the subscriber holds, and how many of those the publisher knows.
fn ids(publisher: &Instance, subscriber: &Instance) -> (usize, usize) {
    let of = |list: serde_json::Value| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
    };
    let held = of(subscriber.json(&["subscriptions", "list"]));
    let known = of(publisher.json(&["subscribers", "list"]));
    (held.len(), held.iter().filter(|id| known.contains(id)).count())
}
