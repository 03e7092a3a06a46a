//! Plugins with real processes. This executable is also the guard of what it starts, and a daemon to be killed, so
//! it brings its own `main`.
#![expect(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]
#![expect(clippy::print_stdout, reason = "a test program reports on stdout")]

mod bench;
mod calls;
mod death;
mod pool;
mod schemas;
mod scripts;
mod sdks;
mod spares;
mod supervision;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use coattail_daemon::plugins::{GUARD, guard_main};
use futures::future::LocalBoxFuture;

/// A test and its name.
type Test = (&'static str, fn() -> LocalBoxFuture<'static, ()>);

/// Collects the tests of a file.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[crate::Test] =
            &[$((concat!(module_path!(), "::", stringify!($name)), || Box::pin($name()))),*];
    };
}
use tests;

/// No test may take longer.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    match args.next() {
        Some(first) if first == GUARD => guard_main(),
        Some(first) if first == death::DAEMON => death::daemon(args),
        Some(first) if first == "--list" => ExitCode::SUCCESS,
        first => run(&first.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()),
    }
}

fn run(filter: &str) -> ExitCode {
    let filter = if filter.starts_with('-') { "" } else { filter };
    let (mut passed, mut failed) = (0, 0);
    let all = [
        calls::TESTS,
        death::TESTS,
        pool::TESTS,
        schemas::TESTS,
        scripts::TESTS,
        sdks::TESTS,
        spares::TESTS,
        supervision::TESTS,
    ];
    for (name, test) in all.into_iter().flatten().filter(|(name, _)| name.contains(filter)) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async { tokio::time::timeout(LIMIT, test()).await.expect("the test is done in time") });
        }));
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        *(if outcome.is_ok() { &mut passed } else { &mut failed }) += 1;
        println!("test {name} ... {word}");
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
