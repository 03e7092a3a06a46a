//! Whoever is at a limit costs only itself: calls over a rate, failed handshakes, connections that only wait.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coattail::control;
use coattail::id::PeerId;
use coattail::rpc::Session;
use coattail::wire::control::{AddPeer, RemovePeer};
use coattail::wire::host::{ListActions, Perform};
use coattail::wire::{ErrorCode, Failure};
use coattail_tests::{Cluster, Instance, cluster, plugin, until};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Calls that the flood keeps under way.
const FLOOD: usize = 32;

/// Calls over its rate that a token is refused in one go; and after how many milliseconds each further one, at most.
const EXCESS: u64 = 1_024;
const EXCESS_EVERY_MS: u64 = 10;

/// How long a login may take while somebody attacks.
const PROMPT: Duration = Duration::from_secs(1);

/// How often those who attack slowly send a byte.
const PACE: Duration = Duration::from_secs(10);

/// How often somebody logs in meanwhile, which is less often than one address may.
const LOGIN_PACE: Duration = Duration::from_millis(100);

/// How many bytes each of them sends, after its first.
const ROUNDS: u32 = 2;

#[test]
fn calls_over_the_rate_are_refused_with_a_time_and_no_other_token_pays() {
    let publisher = Instance::new("publisher");
    publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    publisher.configure("limits: {calls_per_second: 1, burst: 8}");
    let publisher = started(publisher);
    let everything = ["--performable", "[\"*\"]"];
    let greedy = Cluster::of(publisher, Instance::running("greedy"), &everything);
    let modest = Instance::running("modest");
    let peer_of_modest = cluster::add_peer(&greedy.publisher, &modest, &everything);
    block_on(async {
        let (greedy_calls, modest_calls) = tokio::join!(
            perform_at_once(&greedy.subscriber, &greedy.peer, 40),
            perform_at_once(&modest, &peer_of_modest, 8)
        );
        let refused: Vec<&Failure> = greedy_calls.iter().filter_map(|call| call.as_ref().err()).collect();
        assert!((8..40).contains(&(40 - refused.len())), "{refused:#?}");
        for failure in refused {
            assert_eq!(failure.code, ErrorCode::Busy, "{failure:?}");
            assert!(failure.message.contains("1 calls a second"), "{failure:?}");
            assert!(failure.retry_after_ms.is_some_and(|wait| (1..=1_000).contains(&wait)), "{failure:?}");
        }
        assert!(modest_calls.iter().all(Result::is_ok), "{modest_calls:#?}");
    });
    let told = greedy.publisher.json(&["audit"]);
    let over = told.as_array().expect("a list").iter().filter(|entry| entry["reason"] == "rate");
    assert!(over.map(|entry| entry["count"].as_u64().expect("a count")).sum::<u64>() >= 1, "{told:#}");
}

#[test]
fn a_flood_of_refused_calls_holds_nobody_up() {
    let publisher = Instance::new("publisher");
    publisher.configure("limits: {calls_per_second: 100, burst: 1000}");
    let cluster = Cluster::of(started(publisher), Instance::running("greedy"), &[]);
    let modest = Instance::running("modest");
    let peer_of_modest = cluster::add_peer(&cluster.publisher, &modest, &[]).parse().expect("an id");
    let peer_of_greedy = cluster.peer.parse().expect("an id");
    let answered = block_on(async {
        let tasks = TaskTracker::new();
        let (flooding, calling) = (connect(&cluster.subscriber, &tasks).await, connect(&modest, &tasks).await);
        let alone = latency(&calling, peer_of_modest).await;
        let start = Instant::now();
        let refusals = Arc::new(AtomicU64::new(0));
        let mut flood = JoinSet::new();
        for _ in 0..FLOOD {
            let (flooding, refusals) = (flooding.clone(), refusals.clone());
            flood.spawn(async move {
                loop {
                    if flooding.call(&ListActions { peer: Some(peer_of_greedy), schemas: false }).await.is_err() {
                        refusals.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        until("the flood to be read slowly", || (refusals.load(Ordering::Relaxed) > EXCESS + 100).then_some(()));
        let [p50, p99] = latency(&calling, peer_of_modest).await;
        flood.shutdown().await;
        assert!(p99 < PROMPT, "alone {alone:?}, beside a flood {:?}", [p50, p99]);
        // However fast it asks, it is answered no faster than this.
        let (answered, elapsed) = (refusals.load(Ordering::Relaxed), start.elapsed());
        let bound = EXCESS + u64::try_from(elapsed.as_millis()).expect("a test is short") / EXCESS_EVERY_MS + 1;
        assert!(answered <= bound, "{answered} calls were refused within {elapsed:?}, at most {bound} should be");
        // Its session is the same, and goes on.
        let again =
            flooding.call(&ListActions { peer: Some(peer_of_greedy), schemas: false }).await.map_err(Failure::from);
        assert!(again.map_or_else(|failure| failure.code == ErrorCode::Busy, |_| true));
        answered
    });
    let told = cluster.publisher.json(&["audit"]);
    let entries = told.as_array().expect("a list");
    let over = entries.iter().filter(|entry| entry["reason"] == "rate");
    assert!(over.clone().count() <= 3, "a flood is one entry a minute: {told:#}");
    assert!(over.map(|entry| entry["count"].as_u64().expect("a count")).sum::<u64>() >= answered, "{told:#}");
    let logins =
        entries.iter().filter(|entry| entry["what"] == "session.authenticate" && entry["outcome"] == "allowed");
    assert_eq!(logins.count(), 2, "nobody had to log in again: {told:#}");
}

#[test]
fn a_token_has_so_many_sessions_and_a_source_so_many_connections() {
    let publisher = Instance::new("publisher");
    publisher.configure("limits: {sessions_per_token: 1, connections_per_address: 2}");
    let publisher = started(publisher);
    let token = publisher.run(&["token", "issue", "--quiet", "--print-raw-token"]).ok().stdout;
    let other_token = publisher.run(&["token", "issue", "--quiet", "--print-raw-token"]).ok().stdout;
    let mut holders: Vec<Instance> = ["first", "second", "third"].map(Instance::running).into();
    let add = |holder: &Instance, token: &str| holder.run_with(&["peer", "add", "-", "--json"], token);
    let _ = add(&holders[0], &token).ok();
    let error = add(&holders[1], &token).failed(1, "busy");
    assert_eq!(error["retry_after_ms"], 1_000, "{error:#}");
    // The refused one may not have gone yet.
    until("the second connection", || (add(&holders[1], &other_token).code == Some(0)).then_some(()));
    let _ = add(&holders[2], &other_token).failed(6, "unreachable");
    let told = publisher.json(&["audit"]);
    assert!(told.as_array().expect("a list").iter().any(|entry| entry["reason"] == "connections"), "{told:#}");
    // What ended makes room.
    holders[0].stop();
    until("the place of the first", || (add(&holders[2], &token).code == Some(0)).then_some(()));
}

#[test]
fn failed_handshakes_shut_their_source_out_for_a_while_and_open_sessions_stay() {
    let publisher = Instance::running("publisher");
    publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    let issue = ["token", "issue", "--quiet", "--print-raw-token", "--performable", "[\"*\"]"];
    let token = |instance: &Instance| instance.run(&issue).ok().stdout;
    let cluster = Cluster::of(publisher, Instance::running("witness"), &["--performable", "[\"*\"]"]);
    let bad = token(&cluster.publisher);
    let listed = cluster.publisher.json(&["token", "list"]);
    let newest = listed.as_array().and_then(|tokens| tokens.last()).expect("a token")["id"].clone();
    let _ = cluster.publisher.run(&["token", "revoke", newest.as_str().expect("an id"), "--yes"]).ok();
    let stranger = Instance::running("stranger");
    let refused = until("the source to be shut out", || {
        let output = stranger.run_with(&["peer", "add", "-", "--json"], &bad);
        (output.error()["code"] == "unreachable").then_some(output)
    });
    assert!(refused.stderr.contains("unreachable"));
    // Its session was open before, so it is not a stranger.
    let perform = ["action", "perform", "--peer", &cluster.peer, "--action", "echo", "--data", "1"];
    assert_eq!(cluster.subscriber.json(&perform)["result"], 1);
    let told = cluster.publisher.json(&["audit"]);
    let count = |reason: &str| {
        let entries = told.as_array().expect("a list").iter().filter(|entry| entry["reason"] == reason);
        entries.map(|entry| entry["count"].as_u64().expect("a count")).sum::<u64>()
    };
    assert!(count("token-revoked") >= 6 && count("penalty") >= 1, "{told:#}");
    // It ends by itself, for whoever shares the source too, and a success clears it.
    let good = token(&cluster.publisher);
    until("the penalty to end", || {
        let output = stranger.run_with(&["peer", "add", "-", "--json"], &good);
        (output.code == Some(0)).then_some(())
    });
    let other = Instance::running("other");
    let error = other.run_with(&["peer", "add", "-", "--json"], &bad).failed(4, "token-revoked");
    assert_eq!(error["retry_after_ms"], serde_json::Value::Null);
}

#[test]
fn nonsense_is_held_against_its_source_and_hanging_up_is_not() {
    let publisher = Instance::new("publisher");
    let path = publisher.path("config.yml");
    let text = fs::read_to_string(&path).expect("config.yml is there");
    fs::write(&path, text.replace("enabled: true", "enabled: false")).expect("config.yml can be written");
    let publisher = started(publisher);
    // What a connection is answered with until it is closed.
    let send = |text: &str| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", publisher.port())).expect("it listens");
        let mut answer = String::new();
        // A connection that was closed at once can fail in any of these.
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let count = |reason: &str| {
        let told = publisher.json(&["audit"]);
        let entries = told.as_array().expect("a list").iter().filter(|entry| entry["reason"] == reason);
        entries.map(|entry| entry["count"].as_u64().expect("a count")).sum::<u64>()
    };
    for _ in 0..20 {
        assert_eq!(send(""), "");
    }
    for n in 1..=6 {
        assert_ne!(send("GET / HTTP/1.1\n"), "", "it is told why");
        until("it to be written down", || (count("invalid-input") == n).then_some(()));
    }
    // On a slow machine the first penalty may have passed; the next is longer.
    until("it to be shut out", || send("GET / HTTP/1.1\n").is_empty().then_some(()));
    assert!(count("invalid-input") >= 6 && count("penalty") >= 1);
}

#[test]
fn a11_two_thousand_sockets_that_send_a_byte_every_ten_seconds_keep_nobody_out() {
    let publisher = Instance::running("publisher");
    let subscriber = Instance::running("subscriber");
    let issue = ["token", "issue", "--quiet", "--print-raw-token"];
    let token = publisher.run(&issue).ok().stdout;
    let port = publisher.port();
    block_on(async {
        let tasks = TaskTracker::new();
        let control = connect(&subscriber, &tasks).await;
        // From other addresses.
        let mut others = Vec::new();
        for n in 0..2_000_u32 {
            let from = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1 + n % 8);
            others.push(SlowSocket::open(from, port).await);
        }
        let logins = async {
            let mut beat = tokio::time::interval(LOGIN_PACE);
            for _ in 0.. {
                beat.tick().await;
                log_in(&control, &token).await;
            }
        };
        tokio::select! {
            biased;
            () = attack(others) => {}
            () = logins => {}
        }
        // And from the very address of the one who wants to be let in: fewer than the rate of one address allows.
        let mut neighbours = Vec::new();
        for _ in 0..600 {
            neighbours.push(SlowSocket::open(Ipv4Addr::LOCALHOST, port).await);
        }
        for _ in 0..5 {
            log_in(&control, &token).await;
        }
        drop(neighbours);
    });
    let told = publisher.json(&["audit"]);
    let evicted = told.as_array().expect("a list").iter().filter(|entry| entry["reason"] == "evicted");
    let evicted: u64 = evicted.map(|entry| entry["count"].as_u64().expect("a count")).sum();
    assert!(evicted >= 1_500, "{told:#}");
}

/// Adds a peer, which logs in, and forgets it again.
async fn log_in(control: &Session, token: &str) {
    let start = Instant::now();
    let added = control.call(&AddPeer { token: token.into() }).await.expect("let in");
    assert!(start.elapsed() < PROMPT, "a login took {:?}", start.elapsed());
    let peer: PeerId = added.id;
    control.call(&RemovePeer { peer, dry_run: false }).await.expect("forgotten");
}

/// How long calls to a peer take: the median, and the longest but one in a hundred.
async fn latency(control: &Session, peer: PeerId) -> [Duration; 2] {
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        control.call(&ListActions { peer: Some(peer), schemas: false }).await.expect("allowed");
        times.push(start.elapsed());
    }
    times.sort_unstable();
    [times[100], times[197]]
}

/// Each socket sends a byte, one after the other over the whole of [`PACE`], in each of [`ROUNDS`].
async fn attack(mut sockets: Vec<SlowSocket>) {
    let mut beat = tokio::time::interval(PACE / u32::try_from(sockets.len()).expect("a few"));
    for _ in 0..ROUNDS {
        for socket in &mut sockets {
            beat.tick().await;
            socket.go_on().await;
        }
    }
}

/// A connection that begins to speak TLS, byte by byte.
struct SlowSocket {
    stream: TcpStream,
    from: Ipv4Addr,
    port: u16,
    sent: usize,
}

impl SlowSocket {
    /// Connects, and sends the first byte.
    async fn open(from: Ipv4Addr, port: u16) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((from, 0))).expect("an address of this machine");
        let stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.expect("accepted");
        // It may have been evicted already.
        let _ = stream.try_write(&TLS_HELLO[..1]);
        Self { stream, from, port, sent: 1 }
    }

    /// Sends the next byte, or comes back if it was sent away.
    async fn go_on(&mut self) {
        let is_open = self.stream.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        if is_open && self.stream.try_write(&TLS_HELLO[self.sent..=self.sent]).is_ok() {
            self.sent += 1;
        } else {
            *self = Self::open(self.from, self.port).await;
        }
    }
}

/// How a client begins: a record, and in it a hello of 508 bytes.
const TLS_HELLO: [u8; 9] = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc];

async fn perform_at_once(instance: &Instance, peer: &str, calls: usize) -> Vec<Result<(), Failure>> {
    let tasks = TaskTracker::new();
    let control = connect(instance, &tasks).await;
    let mut running = JoinSet::new();
    for _ in 0..calls {
        let (control, peer) = (control.clone(), peer.parse().expect("an id"));
        running.spawn(async move {
            let perform = Perform {
                call: None,
                peer: Some(peer),
                action: "echo".parse().expect("a name"),
                input: Some(serde_json::from_str("1").expect("JSON")),
                publish: false,
                timeout_ms: None,
                key: None,
                start_timeout_ms: None,
                follow: false,
                parent: None,
            };
            control.call(&perform).await.map(drop).map_err(Failure::from)
        });
    }
    running.join_all().await
}

async fn connect(instance: &Instance, tasks: &TaskTracker) -> Session {
    let (session, run) = control::connect(instance.folder(), CancellationToken::new()).await.expect("its service runs");
    tasks.spawn(run);
    session
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

fn started(mut instance: Instance) -> Instance {
    instance.start();
    instance
}
