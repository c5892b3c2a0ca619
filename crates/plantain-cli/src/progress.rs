//! The progress bar of a run.

use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use plantain::{Event, Observer};

use crate::interrupt;
use crate::out;

/// A bar on standard error that looks as `template` says; invisible if `hidden`.
pub(crate) fn bar(template: &str, hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template(template);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Shows the events of a run on standard error, if that is a terminal, and stops it on Ctrl-C.
pub(crate) struct Progress {
    bar: ProgressBar,
    pictures: usize,
    quiet: bool,
}

impl Progress {
    /// For a run of `pictures` pictures; invisible if `hidden`, and without warnings, too, if `quiet`.
    pub(crate) fn new(pictures: usize, hidden: bool, quiet: bool) -> Self {
        let bar = bar("{spinner} {msg} {wide_bar} {pos}/{len}", hidden || quiet);
        Self {
            bar,
            pictures,
            quiet,
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints a line to standard error without disturbing the bar.
    pub(crate) fn line(&self, text: &str) {
        self.bar.suspend(|| out::note(text));
    }

    /// A handle for printing while the bar is lent to a run.
    pub(crate) fn clone_bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    fn of(&self, picture: usize) -> String {
        if self.pictures > 1 {
            format!("picture {}/{}: ", picture + 1, self.pictures)
        } else {
            String::new()
        }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Loading { component } => self.bar.set_message(format!("loading {component}")),
            Event::Encoding => self.bar.set_message("reading the prompt"),
            Event::EncodingImage => self.bar.set_message("reading the picture"),
            Event::Step {
                picture,
                step,
                steps,
            } => {
                self.bar.set_length(steps as u64);
                self.bar.set_position(step as u64);
                self.bar
                    .set_message(format!("{}sampling", self.of(picture)));
            }
            Event::Compiling { picture } => {
                self.bar
                    .set_message(format!("{}compiling kernels", self.of(picture)));
            }
            Event::Widening { .. } if self.quiet => {}
            Event::Widening { component } => {
                self.line(&format!(
                    "warning: the {component} overflows in half precision; using f32 for it"
                ));
            }
            Event::Refining { picture } => {
                self.bar
                    .set_message(format!("{}refining", self.of(picture)));
            }
            Event::Decoding { picture } => {
                self.bar.set_position(self.bar.length().unwrap_or(0));
                self.bar
                    .set_message(format!("{}decoding", self.of(picture)));
            }
            _ => {}
        }
        interrupt::flow()
    }
}
