use coattail::wire::{Failure, PROTOCOL};
use serde::Serialize;

use crate::context::Context;
use crate::error::ExitStatus;

#[derive(Serialize)]
struct Version {
    version: &'static str,
    protocol: u32,
}

pub(super) fn run(context: &Context) -> Result<ExitStatus, Failure> {
    let version = Version { version: env!("CARGO_PKG_VERSION"), protocol: PROTOCOL };
    context.printer.value(&format!("Coattail v{}", version.version), &version)?;
    Ok(ExitStatus::Done)
}
