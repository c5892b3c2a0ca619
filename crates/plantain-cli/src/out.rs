//! Printing that survives a reader who left: `println!` and `eprintln!` panic there.

use std::fmt::Display;
use std::io::{self, Write};

use crate::failure::Failure;

/// Prints a line to standard output.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

/// Writes bytes to standard output.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|e| Failure::output(&e))
}

/// Prints a line to standard error; where nobody reads it, it is lost.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
