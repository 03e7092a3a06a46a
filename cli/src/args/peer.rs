use std::path::PathBuf;

use clap::{Args, Subcommand};
use coattail::address::PeerAddress;
use coattail::secret::Secret;

use super::{Ended, Shown};

/// `coattail peer`
#[derive(Debug, Subcommand)]
pub(crate) enum PeerCommand {
    /// Store a token that another instance issued, after logging in with it once
    #[command(after_help = "Examples:\n  ssh other coattail token issue -q -r | coattail peer add -\n  \
                            coattail peer add --token-file other.token")]
    Add(AddPeer),
    /// List the peers
    List,
    /// Show a peer and what its token allows
    Show(Shown),
    /// Say where a peer is reached from now on, when it has moved and could not say so itself
    #[command(after_help = "Example:\n  coattail peer set-address ID net:example.org:49365~tls")]
    SetAddress(SetAddress),
    /// Forget a peer and end the subscriptions held there
    Remove(Ended),
}

/// `coattail peer add`
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AddPeer {
    /// The token; - reads it from stdin, where nobody else can see it
    #[arg(value_name = "TOKEN")]
    pub(crate) positional: Option<Secret>,
    /// As TOKEN
    #[arg(short = 't', long = "token", value_name = "TOKEN", allow_hyphen_values = true)]
    pub(crate) named: Option<Secret>,
    /// Read the token from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// `coattail peer set-address`
#[derive(Debug, Args)]
pub(crate) struct SetAddress {
    /// Its id, as `list` shows it
    #[arg(value_name = "ID")]
    pub(crate) peer: String,
    /// Where, tried in this order before what the peer says; none forgets what was set
    #[arg(value_name = "ADDRESS")]
    pub(crate) addresses: Vec<PeerAddress>,
}
