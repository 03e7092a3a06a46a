use coattail::id::IssuerHash;
use coattail::wire::Done;
use coattail::wire::control::{Counts, ServiceStatus, Status, Stop};

use crate::harness::{Canned, Instance};

fn status(instance: &Instance) -> ServiceStatus {
    ServiceStatus {
        instance: instance.path().display().to_string(),
        issuer: IssuerHash::of_public_key("a key"),
        version: "0.1.0".to_owned(),
        pid: 4242,
        address: None,
        started: "a while ago".to_owned(),
        sessions: 2,
        restored: None,
        disk: None,
        stuck: Vec::new(),
        counts: Counts { undelivered: 3, waiting: 4, dead: 5, ..Counts::default() },
    }
}

#[test]
fn a_service_that_runs_is_shown() {
    let instance = Instance::new();
    let answer = status(&instance);
    let _daemon = Canned::new().on(move |_: Status| Ok(answer.clone())).serve(&instance);
    let path = instance.path();
    instance.coattail(&["service", "status", "-i", "."]).env("COATTAIL_OUTPUT", "plain").run().is(
        0,
        &format!("4242\t{}\t-\ta while ago\t0.1.0\t-\tyes\t2\t3\t4\t5\n", path.display()),
        &format!("{}: `coattail dead-letters list` shows what was given up\n", path.display()),
    );
    let json = instance.coattail(&["service", "status", "-i", ".", "--json"]).run();
    let list: serde_json::Value = serde_json::from_slice(&json.0.stdout).expect("JSON");
    assert_eq!((&list[0]["id"], &list[0]["counts"]["dead"]), (&4242.into(), &5.into()));
    // It is not started twice.
    instance.coattail(&["service", "start", "-b"]).run().is(
        1,
        "",
        &format!(
            "error: the service of `{}` is running already, as process 4242\n  \
             try: `coattail service status` shows what runs\n",
            path.display()
        ),
    );
}

#[test]
fn a_service_that_does_not_run_exits_with_3() {
    let instance = Instance::new();
    instance.coattail(&["service", "status", "-i", "."]).run().is(
        3,
        "",
        "error: no service is running\n  try: start it with `coattail service start`\n",
    );
    let path = instance.path();
    let path = path.display();
    instance.coattail(&["service", "stop"]).run().is(
        3,
        "",
        &format!(
            "error: the service of `{path}` is not running\n  \
             try: start it with `coattail service start --instance {path}`\n"
        ),
    );
}

#[test]
fn c10_no_process_is_stopped_that_is_no_service() {
    let own = std::process::id().to_string();
    let instance = Instance::new();
    instance.coattail(&["service", "stop", &own]).run().is(
        3,
        "",
        &format!("error: process {own} is no service of yours\n  try: `coattail service status` shows what runs\n"),
    );
}

#[test]
fn stopping_waits_until_the_service_is_gone() {
    let instance = Instance::new();
    let (asked, is_asked) = std::sync::mpsc::sync_channel(1);
    let daemon = Canned::new()
        .on(move |_: Stop| {
            asked.send(()).expect("somebody waits");
            Ok(Done {})
        })
        .serve(&instance);
    let mut stopping = instance.coattail(&["service", "stop", "--json"]).spawn();
    is_asked.recv_timeout(std::time::Duration::from_secs(20)).expect("it is asked");
    assert!(stopping.try_wait().expect("a child").is_none(), "it does not wait");
    daemon.stopper().cancel();
    let outcome = crate::harness::Outcome(stopping.wait_with_output().expect("it ends"));
    outcome.is(0, &format!("{{\"instance\":\"{}\",\"stopped\":true}}\n", instance.path().display()), "");
}
