//! What `coattail::Client` promises to programs in Rust, with a real service; and the example that uses it.

use std::process::{Command, Stdio};
use std::time::Duration;

use coattail::id::PeerId;
use coattail::recipient::Recipient;
use coattail::wire::jobs::JobState;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};
use coattail::{Client, Said};
use coattail_tests::instance::binary;
use coattail_tests::wait::PATIENCE;
use coattail_tests::{Instance, plugin, until};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Says two things, and returns its input.
const TALKS_JS: &str = "const { action } = require('coattail');\n\
    module.exports = action(async (input, context) => {\n\
    context.log.info('one');\ncontext.progress(0.5, 'half');\nreturn input;\n});\n";

/// Says that it has begun; leaves a file when it is cancelled.
const WAITS_JS: &str = "const fs = require('fs');\nconst { action } = require('coattail');\n\
    module.exports = action((input, context) => new Promise((resolve) => {\n\
    context.signal.addEventListener('abort', () => {\n\
    fs.writeFileSync(`${process.env.COATTAIL_INSTANCE}/cancelled`, ''); resolve(); });\n\
    context.log.info('begun');\n}));\n";

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async { timeout(4 * PATIENCE, work).await.expect("in time") })
}

#[test]
fn a_program_asks_for_everything_through_one_client() {
    let instance = Instance::running("instance");
    instance.plugin("actions/Talk.js", TALKS_JS);
    instance.plugin("receivers/Keep.sh", plugin::KEEP_SH);
    on_runtime(async {
        let client = Client::connect(instance.folder()).await.expect("the service runs");
        let coattail = client.coattail();
        assert_eq!(client.status().await.unwrap().instance, instance.folder().display().to_string());
        let actions = coattail.actions().await.unwrap();
        assert_eq!((actions[0].name.as_str(), actions[0].kind), ("Talk", Kind::Action));
        assert_eq!(coattail.receivers().await.unwrap()[0].name, "Keep");
        assert!(coattail.peers().await.unwrap().is_empty());
        assert!(coattail.subscribers().await.unwrap().is_empty());
        assert_eq!(coattail.perform::<Value>("Talk", &json!([1])).await.unwrap(), json!([1]));
        assert_eq!(coattail.publish("Talk", &1).await.unwrap().sequence, 1);
        let once = || coattail.publication("Talk").id("monday".parse().unwrap()).ttl(Duration::from_secs(60));
        assert!(!once().send(&"once").await.unwrap().duplicate);
        assert!(once().send(&"once").await.unwrap().duplicate);
        let nobody = Recipient::Peer(PeerId::new());
        let refused = coattail.publication("Talk").to([nobody]).send(&1).await.unwrap_err();
        assert_eq!((refused.code, refused.hint.is_some()), (ErrorCode::NotFound, true));
        let published = coattail.call("Talk").input(&2).publish().perform().await.unwrap();
        assert_eq!(published.publication.map(|publication| publication.sequence), Some(3));
        // What is absent and what is null differ, until it is read.
        assert_eq!(coattail.call("Talk").perform().await.unwrap().read::<Option<u8>>().unwrap(), None);
        let wrong = coattail.perform::<u8>("Talk", &"text").await.unwrap_err();
        assert!(wrong.message.contains("not what was expected"), "{wrong}");
        client.close().await;
    });
}

#[test]
fn what_an_action_says_is_heard_before_its_result() {
    let instance = Instance::running("instance");
    instance.plugin("actions/Talk.js", TALKS_JS);
    let expected = [
        Said::Log { level: coattail::wire::host::Level::Info, message: "one".into() },
        Said::Progress { fraction: Some(0.5), message: Some("half".into()) },
    ];
    on_runtime(async {
        let client = Client::connect(instance.folder()).await.expect("the service runs");
        let mut heard = Vec::new();
        let call = client.coattail().call("Talk").input(&7).follow(|said| heard.push(said));
        assert_eq!(call.perform().await.unwrap().read::<u8>().unwrap(), 7);
        assert_eq!(heard, expected);
    });
}

#[test]
fn a_job_outlives_the_client_that_started_it() {
    let instance = Instance::running("instance");
    instance.plugin("actions/Talk.js", TALKS_JS);
    on_runtime(async {
        let client = Client::connect(instance.folder()).await.expect("the service runs");
        let job = client.coattail().call("Talk").input(&7).key("order 7").start().await.unwrap();
        client.close().await;
        let client = Client::connect(instance.folder()).await.expect("the service runs");
        let jobs = client.coattail().jobs();
        let ended = jobs.follow(job.id, |_| {}).await.unwrap();
        assert_eq!((ended.state, ended.read::<u8>().unwrap()), (JobState::Succeeded, 7));
        assert_eq!(jobs.wait(job.id, None).await.unwrap().state, JobState::Succeeded);
        assert_eq!(jobs.logs(job.id).await.unwrap()[0].message, "one");
        assert_eq!(jobs.list().await.unwrap().len(), 1);
        let again = client.coattail().call("Talk").input(&7).key("order 7").perform().await.unwrap();
        assert_eq!(again.call, job.id, "it is not performed twice");
        assert_eq!(jobs.show(job.id).await.unwrap().state, JobState::Succeeded);
    });
}

#[test]
fn dropping_a_call_or_its_client_cancels_the_action() {
    let instance = Instance::running("instance");
    instance.plugin("actions/Wait.js", WAITS_JS);
    let cancelled = instance.path("cancelled");
    on_runtime(async {
        for drops_client in [false, true] {
            let _ = std::fs::remove_file(&cancelled);
            let client = Client::connect(instance.folder()).await.expect("the service runs");
            let coattail = client.coattail().clone();
            // The sender is dropped when the action has said that it has begun.
            let (begun, has_begun) = tokio::sync::oneshot::channel::<()>();
            let mut begun = Some(begun);
            let mut call = Box::pin(coattail.call("Wait").follow(move |_| drop(begun.take())).perform());
            tokio::select! { _ = &mut call => panic!("it waits"), _ = has_begun => {} }
            if drops_client {
                drop(client);
                assert_eq!(call.await.unwrap_err().code, ErrorCode::Lost);
            } else {
                drop(call);
            }
            until("it is cancelled", || cancelled.exists().then_some(()));
        }
    });
}

#[test]
fn without_a_service_it_says_what_to_do() {
    let instance = Instance::new("instance");
    let connect = |folder: &std::path::Path| on_runtime(Client::connect(folder)).expect_err("nobody listens");
    let failure: Failure = connect(instance.folder());
    assert_eq!(failure.code, ErrorCode::NotRunning);
    assert_eq!(failure.message, format!("the service of `{}` is not running", instance.folder().display()));
    assert!(failure.hint.expect("a hint").contains("coattail service start"));
    let failure = connect(&instance.path("keys"));
    assert_eq!(failure.code, ErrorCode::NotFound);
    assert!(failure.message.ends_with("is no instance: there is no config.yml in it"), "{failure}");
}

#[test]
fn a_service_that_goes_away_ends_what_is_asked() {
    let mut instance = Instance::running("instance");
    on_runtime(async {
        let client = Client::connect(instance.folder()).await.expect("the service runs");
        instance.kill();
        let failure = timeout(Duration::from_secs(10), client.coattail().peers()).await.expect("in time").unwrap_err();
        assert!(matches!(failure.code, ErrorCode::Lost | ErrorCode::Unreachable), "{failure:?}");
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the example is a program")]
fn the_example_shows_what_an_action_says() {
    let instance = Instance::running("instance");
    instance.plugin("actions/Talk.js", TALKS_JS);
    let run = |arguments: &[&str]| {
        let mut example = Command::new(binary("example-follow"));
        example.args(arguments).env("COATTAIL_INSTANCE", instance.folder()).stdin(Stdio::null());
        let output = example.output().expect("it can be started");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (stdout, stderr) = ("{\"n\":1}\n".to_owned(), "info: one\n50 % half\n".to_owned());
    assert_eq!(run(&["Talk", r#"{"n":1}"#]), (true, stdout, stderr));
    let (success, _, stderr) = run(&["Nobody", "1"]);
    assert!(!success && stderr.starts_with("error: "), "{stderr}");
}
