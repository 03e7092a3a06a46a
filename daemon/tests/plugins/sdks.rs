//! The runners that the daemon carries, with what users write.

use coattail::wire::ErrorCode;
use coattail::wire::plugin::Kind;

use crate::bench::Bench;

crate::tests![an_action_of_the_original_runs_in_node, a_python_receiver_runs, code_that_does_not_load_says_why];

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
