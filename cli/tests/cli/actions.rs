use coattail::id::PublicationId;
use coattail::wire::host::{
    Entry, ListActions, Perform, Performed, PluginState, Publish, Subscribe, Subscription, Unsubscribe, Unsubscribed,
};
use coattail::wire::peer::Published;
use coattail::wire::plugin::Kind;
use coattail::wire::plugins::{
    LastError, Plugin, PluginCounts, PluginLimits, PluginWorker, ReloadOutcome, ReloadPlugins, Reloaded, ShowPlugin,
};
use coattail::wire::{ErrorCode, Failure, Raw};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Canned, Instance, Outcome, wait_for};

const ID: &str = "0194d5c8-0000-7000-8000-000000000001";

fn raw(json: &str) -> Raw {
    serde_json::from_str(json).expect("JSON")
}

fn performed(call: &Perform, result: Option<Raw>) -> Performed {
    Performed {
        call: call.call.expect("the command line names its calls"),
        result,
        publication: None,
        publication_error: None,
    }
}

/// A canned daemon whose action answers with its input.
fn echo() -> Canned {
    Canned::new().on(|call: Perform| {
        let result = call.input.clone();
        Ok(performed(&call, result))
    })
}

#[test]
fn a_result_is_indented_for_people_and_untouched_for_programs() {
    let instance = Instance::new();
    let _daemon = echo().serve(&instance);
    let perform = ["action", "perform", "-a", "My Action", "-d", r#"{"z": 1.50, "a":"é","z":[]}"#];
    instance.coattail(&perform).run().is(0, "{\n  \"z\": 1.50,\n  \"a\": \"é\",\n  \"z\": []\n}\n", "");
    instance.coattail(&perform).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "").run().is(
        0,
        "{\n  \x1b[34m\"z\"\x1b[0m: \x1b[33m1.50\x1b[0m,\n  \x1b[34m\"a\"\x1b[0m: \x1b[32m\"é\"\x1b[0m,\n  \
         \x1b[34m\"z\"\x1b[0m: []\n}\n",
        "",
    );
    instance.coattail(&perform).env("COATTAIL_OUTPUT", "plain").run().is(
        0,
        "{\"z\": 1.50, \"a\":\"é\",\"z\":[]}\n",
        "",
    );
    let json = instance.coattail(&[&perform[..], &["--json"]].concat()).run();
    let text = String::from_utf8(json.0.stdout).expect("UTF-8");
    assert!(text.starts_with(r#"{"result":{"z": 1.50, "a":"é","z":[]},"call":""#), "{text}");
}

#[test]
fn input_comes_from_an_argument_a_file_or_stdin() {
    let instance = Instance::new();
    let _daemon = echo().serve(&instance);
    std::fs::write(instance.path().join("in.json"), "[\n1\n]").expect("a file");
    let perform = |data: &str| instance.coattail(&["action", "perform", "-a", "x", "-d", data]);
    perform("-5").run().is(0, "-5\n", "");
    perform("null").run().is(0, "null\n", "");
    perform("-").stdin("\"text\"\n").run().is(0, "\"text\"\n", "");
    perform("@in.json").run().is(0, "[\n  1\n]\n", "");
    perform("@out.json").run().is(
        5,
        "",
        "error: could not open `out.json`\n  why: No such file or directory (os error 2)\n  \
         try: check the path and its permissions\n",
    );
    perform("{a:1}").run().is(
        2,
        "",
        "error: --data is no JSON\n  why: key must be a string at line 1 column 2\n  \
         try: give JSON (a text needs its double quotes: '\"text\"'), `@FILE` for the content of a file, or `-` for stdin\n",
    );
}

#[test]
fn what_was_asked_is_what_the_daemon_is_asked() {
    let instance = Instance::new();
    let daemon = echo().serve(&instance);
    instance.coattail(&["action", "perform", "-a", "x"]).run().is(0, "", "");
    instance.coattail(&["action", "perform", "-p", ID, "-a", "x", "-n", "--timeout", "1.5m"]).run().is(0, "", "");
    // As in the original, the folder of the instance is its own id.
    let own = instance.path();
    let own = own.to_str().expect("UTF-8");
    instance.coattail(&["action", "perform", "--peer", own, "-a", "x"]).run().is(0, "", "");
    let asked: Vec<String> = daemon.asked().iter().map(|asked| without_call(asked)).collect();
    assert_eq!(
        asked,
        [
            r#"actions.perform {"action":"x","publish":false}"#.to_owned(),
            format!(r#"actions.perform {{"peer":"{ID}","action":"x","publish":true,"timeout_ms":90000}}"#),
            r#"actions.perform {"action":"x","publish":false}"#.to_owned(),
        ]
    );
}

/// The call's id is another one each time.
fn without_call(asked: &str) -> String {
    let (before, after) = asked.split_once(r#""call":""#).expect("the command line names its calls");
    format!("{before}{}", &after[38..])
}

#[test]
fn c7_c8_an_unknown_peer_is_not_found() {
    let instance = Instance::new();
    let daemon = echo().serve(&instance);
    instance.coattail(&["action", "perform", "-p", "nyc", "-a", "x"]).run().is(
        5,
        "",
        "error: there is no peer `nyc`\n  try: `coattail peer list` shows the ids of the peers\n",
    );
    assert!(daemon.asked().is_empty());
}

#[test]
fn c1_a_failed_action_exits_with_its_code() {
    for (code, exit) in [
        (ErrorCode::Failed, 1),
        (ErrorCode::NotPermitted, 4),
        (ErrorCode::NotFound, 5),
        (ErrorCode::Unreachable, 6),
        (ErrorCode::TimedOut, 124),
    ] {
        let instance = Instance::new();
        let _daemon = Canned::new()
            .on(move |_: Perform| {
                Err::<Performed, _>(Failure::new(code, "it broke\nat x.js:1").hint("mend it").data(Some(raw("[1]"))))
            })
            .serve(&instance);
        let perform = ["action", "perform", "-a", "x"];
        instance.coattail(&perform).run().is(exit, "", "error: it broke\n  why: at x.js:1 | [1]\n  try: mend it\n");
        instance.coattail(&[&perform[..], &["--json"]].concat()).run().is(
            exit,
            "",
            &format!(
                "{{\"error\":{{\"code\":\"{}\",\"message\":\"it broke: at x.js:1\",\"hint\":\"mend it\",\"data\":[1]}}}}\n",
                code.name()
            ),
        );
    }
}

#[test]
fn r5_a_result_that_was_not_published_is_kept() {
    let instance = Instance::new();
    let _daemon = Canned::new()
        .on(|call: Perform| {
            Ok(Performed { publication_error: Some("the disk is full".to_owned()), ..performed(&call, Some(raw("1"))) })
        })
        .serve(&instance);
    instance.coattail(&["action", "perform", "-a", "x", "-n"]).run().is(
        1,
        "1\n",
        "error: the result was not published\n  why: the disk is full\n  \
         try: publish it with `coattail action publish`; the action itself has succeeded\n",
    );
}

#[test]
fn interrupting_ends_the_call_and_exits_with_130() {
    let instance = Instance::new();
    let (canned, seen) = Canned::new().stuck::<Perform>();
    let _daemon = canned.serve(&instance);
    let performing = instance.coattail(&["action", "perform", "-a", "x"]).spawn();
    wait_for(&seen, "called");
    kill(Pid::from_raw(i32::try_from(performing.id()).expect("a pid")), Signal::SIGINT).expect("it runs");
    wait_for(&seen, "dropped");
    Outcome(performing.wait_with_output().expect("it ends")).is(
        130,
        "",
        "error: interrupted before it was done\n  try: run the command again when you want it done\n",
    );
}

#[test]
fn actions_are_listed_by_name() {
    let instance = Instance::new();
    let entry = |name: &str, problem: Option<&str>| Entry {
        name: name.to_owned(),
        kind: Kind::Action,
        performable: true,
        publishable: false,
        subscribable: true,
        runtime: Some("node".to_owned()),
        description: None,
        input: None,
        output: None,
        problem: problem.map(str::to_owned),
        state: None,
        reason: None,
    };
    let broken = Entry {
        state: Some(PluginState::Broken),
        reason: Some("it crashed 5 times".to_owned()),
        description: Some("Reports".to_owned()),
        ..entry("Report", None)
    };
    let entries = vec![entry("My Action", None), entry("\u{9b}2J", Some("node is missing")), broken];
    let _daemon = Canned::new().on(move |_: ListActions| Ok(entries.clone())).serve(&instance);
    instance.coattail(&["action", "list"]).run().is(
        0,
        "NAME       PERFORMABLE  PUBLISHABLE  SUBSCRIBABLE  RUNTIME  STATE    DESCRIPTION\n\
         My Action  yes          no           yes           node     -\n\
         \\u{9b}2J   yes          no           yes           node     problem  problem: node is missing\n\
         Report     yes          no           yes           node     broken   it crashed 5 times\n",
        "",
    );
    instance.coattail(&["action", "list", "--json"]).run().is(
        0,
        "[{\"id\":\"My Action\",\"name\":\"My Action\",\"kind\":\"action\",\"performable\":true,\"publishable\":false,\
         \"subscribable\":true,\"runtime\":\"node\"},{\"id\":\"\\u009b2J\",\"name\":\"\\u009b2J\",\"kind\":\"action\",\
         \"performable\":true,\"publishable\":false,\"subscribable\":true,\"runtime\":\"node\",\
         \"problem\":\"node is missing\"},{\"id\":\"Report\",\"name\":\"Report\",\"kind\":\"action\",\
         \"performable\":true,\"publishable\":false,\"subscribable\":true,\"runtime\":\"node\",\
         \"description\":\"Reports\",\"state\":\"broken\",\"reason\":\"it crashed 5 times\"}]\n",
        "",
    );
}

#[test]
fn a_plugin_is_shown_whole() {
    let instance = Instance::new();
    let _daemon = Canned::new()
        .on(|call: ShowPlugin| {
            assert_eq!((call.kind, call.name.as_str()), (Kind::Receiver, "keep"));
            Ok(Plugin {
                name: call.name,
                kind: call.kind,
                path: Some("/i/receivers/keep.js".to_owned()),
                runtime: Some("node".to_owned()),
                protocol: Some("json-rpc".to_owned()),
                description: None,
                problem: None,
                limits: Some(PluginLimits {
                    timeout_ms: 60_000,
                    concurrency: 16,
                    queue: 256,
                    min: 0,
                    max: 2,
                    idle_ms: 1_500,
                    max_calls: Some(9),
                    start_ms: 20_000,
                    retry_ms: Some(vec![5_000, 1_800_000]),
                    order_key: Some("/customer/id".parse().expect("a pointer")),
                }),
                state: Some(PluginState::Ready),
                reason: None,
                workers: vec![PluginWorker { pid: Some(7), calls: 1, done: 2, since: "soon".to_owned(), ending: true }],
                waiting: 3,
                input: Some(serde_json::from_str(r#"{"type":"string"}"#).expect("JSON")),
                output: None,
                counts: PluginCounts { calls: 4, failed: 5, crashes: 6 },
                last_error: Some(LastError { time: "then".to_owned(), message: "no\u{9b}".to_owned() }),
            })
        })
        .serve(&instance);
    instance.coattail(&["action", "show", "--receiver", "keep"]).run().is(
        0,
        "name         keep\nkind         receiver\npath         /i/receivers/keep.js\nruntime      node\n\
         protocol     json-rpc\nstate        ready\ntimeout      60s\nconcurrency  16\nqueue        256\nmin          0\n\
         max          2\nidle         1.5s\nmax calls    9\nstart        20s\nretry        after 5s, 1800s\n\
         order key    /customer/id\n\
         input        {\"type\":\"string\"}\n\
         worker       7: 1 calls under way, 2 done, since soon, ending\nwaiting      3\ncalls        4\nfailed       5\n\
         crashes      6\nlast error   then: no\\u{9b}\n",
        "",
    );
}

#[test]
fn what_was_reloaded_is_listed_and_a_failure_is_one() {
    let instance = Instance::new();
    let reloaded = |name: &str, outcome, message: Option<&str>| Reloaded {
        kind: Kind::Action,
        name: name.to_owned(),
        outcome,
        message: message.map(str::to_owned),
    };
    let _daemon = Canned::new()
        .on(move |call: ReloadPlugins| {
            Ok(match (call.kind, call.name.as_deref()) {
                (None, None) => vec![
                    reloaded("a", ReloadOutcome::Reloaded, None),
                    reloaded("b", ReloadOutcome::Failed, Some("no luck")),
                ],
                (Some(Kind::Action), Some("c")) => vec![reloaded("c", ReloadOutcome::PerCall, None)],
                (Some(Kind::Receiver), None) => vec![],
                other => panic!("{other:?}"),
            })
        })
        .serve(&instance);
    instance.coattail(&["action", "reload"]).run().is(
        1,
        "NAME  KIND    OUTCOME   MESSAGE\na     action  reloaded\nb     action  failed    no luck\n",
        "",
    );
    instance.coattail(&["action", "reload", "c", "--json"]).run().is(
        0,
        "[{\"kind\":\"action\",\"name\":\"c\",\"outcome\":\"per-call\"}]\n",
        "",
    );
    instance.coattail(&["action", "reload", "--receiver"]).run().is(
        0,
        "",
        "nothing has workers; what is called next is read as its files are now\n",
    );
}

#[test]
fn subscriptions_begin_and_end() {
    let instance = Instance::new();
    let publication = PublicationId::new();
    let _daemon = Canned::new()
        .on(move |_: Publish| Ok(Published { id: publication, sequence: 7, duplicate: false }))
        .on(|call: Subscribe| {
            let id = ID.parse().expect("an id");
            let Subscribe { peer, action, receiver, filter, .. } = call;
            Ok(Subscription { id, peer, action, receiver, filter, cursor: Some(3), waiting: Some(0), oldest: None })
        })
        .on(|_: Unsubscribe| Ok(Unsubscribed { id: ID.parse().expect("an id"), told: true, undelivered: None }))
        .serve(&instance);
    let which = ["-p", ID, "-a", "report", "-r", "keep"];
    instance.coattail(&[&["action", "subscribe"], &which[..]].concat()).run().is(
        0,
        &format!("id        {ID}\npeer      {ID}\naction    report\nreceiver  keep\nafter     3\n"),
        "",
    );
    instance.coattail(&[&["action", "unsubscribe", "--json"], &which[..]].concat()).run().is(
        0,
        &format!("{{\"id\":\"{ID}\",\"told\":true}}\n"),
        "",
    );
    instance.coattail(&["action", "publish", "-a", "report", "-d", "1", "--json"]).run().is(
        0,
        &format!("{{\"id\":\"{publication}\",\"sequence\":7}}\n"),
        "",
    );
    instance.coattail(&["action", "subscribe", "-p", ".", "-a", "x", "-r", "y"]).run().is(
        2,
        "",
        "error: an instance does not subscribe to itself\n  try: let the action perform or publish what the receiver would do\n",
    );
}

#[test]
fn s13_an_action_is_made_where_actions_are() {
    let instance = Instance::new();
    let create = ["action", "create", "My Action", "--json"];
    let path = instance.path().join("actions/My Action.js");
    instance.coattail(&create).run().is(
        0,
        &format!("{{\"id\":\"My Action\",\"kind\":\"action\",\"path\":\"{}\"}}\n", path.display()),
        "",
    );
    assert!(path.exists());
    instance.coattail(&["action", "create", "My Action", "--language", "sh"]).run().is(
        1,
        "",
        &format!(
            "error: there is an action `My Action` already\n  why: it is `{}`\n  \
             try: choose another name, or remove that file\n",
            path.display()
        ),
    );
    let outcome = instance.coattail(&["action", "create", "../x"]).run();
    assert_eq!(outcome.code(), 2);
}
