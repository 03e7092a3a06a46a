//! How soon a publication is accepted, which is when it is on disk.

use coattail::wire::host::Publish;
use coattail_tests::{Instance, plugin};

use crate::calls::{IN_FLIGHT, input, name};
use crate::effort::Effort;
use crate::load::{self, client, control};
use crate::report::Section;

pub(crate) fn measure(effort: &Effort) -> Section {
    let instance = Instance::running("publisher");
    instance.plugin("actions/log.sh", plugin::ECHO_SH);
    let rounds = |at_once| {
        client(async {
            let session = control(&instance).await;
            let publish = Publish {
                peer: None,
                action: name("log"),
                input: input(),
                id: None,
                ttl_ms: None,
                to: None,
                parent: None,
            };
            let call = move || {
                let (session, publish) = (session.clone(), publish.clone());
                async move {
                    session.call(&publish).await.expect("it is accepted");
                }
            };
            load::rounds(effort, at_once, call).await
        })
    };
    Section {
        note: "A client → control socket → daemon → signed, in the database, `fsync` returned, and back.".to_owned(),
        columns: load::COLUMNS,
        rows: IN_FLIGHT.map(|at_once| load::row(format!("{at_once} at once"), &rounds(at_once))).into(),
    }
}
