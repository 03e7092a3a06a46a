//! Workers that crash, hang, flood and lie: only their own calls fail, and each ends once.

use std::fs;
use std::time::{Duration, Instant};

use coattail::wire::ErrorCode;

use crate::bench::{Bench, call, is_alive, number, until};

crate::tests![
    a_crash_loses_the_calls_under_way_and_says_why,
    a_worker_that_crashed_is_started_again,
    a_worker_that_ignores_everything_is_killed_at_the_timeout,
    a_cancelled_call_leaves_the_worker_to_the_others,
    a_call_whose_future_is_dropped_is_cancelled,
    a_worker_that_never_initialises_is_given_up,
    a_worker_that_exits_at_once_says_why,
    a_plugin_speaks_for_itself_only,
    what_cannot_be_run_is_refused_with_a_reason,
    a_worker_inherits_nothing_that_it_should_not,
];

async fn a_crash_loses_the_calls_under_way_and_says_why() {
    let bench = Bench::new();
    bench.bad();
    let (polite, crash) = tokio::join!(bench.bad_does("silent"), async {
        // The first call has reached the worker when a second one is answered.
        number(bench.bad_does("pid").await);
        bench.bad_does("crash").await
    });
    for outcome in [polite, crash] {
        let failure = outcome.unwrap_err();
        assert_eq!(failure.code, ErrorCode::Lost);
        assert!(failure.message.contains("exit 3; its last output: one | the last words"), "{failure}");
    }
    let failure = bench.bad_does("segfault").await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::Lost);
    assert!(failure.message.contains("killed by SIGSEGV"), "{failure}");
}

async fn a_worker_that_crashed_is_started_again() {
    let bench = Bench::new();
    let first = number(bench.bad().bad_does("pid").await);
    let mut before = Instant::now();
    let mut pauses = Vec::new();
    for _ in 0..3 {
        bench.bad_does("crash").await.unwrap_err();
        pauses.push(before.elapsed());
        before = Instant::now();
    }
    let last = number(bench.bad_does("pid").await);
    assert_ne!(first, last);
    assert!(before.elapsed() >= Duration::from_millis(400), "the third pause, after {pauses:?}");
}

async fn a_worker_that_ignores_everything_is_killed_at_the_timeout() {
    let bench = Bench::new();
    bench.bad();
    let pid = number(bench.bad_does("pid").await);
    let mut stuck = call(Some("\"stuck\""));
    stuck.timeout = Some(Duration::from_millis(200));
    let started = Instant::now();
    let failure = bench.call("bad", stuck).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::TimedOut);
    assert!(failure.message.contains("200ms"), "{failure}");
    // The caller does not wait for the end of the work.
    assert!(started.elapsed() < Duration::from_millis(450), "{:?}", started.elapsed());
    until("the worker is gone", || !is_alive(pid));
}

async fn a_cancelled_call_leaves_the_worker_to_the_others() {
    let bench = Bench::new();
    let pid = number(bench.bad().bad_does("pid").await);
    let polite = call(Some("\"polite\""));
    let cancel = polite.cancel.clone();
    let (outcome, ()) = tokio::join!(bench.call("bad", polite), async {
        number(bench.bad_does("pid").await);
        cancel.cancel();
    });
    assert_eq!(outcome.unwrap_err().code, ErrorCode::Cancelled);
    assert_eq!(number(bench.bad_does("pid").await), pid);
}

async fn a_call_whose_future_is_dropped_is_cancelled() {
    let bench = Bench::with(|settings| settings.concurrency = 1);
    let pid = number(bench.bad().bad_does("pid").await);
    {
        let polite = bench.bad_does("polite");
        tokio::pin!(polite);
        assert!(futures::poll!(&mut polite).is_pending());
    }
    // Its turn is over, and its worker lives.
    assert_eq!(number(bench.bad_does("pid").await), pid);
}

async fn a_worker_that_never_initialises_is_given_up() {
    let bench = Bench::with(|settings| settings.start = Duration::from_millis(300));
    bench.file("actions/mute", "#!/bin/sh\necho thinking >&2\nexec sleep 1000\n");
    let failure = bench.perform("mute", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::PluginBroken);
    assert!(failure.message.contains("not ready within 300ms; its last output: thinking"), "{failure}");
}

async fn a_worker_that_exits_at_once_says_why() {
    let bench = Bench::new();
    bench.file("actions/gone", "#!/bin/sh\necho no luck >&2\nexit 7\n");
    let failure = bench.perform("gone", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::PluginBroken);
    assert!(
        failure.message.contains("does not start: its process ended: exit 7; its last output: no luck"),
        "{failure}"
    );
}

async fn a_plugin_speaks_for_itself_only() {
    let bench = Bench::new();
    assert_eq!(bench.bad().bad_does("refuse").await.unwrap_err().code, ErrorCode::Failed);
    assert_eq!(bench.bad_does("nonsense").await.unwrap_err().code, ErrorCode::Failed);
    let failure = bench.bad_does("deep").await.unwrap_err();
    assert!(failure.message.contains("nested deeper than 120 levels"), "{failure}");
    // So deep that it is no frame any more: nobody waits for it until the end of the time.
    let failure = bench.bad_does("too_deep").await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::Failed);
    assert!(failure.message.contains("the answer is nested deeper than 128 levels"), "{failure}");
}

async fn what_cannot_be_run_is_refused_with_a_reason() {
    let bench = Bench::new();
    let failure = bench.perform("nothing", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::NotFound);
    let path = bench.file("actions/noexec", "#!/bin/sh\n");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let failure = bench.perform("noexec", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::PluginBroken);
    assert!(failure.hint.unwrap().contains("chmod +x"));
    bench.file("actions/noprogram", "#!/no/such/program\n");
    let failure = bench.perform("noprogram", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::PluginBroken);
    assert!(failure.message.contains("could not be started"), "{failure}");
}

async fn a_worker_inherits_nothing_that_it_should_not() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "env: {MODE: fast}");
    // Open without close-on-exec, as something careless might leave it.
    let careless = fs::File::open("/dev/null").unwrap();
    nix::fcntl::fcntl(&careless, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let descriptors = bench.bad_does("descriptors").await.unwrap().unwrap();
    // 3 is the folder that the worker reads to know.
    assert_eq!(descriptors, "[0, 1, 2, 3]");
    let text = bench.bad_does("environment").await.unwrap().unwrap();
    let env: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    assert_eq!(env["COATTAIL_INSTANCE"], bench.folder.path().to_str().unwrap());
    assert_eq!((env["COATTAIL_ACTION"].as_str(), env["MODE"].as_str()), ("bad", "fast"));
    let allowed = |name: &str| {
        ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "MODE"].contains(&name)
            || ["LC_", "COATTAIL_", "PYENV_"].iter().any(|start| name.starts_with(start))
    };
    let others: Vec<_> = env.keys().filter(|name| !allowed(name)).collect();
    assert!(std::env::vars().any(|(name, _)| name.starts_with("CARGO_")), "there is something to keep back");
    assert!(!others.iter().any(|name| name.starts_with("CARGO_")), "{others:?}");
}
