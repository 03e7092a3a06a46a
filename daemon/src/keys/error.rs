use std::io;
use std::path::PathBuf;

use coattail::wire::ErrorCode;

use super::rsa::{MAX_BITS, MIN_BITS};
use super::short_rsa::MIN_TLS_BITS;

/// Why a key cannot be used. None of these shows any part of a private key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read the key {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the key {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others on this machine can read a private key.
    #[error("the private key {} can be read by others (mode {mode:03o})", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than any key.
    #[error("{what} is larger than {max} bytes")]
    TooLarge {
        /// Which key.
        what: String,
        /// What is taken.
        max: u64,
    },
    /// No PEM, or one of another kind of key.
    #[error("{what} is no {expected} in PEM")]
    Malformed {
        /// Which key.
        what: String,
        /// What is expected.
        expected: &'static str,
    },
    /// A key under which forged signatures verify.
    #[error("{what} is a weak key")]
    Weak {
        /// Which key.
        what: String,
    },
    /// An RSA key that is too short to be safe, or longer than what is supported.
    #[error("{what} is an RSA key of {bits} bits, and {MIN_BITS} to {MAX_BITS} are taken")]
    RsaSize {
        /// Which key.
        what: String,
        /// The length of its modulus.
        bits: usize,
    },
    /// The same for a certificate, which is easily replaced.
    #[error("the certificate {} has an RSA key of {bits} bits, and {MIN_TLS_BITS} to {MAX_BITS} are taken", path.display())]
    TlsRsaSize {
        /// Which file.
        path: PathBuf,
        /// The length of its modulus.
        bits: usize,
    },
    /// A shared secret without a byte in it: anybody could sign with it.
    #[error("the shared secret is empty")]
    EmptySecret,
    /// The halves of two different pairs.
    #[error("{} does not belong to {}", private.display(), public.display())]
    Mismatch {
        /// The private half.
        private: PathBuf,
        /// The public half, or the certificate.
        public: PathBuf,
    },
    /// No certificate could be made.
    #[error("cannot make a TLS certificate")]
    Generate(#[source] rcgen::Error),
}

impl KeyError {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exposed { path, .. } => Some(format!("chmod 600 {}", shell_quoted(path))),
            Self::Mismatch { .. } => Some("restore both from the same backup".to_owned()),
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("restore the file from a backup, or correct its path in config.yml".to_owned())
            }
            Self::Malformed { .. } => Some(
                "Ed25519 and RSA keys are taken: PKCS#8 for the private half, SPKI for the public one".to_owned(),
            ),
            Self::RsaSize { .. } => Some(format!("make another pair: {}", make_pair("KEY"))),
            Self::TlsRsaSize { .. } => Some(
                "`coattail tls generate` makes a new pair; peers that hold tokens with the old certificate need new ones"
                    .to_owned(),
            ),
            Self::EmptySecret => Some("set `value` in config.yml to at least 32 random bytes".to_owned()),
            Self::TooLarge { .. } | Self::Weak { .. } => {
                Some("restore the file from a backup, or name another one in config.yml".to_owned())
            }
            Self::Read { .. } => Some("check that the file is a file, and who may read it".to_owned()),
            Self::Write { .. } => Some("check who owns the folder, and whether its disk is full".to_owned()),
            Self::Generate(_) => None,
        }
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Generate(_) | Self::Write { .. } => ErrorCode::Internal,
            _ => ErrorCode::Usage,
        }
    }
}

/// How to make a pair by hand, with `name` for the name of its files. The private half is for its owner only.
pub(crate) fn make_pair(name: &str) -> String {
    format!(
        "(umask 077; openssl genpkey -algorithm ed25519 -out {name}.pem) && openssl pkey -in {name}.pem -pubout -out {name}.pub"
    )
}

/// So that the hint can be pasted, whatever the folder is called.
pub(crate) fn shell_quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
