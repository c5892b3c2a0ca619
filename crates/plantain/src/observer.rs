//! Watching and stopping a run.

use std::ops::ControlFlow;

use crate::preview::Preview;

/// Something that happened during a run.
///
/// ```
/// use plantain::Event;
///
/// fn line(event: Event) -> String {
///     match event {
///         Event::Step { step, steps, .. } => format!("step {} of {steps}", step + 1),
///         event => format!("{event:?}"),
///     }
/// }
/// assert_eq!(line(Event::Step { picture: 0, step: 0, steps: 6 }), "step 1 of 6");
/// ```
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
        /// Number of steps that are run: those of all things, where several are drawn.
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
        /// Picture of the run, from 0; the first where several are drawn together.
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
///
/// ```
/// use std::ops::ControlFlow;
/// use plantain::{Event, Observer, Preview};
///
/// /// Stops after the third step.
/// struct Impatient;
///
/// impl Observer for Impatient {
///     fn event(&mut self, event: Event) -> ControlFlow<()> {
///         match event {
///             Event::Step { step: 3, .. } => ControlFlow::Break(()),
///             _ => ControlFlow::Continue(()),
///         }
///     }
/// }
///
/// // A closure will do as well.
/// let mut events = 0;
/// let mut counting = |_: Event| {
///     events += 1;
///     ControlFlow::Continue(())
/// };
/// assert!(counting.event(Event::Encoding).is_continue());
/// ```
pub trait Observer {
    /// Called before each piece of work.
    ///
    /// ```
    /// use plantain::{Event, Observer, Unobserved};
    ///
    /// assert!(Unobserved.event(Event::Encoding).is_continue());
    /// ```
    fn event(&mut self, event: Event) -> ControlFlow<()>;

    /// Whether [`Self::preview`] is to be called. The first run for which it is also decodes a small latent.
    ///
    /// ```
    /// use plantain::{Observer, Unobserved};
    ///
    /// assert!(!Unobserved.wants_previews());
    /// ```
    fn wants_previews(&self) -> bool {
        false
    }

    /// Called after each step, once for each picture that is being drawn.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use plantain::{Event, Observer, Preview, RgbImage};
    ///
    /// /// Keeps the last preview.
    /// struct Last(Option<RgbImage>);
    ///
    /// impl Observer for Last {
    ///     fn event(&mut self, _event: Event) -> ControlFlow<()> {
    ///         ControlFlow::Continue(())
    ///     }
    ///
    ///     fn wants_previews(&self) -> bool {
    ///         true
    ///     }
    ///
    ///     fn preview(&mut self, preview: &Preview) {
    ///         self.0 = Some(preview.image.clone());
    ///     }
    /// }
    ///
    /// # let options = plantain::DeviceOptions::default();
    /// # let path = std::path::Path::new("../../tests/fixtures/weights/turbo");
    /// # let pipeline = plantain::Pipeline::load(path, options)?;
    /// # let request = plantain::Request::new("a red fox");
    /// let mut last = Last(None);
    /// pipeline.generate(&request, &mut last)?;
    /// assert!(last.0.is_some());
    /// # Ok::<(), plantain::Error>(())
    /// ```
    fn preview(&mut self, _preview: &Preview) {}
}

impl<F: FnMut(Event) -> ControlFlow<()>> Observer for F {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        self(event)
    }
}

/// Watches nothing.
///
/// ```
/// use plantain::{Event, Observer, Unobserved};
///
/// assert!(Unobserved.event(Event::Encoding).is_continue());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn event(&mut self, _event: Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
