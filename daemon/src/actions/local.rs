use std::time::Duration;

use coattail::id::{CallId, IssuerHash};
use coattail::name::ActionName;
use coattail::recipient::Recipient;
use coattail::wire::host::Entry;
use coattail::wire::peer::{Performed, Published};
use coattail::wire::plugin::Kind;
use coattail::wire::publications::Scheduled;
use coattail::wire::{Failure, Raw};

use tokio_util::sync::CancellationToken;

use crate::feeds::Sink;
use crate::plugins::{Begin, Found, PerformCall, Plugins};
use crate::publications::{Cause, Causes, Publisher, Schedule, Terms};
use crate::store::Audience;

/// The actions of this instance. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Actions {
    plugins: Plugins,
    publisher: Publisher,
    schedule: Schedule,
    causes: Causes,
}

/// A call to an action of this instance, authorized.
#[derive(Debug)]
pub(crate) struct LocalCall {
    pub(crate) call: CallId,
    pub(crate) action: ActionName,
    pub(crate) input: Option<Raw>,
    pub(crate) publish: bool,
    /// Absent if this instance itself asks.
    pub(crate) caller: Option<IssuerHash>,
    /// Absent: the default of the configuration, or of the action's sidecar.
    pub(crate) timeout: Option<Duration>,
    /// How long until a worker has to have begun with it.
    pub(crate) start_timeout: Option<Duration>,
    /// Who follows it from its beginning.
    pub(crate) follower: Option<Sink>,
    pub(crate) cause: Option<Cause>,
    /// As in [`PerformCall`].
    pub(crate) begin: Option<Begin>,
}

impl Actions {
    pub(crate) fn new(plugins: Plugins, publisher: Publisher, schedule: Schedule, causes: Causes) -> Self {
        Self { plugins, publisher, schedule, causes }
    }

    /// Performs an action. It ends in exactly one way; dropping the future cancels it, down to the process.
    ///
    /// If the result cannot be published, the caller still gets it, and the reason (fault R5 of the original).
    pub(crate) async fn perform(&self, call: LocalCall) -> Result<Performed, Failure> {
        let LocalCall { call: id, action, input, publish, caller, timeout, start_timeout, follower, cause, begin } =
            call;
        let _cause = self.causes.enter(id, cause);
        // Cancelled by being dropped; the token is for who cannot drop it.
        let cancel = CancellationToken::new();
        let call = PerformCall { call: id, input, caller, timeout, start_timeout, follower, cancel, begin };
        let result = self.plugins.perform(&action, call).await?;
        if !publish {
            return Ok(Performed { result, publication: None, publication_error: None });
        }
        let payload = result.clone().unwrap_or_else(null);
        // Apart, so that what is not published does not carry the room that it needs.
        let publish = Box::pin(self.publisher.publish(action, payload, Terms::default(), cause));
        let (publication, publication_error) = match publish.await {
            Ok(published) => (Some(published), None),
            Err(failure) => (None, Some(failure.to_string())),
        };
        Ok(Performed { result, publication, publication_error })
    }

    /// Publishes a value for an action without performing it. The action must exist.
    pub(crate) async fn publish(
        &self,
        action: ActionName,
        payload: Raw,
        terms: Terms,
        cause: Option<Cause>,
    ) -> Result<Published, Failure> {
        self.plugins.check(Kind::Action, action.as_str())?;
        self.publisher.publish(action, payload, terms, cause).await
    }

    /// Those subscribers of an action that are meant; `None` if all are.
    pub(crate) async fn audience(
        &self,
        action: &ActionName,
        to: Option<Vec<Recipient>>,
    ) -> Result<Option<Audience>, Failure> {
        self.publisher.audience(action, to).await
    }

    /// Publishes several values, all of them or none.
    pub(crate) async fn publish_all(
        &self,
        action: ActionName,
        values: Vec<(Raw, Terms)>,
        cause: Option<Cause>,
    ) -> Result<Vec<Published>, Failure> {
        self.plugins.check(Kind::Action, action.as_str())?;
        self.publisher.publish_all(action, values, cause).await
    }

    /// Keeps a value that is published when its time has come.
    pub(crate) async fn schedule(
        &self,
        action: ActionName,
        payload: Raw,
        due: i64,
        terms: Terms,
        cause: Option<Cause>,
    ) -> Result<Scheduled, Failure> {
        self.plugins.check(Kind::Action, action.as_str())?;
        self.schedule.add(action, payload, due, terms, cause).await
    }

    /// Whether there is an action of this name, whatever may be wrong with it.
    pub(crate) fn has(&self, action: &ActionName) -> bool {
        self.plugins.list(Kind::Action).iter().any(|found| found.name == action.as_str())
    }

    /// Asks those that are wanted, and have not said it yet, what they take and return. Starts them for that.
    pub(crate) async fn learn_schemas(&self, kind: Kind, wanted: impl Fn(&str) -> bool) {
        self.plugins.learn_schemas(kind, wanted).await;
    }

    /// What this instance offers.
    pub(crate) fn list(&self, kind: Kind) -> Vec<Entry> {
        let is_action = kind == Kind::Action;
        let entry = |found: Found| {
            let condition = self.plugins.condition(&found);
            Entry {
                name: found.name,
                kind: found.kind,
                performable: is_action,
                publishable: is_action,
                subscribable: is_action,
                runtime: found.runtime.map(str::to_owned),
                description: found.description,
                input: found.input,
                output: found.output,
                problem: found.problem.map(|problem| problem.message),
                state: condition.as_ref().map(|condition| condition.state),
                reason: condition.and_then(|condition| condition.reason),
            }
        };
        self.plugins.list(kind).into_iter().map(entry).collect()
    }
}

fn null() -> Raw {
    Raw::from(serde_json::value::RawValue::NULL.to_owned())
}
