use coattail::wire::{ErrorCode, Failure};

use super::report::{as_json, as_lines, default_hint};
use super::usage::usage_failure;
use super::*;
use crate::output::Color;

#[test]
fn every_failure_has_a_hint() {
    for &code in ErrorCode::ALL {
        assert!(!default_hint(code).is_empty(), "{}", code.name());
        assert!(!default_hint(code).ends_with('.'), "{}", code.name());
    }
}

#[test]
fn every_code_has_its_exit_status() {
    use ErrorCode::*;
    let special = [
        (Usage, 2),
        (InvalidInput, 2),
        (NotRunning, 3),
        (NotPermitted, 4),
        (TokenRefused, 4),
        (TokenRevoked, 4),
        (NotFound, 5),
        (Unreachable, 6),
        (WrongPeer, 6),
        (TimedOut, 124),
        (Cancelled, 130),
    ];
    for &code in ErrorCode::ALL {
        let expected = special.iter().find(|(special, _)| *special == code).map_or(1, |(_, status)| *status);
        assert_eq!(ExitStatus::from(code) as u8, expected, "{}", code.name());
    }
}

#[test]
fn the_exit_statuses_stand_in_the_document() {
    let document = include_str!("../../../PROTOCOL.md");
    for &code in ErrorCode::ALL {
        let row = format!("| {} | `{}` | ", code.number(), code.name());
        let line = document.lines().find(|line| line.starts_with(&row)).expect("every code has its row");
        let end = format!(" | {} |", ExitStatus::from(code) as u8);
        assert!(line.ends_with(&end), "{line} does not end with {end}");
    }
}

#[test]
fn a_failure_is_two_or_three_lines() {
    let thrown = serde_json::from_str("{\"errno\":-2}").expect("JSON");
    for (failure, lines) in [
        (Failure::new(ErrorCode::Busy, "256 calls wait"), "error: 256 calls wait\n  try: try again in a moment\n"),
        (
            Failure::busy("256 calls wait").hint("wait"),
            "error: 256 calls wait\n  try: wait (it can be tried again in 1000 ms)\n",
        ),
        (
            Failure::new(ErrorCode::Failed, "no \x1b[31mfile\nat a.js:1\n  at b.js:2")
                .hint("make it")
                .data(Some(thrown)),
            "error: no \\u{1b}[31mfile\n  why: at a.js:1 | at b.js:2 | {\"errno\":-2}\n  try: make it\n",
        ),
    ] {
        assert_eq!(as_lines(&failure, Color::OFF), lines);
    }
}

#[test]
fn a_failure_is_one_line_of_json() {
    let failure = because(ErrorCode::NotFound, "no peer `x`", "there are none").hint("add one");
    let json = serde_json::to_string(&as_json(&failure)).expect("serializes");
    assert_eq!(json, r#"{"error":{"code":"not-found","message":"no peer `x`: there are none","hint":"add one"}}"#);
}

#[test]
fn what_clap_says_becomes_a_failure() {
    use clap::Parser as _;
    for (line, message, hint) in [
        ("coattail servic", "unrecognized subcommand 'servic'", "a similar subcommand exists: 'service'"),
        (
            "coattail token issue --expire-in 1h",
            "unexpected argument '--expire-in' found",
            "a similar argument exists: '--expires-in'",
        ),
        (
            "coattail action subscribe",
            "the following required arguments were not provided: --peer <ID>, --action <NAME>, --receiver <NAME>",
            "`coattail action subscribe --help` shows how it is used",
        ),
    ] {
        let unparsed = crate::args::Cli::try_parse_from(line.split(' ')).expect_err(line);
        let failure = usage_failure(&unparsed.render().to_string());
        assert_eq!((failure.message.as_str(), failure.hint.as_deref()), (message, Some(hint)), "{line}");
    }
}
