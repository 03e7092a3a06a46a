//! The `coattail` program as its users meet it: arguments in; stdout, stderr and exit code out.
//!
//! The daemon behind the control socket is a canned one, so that what the command line asks for and
//! what it makes of the answer can be compared to the letter.

mod actions;
mod clipboard;
mod completions;
mod doctor;
mod errors;
mod harness;
mod peers;
mod services;
mod terminal;
mod tokens;
