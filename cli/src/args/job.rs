use std::time::Duration;

use clap::{Args, Subcommand};

use super::Which;
use super::duration::parse_wait;

/// `coattail job`
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List jobs, the oldest first
    List,
    /// Show a job
    Show(Which),
    /// Wait until a job has ended; exits as `action perform` would have
    #[command(after_help = "Exits with 75 if the job has not ended when the time is over.\n\n\
                            Example:\n  coattail job wait $(coattail action perform backup --detach) --timeout 5m")]
    Wait(WaitForJob),
    /// Print what the action returned, as `action perform` does
    #[command(after_help = "Exits with 75 if the job has not ended.")]
    Result(Which),
    /// End a job
    Cancel(Which),
    /// Show what a job has logged
    Logs(JobLogs),
}

/// `coattail job wait`
#[derive(Debug, Args)]
pub(crate) struct WaitForJob {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How long to wait, such as 30s or 5m [default: until it has ended]
    #[arg(long, value_name = "DURATION", value_parser = parse_wait)]
    pub(crate) timeout: Option<Duration>,
    /// Show what it says on stderr while it runs [default: on a terminal]
    #[arg(long)]
    pub(crate) follow: bool,
}

/// `coattail job logs`
#[derive(Debug, Args)]
pub(crate) struct JobLogs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Go on until the job has ended
    #[arg(short, long)]
    pub(crate) follow: bool,
}
