//! A program that talks to a service over its control socket.

use coattail::rpc::Session;
use coattail::wire::host::Publish;
use coattail::wire::{Failure, Method};
use serde_json::Value;
use serde_json::value::to_raw_value;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::instance::Instance;

/// A connection to the service of an instance, for many calls in a short time.
#[derive(Debug)]
pub struct Control {
    session: Session,
    runtime: Runtime,
}

impl Control {
    /// Connects to a service that runs.
    ///
    /// # Panics
    /// If it does not take the connection.
    #[track_caller]
    pub fn connect(instance: &Instance) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connecting = coattail::control::connect(instance.folder(), CancellationToken::new());
        let (session, drive) = runtime.block_on(connecting).expect("the service takes connections");
        runtime.spawn(drive);
        Self { session, runtime }
    }

    /// Calls a method, and waits for as long as it takes.
    ///
    /// # Errors
    /// As the service answers; also if the connection ends.
    pub fn call<M: Method>(&self, params: &M) -> Result<M::Reply, Failure> {
        self.runtime.block_on(self.session.call(params)).map_err(Failure::from)
    }

    /// Publishes a value; returns its sequence number once it is accepted.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// # Panics
    /// If the action has a name that none can have.
    pub fn publish(&self, action: &str, value: &Value) -> Result<u64, Failure> {
        let input = to_raw_value(value).expect("JSON");
        let action = action.parse().expect("a name");
        self.call(&Publish { peer: None, action, input, id: None, ttl_ms: None, to: None, parent: None })
            .map(|published| published.sequence)
    }

    /// Ends the connection, as if the program had been killed.
    pub fn close(&self) {
        self.session.close();
    }
}
