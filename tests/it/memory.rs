//! What somebody who has not logged in can make a service hold: 64 KiB, however much he sends.

use std::io::{Read as _, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use coattail::wire::ErrorCode;
use coattail_tests::{Instance, plugin, until};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use crate::attacks::channel::believes_anybody;
use crate::raw_peer::{PATIENT, connect_from_anywhere, memory, peak_memory, plain_service};

/// What a stranger may make a service hold.
const LIMIT: usize = 64 * 1024;

/// Somewhat less, so that he is not sent away.
const ALMOST: usize = 60 * 1024;

/// Connections at once.
const STRANGERS: usize = 200;

/// What the allocator may take beyond what was asked of it, for each connection: a page at both ends of a buffer, and
/// the holes of smaller buffers before it that nothing else has filled yet.
const ROUNDING: usize = 8 * 1024;

/// What TLS holds beside: a record (RFC 8446, section 5.1) can be read only once it is whole.
const RECORD: usize = 18 * 1024;

/// Strangers are not sent away while this test looks at them.
const LONG: &str = "  unauthenticated_connections: 512\n  handshake: 5m\n";

#[test]
fn s8_a_line_without_an_end_is_read_up_to_64_kib_and_not_a_byte_further() {
    let instance = plain_service("publisher", LONG);
    let mut stream = connect_from_anywhere(instance.port());
    // Each piece is read before the next is sent: so what was sent is what the service has taken.
    for piece in [1, LIMIT / 2, LIMIT / 2 - 2, 1] {
        stream.write_all(&vec![b'x'; piece]).expect("it is open");
        until("the piece to be read", || is_all_read(&instance).then_some(()));
    }
    stream.set_nonblocking(true).expect("a mode");
    assert!(stream.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "not yet closed");
    stream.set_nonblocking(false).expect("a mode");
    stream.write_all(b"x").expect("it is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer and an end");
    let answer: Value = serde_json::from_str(&answer).expect("one answer");
    assert_eq!(answer["error"]["code"], ErrorCode::TooLarge.number(), "{answer}");
}

#[test]
fn s8_two_hundred_mebibytes_without_a_line_end_cost_64_kib_a_connection() {
    let instance = plain_service("publisher", LONG);
    let _ = peak_memory(&instance);
    let before = memory(&instance, "VmRSS:");
    let mebibyte = vec![b'x'; 1024 * 1024];
    let pour = |mebibytes: usize| {
        let mut stream = connect_from_anywhere(instance.port());
        (0..mebibytes).take_while(|_| stream.write_all(&mebibyte).is_ok()).count()
    };
    // All in one, and then as many at once as make 200 MiB together.
    let taken = pour(200);
    assert!(taken < 32, "the kernel's buffers and ours have taken {taken} MiB");
    thread::scope(|scope| (0..STRANGERS).for_each(|_| _ = scope.spawn(|| pour(1))));
    let each = (peak_memory(&instance) - before) * 1024 / (STRANGERS + 1);
    assert!(each <= LIMIT + ROUNDING, "{each} bytes for each connection");
}

#[test]
fn s8_what_a_stranger_leaves_unfinished_holds_64_kib_without_tls_and_with_it() {
    let plain = plain_service("plain", LONG);
    let strangers = (0..STRANGERS).map(|_| connect_from_anywhere(plain.port()));
    let each = held(&plain, strangers.collect());
    assert!(each <= LIMIT + ROUNDING, "{each} bytes for each connection");

    let mut with_tls = Instance::new("tls");
    with_tls.configure(&format!("{PATIENT}{LONG}"));
    with_tls.plugin("actions/echo.sh", plugin::ECHO_SH);
    with_tls.start();
    let each = held(&with_tls, (0..STRANGERS).map(|_| tls(with_tls.port())).collect());
    assert!(each <= LIMIT + RECORD + ROUNDING, "{each} bytes for each connection with TLS");
}

/// What each connection makes a service hold once it has sent almost all that a stranger may, beyond what it holds for
/// one that has just begun; in bytes.
fn held<S: Write>(instance: &Instance, mut strangers: Vec<S>) -> usize {
    let mut send = |bytes: &[u8]| {
        for stranger in &mut strangers {
            stranger.write_all(bytes).expect("so much is taken");
            stranger.flush().expect("so much is taken");
        }
        until("it to be read", || is_all_read(instance).then_some(()));
        memory(instance, "RssAnon:")
    };
    let idle = send(b"x");
    let full = send(&vec![b'x'; ALMOST - 1]);
    (full - idle) * 1024 / STRANGERS
}

/// Whether nothing that was sent to a service waits in the kernel.
fn is_all_read(instance: &Instance) -> bool {
    let port = format!(":{:04X}", instance.port());
    let sockets =
        ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default());
    sockets.iter().flat_map(|table| table.lines().skip(1)).all(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, remote) = (fields[1].ends_with(&port), fields[2].ends_with(&port));
        let (unsent, unread) = fields[4].split_once(':').expect("two queues");
        // Of a socket that listens, the second is who waits to be accepted.
        !(remote && unsent != EMPTY || local && unread != EMPTY)
    })
}

/// A queue of a socket, as the kernel writes it.
const EMPTY: &str = "00000000";

fn tls(port: u16) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(believes_anybody()), name).expect("TLS");
    StreamOwned::new(connection, connect_from_anywhere(port))
}
