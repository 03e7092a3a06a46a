/// The version of the wires. It changes only when an older program could no longer take part; what is
/// added stays optional and does not change it.
pub const PROTOCOL: u32 = 1;

/// Name and version of this program, told to the other side for its logs.
pub const SOFTWARE: &str = concat!("coattail/", env!("CARGO_PKG_VERSION"));
