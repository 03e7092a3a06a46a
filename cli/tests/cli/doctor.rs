use coattail::wire::doctor::{Doctor, Finding, Level};

use crate::harness::{Canned, FakeDaemon, Instance};

fn finding(level: Level, subject: &str) -> Finding {
    Finding {
        level,
        area: "peers".to_owned(),
        subject: subject.to_owned(),
        message: "as found".to_owned(),
        hint: (level != Level::Ok).then(|| "mend it".to_owned()),
        millis: (level == Level::Ok).then_some(7),
    }
}

fn daemon(instance: &Instance, levels: &'static [Level]) -> FakeDaemon {
    let findings =
        move || levels.iter().zip(["a", "b", "c"]).map(|(level, subject)| finding(*level, subject)).collect();
    Canned::new().on(move |_: Doctor| Ok(findings())).serve(instance)
}

#[test]
fn each_finding_is_a_line_and_a_failure_is_an_exit_code() {
    let instance = Instance::new();
    let _daemon = daemon(&instance, &[Level::Ok, Level::Warning, Level::Failure]);
    instance.coattail(&["doctor"]).run().is(
        1,
        "LEVEL    AREA   SUBJECT  MS  FOUND\n\
         ok       peers  a        7   as found\n\
         warning  peers  b        -   as found; try: mend it\n\
         failure  peers  c        -   as found; try: mend it\n",
        "3 looked at: 1 failed, 1 to be warned of\n",
    );
    let json = "[{\"level\":\"ok\",\"area\":\"peers\",\"subject\":\"a\",\"message\":\"as found\",\"millis\":7},\
                {\"level\":\"warning\",\"area\":\"peers\",\"subject\":\"b\",\"message\":\"as found\",\"hint\":\"mend it\"},\
                {\"level\":\"failure\",\"area\":\"peers\",\"subject\":\"c\",\"message\":\"as found\",\"hint\":\"mend it\"}]\n";
    instance.coattail(&["doctor", "--json"]).run().is(1, json, "");
}

#[test]
fn a_warning_is_no_failure() {
    let instance = Instance::new();
    let _daemon = daemon(&instance, &[Level::Ok, Level::Warning]);
    let plain = "ok\tpeers\ta\t7\tas found\nwarning\tpeers\tb\t-\tas found; try: mend it\n";
    instance.coattail(&["doctor"]).env("COATTAIL_OUTPUT", "plain").run().is(0, plain, "");
}

#[test]
fn a_service_without_a_doctor_is_told_of() {
    let instance = Instance::new();
    let _daemon = Canned::new().serve(&instance);
    let outcome = instance.coattail(&["doctor", "--json"]).run();
    let said = String::from_utf8_lossy(&outcome.0.stderr).into_owned();
    assert_eq!(outcome.code(), 1, "{said}");
    assert!(said.contains("\"unknown-method\"") && said.contains("start it anew"), "{said}");
}
