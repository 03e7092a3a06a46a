//! From the command line to the daemon of an instance: what is wrong with it.
//!
//! Served on the control socket, as everything in [`control`](super::control) is.

use serde::{Deserialize, Serialize};

use super::method;

/// Looks at everything that could be wrong with the instance, and changes nothing. Dials every peer and starts every
/// plugin, so that it may take a while.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Doctor {}
method!(Doctor, "service.doctor", Vec<Finding>);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How it is.
    pub level: Level,
    /// What kind of thing it is: `config`, `keys`, `runtimes`, `port`, `disk`, `database`, `tokens`, `peers`,
    /// `plugins`, `receivers`.
    pub area: String,
    /// Which one.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to try; absent if all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How long it took, where that says something (ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<u64>,
}

/// How the disk is on which the database lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Bytes that are left.
    pub free: u64,
    /// Bytes of them that are kept for what was accepted.
    pub reserve: u64,
    /// Why nothing is accepted; absent if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// What to try then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and may soon not, or not for everybody.
    Warning,
    /// It does not work.
    Failure,
}
