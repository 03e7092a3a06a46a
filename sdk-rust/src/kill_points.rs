//! Where a test can have the process killed: `COATTAIL_KILL_AT=name` does it when that point is passed for the first
//! time, `name:3` at the third. `tests/it/crashes/points.rs` lists them.
//!
//! There are none in a release, and none in any build without the feature `kill-points`, which only the tests ask for.
//! The variable is read once: the one piece of global state, since a point may lie anywhere.

/// Passes a point at which a test may have ordered this process to die.
#[cfg(all(feature = "kill-points", debug_assertions))]
#[doc(hidden)]
#[macro_export]
macro_rules! kill_point {
    ($name:literal) => {
        $crate::kill_points::pass($name)
    };
}

/// Nothing.
#[cfg(not(all(feature = "kill-points", debug_assertions)))]
#[doc(hidden)]
#[macro_export]
macro_rules! kill_point {
    ($name:literal) => {{}};
}

#[cfg(all(feature = "kill-points", debug_assertions))]
pub use armed::pass;

#[cfg(all(feature = "kill-points", debug_assertions))]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    struct Order {
        name: String,
        /// How often it is still passed alive, and once more.
        left: AtomicU64,
    }

    static ORDER: LazyLock<Option<Order>> = LazyLock::new(|| {
        let order = std::env::var("COATTAIL_KILL_AT").ok()?;
        let (name, nth) = order.split_once(':').unwrap_or((&order, "1"));
        let left = AtomicU64::new(nth.parse().expect("COATTAIL_KILL_AT is NAME or NAME:NUMBER"));
        Some(Order { name: name.to_owned(), left })
    });

    /// Ends this process, as a power cut would, if this is where it was ordered to.
    #[expect(clippy::print_stderr, reason = "the last words, by which a test knows where it has died")]
    pub fn pass(name: &str) {
        let Some(order) = &*ORDER else { return };
        if order.name == name && order.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            eprintln!("killed at {name}");
            let _ = kill(Pid::this(), Signal::SIGKILL);
            // The signal may take a moment, in which nothing more may be done.
            loop {
                std::thread::park();
            }
        }
    }
}
