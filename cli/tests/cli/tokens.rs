use coattail::id::IssuerHash;
use coattail::wire::control::{IssueToken, Issuer, ListTokens, RevokeToken, Revoked, ShowToken, Token};
use coattail::wire::{ErrorCode, Failure};

use crate::harness::{Canned, FakeDaemon, Instance};

const ID: &str = "0194d5c8-0000-7000-8000-000000000001";
const RAW: &str = "eyJhbGciOiJFZERTQSJ9.e30.c2ln";

fn issuer() -> IssuerHash {
    IssuerHash::of_public_key("a key")
}

fn token(call: IssueToken) -> Token {
    Token {
        id: ID.parse().expect("an id"),
        usage: "Authentication".to_owned(),
        issuer: issuer(),
        issued: "a while ago".to_owned(),
        effective: "a while ago".to_owned(),
        expires: None,
        addresses: vec!["net:127.0.0.1:49365~tls".parse().expect("an address")],
        bearers: call.bearers.unwrap_or_else(|| vec!["ipv4://0.0.0.0/0".to_owned()]),
        performable: call.performable,
        publishable: call.publishable,
        subscribable: call.subscribable,
        subscribed_to: vec![],
        receiver: None,
        sessions: None,
        subscriptions: None,
        raw: Some(RAW.into()),
    }
}

fn daemon(instance: &Instance) -> FakeDaemon {
    let unknown = || Failure::new(ErrorCode::NotFound, "no token \x1b[2J").hint("look again");
    Canned::new()
        .on(|call: IssueToken| Ok(token(call)))
        .on(|_: Issuer| Ok(issuer()))
        .on(|_: ListTokens| Ok(vec![Token { raw: None, ..token(IssueToken::default()) }]))
        .on(move |call: ShowToken| match call.token.to_string().as_str() {
            ID => Ok(Token { raw: call.raw.then(|| RAW.into()), ..token(IssueToken::default()) }),
            _ => Err(unknown()),
        })
        .on(|call: RevokeToken| Ok(Revoked { id: call.token, sessions: 1, subscriptions: 2 }))
        .serve(instance)
}

#[test]
fn c3_the_documented_scripting_form_prints_only_the_token() {
    let instance = Instance::new();
    let daemon = daemon(&instance);
    instance.coattail(&["token", "issue", "-q", "-r"]).run().is(0, &format!("{RAW}\n"), "");
    instance.coattail(&["token", "issue", "-qr"]).env("COATTAIL_OUTPUT", "plain").run().is(0, &format!("{RAW}\n"), "");
    let asked = r#"tokens.issue {"performable":[],"publishable":[],"subscribable":["*"]}"#;
    assert_eq!(daemon.asked(), [asked, asked]);
}

#[test]
fn c6_a_token_that_was_issued_is_shown() {
    let instance = Instance::new();
    let daemon = daemon(&instance);
    let fields = format!(
        "id            {ID}\nuse           Authentication\nissuer        {issuer}\n\
         issued        a while ago (a while ago)\neffective     a while ago (a while ago)\nexpires       never\n\
         addresses     net:127.0.0.1:49365~tls\nbearers       anyone\nperformable   a, b c\npublishable   none\n\
         subscribable  *\n",
        issuer = issuer()
    );
    let note = format!("the token itself: coattail token show --print-raw-token {ID}\n");
    let issue = ["token", "issue", "--performable", r#"["a","b c"]"#, "-e", "1h"];
    instance.coattail(&issue).run().is(0, &fields, &note);
    instance.coattail(&[&issue[..], &["-r"]].concat()).run().is(0, &format!("{fields}\n{RAW}\n"), "");
    instance.coattail(&["token", "issue", "-q"]).run().is(0, &format!("{ID}\n"), "");
    assert!(daemon.asked()[0].ends_with(r#""subscribable":["*"],"expires_in":3600}"#));
}

#[test]
fn programs_get_objects() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    instance.coattail(&["token", "issue", "-qr", "--json"]).run().is(
        0,
        &format!("{{\"id\":\"{ID}\",\"raw\":\"{RAW}\"}}\n"),
        "",
    );
    instance.coattail(&["--json", "token", "issuer"]).run().is(0, &format!("{{\"issuer\":\"{}\"}}\n", issuer()), "");
    instance.coattail(&["token", "issuer"]).run().is(0, &format!("{}\n", issuer()), "");
    let listed = instance.coattail(&["token", "list", "--json"]).run();
    let list: serde_json::Value = serde_json::from_slice(&listed.0.stdout).expect("JSON");
    assert_eq!(list[0]["id"], ID);
    assert_eq!(list[0]["raw"], serde_json::Value::Null);
}

#[test]
fn tokens_are_listed_shown_and_revoked() {
    let instance = Instance::new();
    let daemon = daemon(&instance);
    let row = format!("{ID}  Authentication  anyone   never\n");
    let head = format!("{:36}  USE             BEARERS  EXPIRES\n", "ID");
    instance.coattail(&["token", "list"]).run().is(0, &(head + &row), "");
    instance.coattail(&["token", "list"]).env("COATTAIL_OUTPUT", "plain").run().is(
        0,
        &format!("{ID}\tAuthentication\tanyone\tnever\n"),
        "",
    );
    instance.coattail(&["token", "show", "--id", ID, "--print-raw-token"]).run().is(0, &format!("{RAW}\n"), "");
    instance.coattail(&["token", "revoke", ID, "--force"]).run().is(
        0,
        &format!("id                   {ID}\nsessions ended       1\nsubscriptions ended  2\n"),
        "",
    );
    assert_eq!(daemon.asked().last().expect("asked"), &format!("tokens.revoke {{\"token\":\"{ID}\"}}"));
}

#[test]
fn a_dry_run_asks_nobody_and_ends_nothing() {
    let instance = Instance::new();
    let daemon = daemon(&instance);
    instance.coattail(&["token", "revoke", ID, "--dry-run"]).run().is(
        0,
        &format!("id                   {ID}\nsessions ended       1\nsubscriptions ended  2\n"),
        "nothing was done: this is what would end\n",
    );
    assert_eq!(daemon.asked(), [format!("tokens.revoke {{\"token\":\"{ID}\",\"dry_run\":true}}")]);
}

#[test]
fn a_token_that_is_not_there_is_not_found() {
    let instance = Instance::new();
    let _daemon = daemon(&instance);
    let other = "0194d5c8-0000-7000-8000-000000000002";
    // What the daemon says is shown, but cannot steer the terminal.
    instance.coattail(&["token", "show", other]).run().is(5, "", "error: no token \\u{1b}[2J\n  try: look again\n");
    instance.coattail(&["token", "show", "it"]).run().is(
        5,
        "",
        "error: there is no token `it`\n  try: `coattail token list` shows the ids\n",
    );
    instance.coattail(&["token", "show", other, "--json"]).run().is(
        5,
        "",
        "{\"error\":{\"code\":\"not-found\",\"message\":\"no token \\u001b[2J\",\"hint\":\"look again\"}}\n",
    );
}
