//! Stopping a run from elsewhere.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::observer::{Event, Observer};
use crate::preview::Preview;

/// A switch that stops runs, from any thread. All clones are the same switch.
///
/// ```no_run
/// use plantain::{Cancellation, Pipeline, Request, Unobserved};
///
/// # fn draw(pipeline: &Pipeline) -> Result<(), plantain::Error> {
/// let cancellation = Cancellation::new();
/// let switch = cancellation.clone();
/// std::thread::spawn(move || switch.cancel());
/// let mut observer = Unobserved;
/// pipeline.generate(&Request::new("a red fox"), &mut cancellation.watch(&mut observer))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// A switch that is not pressed.
    ///
    /// ```
    /// assert!(!plantain::Cancellation::new().is_cancelled());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops every run that watches, at its next piece of work: a step of sampling is always finished.
    ///
    /// ```
    /// let cancellation = plantain::Cancellation::new();
    /// let switch = cancellation.clone();
    /// switch.cancel();
    /// assert!(cancellation.is_cancelled());
    /// ```
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether [`Self::cancel`] was called.
    ///
    /// ```
    /// let cancellation = plantain::Cancellation::new();
    /// assert!(!cancellation.is_cancelled());
    /// cancellation.cancel();
    /// assert!(cancellation.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// `observer`, with this switch beside it.
    ///
    /// ```
    /// use plantain::{Cancellation, Event, Observer, Unobserved};
    ///
    /// let cancellation = Cancellation::new();
    /// let mut observer = Unobserved;
    /// let mut watched = cancellation.watch(&mut observer);
    /// assert!(watched.event(Event::Encoding).is_continue());
    /// cancellation.cancel();
    /// assert!(watched.event(Event::Encoding).is_break());
    /// ```
    pub fn watch<'a>(&'a self, observer: &'a mut dyn Observer) -> Cancellable<'a> {
        Cancellable {
            switch: self,
            observer,
        }
    }
}

/// An observer that stops the run when a [`Cancellation`] says so.
///
/// ```
/// use plantain::{Cancellable, Cancellation, Unobserved};
///
/// let cancellation = Cancellation::new();
/// let mut observer = Unobserved;
/// let watched: Cancellable = cancellation.watch(&mut observer);
/// ```
pub struct Cancellable<'a> {
    switch: &'a Cancellation,
    observer: &'a mut dyn Observer,
}

impl Observer for Cancellable<'_> {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        if self.switch.is_cancelled() {
            return ControlFlow::Break(());
        }
        self.observer.event(event)
    }

    fn wants_previews(&self) -> bool {
        self.observer.wants_previews()
    }

    fn preview(&mut self, preview: &Preview) {
        self.observer.preview(preview);
    }
}
