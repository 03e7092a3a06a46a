//! What a failure looks like, and what the program exits with.

mod panic;
mod report;
mod status;
#[cfg(test)]
mod tests;
mod usage;

pub(crate) use panic::install_panic_hook;
pub(crate) use report::{ShownError, because, report, shown_error};
pub(crate) use status::ExitStatus;
pub(crate) use usage::explain_usage;
