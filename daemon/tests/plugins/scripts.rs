//! Plain plugins: one process per call, no SDK.

use std::time::{Duration, Instant};

use coattail::wire::ErrorCode;

use crate::bench::{Bench, is_alive, until};

crate::tests![
    a_script_takes_input_and_gives_output,
    the_exit_status_says_how_it_ended,
    output_that_is_no_json_fails,
    too_much_output_fails,
    a_timeout_ends_all_that_the_script_has_started,
    a_script_is_told_what_it_is_doing,
    a_receiver_is_told_what_it_receives,
    what_a_script_leaves_behind_is_ended,
];

async fn a_script_takes_input_and_gives_output() {
    let bench = Bench::new();
    bench.file("actions/cat.sh", "cat");
    for text in [r#"{"a":[1.50,"é"]}"#, "null", "7"] {
        assert_eq!(bench.perform("cat", Some(text)).await.unwrap().as_deref(), Some(text));
    }
    assert_eq!(bench.perform("cat", None).await.unwrap(), None);
    bench.file("actions/deaf.sh", "printf '{\\n\"done\": true }\\n'");
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    assert_eq!(bench.perform("deaf", Some(&large)).await.unwrap().as_deref(), Some("{ \"done\": true }"));
    assert_eq!(bench.perform("cat", Some(&large)).await.unwrap(), Some(large));
}

async fn the_exit_status_says_how_it_ended() {
    let bench = Bench::new();
    for (what, code, message) in [
        ("exit 65", ErrorCode::Rejected, "action `end` rejected it: exit 65; its last output: because"),
        ("exit 75", ErrorCode::RetryLater, "action `end` asks to retry later: exit 75; its last output: because"),
        ("exit 1", ErrorCode::Failed, "action `end` failed: exit 1; its last output: because"),
        ("kill -9 $$", ErrorCode::Failed, "action `end` failed: killed by SIGKILL; its last output: because"),
    ] {
        bench.file("actions/end.sh", &format!("echo because >&2; {what}"));
        let failure = bench.perform("end", None).await.unwrap_err();
        assert_eq!((failure.code, failure.message.as_str()), (code, message));
    }
}

async fn output_that_is_no_json_fails() {
    let bench = Bench::new();
    bench.file("actions/talk.sh", "echo Hello, world");
    let failure = bench.perform("talk", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::Failed);
    assert!(
        failure.message.contains("line 1 column 1") && failure.message.contains("\"Hello, world\\n\""),
        "{failure}"
    );
}

async fn too_much_output_fails() {
    let bench = Bench::with(|settings| settings.frame = 1000);
    bench.file("actions/yes.sh", "yes");
    let failure = bench.perform("yes", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::Failed);
    assert!(failure.message.contains("more than 1000 bytes"), "{failure}");
}

async fn a_timeout_ends_all_that_the_script_has_started() {
    let bench = Bench::new();
    bench.file(
        "actions/slow.sh",
        "trap '' TERM\nsetsid sleep 1000 &\necho $! $$ > \"$COATTAIL_INSTANCE/pids\"\nsleep 1000",
    );
    bench.file("actions/slow.yml", "timeout: 300ms");
    let started = Instant::now();
    assert_eq!(bench.perform("slow", None).await.unwrap_err().code, ErrorCode::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(1), "the caller does not wait for the end");
    let pids = std::fs::read_to_string(bench.folder.path().join("pids")).unwrap();
    let pids: Vec<i32> = pids.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    until("all are gone", || !pids.iter().any(|pid| is_alive(*pid)));
}

async fn a_script_is_told_what_it_is_doing() {
    let bench = Bench::with(|settings| settings.bin = Some("/opt/coattail/bin".into()));
    bench.file(
        "actions/My Report.sh",
        r#"printf '["%s","%s","%s","%s"]' "$COATTAIL_ACTION" "${COATTAIL_CALL:+set}" "${PATH%%:*}" "$PWD""#,
    );
    let here = bench.folder.path().display();
    let expected = format!(r#"["My Report","set","/opt/coattail/bin","{here}"]"#);
    assert_eq!(bench.perform("My Report", None).await.unwrap(), Some(expected));
}

async fn a_receiver_is_told_what_it_receives() {
    let bench = Bench::new();
    bench.file(
        "receivers/keep.sh",
        "cat > got; echo $COATTAIL_RECEIVER $COATTAIL_PUBLICATION $COATTAIL_PUBLICATION_SEQUENCE >> got",
    );
    let source = bench.receive("keep", "[1]").await.unwrap();
    let got = std::fs::read_to_string(bench.folder.path().join("got")).unwrap();
    assert_eq!(got, format!("[1]\nkeep {} 7\n", source.id));
    bench.file("receivers/keep.sh", "exit 65");
    assert_eq!(bench.receive("keep", "[1]").await.unwrap_err().code, ErrorCode::Rejected);
}

async fn what_a_script_leaves_behind_is_ended() {
    let bench = Bench::new();
    // It would hold stdout open for ever.
    bench.file("actions/leave.sh", "setsid sleep 1000 & echo $!");
    let pid: i32 = bench.perform("leave", None).await.unwrap().unwrap().parse().unwrap();
    assert!(!is_alive(pid));
}
