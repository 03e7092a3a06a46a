//! The runners that the daemon carries, with what users write.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use coattail::wire::ErrorCode;
use coattail::wire::plugin::Kind;

use crate::bench::Bench;

crate::tests![
    an_action_of_the_original_runs_in_node,
    a_python_receiver_runs,
    code_that_does_not_load_says_why,
    python_plugins_run_in_the_virtual_environment_of_the_instance,
    a_python_plugin_that_misbehaves_costs_its_own_calls,
];

async fn an_action_of_the_original_runs_in_node() {
    let bench = Bench::new();
    bench.file(
        "actions/My Action.js",
        "module.exports = (Coattail) => class extends Coattail.Action {
            async perform(input) { console.log('noise'); return { ...input, done: true }; }
        };",
    );
    assert_eq!(bench.problem(Kind::Action, "My Action"), None);
    let result = bench.perform("My Action", Some(r#"{"a":1}"#)).await.unwrap();
    assert_eq!(result.as_deref(), Some(r#"{"a":1,"done":true}"#));
}

async fn a_python_receiver_runs() {
    let bench = Bench::new();
    bench.file(
        "receivers/keep.py",
        "import coattail\n\n@coattail.receiver\ndef keep(data, context):\n    print('noise')\n    \
         context.log.info('got %s', data)\n",
    );
    bench.receive("keep", "[1]").await.unwrap();
    let logs = bench.logs.lock().unwrap();
    assert!(logs.iter().any(|(id, line)| id.name == "keep" && line == "got [1]"), "{logs:?}");
}

async fn code_that_does_not_load_says_why() {
    let bench = Bench::new();
    bench.file("actions/broken.js", "throw new Error('out of cheese')");
    bench.file("actions/wrong.py", "import no_such_module\n");
    for (name, why) in [("broken", "out of cheese"), ("wrong", "no_such_module")] {
        let failure = bench.perform(name, None).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::PluginBroken, "{failure}");
        assert!(failure.message.contains(why), "{failure}");
    }
}

async fn python_plugins_run_in_the_virtual_environment_of_the_instance() {
    let bench = Bench::new();
    let source = "import sys\ntry:\n    from installed import NAME\nexcept ImportError:\n    NAME = None\n\n\
                  def perform(input):\n    return [NAME, sys.executable]\n";
    bench.file("actions/where.py", source);
    let without = bench.perform("where", None).await.unwrap().unwrap();
    assert!(without.starts_with("[null,"), "{without}");

    // One that is made while a worker runs is used by the next call.
    let folder = bench.folder.path().join(".venv");
    #[expect(clippy::disallowed_methods, reason = "makes an environment as its owner does; it is no plugin")]
    let made = Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&folder).status().unwrap();
    assert!(made.success());
    let packages = fs::read_dir(folder.join("lib")).unwrap().next().unwrap().unwrap().path().join("site-packages");
    fs::write(packages.join("installed.py"), "NAME = 'from the environment'\n").unwrap();
    let within = bench.perform("where", None).await.unwrap().unwrap();
    let python = folder.join("bin/python");
    assert_eq!(within, format!("[\"from the environment\",{:?}]", python.display().to_string()));

    // As after an upgrade of the system's Python.
    fs::remove_file(&python).unwrap();
    std::os::unix::fs::symlink("/usr/bin/python0.0", &python).unwrap();
    // What runs goes on; nothing is started any more.
    assert_eq!(bench.perform("where", None).await.unwrap().unwrap(), within);
    bench.file("actions/other.py", source);
    let failure = bench.perform("other", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::PluginBroken, "{failure}");
    assert!(failure.message.contains(&*folder.to_string_lossy()), "{failure}");
    assert!(failure.hint.unwrap().contains("venv --clear"));
    assert!(bench.problem(Kind::Action, "where").unwrap().contains("is broken"));
}

async fn a_python_plugin_that_misbehaves_costs_its_own_calls() {
    let bench = Bench::new();
    bench.file("actions/bad.py", include_str!("../../../sdk-python/tests/plugins/misbehaves.py"));
    for what in ["forge", "binary", "close", "thread dies", "fork", "thread"] {
        let result = bench.perform("bad", Some(&format!("{what:?}"))).await;
        assert_eq!(result.unwrap().as_deref(), Some("\"done\""), "{what}");
    }
    for (what, code) in [("recursion", ErrorCode::Failed), ("final", ErrorCode::Failed), ("dies", ErrorCode::Lost)] {
        let failure = bench.perform("bad", Some(&format!("{what:?}"))).await.unwrap_err();
        assert_eq!(failure.code, code, "{what}: {failure}");
        assert_eq!(bench.perform("bad", None).await.unwrap().as_deref(), Some("\"done\""), "after {what}");
    }
    // A thread that never ends keeps its process from ending by itself, and nobody else.
    bench.perform("bad", Some("\"thread\"")).await.unwrap();
    let start = Instant::now();
    bench.plugins.shutdown(Duration::from_secs(1)).await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
