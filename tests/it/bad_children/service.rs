//! A service with all the bad programs of one language, and one that does as it should.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use coattail::id::CallId;
use coattail::wire::Failure;
use coattail::wire::host::Perform;
use coattail_tests::instance::binary;
use coattail_tests::{Control, Instance};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::table::{Asks, Group, Runtime};

/// How long anything of a program may be left when its call has ended, or its service was killed. Each step of ending a
/// stubborn one takes a second here.
pub(super) const SOON: std::time::Duration = std::time::Duration::from_secs(5);

/// Who is called is told to end soon after: then what is left of it is not what is kept warm.
const SIDECAR: &str = "idle: 300ms\n";

/// What is more than the buffers of a pipe take, in bytes.
const MUCH: usize = 512 * 1024;

/// A program that does as it should has this name.
pub(super) const GOOD: &str = "good";

pub(super) struct Service {
    pub(super) instance: Instance,
    pub(super) control: Control,
}

impl Service {
    pub(super) fn of(group: &Group) -> Self {
        let mut instance = Instance::new("service");
        instance.configure("limits:\n  plugin_grace: 1s");
        symlink(binary("fixture-plugin"), instance.path("actions/good")).expect("a link");
        fs::copy(programs().join("by-hand.sh"), instance.path("by-hand.sh")).expect("copied");
        for row in group.rows {
            install(&instance, group.runtime, row.name);
        }
        instance.start();
        let control = Control::connect(&instance);
        let service = Self { instance, control };
        service.good();
        service
    }

    pub(super) fn perform(&self, call: CallId, name: &str, asks: Asks) -> Result<Value, Failure> {
        let input = if asks == Asks::WithMuch { json!("x".repeat(MUCH)) } else { json!(1) };
        let input = to_raw_value(&input).expect("JSON");
        let limit = (asks == Asks::Briefly || asks == Asks::WithMuch).then_some(500);
        let perform = json!({"call": call, "action": name, "input": input, "publish": false, "timeout_ms": limit});
        let perform: Perform = serde_json::from_value(perform).expect("a call");
        let result = self.control.call(&perform)?.result.expect("a result");
        Ok(serde_json::from_str(result.get()).expect("JSON"))
    }

    /// Whoever does as it should, does.
    #[track_caller]
    pub(super) fn good(&self) {
        assert_eq!(self.perform(CallId::new(), GOOD, Asks::Once).expect("performed"), 1);
    }

    /// Whether a program has begun with what it does wrong.
    pub(super) fn has_begun(&self, name: &str) -> bool {
        self.instance.path(&format!("{name}.began")).exists()
    }
}

/// Where the programs are.
pub(super) fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("it/bad_children/programs")
}

impl Runtime {
    /// The file of a program, below [`programs`], and what it is called in `actions/`.
    pub(super) fn file(self, name: &str) -> Option<(String, String)> {
        match self {
            Runtime::Script => Some((format!("{name}.sh"), format!("{name}.sh"))),
            Runtime::ByHand => Some((format!("by-hand/{name}.sh"), name.to_owned())),
            Runtime::Node => Some((format!("{name}.js"), format!("{name}.js"))),
            Runtime::Python => Some((format!("{name}.py"), format!("{name}.py"))),
            Runtime::Rust => None,
        }
    }
}

fn install(instance: &Instance, runtime: Runtime, name: &str) {
    match runtime.file(name) {
        Some((file, action)) => {
            let text = fs::read_to_string(programs().join(file)).expect("there is such a program");
            instance.plugin(&format!("actions/{action}"), &text);
        }
        None => symlink(binary("fixture-plugin"), instance.path(&format!("actions/{name}"))).expect("a link"),
    }
    if runtime != Runtime::Script {
        fs::write(instance.path(&format!("actions/{name}.yml")), SIDECAR).expect("written");
    }
}
