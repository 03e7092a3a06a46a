use std::sync::Mutex;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::*;
use crate::api::{Coattail, Said};
use crate::id::IssuerHash;
use crate::plugin::handler::Run;
use crate::plugin::{NoSchema, Reject, RetryLater, action, receiver};
use crate::wire::{Raw, host};

/// The daemon's end of a plugin that runs in this process.
struct Daemon {
    session: Session,
    heard: Arc<Heard>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Heard {
    logs: Mutex<Vec<(Option<CallId>, String)>>,
    performed: Mutex<Vec<host::Perform>>,
}

/// The session itself, for handlers that tell something.
#[derive(Clone, Default)]
struct Told(Arc<std::sync::OnceLock<Session>>);

fn start(plugin: Plugin) -> Daemon {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(theirs);
    let tasks = TaskTracker::new();
    tasks.spawn(plugin.serve_over(reader, writer));
    let heard = Arc::new(Heard::default());
    let service = Service::new()
        .on_in_order(&heard, |heard: &Heard, _: Facts, log: host::Log| {
            heard.logs.lock().unwrap().push((log.call, log.message));
            Ok(Done {})
        })
        .on_in_order(&heard, |heard: &Heard, facts: Facts, perform: host::Perform| {
            let (call, result) = (perform.call.unwrap(), perform.input.clone());
            if perform.follow {
                let warning = host::Log { call: Some(call), level: host::Level::Warn, message: "careful".into() };
                facts.get::<Told>().unwrap().0.get().unwrap().try_notify(&warning);
            }
            heard.performed.lock().unwrap().push(perform);
            Ok(host::Performed { call, result, publication: None, publication_error: None })
        });
    let told = Told::default();
    let service = service.fact(told.clone());
    let (reader, writer) = tokio::io::split(ours);
    let (session, run) =
        Session::new(reader, writer, service, Stray::Close, Limits::default(), CancellationToken::new());
    told.0.set(session.clone()).unwrap();
    tasks.spawn(run);
    tasks.close();
    Daemon { session, heard, tasks }
}

impl Daemon {
    async fn perform(&self, input: Option<&str>) -> Result<Option<String>, Failure> {
        self.perform_as(CallId::new(), input).await
    }

    async fn perform_as(&self, call: CallId, input: Option<&str>) -> Result<Option<String>, Failure> {
        let perform = Perform { call, input: input.map(raw), context: wire::plugin::Context::default() };
        Ok(self.session.call(&perform).await?.output.map(|raw| raw.get().to_owned()))
    }

    async fn ended(&self) {
        timeout(Duration::from_secs(5), self.tasks.wait()).await.expect("the plugin ends");
    }
}

fn raw(text: &str) -> Raw {
    serde_json::from_str(text).unwrap()
}

fn hello(kind: Kind, protocol: u32) -> Initialize {
    Initialize {
        protocol,
        software: "test".into(),
        kind,
        name: "Greet".into(),
        instance: "/instance".into(),
        issuer: IssuerHash::of_public_key("key"),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Input {
    n: i64,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    double: i64,
}

#[tokio::test]
async fn an_action_takes_input_and_returns_output() {
    let daemon = start(action(|input: Input, _| async move { Ok(Output { double: 2 * input.n }) }));
    let welcome = daemon.session.call(&hello(Kind::Action, PROTOCOL)).await.unwrap();
    assert_eq!(welcome.protocol, PROTOCOL);
    assert_eq!(daemon.perform(Some(r#"{"n":4}"#)).await.unwrap().as_deref(), Some(r#"{"double":8}"#));
    for bad in [None, Some("null"), Some(r#"{"n":"4"}"#)] {
        assert_eq!(daemon.perform(bad).await.unwrap_err().code, ErrorCode::InvalidInput);
    }
}

#[tokio::test]
async fn nothing_and_null_differ() {
    let daemon = start(action(|_: (), _| async move { Ok(()) }));
    assert_eq!(daemon.perform(None).await.unwrap(), None);
    let daemon = start(action(|input: Option<i64>, _| async move { Ok(input) }));
    assert_eq!(daemon.perform(None).await.unwrap().as_deref(), Some("null"));
}

#[tokio::test]
async fn a_worker_refuses_to_be_what_it_is_not() {
    let daemon = start(action(|_: (), _| async move { Ok(()) }));
    let refused = |error| match error {
        crate::rpc::CallError::Refused(failure) => failure.code,
        other => panic!("{other}"),
    };
    let wrong_kind = daemon.session.call(&hello(Kind::Receiver, PROTOCOL)).await.unwrap_err();
    assert_eq!(refused(wrong_kind), ErrorCode::InvalidInput);
    let wrong_version = daemon.session.call(&hello(Kind::Action, PROTOCOL + 1)).await.unwrap_err();
    assert_eq!(refused(wrong_version), ErrorCode::UnsupportedVersion);
}

#[tokio::test]
async fn errors_and_panics_fail_the_call_and_not_the_worker() {
    let daemon = start(action(|what: String, _| async move {
        match what.as_str() {
            "reject" => Err(Reject("never".into()).into()),
            "later" => Err(RetryLater::new("not now").into()),
            "panic" => panic!("at the disco"),
            text => Err(format!("no {text}").into()),
        }
        .map(|()| 1)
    }));
    for (input, code, message) in [
        (r#""reject""#, ErrorCode::Rejected, "never"),
        (r#""later""#, ErrorCode::RetryLater, "not now"),
        (r#""panic""#, ErrorCode::Failed, "panicked: at the disco"),
        (r#""bread""#, ErrorCode::Failed, "no bread"),
    ] {
        let failure = daemon.perform(Some(input)).await.unwrap_err();
        assert_eq!((failure.code, failure.message.as_str()), (code, message));
    }
}

#[tokio::test]
async fn a_receiver_learns_where_it_came_from() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let daemon = start(receiver(move |data: serde_json::Value, context| {
        let sink = sink.clone();
        async move {
            let sequence = context.source().expect("a receiver has a source").sequence;
            context.log().info(format!("got {sequence}"));
            sink.lock().unwrap().push((data, sequence));
            Ok(())
        }
    }));
    let call = CallId::new();
    let publication = Source {
        id: crate::id::PublicationId::new(),
        issuer: IssuerHash::of_public_key("them"),
        action: "Report".into(),
        sequence: 7,
        time: 0,
        hops: 0,
        attempt: 1,
    };
    let receive = Receive { call, input: raw("[1]"), publication, context: wire::plugin::Context::default() };
    daemon.session.call(&receive).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [(json!([1]), 7)]);
    assert_eq!(*daemon.heard.logs.lock().unwrap(), [(Some(call), "got 7".to_owned())]);
}

#[tokio::test]
async fn calls_made_by_a_handler_name_the_call_they_serve() {
    let daemon = start(action(|input: i64, context| async move {
        let coattail: Coattail = context.coattail();
        let answer: i64 = coattail.perform("Other", &input).await?;
        Ok(answer + 1)
    }));
    let call = CallId::new();
    assert_eq!(daemon.perform_as(call, Some("41")).await.unwrap().as_deref(), Some("42"));
    let performed = daemon.heard.performed.lock().unwrap();
    assert_eq!((performed[0].parent, performed[0].action.as_str()), (Some(call), "Other"));
}

#[tokio::test]
async fn a_handler_follows_the_calls_that_it_makes() {
    let daemon = start(action(|_: (), context| async move {
        let mut heard = Vec::new();
        let coattail = context.coattail();
        let done = coattail.call("Other").follow(|said| heard.push(said)).perform().await?;
        assert_eq!(done.read::<Option<i64>>()?, None);
        Ok(heard == [Said::Log { level: host::Level::Warn, message: "careful".into() }])
    }));
    assert_eq!(daemon.perform(None).await.unwrap().as_deref(), Some("true"));
    assert!(daemon.heard.performed.lock().unwrap()[0].follow);
}

#[tokio::test]
async fn a_plugin_says_what_it_takes_and_returns() {
    let schemas = async |plugin, kind| {
        let welcome = start(plugin).session.call(&hello(kind, PROTOCOL)).await.unwrap();
        let json = |raw: Option<Raw>| raw.map(|raw| serde_json::from_str::<serde_json::Value>(raw.get()).unwrap());
        (json(welcome.input), json(welcome.output))
    };
    let plugin = action(|input: Input, _| async move { Ok(Output { double: input.n }) });
    let (input, output) = schemas(plugin, Kind::Action).await;
    assert_eq!(input.as_ref().unwrap()["properties"]["n"]["type"], "integer");
    assert_eq!(output.unwrap()["required"], json!(["double"]));
    let plugin = receiver(|_: Input, _| async move { Ok(()) });
    assert_eq!(schemas(plugin, Kind::Receiver).await, (input, None));
    let plugin = action(|NoSchema(any): NoSchema<i64>, _| async move { Ok(json!(any)) });
    assert_eq!(schemas(plugin, Kind::Action).await, (None, None));
}

#[tokio::test]
async fn a_cancelled_call_is_answered() {
    let daemon = start(action(|_: (), context| async move {
        context.log().info("started");
        context.cancelled().await;
        Ok("stopped in order")
    }));
    let call = CallId::new();
    let perform = daemon.perform_as(call, None);
    tokio::pin!(perform);
    assert!(futures::poll!(&mut perform).is_pending());
    daemon.session.notify(&Cancel { call }).await.unwrap();
    assert_eq!(perform.await.unwrap().as_deref(), Some(r#""stopped in order""#));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ignores_the_cancel_is_dropped() {
    let daemon = start(action(|_: (), _| async move {
        std::future::pending::<()>().await;
        Ok(())
    }));
    let call = CallId::new();
    let perform = daemon.perform_as(call, None);
    tokio::pin!(perform);
    assert!(futures::poll!(&mut perform).is_pending());
    daemon.session.notify(&Cancel { call }).await.unwrap();
    assert_eq!(perform.await.unwrap_err().code, ErrorCode::Cancelled);
}

#[tokio::test]
async fn shutdown_finishes_what_is_under_way() {
    let go = Arc::new(tokio::sync::Notify::new());
    let wait = go.clone();
    let daemon = start(action(move |_: (), context| {
        let wait = wait.clone();
        async move {
            context.log().info("started");
            wait.notified().await;
            Ok("done")
        }
    }));
    let perform = daemon.perform(None);
    tokio::pin!(perform);
    assert!(futures::poll!(&mut perform).is_pending());
    // Answered after the call has begun: frames are read in order.
    daemon.session.call(&Shutdown {}).await.unwrap();
    go.notify_one();
    assert_eq!(perform.await.unwrap().as_deref(), Some(r#""done""#));
    daemon.ended().await;
}

#[tokio::test]
async fn the_end_of_stdin_finishes_what_is_under_way() {
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(theirs);
    let plugin = action(|n: i64, _| async move {
        tokio::task::yield_now().await;
        Ok(n + 1)
    });
    let feed = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let perform = Perform { call: CallId::new(), input: Some(raw("1")), context: wire::plugin::Context::default() };
        let frame = json!({"jsonrpc": "2.0", "id": 1, "method": "perform", "params": perform});
        ours.write_all(format!("{frame}\n").as_bytes()).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (_, answer) = tokio::join!(plugin.serve_over(reader, writer), feed);
    assert_eq!(answer.trim(), r#"{"jsonrpc":"2.0","id":1,"result":{"output":2}}"#);
}

/// The lines that every SDK is tested with.
const GOLDEN: &str = include_str!("../../../../tests/golden/plugin-wire.jsonl");

#[tokio::test]
async fn the_wire_is_the_one_of_every_sdk() {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    // Only what was given is given back, so that nothing and null differ.
    let mut echo = Plugin::new();
    let run: Run = Arc::new(|input, _| Box::pin(async move { Ok(input) }));
    echo.action = Some(Handler { run, input: None, output: None });
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(theirs);
    let tasks = TaskTracker::new();
    tasks.spawn(echo.serve_over(reader, writer));
    tasks.close();
    let (reader, mut writer) = tokio::io::split(ours);
    let mut answers = BufReader::new(reader).lines();
    for line in GOLDEN.lines() {
        let golden: serde_json::Value = serde_json::from_str(line).unwrap();
        writer.write_all(format!("{}\n", golden["send"]).as_bytes()).await.unwrap();
        if golden["expect"].is_null() {
            continue;
        }
        let answer = timeout(Duration::from_secs(5), answers.next_line()).await.expect("an answer").unwrap().unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_contains(&answer, &golden["expect"], &golden["name"]);
    }
    timeout(Duration::from_secs(5), tasks.wait()).await.expect("the plugin ends");
}

/// Whether an answer has every member that is expected. An `output` is expected whole; error codes of JSON-RPC and
/// our own that mean the same are one.
#[track_caller]
fn assert_contains(answer: &serde_json::Value, expected: &serde_json::Value, name: &serde_json::Value) {
    match expected {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                match key.as_str() {
                    "output" => assert_eq!(&answer[key], value, "{name}"),
                    "code" => {
                        let code = |value: &serde_json::Value| ErrorCode::from_number(value.as_i64().unwrap() as i32);
                        assert_eq!(code(&answer[key]), code(value), "{name}");
                    }
                    _ => assert_contains(&answer[key], value, name),
                }
            }
            if members.is_empty() {
                assert_eq!(answer, expected, "{name}");
            }
        }
        value => assert_eq!(answer, value, "{name}"),
    }
}
