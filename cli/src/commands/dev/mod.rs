//! `coattail dev`: a temporary instance around the plugins of a folder, for as long as they are written.
//!
//! `stage` is that instance, `rounds` what happens in it, `keys` what is typed, `screen` what is seen.

mod keys;
mod rounds;
mod run;
mod screen;
mod stage;

pub(super) use run::run;
