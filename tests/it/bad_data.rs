//! What people type wrongly: data that is no JSON, names of what is not there, names that no thing can have.

use std::fs;

use coattail_tests::{Cluster, Instance, Output, plugin};
use serde_json::json;

/// An id that nothing has.
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// A failure as people see it: what failed, perhaps why, what to try; and the same exit code as with `--json`.
#[track_caller]
fn is_told_to_people(output: Output, code: i32) {
    let output = output.exited(code);
    let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.starts_with("warning: ")).collect();
    assert!((2..=3).contains(&lines.len()), "{output:#?}");
    assert!(lines[0].starts_with("error: ") && lines[0].len() > 12, "{output:#?}");
    assert!(lines[lines.len() - 1].starts_with("  try: "), "{output:#?}");
    assert!(lines.len() == 2 || lines[1].starts_with("  why: "), "{output:#?}");
    assert!(!output.stderr.contains(".rs:") && !output.stderr.contains('\u{1b}'), "{output:#?}");
    assert_eq!(output.stdout, "", "{output:#?}");
}

/// Both forms of a failure; returns the hint.
#[track_caller]
fn fails(instance: &Instance, arguments: &[&str], stdin: &str, code: i32, kind: &str) -> String {
    is_told_to_people(instance.run_with(arguments, stdin), code);
    let error = instance.run_with(&[arguments, &["--json"]].concat(), stdin).failed(code, kind);
    error["hint"].as_str().expect("checked").to_owned()
}

#[test]
fn data_that_is_no_json_is_refused_before_anything_is_done() {
    let instance = Instance::running("data");
    instance.plugin("actions/echo.sh", "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/performed\"\ncat\n");
    let file = |name: &str, content: &[u8]| {
        fs::write(instance.path(name), content).expect("written");
        format!("@{}", instance.path(name).display())
    };
    let deep = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
    let not_utf8 = file("latin1.json", b"\"\xfc\"");
    let large = file("large.json", &vec![b' '; 8 * 1024 * 1024 + 1]);
    let (too_deep, far_too_deep) = (file("deep.json", &deep(130)), file("deeper.json", &deep(1_000_000)));
    let folder = format!("@{}", instance.folder().display());
    for (data, stdin, code, kind) in [
        ("{\"a\":", "", 2, "usage"),
        ("", "", 2, "usage"),
        ("{\"a\":1} 2", "", 2, "usage"),
        ("nan", "", 2, "usage"),
        ("'a'", "", 2, "usage"),
        ("{a:1}", "", 2, "usage"),
        ("\"\u{1b}[31m\"", "", 2, "usage"),
        ("-", "<xml/>", 2, "usage"),
        ("-", "", 2, "usage"),
        ("@/does/not/exist", "", 5, "not-found"),
        (&folder, "", 2, "usage"),
        (&not_utf8, "", 2, "usage"),
        (&large, "", 1, "too-large"),
        (&too_deep, "", 2, "usage"),
        (&far_too_deep, "", 2, "usage"),
    ] {
        for verb in ["perform", "publish"] {
            fails(&instance, &["action", verb, "--action", "echo", "--data", data], stdin, code, kind);
        }
    }
    assert!(!instance.path("performed").exists(), "an action was performed with what is no input");
    assert_eq!(instance.counts()["published"], 0);
    // What is JSON passes as it is, also what most readers trip over.
    for data in ["1e999", "{\"a\":1,\"a\":2}", "\"\\u0000\"", "null", "-0"] {
        let output = instance.run(&["action", "perform", "--action", "echo", "--data", data, "--json"]).ok();
        assert!(output.stdout.contains(&format!("\"result\":{data},")), "{output:#?}");
    }
}

#[test]
fn what_is_published_is_never_nested_too_deep_to_be_delivered() {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    cluster.subscribe("echo", "keep");
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let mut accepted = 0;
    for levels in [1, 100, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128] {
        let (data, peer) = (nested(levels), ["--peer", &cluster.peer]);
        for (instance, at) in [(&cluster.publisher, &[][..]), (&cluster.subscriber, &peer[..])] {
            let arguments = [&["action", "publish", "--action", "echo", "--data", &data, "--json"], at].concat();
            let output = instance.run(&arguments);
            match output.code {
                Some(0) => accepted += 1,
                _ => drop(output.exited(2)),
            }
        }
    }
    assert!(accepted >= 6, "only {accepted} were accepted");
    // None of them is stuck on the way.
    cluster.subscriber.wait_for("handled", accepted);
}

#[test]
fn what_is_unknown_is_told_with_what_is_nearest() {
    let instance = Instance::running("unknown");
    instance.plugin("actions/backup.sh", plugin::ECHO_SH);
    instance.plugin("receivers/keep.sh", plugin::KEEP_SH);
    // Arguments, exit code, kind, and what the hint has to say.
    for (arguments, code, kind, hint) in [
        (&["action", "perform", "bakcup"][..], 5, "not-found", "did you mean `backup`?"),
        (&["action", "publish", "bakcup", "--data", "1"], 5, "not-found", "did you mean `backup`?"),
        (&["action", "perform", "zzz"], 5, "not-found", "`coattail action list`"),
        (&["action", "perform", "keep"], 5, "not-found", "`coattail action list`"),
        (&["action", "perform", "backup", "--peer", NOBODY], 5, "not-found", "`coattail peer list`"),
        (&["action", "perform", "backup", "--peer", "nyc"], 5, "not-found", "`coattail peer list`"),
        (&["action", "publish", "backup", "--data", "1", "--peer", NOBODY], 5, "not-found", "`coattail peer list`"),
        (&["action", "list", "--peer", NOBODY], 5, "not-found", "`coattail peer list`"),
        (
            &["action", "subscribe", "--peer", NOBODY, "--action", "a", "--receiver", "keep"],
            5,
            "not-found",
            "`coattail peer list`",
        ),
        (&["action", "unsubscribe", "--peer", NOBODY, "--action", "a", "--receiver", "keep"], 5, "not-found", ""),
        (&["peer", "show", NOBODY], 5, "not-found", "`coattail peer list`"),
        (&["peer", "remove", NOBODY, "--yes"], 5, "not-found", "`coattail peer list`"),
        (&["token", "show", NOBODY], 5, "not-found", "`coattail token list`"),
        (&["token", "revoke", "7", "--yes"], 5, "not-found", "`coattail token list`"),
        (&["subscribers", "revoke", NOBODY, "--yes"], 5, "not-found", "`coattail subscribers list`"),
        (&["token", "revoke", NOBODY], 2, "usage", "--yes"),
        (&["acton", "list"], 2, "usage", "'action'"),
        (&["action", "perfrom", "backup"], 2, "usage", "'perform'"),
        (&["service", "frobnicate"], 2, "usage", "--help"),
        (&["action", "perform", "backup", "--notfy"], 2, "usage", "'--notify'"),
        (&["token", "issue", "--expire-in", "1h"], 2, "usage", "'--expires-in'"),
        (&["token", "issue", "--expires-in", "soon"], 2, "usage", "--help"),
        (&["token", "issue", "--bearers", "ftp://x"], 2, "invalid-input", "vt://"),
        (&["token", "issue", "--performable", "[\"a\""], 2, "usage", "--help"),
        (&["action", "perform"], 2, "usage", "--help"),
        (&["action", "perform", "a", "b"], 2, "usage", "--help"),
    ] {
        let found = fails(&instance, arguments, "", code, kind);
        assert!(found.contains(hint), "{arguments:?}: the hint is {found:?}");
    }
    assert_eq!(instance.json(&["token", "list"]), json!([]), "a command that was refused has issued a token");
}

#[test]
fn what_a_peer_does_not_have_is_told_with_what_is_nearest() {
    let cluster = Cluster::pair();
    let Cluster { publisher, subscriber, peer } = &cluster;
    publisher.plugin("actions/backup.sh", plugin::ECHO_SH);
    subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let subscribe =
        |action, receiver| ["action", "subscribe", "--peer", peer, "--action", action, "--receiver", receiver];
    for (arguments, hint) in [
        (&["action", "perform", "bakcup", "--peer", peer][..], "did you mean `backup`?"),
        (&["action", "publish", "bakcup", "--data", "1", "--peer", peer], "did you mean `backup`?"),
        (&subscribe("bakcup", "keep"), "did you mean `backup`?"),
        (&subscribe("backup", "kepe"), "did you mean `keep`?"),
        (&["action", "unsubscribe", "--peer", peer, "--action", "backup", "--receiver", "keep"], ""),
    ] {
        let found = fails(subscriber, arguments, "", 5, "not-found");
        assert!(found.contains(hint), "{arguments:?}: the hint is {found:?}");
    }
    assert_eq!(publisher.json(&["subscribers", "list"]), json!([]));
    cluster.subscribe("backup", "keep");
}

#[test]
fn a_folder_that_is_no_instance_is_told() {
    let instance = Instance::new("none");
    let empty = tempfile::tempdir().expect("a temporary folder");
    let path = empty.path().display().to_string();
    for folder in [path.as_str(), "/does/not/exist", "/dev/null"] {
        is_told_to_people(instance.run_outside(&["token", "list", "--instance", folder]), 5);
        instance.run_outside(&["token", "list", "--instance", folder, "--json"]).failed(5, "not-found");
    }
    assert_eq!(fs::read_dir(&path).expect("it is there").count(), 0, "something was made in it");
}

#[test]
fn no_name_leads_out_of_a_folder_or_into_a_terminal() {
    let instance = Instance::running("names");
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    fs::write(instance.path("secret.sh"), "#!/bin/sh\necho 1\n").expect("written");
    let long = "x".repeat(256);
    for name in [
        "../secret",
        "..",
        ".",
        "",
        "a/b",
        "/etc/passwd",
        "actions/echo",
        "a\\b",
        ".hidden",
        "a\rb",
        "a\nb",
        "a\u{7}b",
        "\u{1b}[31mred",
        "a\u{202e}b",
        "a\u{200b}b",
        " padded ",
        &long,
    ] {
        for arguments in [
            &["action", "perform", "--action", name][..],
            &["action", "publish", "--action", name, "--data", "1"],
            &["action", "create", "--name", name],
            &["action", "create", "--receiver", "--name", name],
            &["action", "subscribe", "--peer", NOBODY, "--action", name, "--receiver", "r"],
            &["action", "subscribe", "--peer", NOBODY, "--action", "a", "--receiver", name],
            &["token", "issue", "--performable", name],
        ] {
            fails(&instance, arguments, "", 2, "usage");
        }
    }
    // A name that can be one, of nothing that is there: it is looked up and never a path.
    for name in ["%2e%2e%2fsecret", "echo\u{301}", "~", "$(id)", "a;b", "CON", "-"] {
        fails(&instance, &["action", "perform", "--action", name], "", 5, "not-found");
    }
    let names = |folder: &str| {
        let entries = fs::read_dir(instance.path(folder)).expect("it is there");
        entries.map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>()
    };
    assert_eq!(names("actions"), ["echo.sh"]);
    assert!(names("receivers").is_empty());
}

#[test]
fn a_file_whose_name_is_no_name_is_shown_without_its_control_characters() {
    let instance = Instance::running("files");
    for file in ["echo", "re\u{1b}[31md", "new\nline", "right\u{202e}tfel"] {
        instance.plugin(&format!("actions/{file}.sh"), plugin::ECHO_SH);
    }
    let shown = instance.run(&["action", "list"]).ok().stdout;
    assert_eq!(shown.lines().count(), 5, "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
    let listed = instance.json(&["action", "list"]);
    for entry in listed.as_array().expect("a list") {
        assert_eq!(entry["problem"].is_string(), entry["name"] != "echo", "{entry}");
    }
    // The others go on.
    let _ = instance.run(&["action", "perform", "echo", "--data", "1"]).ok();
}
