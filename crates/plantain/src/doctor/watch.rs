//! Stopping after every block.

use std::fmt;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use plantain_nn::Tap;
use plantain_weights::HostTensor;

use super::network::on_host;
use crate::error::Error;
use crate::host::synchronise;

/// What a block computed.
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) output: HostTensor,
    pub(super) milliseconds: f64,
}

/// Hands the output of every block to `see`, and stops at its first error.
pub(super) struct Watch<'a> {
    device: &'a Device,
    see: &'a mut dyn FnMut(Seen) -> Result<(), Error>,
    began: Instant,
    error: Option<Error>,
}

impl<'a> Watch<'a> {
    /// Begins to measure the first block.
    pub(super) fn new(
        device: &'a Device,
        see: &'a mut dyn FnMut(Seen) -> Result<(), Error>,
    ) -> Self {
        Self {
            device,
            see,
            began: Instant::now(),
            error: None,
        }
    }

    /// The first error on the way.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.error.map_or(Ok(()), Err)
    }

    fn look<const D: usize>(&mut self, name: String, output: &Tensor<D>) -> Result<(), Error> {
        synchronise(self.device)?;
        let milliseconds = milliseconds_since(self.began);
        let output = on_host(output.clone())?;
        (self.see)(Seen {
            name,
            output,
            milliseconds,
        })
    }
}

/// To the microsecond.
pub(super) fn milliseconds_since(began: Instant) -> f64 {
    began.elapsed().as_micros() as f64 / 1e3
}

/// A failure of the device with the block in which it showed.
fn within(block: fmt::Arguments<'_>, error: Error) -> Error {
    match error {
        Error::DeviceFailed { device, reason } => Error::DeviceFailed {
            device,
            reason: format!("{reason} (in `{block}`)"),
        },
        error => error,
    }
}

impl Tap for Watch<'_> {
    fn block<const D: usize>(&mut self, name: fmt::Arguments<'_>, output: &Tensor<D>) {
        if self.error.is_none() {
            let seen = self.look(name.to_string(), output);
            self.error = seen.err().map(|error| within(name, error));
            self.began = Instant::now();
        }
    }
}
