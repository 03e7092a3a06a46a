use clap::CommandFactory as _;

use clap::Parser as _;

use super::*;

/// Splits at spaces; `_` stands for a space inside an argument.
#[track_caller]
fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' ').map(|word| word.replace('_', " ")))
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_original_is_understood() {
    for line in [
        "coattail new",
        "coattail new dir",
        "coattail new -d dir",
        "coattail new --dir=dir",
        "coattail version",
        "coattail service start",
        "coattail service start -b",
        "coattail service start --headless -i dir",
        "coattail service start --is-headless-instance --instance dir",
        "coattail service status",
        "coattail service status -i dir",
        "coattail service stop 7",
        "coattail service stop -p 7",
        "coattail service stop --pid 7",
        "coattail peer add token",
        "coattail peer add -",
        "coattail peer add -t token",
        "coattail peer add --token token",
        "coattail peer list",
        "coattail peer show id",
        "coattail peer show --id id --print-raw-token",
        "coattail peer remove id",
        "coattail peer remove --id id",
        "coattail token issue",
        r#"coattail token issue -b ["vt://1"] --subscribable ["a","b_c"] --performable ["*"] --publishable []"#,
        "coattail token issue -n 5m -e 1_h -qr",
        "coattail token issue --not-before -5m --expires-in 60 --quiet --print-raw-token",
        "coattail token list",
        "coattail token show id",
        "coattail token show --id id --print-raw-token",
        "coattail token revoke id",
        "coattail token revoke --id id --force",
        "coattail token issuer",
        "coattail validation issue",
        "coattail validation issue -n 5m -e 1_h -qr",
        "coattail validation issue --not-before=5m --expires-in=1h --quiet --print-raw-token",
        "coattail validation add token",
        "coattail validation add -t token",
        "coattail validation add --token token",
        "coattail validation list",
        "coattail validation show id",
        "coattail validation show --id id --print-raw-token",
        "coattail validation remove id",
        "coattail validation remove --id id --force",
        "coattail action create My_Action",
        "coattail action create -n My_Action",
        "coattail action create --name Café -r",
        "coattail action list -p id -v",
        "coattail action list --peer id --receivers --verbose",
        "coattail action list -r",
        "coattail action list -rv -p id",
        "coattail action perform --peer id -a x -d {} -n -v",
        "coattail action perform -p id --action x --data -5 --notify",
        "coattail action publish -p id -a x -d -",
        "coattail action publish --peer id --action x --data [] --verbose",
        "coattail action subscribe -p id -a x -r y -v",
        "coattail action subscribe --peer id --action x --receiver y",
        "coattail action unsubscribe -p id -a x -r y",
        "coattail action unsubscribe --peer=id --action=x --receiver=y -v",
        "coattail subscribers list",
        "coattail subscribers revoke id",
        "coattail subscribers revoke -s id -v",
        "coattail subscribers revoke --subscription id",
        "coattail audit",
        "coattail audit --since 1h --limit 5 --json",
        "coattail data migrate latest",
        "coattail data migrate -a rollback",
        "coattail data migrate --action up",
        "coattail data migrate down --yes",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_is_beyond_the_original_is_understood() {
    for line in [
        "coattail token issue --perform backup --perform report --publish x --subscribe *",
        "coattail token issue -b vt://1 -b ipv6://::1 --copy",
        "coattail validation issue --copy",
        "coattail token revoke id --dry-run",
        "coattail peer remove --id id --dry-run",
        "coattail validation remove id --dry-run",
        "coattail subscribers revoke -s id --dry-run",
        "coattail action unsubscribe -p id -a x -r y --dry-run",
        "coattail doctor --json",
        "coattail action perform x --detach --idempotency-key k --start-timeout 5m",
        "coattail job list",
        "coattail job show id",
        "coattail job wait --id id --timeout 5m --follow",
        "coattail job result id",
        "coattail job cancel id",
        "coattail job logs id -f",
        "coattail action publish x --batch lines.jsonl --id monday",
        "coattail action publish x --batch -",
        "coattail action publish x -d 1 --in 5m",
        "coattail action publish x -d 1 --at 2026-11-20T18:00:00Z",
        "coattail publications scheduled",
        "coattail publications unschedule id",
        "coattail publications list",
        "coattail publications list x --since 1h --limit 5",
        "coattail publications show id",
        "coattail publications show x 7",
        "coattail publications tail x -f --lines 5 --json",
        "coattail publications verify x",
        "coattail completions zsh",
        "coattail man",
        "coattail man dir",
        "coattail help exit-codes",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn c4_what_is_not_understood_is_refused() {
    for line in [
        "coattail token issue --expire-in 1h",
        "coattail peer remove -f id -i X",
        "coattail action performs",
        "coattail act list",
        "coattail peer show",
        "coattail peer show a b",
        "coattail peer show a --id b",
        "coattail peer add",
        "coattail peer add a --token-file b",
        "coattail service stop 7 -p 8",
        "coattail service stop seven",
        "coattail action perform",
        "coattail action perform -a a/b",
        "coattail action perform -a a --timeout 0",
        "coattail action create",
        "coattail action create ../x",
        "coattail action create x --language rb",
        "coattail data migrate",
        "coattail data migrate sideways",
        "coattail token issue --expires-in soon",
        "coattail audit --since -1h",
        "coattail audit --limit 0",
        "coattail token issue --performable [1]",
        "coattail token issue -q -q",
        "coattail token issue --dry-run",
        "coattail action unsubscribe -p id -a x",
        "coattail action subscribe -a x -r y",
        "coattail subscribers revoke",
        "coattail validation remove",
        "coattail completions tcsh",
        "coattail doctor now",
        "coattail action perform x --detach --follow",
        "coattail action perform x --idempotency-key ",
        "coattail job wait",
        "coattail action publish x",
        "coattail action publish x --batch - --data 1",
        "coattail action publish x -d 1 --in 5m --at 2026-11-20T18:00:00Z",
        "coattail action publish x -d 1 --at tomorrow",
        "coattail action publish x -d 1 --in 5m --peer id",
        "coattail action publish x --batch - --peer id",
        "coattail publications list --limit 0",
        "coattail publications show",
        "coattail publications tail",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn c13_a_bad_list_is_reported_by_its_own_name() {
    let error = parse("coattail token issue --publishable [").expect_err("no list").to_string();
    assert!(error.contains("--publishable"), "{error}");
}

#[test]
fn flags_work_before_and_after_the_verb() {
    for line in ["coattail --json -i x peer list", "coattail peer --json -i x list", "coattail peer list --json -i x"] {
        let cli = parse(line).expect(line);
        assert!(cli.global.json && cli.global.instance == Some("x".into()), "{line}");
    }
}

#[test]
fn a_token_allows_what_was_asked_for() {
    let issue = |line: &str| match parse(line).expect(line).command {
        Command::Token(Deferred(TokenCommand::Issue(args))) => args.into_call(),
        other => panic!("{other:?}"),
    };
    let call = issue("coattail token issue");
    assert_eq!((call.performable, call.publishable, call.subscribable), (vec![], vec![], vec!["*".to_owned()]));
    assert_eq!((call.bearers, call.not_before, call.expires_in), (None, None, None));

    let call = issue(
        r#"coattail token issue --performable a --performable ["b_c","a"] --subscribable [] -b vt://1 -b ipv4://1.2.3.4 -e 60 -n -2m"#,
    );
    assert_eq!(call.performable, ["a", "b c"]);
    assert!(call.subscribable.is_empty());
    assert_eq!(call.bearers, Some(vec!["vt://1".to_owned(), "ipv4://1.2.3.4".to_owned()]));
    assert_eq!((call.not_before, call.expires_in), (Some(-120), Some(60)));
}

#[test]
fn data_is_a_text_a_file_or_stdin() {
    assert_eq!(Input::from("{}".to_owned()), Input::Text("{}".to_owned()));
    assert_eq!(Input::from("@a b".to_owned()), Input::File("a b".into()));
    assert_eq!(Input::from("-".to_owned()), Input::Stdin);
}

#[test]
fn a_token_on_the_command_line_is_not_shown() {
    assert!(!format!("{:?}", parse("coattail peer add -t sesame").expect("parses")).contains("sesame"));
}
