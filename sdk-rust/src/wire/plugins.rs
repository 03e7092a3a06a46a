//! From the command line to the daemon: how the plugins of this instance are.
//!
//! The control socket serves these beside [`control`](super::control).

use serde::{Deserialize, Serialize};

use super::host::PluginState;
use super::method;
use super::plugin::Kind;
use super::raw::{Raw, present};
use crate::pointer::Pointer;

/// Shows one plugin of this instance whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowPlugin {
    /// Action or receiver.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}
method!(ShowPlugin, "plugins.show", Plugin);

/// A plugin: what it is, and how it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Action or receiver.
    pub kind: Kind,
    /// Its file, or its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How it is run: `node`, `python`, `sh`, `executable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// How it is spoken to: `json-rpc` or `plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What its owner says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Why it cannot be run as its files are now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What bounds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<PluginLimits>,
    /// How its workers are; absent for one that has none, because it runs once per call or cannot be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PluginState>,
    /// Why it is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its processes.
    pub workers: Vec<PluginWorker>,
    /// Calls that wait for their turn.
    pub waiting: u64,
    /// The JSON Schema of its inputs, if it is known: of its sidecar, or what a worker has said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub input: Option<Raw>,
    /// That of its outputs.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub output: Option<Raw>,
    /// What was counted since the service started.
    pub counts: PluginCounts,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// What bounds a plugin, from its sidecar or the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginLimits {
    /// Milliseconds that a call may take.
    pub timeout_ms: u64,
    /// Calls at once in one worker; of one that runs once per call, processes.
    pub concurrency: u64,
    /// Calls that may wait for their turn.
    pub queue: u64,
    /// Workers that are kept warm.
    pub min: u64,
    /// Workers at the most.
    pub max: u64,
    /// Milliseconds without a call after which a worker is stopped.
    pub idle_ms: u64,
    /// Calls after which a worker is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Milliseconds that loading it may take.
    pub start_ms: u64,
    /// Of a receiver: how many milliseconds to wait after each failed call, before it is called again for the same
    /// publication. After the last of them that is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<Vec<u64>>,
    /// Of a receiver: what of a publication tells those apart that it handles in order from those that it handles at once.
    /// Absent: it handles all in order, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_key: Option<Pointer>,
}

/// A process of a plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginWorker {
    /// Its number; absent if it has just ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Calls under way in it.
    pub calls: u64,
    /// Calls that it has done.
    pub done: u64,
    /// When it was ready (RFC 3339).
    pub since: String,
    /// Takes no more calls, and ends with those that it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ending: bool,
}

/// What was counted of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginCounts {
    /// Calls that came.
    pub calls: u64,
    /// Calls that failed, in whatever way.
    pub failed: u64,
    /// Workers that crashed or did not start.
    pub crashes: u64,
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When (RFC 3339).
    pub time: String,
    /// What.
    pub message: String,
}

/// Starts plugins anew, as their files are now, and forgets that they crashed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReloadPlugins {
    /// Only these; absent: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Only this one, also if it has no worker yet; absent: all that have a worker, or had trouble with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
method!(ReloadPlugins, "plugins.reload", Vec<Reloaded>);

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reloaded {
    /// Action or receiver.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// In one word.
    pub outcome: ReloadOutcome,
    /// Why it failed, and what runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReloadOutcome {
    /// A new worker takes the calls; those under way finish in the old one.
    Reloaded,
    /// There is nothing to start: it runs once per call, always as its files are.
    PerCall,
    /// It does not start. What ran before still runs.
    Failed,
}

impl ReloadOutcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reloaded => "reloaded",
            Self::PerCall => "per-call",
            Self::Failed => "failed",
        }
    }
}
