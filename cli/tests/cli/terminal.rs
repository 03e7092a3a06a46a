use coattail::rpc::Session;
use coattail::wire::control::ListTokens;
use coattail::wire::host::{Level, ListActions, Log, Perform, Performed, Progress};
use coattail::wire::{ErrorCode, Failure};

use crate::harness::{Canned, FakeDaemon, Instance};

fn daemon(instance: &Instance) -> FakeDaemon {
    Canned::new()
        .on(|_: ListTokens| Ok(Vec::new()))
        .on(|_: ListActions| Err(Failure::new(ErrorCode::NotPermitted, "no\nbecause").hint("ask")))
        .serve(instance)
}

#[test]
fn json_and_plain_are_the_same_with_and_without_a_terminal() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    for arguments in [
        &["version"][..],
        &["token", "list"],
        &["action", "list"],
        &["peer", "show", "x"],
        &["peer", "lst"],
        &["service", "status", "-i", "."],
        &["action", "create", "../x"],
    ] {
        for format in ["json", "plain"] {
            let run = || instance.coattail(arguments).env("COATTAIL_OUTPUT", format).env("TERM", "xterm");
            let without = run().run();
            let text = [without.0.stdout.clone(), without.0.stderr.clone()].concat();
            let text = String::from_utf8(text).expect("UTF-8");
            let (code, shown) = run().env("NO_COLOR", "1").run_wholly_on_a_terminal();
            assert_eq!((code, shown), (without.code(), text.clone()), "{arguments:?} {format}");
            if format == "json" {
                let (code, shown) = run().run_wholly_on_a_terminal();
                assert_eq!((code, shown), (without.code(), text), "{arguments:?}, where colour is not asked for");
            }
        }
    }
}

#[test]
fn an_error_is_one_object_with_code_message_and_hint() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    instance.coattail(&["action", "list", "--json"]).run().is(
        4,
        "",
        "{\"error\":{\"code\":\"not-permitted\",\"message\":\"no: because\",\"hint\":\"ask\"}}\n",
    );
}

#[test]
fn colour_follows_the_usual_rules() {
    let instance = Instance::new();
    for (set, on_a_terminal, colour) in [
        (&[("TERM", "xterm")][..], true, true),
        (&[("TERM", "xterm"), ("NO_COLOR", "1")], true, false),
        (&[("TERM", "xterm"), ("NO_COLOR", "")], true, true),
        (&[("TERM", "dumb")], true, false),
        (&[("TERM", "xterm")], false, false),
        (&[("CLICOLOR_FORCE", "1")], false, true),
        (&[("CLICOLOR_FORCE", "0")], false, false),
    ] {
        let mut run = instance.coattail(&["peer", "show", "x"]);
        for (name, value) in set {
            run = run.env(name, value);
        }
        let shown = if on_a_terminal {
            run.run_wholly_on_a_terminal().1
        } else {
            String::from_utf8(run.run().0.stderr).expect("UTF-8")
        };
        assert_eq!(shown.contains("\x1b["), colour, "{set:?}: {shown:?}");
    }
}

#[test]
fn a_person_sees_that_something_takes_long() {
    let instance = Instance::new();
    let slow = || {
        std::thread::sleep(std::time::Duration::from_millis(700));
        Ok(Vec::new())
    };
    let _daemon = Canned::new().on(move |_: ListTokens| slow()).serve(&instance);
    let run = || instance.coattail(&["token", "list"]).env("TERM", "xterm");
    let (code, shown) = run().run_wholly_on_a_terminal();
    assert!(code == 0 && shown.contains("working"), "{shown:?}");
    assert!(shown.ends_with("this instance has issued no tokens\n"), "{shown:?}");
    for (name, value) in [("COATTAIL_NO_SPINNER", "1"), ("TERM", "dumb"), ("COATTAIL_OUTPUT", "plain")] {
        let (_, shown) = run().env(name, value).run_wholly_on_a_terminal();
        assert!(!shown.contains("working"), "{name}: {shown:?}");
    }
}

#[test]
fn a_person_sees_how_far_a_call_has_got_and_what_it_says() {
    let instance = Instance::new();
    let said = |session: &Session, perform: &Perform| {
        let call = perform.call.expect("the command line names its calls");
        let log = |level, message: &str| {
            assert!(session.try_notify(&Log { call: Some(call), level, message: message.to_owned() }));
        };
        // Whoever has not asked for it gets nothing.
        if perform.follow {
            log(Level::Debug, "not for people");
            log(Level::Info, "o\u{1b}[2Jne");
            log(Level::Warn, "two");
            let message = Some("copy\u{1b}[2Jing".to_owned());
            assert!(session.try_notify(&Progress { call, fraction: Some(0.4), message }));
        }
    };
    let _daemon = Canned::new()
        .slowly(said, |perform: Perform| Performed {
            call: perform.call.expect("the command line names its calls"),
            result: serde_json::from_str("7").ok(),
            publication: None,
            publication_error: None,
        })
        .serve(&instance);
    let run = |more: &[&str]| instance.coattail(&[&["action", "perform", "x"], more].concat()).env("TERM", "xterm");
    let (code, shown) = run(&[]).env("NO_COLOR", "1").run_wholly_on_a_terminal();
    assert_eq!(code, 0);
    assert!(shown.starts_with("o\\u{1b}[2Jne\nwarn: two\n"), "{shown:?}");
    assert!(shown.contains("40 %") && shown.contains("copy\\u{1b}[2Jing"), "{shown:?}");
    assert!(shown.ends_with("7\n") && !shown.contains("not for people"), "{shown:?}");
    let (_, coloured) = run(&["--verbose"]).run_wholly_on_a_terminal();
    assert!(coloured.contains("\x1b[33mwarn:\x1b[0m two") && coloured.contains("not for people"), "{coloured:?}");

    // Without a terminal there is silence, unless it is asked for; with JSON in any case.
    run(&[]).run().is(0, "7\n", "");
    run(&["--follow"]).run().is(0, "7\n", "o\\u{1b}[2Jne\nwarn: two\n");
    let (_, json) = run(&["--follow", "--json"]).run_wholly_on_a_terminal();
    assert!(json.starts_with("{\"result\":7,"), "{json:?}");
}
