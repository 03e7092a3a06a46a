use std::fs;
use std::path::Path;
use std::process::Command;

use coattail::id::IssuerHash;
use coattail::wire::control::{IssueValidation, Validation};

use crate::harness::{Canned, Coattail, FakeDaemon, Instance};

const RAW: &str = "eyJhbGciOiJFZERTQSJ9.e30.c2ln";

fn validation(_: IssueValidation) -> Validation {
    Validation {
        id: None,
        issuer: IssuerHash::of_public_key("a key"),
        signed: true,
        issued: "now".to_owned(),
        effective: "now".to_owned(),
        expires: None,
        peer: None,
        raw: RAW.to_owned(),
    }
}

fn daemon(instance: &Instance) -> FakeDaemon {
    Canned::new().on(|call| Ok(validation(call))).serve(instance)
}

/// A tool of the desktop: keeps what it gets, and how many arguments it has.
const KEEPS: &str = "cat > \"$0.got\"; echo $# > \"$0.arguments\"";

/// Written by another process: a program that somebody has open for writing cannot be run, and what this process opens
/// is open for a moment in each process that another test starts.
fn tool(folder: &Path, name: &str, script: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test writes a program")]
    let written = Command::new("/bin/sh")
        .args(["-c", "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(folder.join(name))
        .arg(script)
        .status();
    assert!(written.expect("there is a shell").success());
}

/// The program among these tools, and no others of the desktop.
fn issue(instance: &Instance, tools: &Path, options: &[&str]) -> Coattail {
    let path = format!("{}:/bin", tools.display());
    instance.coattail(&[&["validation", "issue", "-q"], options].concat()).env("PATH", &path)
}

fn issuer() -> String {
    format!("{}\n", IssuerHash::of_public_key("a key"))
}

#[test]
fn c6_a_token_is_copied_on_request_and_never_as_an_argument() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    let tools = tempfile::tempdir().expect("a folder");
    for name in ["wl-copy", "xclip"] {
        tool(tools.path(), name, KEEPS);
    }
    for (variable, name, arguments) in [("WAYLAND_DISPLAY", "wl-copy", "0\n"), ("DISPLAY", "xclip", "2\n")] {
        let note = format!("the token is on the clipboard (by {name})\n");
        issue(&instance, tools.path(), &["--copy"]).env(variable, "here").run().is(0, &issuer(), &note);
        let kept = |what: &str| fs::read_to_string(tools.path().join(format!("{name}.{what}"))).expect(name);
        assert_eq!((kept("got"), kept("arguments")), (RAW.to_owned(), arguments.to_owned()));
    }
}

#[test]
fn c6_without_a_clipboard_the_way_to_print_it_is_told() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    let tools = tempfile::tempdir().expect("a folder");
    let warning = |why: &str| {
        format!(
            "warning: the token is not on the clipboard: {why}; it can be printed: \
             coattail validation issue --quiet --print-raw-token\n"
        )
    };
    let no_display = "there is no display (neither WAYLAND_DISPLAY nor DISPLAY is set)";
    issue(&instance, tools.path(), &["--copy"]).run().is(0, &issuer(), &warning(no_display));
    let on_display = || issue(&instance, tools.path(), &["--copy"]).env("DISPLAY", ":0");
    on_display().run().is(0, &issuer(), &warning("install wl-copy, xclip or xsel"));
    tool(tools.path(), "xclip", "exit 3");
    on_display().run().is(0, &issuer(), &warning("xclip failed (exit status: 3)"));
    // The next tool is tried.
    tool(tools.path(), "xsel", KEEPS);
    on_display().run().is(0, &issuer(), "the token is on the clipboard (by xsel)\n");
}

#[test]
fn c6_a_display_that_does_not_answer_holds_nobody_up() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    let tools = tempfile::tempdir().expect("a folder");
    tool(tools.path(), "xclip", "exec sleep 600");
    let outcome = issue(&instance, tools.path(), &["--copy"]).env("DISPLAY", ":0").run();
    let said = String::from_utf8_lossy(&outcome.0.stderr).into_owned();
    assert!(outcome.code() == 0 && said.contains("xclip did not finish within 2s"), "{said}");
}

#[test]
fn it_is_copied_by_itself_only_where_somebody_would_paste_it() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    let tools = tempfile::tempdir().expect("a folder");
    tool(tools.path(), "xclip", KEEPS);
    let got = tools.path().join("xclip.got");
    let run = |options: &[&str]| issue(&instance, tools.path(), options).env("DISPLAY", ":0").env("TERM", "dumb");
    // No terminal; a token that is printed; an answer for a program.
    run(&[]).run().is(0, &issuer(), "");
    assert_eq!(run(&["-r"]).run_wholly_on_a_terminal().1, format!("{RAW}\n"));
    let _ = run(&["--json"]).run_wholly_on_a_terminal();
    assert!(!got.exists());

    let (code, shown) = run(&[]).run_wholly_on_a_terminal();
    assert_eq!((code, shown), (0, format!("{}the token is on the clipboard (by xclip)\n", issuer())));
    assert_eq!(fs::read_to_string(got).expect("copied"), RAW);
}

#[test]
fn c3_the_scripting_form_prints_only_the_token() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    instance.coattail(&["validation", "issue", "-q", "-r"]).run().is(0, &format!("{RAW}\n"), "");
    instance.coattail(&["validation", "issue", "-qr", "--json"]).run().is(0, &format!("{{\"raw\":\"{RAW}\"}}\n"), "");
}
