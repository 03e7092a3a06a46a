use clap::{Args, Subcommand};

/// `coattail service`
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Run the service, in the foreground unless told otherwise
    Start(StartService),
    /// Show which services run; exits with 3 if none does
    Status,
    /// Stop a service: what is under way is finished first
    Stop(StopService),
}

/// `coattail service start`
#[derive(Debug, Args)]
pub(crate) struct StartService {
    /// Run in the background; returns when the service is ready
    #[arg(short = 'b', long)]
    pub(crate) headless: bool,
    /// This is the process in the background
    #[arg(long, hide = true)]
    pub(crate) is_headless_instance: bool,
}

/// `coattail service stop`
#[derive(Debug, Args)]
pub(crate) struct StopService {
    /// Its process, as `service status` shows it [default: the service of the instance]
    #[arg(value_name = "PID", conflicts_with = "pid")]
    pub(crate) process: Option<u32>,
    /// As PID
    #[arg(short, long)]
    pub(crate) pid: Option<u32>,
}
