//! The same work on us and on others, side by side in one run: NATS with JetStream, Mosquitto, and a floor, which is the
//! least that a program can do. Each other is started here, if it is installed.

mod bare;
mod child;
mod goals;
mod lines;
mod mqtt;
mod nats;
mod payload;
mod perform;
mod responder;
mod roles;
mod section;
mod servers;
mod wire;

pub(crate) use roles::play;
pub(crate) use section::measure;
