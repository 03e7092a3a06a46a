use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::Result;
use crate::api::{Coattail, Followers};
use crate::control;
use crate::id::CallId;
use crate::wire::control::{ServiceStatus, Status};

/// A program's connection to the service of an instance on this machine.
///
/// ```no_run
/// # async fn example() -> coattail::Result<()> {
/// let client = coattail::Client::connect("office").await?;
/// let words: u64 = client.coattail().perform("Count", &"as you like it").await?;
/// # Ok(())
/// # }
/// ```
///
/// It needs a runtime of tokio. Dropping it ends the connection, and the calls that were made over it; what its
/// [`Coattail`] is asked after that fails.
#[derive(Debug)]
pub struct Client {
    coattail: Coattail,
    // The one task that drives the connection.
    driving: TaskTracker,
    end: DropGuard,
}

impl Client {
    /// Connects to the service of the instance in this folder.
    ///
    /// # Errors
    /// `NotFound` if there is no instance, `NotRunning` if its service does not run, `NotPermitted` if it is somebody
    /// else's.
    pub async fn connect(instance: impl AsRef<Path>) -> Result<Self> {
        Self::open(instance.as_ref(), None).await
    }

    /// Connects to the service of the instance that the environment names: `COATTAIL_INSTANCE`, or else the current
    /// folder. In a program that an action or a receiver has started, what is asked for here counts as a consequence
    /// of that call (`COATTAIL_CALL`).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn from_env() -> Result<Self> {
        Self::open(&control::instance_from_env(), control::call_from_env()).await
    }

    /// The Coattail API, for as long as this client is there.
    pub fn coattail(&self) -> &Coattail {
        &self.coattail
    }

    /// How the service is.
    pub async fn status(&self) -> Result<ServiceStatus> {
        self.coattail.ask(Status {}).await
    }

    /// Ends the connection, and returns when it has ended.
    pub async fn close(self) {
        drop(self.end);
        self.driving.wait().await;
    }

    async fn open(instance: &Path, parent: Option<CallId>) -> Result<Self> {
        let cancel = CancellationToken::new();
        let (session, drive) = control::connect(instance, cancel.clone()).await?;
        let followers = Arc::<Followers>::default();
        session.serve(followers.service());
        let driving = TaskTracker::new();
        driving.spawn(drive);
        driving.close();
        Ok(Self { coattail: Coattail::new(session, followers, parent), driving, end: cancel.drop_guard() })
    }
}
