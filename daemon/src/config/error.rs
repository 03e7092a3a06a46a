use std::io;
use std::path::PathBuf;

use coattail::wire::ErrorCode;

use crate::keys::{make_pair, shell_quoted};

/// Why `config.yml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody writes one by hand that is this large.
    #[error("{} is larger than {max} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// What is taken.
        max: u64,
    },
    /// A key that means nothing, most often a slip.
    #[error("{}{}: unknown key `{key}`", path.display(), line_suffix(*line))]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// On which line, if known.
        line: Option<u64>,
        /// The key.
        key: String,
        /// The known keys of that section, the most similar first if one is similar.
        nearest: Option<&'static str>,
        /// All keys of that section.
        known: Vec<&'static str>,
    },
    /// No YAML, or a list where a text should be.
    #[error("{}{}: not a valid configuration", path.display(), line_suffix(*line))]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// On which line, if known.
        line: Option<u64>,
        /// Why.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// A key has a value that it cannot have.
    #[error("{}: `{key}` is `{value}`, but {reason}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// The key, with the sections it is in.
        key: &'static str,
        /// What is written there.
        value: String,
        /// What must hold.
        reason: String,
    },
    /// The original allowed a shared secret for the identity, too (its fault S10).
    #[error(
        "{}: `{key}` has `type: string`, but a secret cannot be an identity: it would be given away with every \
         validation token, and its hash is in every other token",
        path.display()
    )]
    SecretIdentity {
        /// Which file.
        path: PathBuf,
        /// The key, with the sections it is in.
        key: &'static str,
    },
    /// A shared secret that cannot be used. It is not shown.
    #[error("{}: `{key}` has `type: string`, but {reason}", path.display())]
    Secret {
        /// Which file.
        path: PathBuf,
        /// The key, with the sections it is in.
        key: &'static str,
        /// What must hold.
        reason: &'static str,
    },
    /// Others on this machine can read a file that holds a secret.
    #[error("{} holds a shared secret and can be read by others (mode {mode:03o})", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl ConfigError {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("check that the file is there and that you may read it".to_owned()),
            Self::UnknownKey { nearest: Some(nearest), .. } => Some(format!("did you mean `{nearest}`?")),
            Self::UnknownKey { known, .. } => Some(format!("known here: {}", known.join(", "))),
            Self::Invalid { key, .. } => Some(format!("correct `{key}`, or leave it out to get its default")),
            Self::SecretIdentity { .. } => Some(format!(
                "make a key pair in the folder of the instance: {}; then give both halves `type: file`, and issue all \
                 tokens anew",
                make_pair("keys/vt-key")
            )),
            Self::Secret { .. } => {
                Some("both halves have `type: string` and the same `value`, or `type: file` and a PEM file".to_owned())
            }
            Self::Exposed { path, .. } => Some(format!("chmod 600 {}", shell_quoted(path))),
            Self::TooLarge { .. } => Some("restore the file from a backup; it has a few lines".to_owned()),
            Self::Malformed { .. } => {
                Some("correct it there; `coattail new` in an empty folder makes one to compare with".to_owned())
            }
        }
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::Usage
    }
}

fn line_suffix(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}
