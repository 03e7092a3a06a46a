//! P2 and P7 over a network that fails: whatever is wrong with the way between two instances, and however it ends, the
//! subscriber has everything soon after, once and in order; nobody storms the other, and others notice nothing.

use std::time::{Duration, Instant};

use coattail_tests::cluster::add_peer;
use coattail_tests::proxy::{Direction, Fault};
use coattail_tests::{Cluster, Control, Instance, Proxy, plugin, until, within};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// How soon all is well again when the way is.
const SOON: Duration = Duration::from_secs(10);

/// With these a session is given up after a second, and the pauses between dials are as they are by default.
const QUICK: &str = "limits:\n  ping: 300ms";

#[test]
fn a_way_that_is_cut_is_taken_again() {
    heals(Fault::Cut, 12);
}

#[test]
fn connections_that_are_reset_are_made_again() {
    heals(Fault::Reset, 12);
}

#[test]
fn a_black_hole_is_noticed_by_both_ends() {
    heals(Fault::BlackHole, 6);
}

#[test]
fn a_way_that_leads_only_from_the_publisher_is_none() {
    heals(Fault::OneWay(Direction::There), 6);
}

#[test]
fn a_way_that_leads_only_to_the_publisher_is_none() {
    heals(Fault::OneWay(Direction::Back), 6);
}

#[test]
fn a_way_that_is_there_every_other_second_is_used_when_it_is_there() {
    heals(Fault::Flapping, 12);
}

#[test]
fn a_long_way_is_a_way() {
    heals(Fault::Delay(Duration::from_millis(500)), 0);
}

#[test]
fn a_byte_a_second_is_no_way() {
    heals(Fault::Trickle, 6);
}

#[test]
fn a_connection_that_was_forgotten_silently_is_replaced_within_ten_seconds_by_default() {
    let net = Net::new("");
    net.publish(0..3);
    net.handled(3, SOON);
    // Nobody is told, and nothing is said that could fail: only silence shows it.
    net.way.forget();
    net.back.forget();
    net.publish(3..6);
    net.handled(6, SOON);
    net.check(6);
}

#[test]
fn an_instance_that_slept_is_back_at_once() {
    for sleeper in [Sleeper::Subscriber, Sleeper::Publisher] {
        let net = Net::new(QUICK);
        net.publish(0..3);
        net.handled(3, SOON);
        let (asleep, awake) = match sleeper {
            Sleeper::Subscriber => (&net.cluster.subscriber, &net.cluster.publisher),
            Sleeper::Publisher => (&net.cluster.publisher, &net.cluster.subscriber),
        };
        asleep.signal(Signal::SIGSTOP);
        // Longer than three intervals, as one sees.
        until("the other end to give the session up", || {
            (awake.log().matches("session ended").count() > 0).then_some(())
        });
        if let Sleeper::Subscriber = sleeper {
            net.publish(3..6);
        }
        asleep.signal(Signal::SIGCONT);
        if let Sleeper::Publisher = sleeper {
            net.publish(3..6);
        }
        net.handled(6, SOON);
        net.check(6);
    }
}

#[test]
fn every_address_is_tried_while_one_swallows_everything() {
    let net = Net::new(QUICK);
    // The way to the publisher is by hand now, and leads nowhere; the next address is the one that it states.
    let nowhere = Proxy::to(net.cluster.publisher.port());
    nowhere.set(Fault::BlackHole);
    let address = format!("net:127.0.0.1:{}~tls", nowhere.port());
    let _ = net.cluster.subscriber.run(&["peer", "set-address", &net.cluster.peer, &address]).ok();
    net.back.set(Fault::Cut);
    net.way.cut();
    net.publish(0..3);
    // Less than it takes until the first address is given up.
    net.handled(3, Duration::from_secs(4));
    assert!(nowhere.attempts() > 0);
}

enum Sleeper {
    Subscriber,
    Publisher,
}

/// A publisher and a subscriber with a proxy before each, and another subscriber with none between.
struct Net {
    cluster: Cluster,
    other: Instance,
    /// To the publisher.
    way: Proxy,
    /// To the subscriber.
    back: Proxy,
    control: Control,
}

impl Net {
    #[track_caller]
    fn new(settings: &str) -> Self {
        let make = |name| {
            let mut instance = Instance::new(name).env("COATTAIL_LOG", "info,coattail_daemon::session=debug");
            instance.configure(settings);
            let proxy = Proxy::before(&instance);
            instance.start();
            (instance, proxy)
        };
        let ((publisher, way), (subscriber, back)) = (make("publisher"), make("subscriber"));
        let cluster = Cluster::of(publisher, subscriber, &["--subscribable", "*"]);
        let mut other = Instance::running("other");
        let peer = add_peer(&cluster.publisher, &other, &["--subscribable", "*"]);
        let direct = format!("net:127.0.0.1:{}~tls", cluster.publisher.port());
        let _ = other.run(&["peer", "set-address", &peer, &direct]).ok();
        // The session with which the peer was added went through the proxy.
        other.stop();
        other.start();
        cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
        for instance in [&cluster.subscriber, &other] {
            instance.plugin("receivers/record.js", plugin::RECORD_JS);
        }
        other.json(&["action", "subscribe", "--peer", &peer, "--action", "feed", "--receiver", "record"]);
        cluster.subscribe("feed", "record");
        let control = Control::connect(&cluster.publisher);
        Self { cluster, other, way, back, control }
    }

    #[track_caller]
    fn publish(&self, values: std::ops::Range<u64>) {
        for value in values {
            self.control.publish("feed", &json!(value)).expect("accepted");
        }
    }

    #[track_caller]
    fn handled(&self, count: usize, limit: Duration) {
        let received = || self.cluster.subscriber.received().len();
        within(limit, &format!("{count} to be handled; it is {}", received()), || (received() >= count).then_some(()));
    }

    /// Nothing was lost, nothing came twice, and all in order.
    #[track_caller]
    fn check(&self, count: u64) {
        for instance in [&self.cluster.subscriber, &self.other] {
            instance.wait_for("handled", count);
            let expected: Vec<Value> =
                (0..count).map(|value| json!({ "sequence": value + 1, "value": value })).collect();
            assert_eq!(instance.received(), expected);
            assert_eq!(instance.counts()["stored"], count);
        }
        until("the publisher to know", || (self.cluster.publisher.counts()["undelivered"] == 0).then_some(()));
    }
}

/// Publishes before, during and after a fault between two instances, which lasts until they have tried so often to reach
/// each other.
#[track_caller]
fn heals(fault: Fault, tries: usize) {
    let net = Net::new(QUICK);
    net.publish(0..10);
    net.handled(10, SOON);
    let (began, attempts) = (Instant::now(), || net.way.attempts() + net.back.attempts());
    let before = attempts();
    net.way.set(fault);
    net.back.set(fault);
    net.publish(10..20);
    // The other subscriber notices nothing.
    within(SOON, "the other subscriber to have all", || (net.other.received().len() == 20).then_some(()));
    if tries > 0 {
        until("some tries", || (attempts() - before >= tries).then_some(()));
    } else {
        net.handled(20, SOON);
        assert!(began.elapsed() >= Duration::from_millis(500), "the fault is one");
    }
    let (lasted, tried) = (began.elapsed(), attempts() - before);
    net.way.set(Fault::None);
    net.back.set(Fault::None);
    net.publish(20..30);
    net.handled(30, SOON);
    net.check(30);
    // Each end begins with 0.1 s, doubles the pause, and stops doubling at 5 s; a pause may be shorter by a fifth.
    let most = 2 * (8 + lasted.as_secs() / 4);
    assert!(tried as u64 <= most, "{tried} tries in {lasted:?}");
    assert!(tries > 0 || tried == 0, "the session is there");
}
