use clap::{Args, Subcommand, ValueEnum};
use coattail::wire::control;

use super::duration::parse_overlap;

/// `coattail keys`
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Replace a key; the old one counts beside it until the overlap ends
    #[command(after_help = "Examples:\n  coattail keys rotate auth\n  coattail keys rotate identity --overlap 30d\n\n\
                            auth      signs tokens; those that the old one signed are taken until the overlap ends\n\
                            identity  is this instance: peers and subscribers follow to the new one when they next\n          \
                            meet it, and can do so until the overlap ends; no token is lost by it\n\
                            tls       the certificate; who expects the old one gets it until the overlap ends")]
    Rotate(RotateKey),
    /// List the keys, present and replaced, and until when they count
    List,
}

/// `coattail keys rotate`
#[derive(Debug, Args)]
pub(crate) struct RotateKey {
    /// Which key
    kind: Kind,
    #[command(flatten)]
    overlap: Overlap,
}

/// How long both count.
#[derive(Debug, Args)]
pub(crate) struct Overlap {
    /// How long the old one counts beside the new one
    #[arg(long, value_name = "DURATION", value_parser = parse_overlap, default_value = "7d")]
    overlap: u64,
}

/// `coattail tls`
#[derive(Debug, Subcommand)]
pub(crate) enum TlsCommand {
    /// Make a new key and certificate; the same as `keys rotate tls`
    Generate(Overlap),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Auth,
    Identity,
    Tls,
}

impl RotateKey {
    /// The call that replaces it.
    pub(crate) fn to_call(&self) -> control::RotateKey {
        let kind = match self.kind {
            Kind::Auth => control::KeyKind::Auth,
            Kind::Identity => control::KeyKind::Identity,
            Kind::Tls => control::KeyKind::Tls,
        };
        control::RotateKey { kind, overlap: self.overlap.overlap }
    }
}

impl TlsCommand {
    /// As above.
    pub(crate) fn to_call(&self) -> control::RotateKey {
        let Self::Generate(Overlap { overlap }) = self;
        control::RotateKey { kind: control::KeyKind::Tls, overlap: *overlap }
    }
}
