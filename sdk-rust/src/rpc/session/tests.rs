use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio_util::task::TaskTracker;

use super::*;
use crate::rpc::{Facts, pair};
use crate::wire::Raw;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Echo {
    value: Raw,
}
crate::wire::method!(Echo, "echo", Raw);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hang {}
crate::wire::method!(Hang, "hang", crate::wire::Done);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    n: u32,
}
crate::wire::method!(Note, "note", crate::wire::Done);

/// Served by nobody.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Hello {}
crate::wire::method!(Hello, "hello", crate::wire::Done);

#[derive(Default)]
struct Seen {
    notes: Mutex<Vec<u32>>,
}

fn service(seen: &Arc<Seen>) -> Service {
    Service::new()
        .on(seen, |_, _: Facts, echo: Echo| async move { Ok(echo.value) })
        .on(seen, |_, _, _: Hang| async move { std::future::pending().await })
        .on_in_order(seen, |seen: &Seen, _, note: Note| {
            seen.notes.lock().unwrap().push(note.n);
            Ok(crate::wire::Done {})
        })
}

fn raw(text: &str) -> Raw {
    serde_json::from_str(text).unwrap()
}

struct Running {
    left: Session,
    right: Session,
    seen: Arc<Seen>,
    tasks: TaskTracker,
}

fn start(limits: &Limits) -> Running {
    let seen = Arc::new(Seen::default());
    let cancel = CancellationToken::new();
    let ((left, run_left), (right, run_right)) = pair(service(&seen), service(&seen), limits, &cancel);
    let tasks = TaskTracker::new();
    tasks.spawn(run_left);
    tasks.spawn(run_right);
    tasks.close();
    Running { left, right, seen, tasks }
}

#[tokio::test]
async fn calls_go_both_ways_and_values_pass_byte_for_byte() {
    let Running { left, right, .. } = start(&Limits::default());
    for text in ["null", "1.50", r#"{"b":1,"a":[1e5, "\u00e9"]}"#, r#""x\ny""#] {
        assert_eq!(left.call(&Echo { value: raw(text) }).await.unwrap().get(), text);
        assert_eq!(right.call(&Echo { value: raw(text) }).await.unwrap().get(), text);
    }
    // Line breaks between tokens cannot be part of a line.
    assert_eq!(left.call(&Echo { value: raw("[1,\n2]") }).await.unwrap().get(), "[1, 2]");
}

#[tokio::test]
async fn notifications_are_done_in_order() {
    let Running { left, seen, .. } = start(&Limits::default());
    for n in 0..1000 {
        left.notify(&Note { n }).await.unwrap();
    }
    left.call(&Echo { value: raw("0") }).await.unwrap();
    assert_eq!(*seen.notes.lock().unwrap(), (0..1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_request_too_many_is_refused_as_busy_and_the_others_go_on() {
    let limits = Limits { in_flight: Limit::new(2), ..Limits::default() };
    let Running { left, .. } = start(&limits);
    let (first, second) = (Hang {}, Hang {});
    let (first, second) = (left.call(&first), left.call(&second));
    tokio::pin!(first, second);
    assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
    let Err(CallError::Refused(busy)) = left.call(&Hang {}).await else { panic!("not refused") };
    assert_eq!(busy.code, ErrorCode::Busy);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_told_to_wait_is_answered_first_and_read_later() {
    const REST: Duration = Duration::from_secs(60);
    let seen = Arc::new(Seen::default());
    let gated = service(&seen).gate(&seen, |seen: &Seen, _, method| {
        let refusal = (method == Some(Note::NAME)).then(|| Failure::busy("too fast"));
        let is_over = method.is_none() || refusal.is_some();
        if is_over {
            seen.notes.lock().unwrap().push(0);
        }
        Admission { refusal, rest: if is_over { REST } else { Duration::ZERO } }
    });
    let cancel = CancellationToken::new();
    let ((left, run_left), (right, run_right)) = pair(Service::new(), gated, &Limits::default(), &cancel);
    let tasks = TaskTracker::new();
    tasks.spawn(run_left);
    tasks.spawn(run_right);
    let start = tokio::time::Instant::now();
    let Err(CallError::Refused(busy)) = left.call(&Note { n: 1 }).await else { panic!("not refused") };
    assert_eq!((busy.code, start.elapsed()), (ErrorCode::Busy, Duration::ZERO));
    // Notifications are no way around it, nor are methods that do not exist.
    left.notify(&Note { n: 2 }).await.unwrap();
    assert!(matches!(left.call(&Hello {}).await, Err(CallError::Refused(_))));
    assert_eq!(start.elapsed(), 2 * REST);
    assert_eq!(left.call(&Echo { value: raw("1") }).await.unwrap().get(), "1");
    assert_eq!(start.elapsed(), 3 * REST);
    assert_eq!(*seen.notes.lock().unwrap(), [0; 3], "nothing that was refused was done");
    // An end does not wait.
    left.notify(&Note { n: 3 }).await.unwrap();
    right.close();
    tasks.close();
    tasks.wait().await;
    assert_eq!(start.elapsed(), 3 * REST);
}

#[tokio::test]
async fn the_end_of_a_session_ends_every_call() {
    let Running { left, right, tasks, .. } = start(&Limits::default());
    let hang = Hang {};
    let call = left.call(&hang);
    tokio::pin!(call);
    assert!(futures::poll!(&mut call).is_pending());
    right.close();
    assert!(matches!(call.await, Err(CallError::Lost { method: "hang" })));
    tasks.wait().await;
    assert!(matches!(left.call(&Hang {}).await, Err(CallError::Closed)));
}

#[tokio::test]
async fn draining_answers_what_is_under_way() {
    let Running { left, right, tasks, .. } = start(&Limits::default());
    let echo = Echo { value: raw("7") };
    let call = left.call(&echo);
    tokio::pin!(call);
    // The request is on its way; the answer comes although the other side is told to end.
    let answer = tokio::join!(call, async {
        tokio::task::yield_now().await;
        right.drain();
    });
    match answer.0 {
        Ok(value) => assert_eq!(value.get(), "7"),
        Err(error) => assert!(matches!(error, CallError::Lost { .. }), "{error}"),
    }
    tasks.wait().await;
}

#[tokio::test]
async fn a_call_given_up_costs_nothing() {
    let Running { left, .. } = start(&Limits::default());
    let failure = left.call_within(Duration::from_millis(1), &Hang {}).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::TimedOut);
    assert_eq!(left.waiting_calls(), 0);
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_for_and_the_others_go_on() {
    let service = service(&Arc::default()).on(&Arc::new(()), |_, _, _: Hello| async { panic!("as it is meant to") });
    let (cancel, tasks) = (CancellationToken::new(), TaskTracker::new());
    let ((left, run_left), (_right, run_right)) = pair(Service::new(), service, &Limits::default(), &cancel);
    tasks.spawn(run_left);
    tasks.spawn(run_right);
    let Err(CallError::Refused(failure)) = left.call(&Hello {}).await else { panic!("not told") };
    assert_eq!(failure.code, ErrorCode::Internal);
    assert_eq!(left.call(&Echo { value: raw("1") }).await.unwrap().get(), "1");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_and_the_session_goes_on() {
    let limits = Limits { frame: Limit::new(200), ..Limits::default() };
    let Running { left, right, .. } = start(&limits);
    right.set_longest(100);
    let value = raw(&format!("\"{}\"", "x".repeat(100)));
    let Err(CallError::Refused(failure)) = left.call(&Echo { value }).await else { panic!("not refused") };
    assert_eq!(failure.code, ErrorCode::TooLarge);
    assert!(left.call(&Echo { value: raw("1") }).await.is_ok());
}

#[tokio::test]
async fn too_large_a_call_is_not_sent() {
    let limits = Limits { frame: Limit::new(200), ..Limits::default() };
    let Running { left, .. } = start(&limits);
    let value = raw(&format!("\"{}\"", "x".repeat(300)));
    assert!(matches!(left.call(&Echo { value }).await, Err(CallError::TooLarge { limit: 200, .. })));
    assert!(left.call(&Echo { value: raw("1") }).await.is_ok());
}

/// Writes to a session as a hostile peer would, and returns why it ended and what it answered.
async fn hostile(input: &[u8]) -> (Ended, String) {
    let seen = Arc::new(Seen::default());
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(theirs);
    let limits = Limits { frame: Limit::new(1000), ..Limits::default() };
    let (_session, run) = Session::new(read, write, service(&seen), Stray::Close, limits, CancellationToken::new());
    let feed = async {
        // The session may close before it has read everything.
        let _ = ours.write_all(input).await;
        let _ = ours.shutdown().await;
        let mut answer = String::new();
        let _ = ours.read_to_string(&mut answer).await;
        answer
    };
    let (ended, answer) = tokio::join!(run, feed);
    (ended, answer)
}

#[tokio::test]
async fn bad_frames_are_answered_once_and_end_the_session() {
    let (ended, answer) =
        hostile(b"[1,2]\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"value\":1}}\n").await;
    assert!(matches!(ended, Ended::NotAFrame(_)), "{ended}");
    assert_eq!(answer.lines().count(), 1, "{answer}");
    let (ended, answer) = hostile(&[b'x'; 5000]).await;
    assert!(matches!(ended, Ended::Line(LineError::TooLong { .. })), "{ended}");
    assert!(answer.contains("longer than 1000 bytes"), "{answer}");
    let (ended, _) = hostile(b"{\"jsonrpc\":").await;
    assert!(matches!(ended, Ended::Line(LineError::Torn { got: 11 })), "{ended}");
    let (ended, _) = hostile(b"").await;
    assert!(matches!(ended, Ended::Closed), "{ended}");
}

#[tokio::test]
async fn unknown_methods_and_bad_parameters_cost_only_themselves() {
    let (ended, answer) = hostile(
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no\\u0007pe\"}\n\
          {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"note\",\"params\":[1]}\n\
          {\"jsonrpc\":\"2.0\",\"id\":9,\"result\":1}\n\
          {\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"note\",\"params\":{\"n\":1}}\n",
    )
    .await;
    assert!(matches!(ended, Ended::Closed), "{ended}");
    assert!(answer.contains("\"id\":1,\"error\":{\"code\":3"), "{answer}");
    assert!(answer.contains("\"id\":2,\"error\":{\"code\":2"), "{answer}");
    assert!(answer.contains("\"id\":3,\"result\":{}"), "{answer}");
}

#[tokio::test]
async fn a_program_that_prints_goes_on() {
    let seen = Arc::new(Seen::default());
    let printed = Arc::new(Mutex::new(Vec::new()));
    let lines = printed.clone();
    let stray = Stray::Line(Arc::new(move |line| lines.lock().unwrap().push(line.to_owned())));
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    let (read, write) = tokio::io::split(theirs);
    let (_session, run) = Session::new(read, write, service(&seen), stray, Limits::default(), CancellationToken::new());
    let feed = async {
        ours.write_all(b"hello\n{\"jsonrpc\":\"2.0\",\"method\":\"note\",\"params\":{\"n\":4}}\n[]\n").await.unwrap();
        ours.shutdown().await.unwrap();
    };
    tokio::join!(run, feed);
    assert_eq!(*printed.lock().unwrap(), ["hello", "[]"]);
    assert_eq!(*seen.notes.lock().unwrap(), [4]);
}

#[tokio::test]
async fn a_table_that_knows_its_session_goes_with_it() {
    let Running { left, right, seen, tasks } = start(&Limits::default());
    for session in [&left, &right] {
        session.serve(service(&seen).fact(session.clone()));
    }
    left.close();
    tasks.wait().await;
    assert_eq!(Arc::strong_count(&seen), 1);
    right.serve(service(&seen).fact(right.clone()));
    assert_eq!(Arc::strong_count(&seen), 1, "also when it comes too late");
}
