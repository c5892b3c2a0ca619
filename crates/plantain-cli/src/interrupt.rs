//! Ctrl-C: the run stops at the next step and leaves nothing half-written.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::out;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Starts to watch for Ctrl-C. The second one ends the program at once.
pub(crate) fn install() {
    // Without a handler Ctrl-C ends the program at once, which is the next best thing.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        // A step may take long, and silence would look like a hang.
        if std::io::stderr().is_terminal() {
            out::note("\nstopping after this step; Ctrl-C again stops at once");
        }
    });
}

/// Whether Ctrl-C was pressed.
pub(crate) fn requested() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Stops what is watched once Ctrl-C was pressed.
pub(crate) fn flow() -> ControlFlow<()> {
    if requested() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}
