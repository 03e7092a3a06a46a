//! The harness: instances of the real program, in real processes, over real sockets.
//!
//! [`Instance`] is one of them, with a service or without; [`Cluster`] has several that are peers. What is started is
//! stopped when it is dropped, and whatever is left of it then fails the test.
#![expect(clippy::print_stderr, reason = "what a service wrote is shown when its test fails")]

pub mod background;
pub mod cluster;
pub mod control;
pub mod failing_disk;
pub mod instance;
pub mod nat;
pub mod output;
pub mod plugin;
pub mod proxy;
pub mod random;
pub mod small_disk;
pub mod wait;

pub use background::Background;
pub use cluster::Cluster;
pub use control::Control;
pub use failing_disk::FailingDisk;
pub use instance::Instance;
pub use nat::Nat;
pub use output::Output;
pub use proxy::{Direction, Fault, Proxy};
pub use random::Random;
pub use small_disk::SmallDisk;
pub use wait::{moment, until, within};
