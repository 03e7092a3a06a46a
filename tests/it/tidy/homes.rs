//! SQL, sockets, processes and JSON-RPC each have one home.

use super::source::{Source, Violation, find};

struct Home {
    what: &'static str,
    /// What betrays it in code.
    code: &'static [&'static str],
    /// What betrays it at the start of a line of a text.
    texts: &'static [&'static str],
    /// Files, or folders if they end in a slash, and why they are its home.
    at: &'static [(&'static str, &'static str)],
}

const HOMES: &[Home] = &[
    Home {
        what: "SQL",
        code: &["rusqlite", "rusqlite_migration"],
        texts: &["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "ALTER TABLE ", "PRAGMA "],
        at: &[("daemon/src/store/", "another database will stand behind the same functions")],
    },
    Home {
        what: "sockets",
        code: &[
            "tokio::net",
            "os::unix::net",
            "TcpListener",
            "TcpSocket",
            "TcpStream",
            "UdpSocket",
            "UnixDatagram",
            "UnixListener",
            "UnixStream",
        ],
        texts: &[],
        at: &[
            ("daemon/src/transport/", "it knows what each connection has proven"),
            ("sdk-rust/src/control.rs", "the other end of the control socket"),
            ("daemon/src/plugins/process.rs", "a nameless pair: the daemon's line to a guard"),
            ("daemon/src/plugins/guard.rs", "the other end of that pair"),
            ("cli/src/commands/demo/instance.rs", "asks the system for free ports"),
        ],
    },
    Home {
        what: "processes",
        code: &["Command::new", "process::Command", "tokio::process", "unistd::fork", "posix_spawn", "execv", "execve"],
        texts: &[],
        at: &[
            ("daemon/src/plugins/", "no child outlives the daemon"),
            ("cli/src/clipboard.rs", "the tools that keep what was copied"),
            ("cli/src/commands/headless.rs", "the service itself, in the background"),
            ("cli/src/commands/demo", "it shows instances at work"),
        ],
    },
    Home {
        what: "JSON-RPC",
        code: &["jsonrpsee"],
        texts: &[],
        at: &[
            ("sdk-rust/src/rpc/", "the one engine of every wire"),
            ("sdk-rust/src/wire/", "the methods of every wire"),
        ],
    },
];

/// What the rules are for: tests may look from outside, with SQL and sockets of their own.
const FOLDERS: &[&str] = &["sdk-rust/src", "daemon/src", "cli/src"];

/// Looks like a socket, and is none.
const PIPES: &str = "tokio::net::unix::pipe";

fn check(source: &Source) -> Vec<Violation> {
    if !source.is_in(FOLDERS) {
        return Vec::new();
    }
    let away = |home: &&Home| !home.at.iter().any(|(path, _)| source.path.starts_with(path));
    HOMES.iter().filter(away).flat_map(|home| lines(source, home)).collect()
}

fn lines(source: &Source, home: &Home) -> Vec<Violation> {
    let code = source.lines().filter_map(|(number, line)| {
        let line = line.replace(PIPES, "");
        let mark = home.code.iter().find(|mark| find(&line, mark).next().is_some())?;
        Some((number, *mark))
    });
    let texts =
        source.texts.iter().flat_map(|(first, text)| (*first..).zip(text.lines())).filter_map(|(number, line)| {
            let mark = home.texts.iter().find(|mark| line.trim_start().starts_with(**mark))?;
            Some((number, mark.trim_end()))
        });
    let mut found: Vec<_> = code.chain(texts).collect();
    found.sort();
    found.into_iter().map(|(number, mark)| source.violation(number, rule(home, mark))).collect()
}

fn rule(home: &Home, mark: &str) -> String {
    let at: Vec<String> = home.at.iter().map(|(path, why)| format!("{path} ({why})")).collect();
    format!("`{mark}` belongs to {}, whose home is {}", home.what, at.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::source::{expect_none, expect_one};
    use super::*;

    #[test]
    fn everything_is_at_home() {
        expect_none(Source::all().iter().flat_map(check));
    }

    #[test]
    fn what_is_away_from_home_is_found() {
        for (path, code, line, words) in [
            ("daemon/src/actions/local.rs", "use rusqlite::Connection;", 1, "SQL"),
            ("daemon/src/actions/local.rs", "f(\"\n    SELECT a FROM b\");", 2, "`SELECT`"),
            ("cli/src/commands/data.rs", "let sql = r#\"INSERT INTO a\"#;", 1, "daemon/src/store/"),
            ("daemon/src/session/open.rs", "use tokio::net::lookup_host;", 1, "sockets"),
            ("daemon/src/door.rs", "\nuse std::net::{IpAddr, TcpListener};", 2, "`TcpListener`"),
            ("cli/src/context.rs", "fn f(socket: UnixStream) {}", 1, "sockets"),
            ("daemon/src/actions/local.rs", "use std::process::Command;", 1, "processes"),
            ("cli/src/commands/action.rs", "let child = Command::new(\"ls\");", 1, "processes"),
            ("daemon/src/session/open.rs", "use jsonrpsee::core::Error;", 1, "sdk-rust/src/rpc/"),
        ] {
            expect_one(&check(&Source::parse(path, code)), line, words);
        }
    }

    #[test]
    fn what_is_at_home_is_not_found() {
        for (path, code) in [
            ("daemon/src/store/peers.rs", "rusqlite::params![\"SELECT a\"]"),
            ("daemon/src/transport/tcp.rs", "use tokio::net::TcpStream;"),
            ("daemon/src/plugins/process.rs", "tokio::process::Command::new(a); use tokio::net::unix::pipe;"),
            ("sdk-rust/src/rpc/stdio.rs", "use tokio::net::unix::pipe;"),
            ("sdk-rust/src/wire/error.rs", "use jsonrpsee::types::ErrorObject;"),
            ("daemon/src/config/resolve.rs", "use std::net::IpAddr; std::process::id(); clap::Command::New"),
            ("daemon/src/config/resolve.rs", "// jsonrpsee\nlet hint = \"please SELECT one\";"),
            ("tests/it/restart.rs", "let rows = rusqlite::Connection::open(a);"),
        ] {
            expect_none(check(&Source::parse(path, code)));
        }
    }
}
