use std::io::Write as _;
use std::path::Path;

use coattail::wire::{ErrorCode, Failure};

use crate::daemon::{Daemon, Purpose};
use crate::footprint::give_back_program;
use crate::running::{Registration, RunningService};
use crate::signals::Signals;
use crate::telemetry::log_to_stderr;

/// Runs the service of an instance until it is told to stop, by a signal or over its control socket.
///
/// Says on stderr when it is ready; its log goes there, too. `executable` is as in [`Daemon::open`].
///
/// # Errors
/// If it cannot start, with what to try.
pub fn run_service(folder: &Path, executable: &Path, headless: bool) -> Result<(), Failure> {
    log_to_stderr("info");
    let internal = |error: std::io::Error| Failure::new(ErrorCode::Internal, format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(internal)?;
    let outcome = runtime.block_on(async {
        // Before anything that a signal should not tear apart.
        let mut signals = Signals::new().map_err(internal)?;
        let daemon = Daemon::open(folder, executable, Purpose::Service).await?;
        serve(daemon, executable, &mut signals, headless).await
    });
    // A blocking task that hangs must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn serve(daemon: Daemon, executable: &Path, signals: &mut Signals, headless: bool) -> Result<(), Failure> {
    let address = match daemon.serve().await {
        Ok(address) => address,
        Err(failure) => {
            stop(&daemon, signals).await;
            return Err(failure);
        }
    };
    let description = RunningService {
        pid: std::process::id(),
        instance: daemon.folder().to_owned(),
        address: daemon.address().to_string(),
        started: daemon.started().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        headless,
    };
    // Without it the service works all the same; only `service status` does not list it.
    let registration = Registration::new(&description)
        .inspect_err(|error| tracing::warn!(%error, "`service status` will not list this service"))
        .ok();
    // Nobody reads it: then nobody is told.
    let RunningService { version, instance, pid, .. } = &description;
    let ready = format!("coattail {version} is ready: {} on {address}, process {pid}\n", instance.display());
    let _ = std::io::stderr().write_all(ready.as_bytes());
    give_back_program();
    let daemon = attend(daemon, executable, signals).await?;
    stop(&daemon, signals).await;
    // In this order: whoever waits until a service is no longer listed wants to start the next one.
    drop(daemon);
    drop(registration);
    Ok(())
}

/// Until it is to stop. When a key was replaced, the instance is opened anew in the same process.
async fn attend(mut daemon: Daemon, executable: &Path, signals: &mut Signals) -> Result<Daemon, Failure> {
    loop {
        let (stop, renew) = (daemon.stop_requested(), daemon.renew_requested());
        tokio::select! {
            biased;
            signal = signals.next() => tracing::info!(signal, "stopping"),
            () = stop.cancelled() => tracing::info!("stopping, as was asked over the control socket"),
            () = renew.cancelled() => {
                tracing::info!("taking over new keys");
                daemon = daemon.reopen(executable).await?;
                continue;
            }
        }
        return Ok(daemon);
    }
}

async fn stop(daemon: &Daemon, signals: &mut Signals) {
    tokio::select! {
        () = daemon.shutdown(daemon.limits().shutdown) => {}
        signal = signals.next() => tracing::warn!(signal, "ending at once"),
    }
}
