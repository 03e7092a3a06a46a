use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use super::names::{ANY, Bearers, Names};
use super::validity::Validity;
use super::{Ended, Shown};
use crate::candidates;

/// `coattail token`
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Issue a token for another instance
    #[command(after_help = "Examples:\n  coattail token issue --performable echo --expires-in 7d\n  \
                            coattail token issue --subscribable '[\"report\"]' -b vt://ID\n  \
                            coattail token issue -q -r > other.token")]
    Issue(IssueToken),
    /// Show the issuer hash, which names this instance
    Issuer,
    /// List the tokens that this instance issued
    List,
    /// Show a token and what it allows
    Show(Shown),
    /// Revoke a token and end everything that lives on it
    Revoke(Ended),
}

/// `coattail token issue`
#[derive(Debug, Args)]
pub(crate) struct IssueToken {
    /// Who may use it: vt://ID, ipv4://CIDR, ipv6://CIDR; a JSON list, or repeat [default: everyone who has it]
    #[arg(short, long, value_name = "BEARER", value_parser = Bearers::parse, add = ArgValueCompleter::new(candidates::bearers))]
    bearers: Vec<Bearers>,
    /// Actions that may be performed, * for all; a JSON list, or repeat [default: none]
    #[arg(long, visible_alias = "perform", value_name = "NAME", value_parser = Names::parse, add = ArgValueCompleter::new(candidates::actions))]
    performable: Vec<Names>,
    /// Actions that may be published for, * for all; a JSON list, or repeat [default: none]
    #[arg(long, visible_alias = "publish", value_name = "NAME", value_parser = Names::parse, add = ArgValueCompleter::new(candidates::actions))]
    publishable: Vec<Names>,
    /// Actions that may be subscribed to, * for all; a JSON list, or repeat [default: *]
    #[arg(long, visible_alias = "subscribe", value_name = "NAME", value_parser = Names::parse, add = ArgValueCompleter::new(candidates::actions))]
    subscribable: Vec<Names>,
    #[command(flatten)]
    validity: Validity,
    /// Do not print the token's fields
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print the token itself, which is a secret
    #[arg(short = 'r', long)]
    pub(crate) print_raw_token: bool,
    /// Put the token on the clipboard [default: if there is a display, on a terminal without -r]
    #[arg(long)]
    pub(crate) copy: bool,
}

impl IssueToken {
    /// The call that issues it.
    pub(crate) fn into_call(self) -> coattail::wire::control::IssueToken {
        let anything = || vec![ANY.to_owned()];
        coattail::wire::control::IssueToken {
            bearers: (!self.bearers.is_empty()).then(|| Bearers::join(self.bearers)),
            performable: Names::join(self.performable),
            publishable: Names::join(self.publishable),
            subscribable: if self.subscribable.is_empty() { anything() } else { Names::join(self.subscribable) },
            not_before: self.validity.not_before,
            expires_in: self.validity.expires_in,
        }
    }
}
