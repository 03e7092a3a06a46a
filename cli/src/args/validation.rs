use std::path::PathBuf;

use clap::{Args, Subcommand};
use coattail::wire::control;

use super::validity::Validity;
use super::{Ended, Shown};

/// `coattail validation`
#[derive(Debug, Subcommand)]
pub(crate) enum ValidationCommand {
    /// Print the key of this instance, for another one to bind a token to
    #[command(after_help = "Example: a token that only this instance can use\n  \
                            here:  coattail validation issue -q -r > here.validation\n  \
                            there: coattail validation add --token-file here.validation\n  \
                            there: coattail token issue -b vt://ID --perform echo -q -r")]
    Issue(IssueValidation),
    /// Store the key of another instance
    Add(AddValidation),
    /// List the keys that are stored here
    List,
    /// Show a stored key
    Show(Shown),
    /// Forget a stored key, and revoke the tokens that only it could use
    #[command(visible_alias = "revoke")]
    Remove(Ended),
}

/// `coattail validation issue`
#[derive(Debug, Args)]
pub(crate) struct IssueValidation {
    #[command(flatten)]
    validity: Validity,
    /// Do not print the token's fields
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print the token itself; it is no secret
    #[arg(short = 'r', long)]
    pub(crate) print_raw_token: bool,
    /// Put the token on the clipboard [default: if there is a display, on a terminal without -r]
    #[arg(long)]
    pub(crate) copy: bool,
}

impl IssueValidation {
    /// The call that issues it.
    pub(crate) fn to_call(&self) -> control::IssueValidation {
        control::IssueValidation { not_before: self.validity.not_before, expires_in: self.validity.expires_in }
    }
}

/// `coattail validation add`
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AddValidation {
    /// The token; - reads it from stdin
    #[arg(value_name = "TOKEN")]
    pub(crate) positional: Option<String>,
    /// As TOKEN
    #[arg(short = 't', long = "token", value_name = "TOKEN", allow_hyphen_values = true)]
    pub(crate) named: Option<String>,
    /// Read the token from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}
