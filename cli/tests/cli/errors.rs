use crate::harness::{Coattail, Instance};

#[test]
fn wrong_usage_is_told_in_lines_and_exits_with_2() {
    Coattail::new(&["token", "issue", "--expire-in", "1h"]).run().is(
        2,
        "",
        "error: unexpected argument '--expire-in' found\n  try: a similar argument exists: '--expires-in'\n",
    );
    Coattail::new(&["peer", "show"]).run().is(
        2,
        "",
        "error: the following required arguments were not provided: <ID|--id <ID>>\n  \
         try: `coattail peer show --help` shows how it is used\n",
    );
}

#[test]
fn wrong_usage_is_json_where_json_was_asked_for() {
    let json = "{\"error\":{\"code\":\"usage\",\"message\":\"unrecognized subcommand 'lst'\",\
                \"hint\":\"a similar subcommand exists: 'list'\"}}\n";
    Coattail::new(&["peer", "lst", "--json"]).run().is(2, "", json);
    Coattail::new(&["peer", "lst"]).env("COATTAIL_OUTPUT", "json").run().is(2, "", json);
    Coattail::new(&["version"]).env("COATTAIL_OUTPUT", "xml").run().is(
        2,
        "",
        "error: COATTAIL_OUTPUT is `xml`\n  try: set it to `json` or `plain`, or unset it\n",
    );
}

#[test]
fn a_folder_that_is_no_instance_is_not_found() {
    Coattail::new(&["-i", "/does/not/exist", "peer", "list"]).run().is(
        5,
        "",
        "error: `/does/not/exist` is no instance\n  why: No such file or directory (os error 2)\n  \
         try: name its folder with `--instance DIR`, or make one with `coattail new DIR`\n",
    );
}

#[test]
fn the_version_is_told() {
    let version = env!("CARGO_PKG_VERSION");
    Coattail::new(&["version"]).run().is(0, &format!("Coattail v{version}\n"), "");
    Coattail::new(&["--version"]).run().is(0, &format!("coattail {version}\n"), "");
    Coattail::new(&["version", "--json"]).run().is(0, &format!("{{\"version\":\"{version}\",\"protocol\":1}}\n"), "");
}

#[test]
fn help_is_an_answer() {
    for arguments in [
        &["help"][..],
        &["--help"],
        &[],
        &["peer"],
        &["help", "token", "issue"],
        &["help", "environment"],
        &["help", "output"],
        &["man"],
        &["completions", "bash"],
        &["doctor", "--help"],
    ] {
        let outcome = Coattail::new(arguments).run();
        assert_eq!((outcome.code(), outcome.0.stderr.is_empty()), (0, true), "{arguments:?}");
        assert!(!outcome.0.stdout.is_empty(), "{arguments:?}");
    }
    let outcome = Coattail::new(&["help", "exit-codes"]).run();
    let text = String::from_utf8(outcome.0.stdout).expect("UTF-8");
    for code in [0, 1, 2, 3, 4, 5, 6, 75, 124, 130] {
        assert!(text.contains(&format!("{code:>5}  ")), "{code}");
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    Coattail::new(&["help"]).stdout(writer).run().is(0, "", "");
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("this is Linux");
    let outcome = Coattail::new(&["version"]).stdout(full).run();
    assert_eq!(outcome.code(), 1);
}

#[test]
fn what_destroys_asks_first() {
    let instance = Instance::new();
    let id = "0194d5c8-0000-7000-8000-000000000001";
    for (arguments, question) in [
        (vec!["peer", "remove", id], format!("forget the peer {id}, and end the subscriptions held there")),
        (
            vec!["token", "revoke", id],
            format!("revoke the token {id}, with the sessions and subscriptions that live on it"),
        ),
        (vec!["subscribers", "revoke", id], format!("end the subscription {id}, with what it has not delivered yet")),
        (
            vec!["data", "migrate", "down"],
            format!(
                "take the database of `{}` back, and lose what only the newer one can hold",
                instance.path().display()
            ),
        ),
    ] {
        instance.coattail(&arguments).run().is(
            2,
            "",
            &format!(
                "error: not confirmed: {question}\n  why: there is no terminal to ask on\n  \
                 try: add `--yes` if that is what you want\n"
            ),
        );
    }
}
