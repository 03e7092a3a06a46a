//! The same work on us and on others, side by side in one run: NATS with JetStream, Mosquitto, and a floor, which is the
//! least that a program can do. Each other is started here, if it is installed.

mod bare;
mod catchup;
mod child;
mod commands;
mod fanout;
mod goals;
mod growth;
mod lines;
mod many;
mod mqtt;
mod nats;
mod payload;
mod perform;
mod publish;
mod responder;
mod roles;
mod scale;
mod section;
mod servers;
mod starts;
mod svg;
mod wire;

pub(crate) use growth::measure as growth;
pub(crate) use roles::play;
pub(crate) use section::{commands, delivery, fan_out, perform, publish, scale};
