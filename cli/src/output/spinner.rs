use std::env;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::sleep;

/// What is done sooner needs no sign of life.
const DELAY: Duration = Duration::from_millis(300);

/// How often it moves.
const TICK: Duration = Duration::from_millis(100);

/// In how many steps a bar is filled: finer than a terminal can show.
const STEPS: u64 = 1_000;

/// A sign of life on stderr while something takes long. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Spinner(ProgressBar);

impl Spinner {
    /// One that is not shown yet.
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("the template is right");
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self(bar.with_style(style).with_message("working; Ctrl-C ends it"))
    }

    /// Works, and shows that it does if it takes long and a person can see it.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        if !is_wanted() {
            return work.await;
        }
        let clear = ClearOnDrop(&self.0);
        let turn = async {
            sleep(DELAY).await;
            // It may have been shown before.
            if self.0.is_finished() {
                self.0.reset();
            }
            self.0.set_draw_target(ProgressDrawTarget::stderr());
            self.0.enable_steady_tick(TICK);
            std::future::pending().await
        };
        let outcome = tokio::select! { biased; outcome = work => outcome, never = turn => never };
        drop(clear);
        outcome
    }

    /// Becomes a bar that is so full, and says what is being done. What is absent stays as it is.
    pub(super) fn progress(&self, fraction: Option<f64>, text: Option<&str>) {
        if let Some(text) = text {
            self.0.set_message(text.to_owned());
        }
        if let Some(fraction) = fraction.filter(|fraction| fraction.is_finite()) {
            if self.0.length().is_none() {
                let style = ProgressStyle::with_template("{spinner} {elapsed} [{bar:30}] {percent:>3} % {msg}");
                self.0.set_style(style.expect("the template is right"));
                self.0.set_length(STEPS);
            }
            // A number from 0 to 1 was promised by somebody else.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
            let step = (fraction.clamp(0.0, 1.0) * STEPS as f64) as u64;
            self.0.set_position(step);
        }
    }

    /// Writes something while it makes room.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

struct ClearOnDrop<'a>(&'a ProgressBar);

impl Drop for ClearOnDrop<'_> {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn is_wanted() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal()
        && !is_set("COATTAIL_NO_SPINNER")
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
