use std::panic::PanicHookInfo;

use crate::output::{Format, Printer, visible};

/// A fault of this program is told in two lines, not in a page of addresses.
pub(crate) fn install_panic_hook() {
    let default = std::panic::take_hook();
    let debug = std::env::var_os("COATTAIL_DEBUG").is_some_and(|value| !value.is_empty());
    std::panic::set_hook(Box::new(move |panic| {
        Printer::new(Format::Table).say(&fault(panic));
        if debug {
            default(panic);
        }
    }));
}

fn fault(panic: &PanicHookInfo<'_>) -> String {
    let cause = panic.payload_as_str().unwrap_or("unknown");
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    format!(
        "error: coattail has a fault: {}{place}\n  try: run it again with COATTAIL_DEBUG=1, and report what it prints\n",
        visible(cause)
    )
}
