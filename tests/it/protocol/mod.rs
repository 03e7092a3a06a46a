//! PROTOCOL.md, run: its examples are what the types of the wires read and write, its signatures hold when they are
//! computed as it says, and some of its conversations are held with a real service and real workers.
//!
//! A block of `json WIRE` holds frames, one a line: `→` in the direction of the wire, `←` its answer.

mod conversations;
mod document;
mod examples;
mod signatures;
