//! The key is the peer, and addresses are hints: an instance that moves is found again, with the tokens that there are.

use std::fs;

use coattail_tests::instance::free_port;
use coattail_tests::{Cluster, Instance, plugin, until};

#[test]
fn a_publisher_that_moves_tells_its_subscribers() {
    let mut cluster = subscribed();
    let port = move_to_another_port(&mut cluster.publisher);
    // The publisher can dial its subscriber with the subscription token, and says where it is now.
    until("the peer to be known at its new address", || {
        let peer = cluster.subscriber.json(&["peer", "show", &cluster.peer]);
        peer["addresses"][0].as_str().is_some_and(|first| first.contains(&port.to_string())).then_some(())
    });
    until("the peer to be reached", || echo(&cluster).then_some(()));
    cluster.publish("echo", "1");
    cluster.subscriber.wait_for("handled", 1);
}

#[test]
fn a_subscriber_that_moves_while_its_publisher_is_away_tells_it_later() {
    let mut cluster = subscribed();
    cluster.publisher.stop();
    let port = move_to_another_port(&mut cluster.subscriber);
    cluster.publisher.start();
    until("the subscriber to be known at its new address", || {
        let subscribers = cluster.publisher.json(&["subscribers", "list"]);
        subscribers[0]["addresses"][0].as_str().is_some_and(|first| first.contains(&port.to_string())).then_some(())
    });
    cluster.publish("echo", "1");
    cluster.subscriber.wait_for("handled", 1);
}

#[test]
fn a_peer_that_cannot_say_where_it_is_now_is_found_by_hand() {
    let mut cluster = Cluster::pair();
    cluster.publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    let Cluster { publisher, subscriber, peer } = &mut cluster;
    let before = subscriber.json(&["peer", "show", peer]);
    let port = move_to_another_port(publisher);
    let perform = ["action", "perform", "--peer", peer, "--action", "echo", "--data", "1", "--json"];
    subscriber.run(&perform).failed(6, "unreachable");
    let address = format!("net:127.0.0.1:{port}~tls");
    let set = subscriber.json(&["peer", "set-address", peer, &address]);
    assert_eq!(set["addresses"][0], address.as_str());
    let _ = subscriber.run(&perform).ok();
    // From now on the peer's own word for it is known, too.
    let forgotten = subscriber.json(&["peer", "set-address", peer]);
    assert_eq!(forgotten["addresses"][0], address.as_str());
    assert_eq!(forgotten["token"], before["token"], "no token was reissued");
    // Whoever answers elsewhere has to be the peer.
    let other = Instance::running("other");
    subscriber.stop();
    publisher.stop();
    subscriber.start();
    subscriber.json(&["peer", "set-address", peer, &format!("net:127.0.0.1:{}~tls", other.port())]);
    let error = subscriber.run(&perform).exited(6).error();
    assert_eq!(error["code"], "unreachable", "what answers there is passed over, and the peer itself is away");
    let _ = subscriber.run(&["peer", "set-address", peer, "somewhere", "--json"]).exited(2);
}

fn subscribed() -> Cluster {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    cluster.subscribe("echo", "keep");
    cluster
}

fn echo(cluster: &Cluster) -> bool {
    let arguments = ["action", "perform", "--peer", &cluster.peer, "--action", "echo", "--data", "1", "--json"];
    cluster.subscriber.run(&arguments).code == Some(0)
}

/// Stops the service, changes the port in `config.yml`, and starts it again. Returns the new port.
fn move_to_another_port(instance: &mut Instance) -> u16 {
    instance.stop();
    let port = free_port();
    let path = instance.path("config.yml");
    let text = fs::read_to_string(&path).expect("its own folder");
    let moved = text.replace(&instance.port().to_string(), &port.to_string());
    assert_ne!(text, moved, "{text}");
    fs::write(path, moved).expect("its own folder");
    instance.start();
    port
}
