//! Watching and stopping a run.

use std::ops::ControlFlow;

use crate::preview::Preview;

/// Something that happened during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A component is about to be loaded.
    Loading {
        /// Name of the component.
        component: &'static str,
    },
    /// A text is about to be encoded: the prompt, or the negative prompt. Texts that were encoded lately are not encoded
    /// again.
    Encoding,
    /// The picture to start from is about to be encoded.
    EncodingImage,
    /// A sampling step is about to begin.
    Step {
        /// Picture of the run, from 0; the first one where several are drawn together.
        picture: usize,
        /// Step, from 0.
        step: usize,
        /// Number of steps that are run.
        steps: usize,
    },
    /// The device has not run this size before: the first step also compiles kernels.
    Compiling {
        /// Picture of the run, from 0.
        picture: usize,
    },
    /// A component overflowed in half precision; it is loaded again in single precision and stays so.
    Widening {
        /// Name of the component.
        component: &'static str,
    },
    /// The latent is about to be refined.
    Refining {
        /// Picture of the run, from 0.
        picture: usize,
    },
    /// The latent is about to be decoded.
    Decoding {
        /// Picture of the run, from 0.
        picture: usize,
    },
}

/// Receives the events of a run, between the pieces of work; `Break` stops the run with
/// [`Error::Cancelled`](crate::Error::Cancelled).
pub trait Observer {
    /// Called before each piece of work.
    fn event(&mut self, event: Event) -> ControlFlow<()>;

    /// Whether [`Self::preview`] is to be called. The first run for which it is also decodes a small latent.
    fn wants_previews(&self) -> bool {
        false
    }

    /// Called after each step, once for each picture that is being drawn.
    fn preview(&mut self, _preview: &Preview) {}
}

impl<F: FnMut(Event) -> ControlFlow<()>> Observer for F {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        self(event)
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn event(&mut self, _event: Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
