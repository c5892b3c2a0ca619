//! The progress bar of a campaign.

use indicatif::ProgressBar;
use plantain::Event;
use plantain_campaign::{CampaignEvent, CampaignObserver};

use crate::commands::cut_before;
use crate::interrupt;
use crate::out;
use crate::progress::bar;

/// Shows how far a campaign is on standard error, if that is a terminal, and stops it after a picture on Ctrl-C.
pub(super) struct BatchProgress {
    bar: ProgressBar,
    quiet: bool,
}

impl BatchProgress {
    pub(super) fn new(quiet: bool) -> Self {
        let template = "{spinner} {msg} {wide_bar} {pos}/{len}  {per_sec}  {eta} left";
        let bar = bar(template, quiet);
        Self { bar, quiet }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Begins to count `of` things, some of which are there already and say nothing of the speed.
    fn count(&self, what: &'static str, of: usize, finished: usize) {
        self.bar.set_message(what);
        self.bar.set_length(of as u64);
        self.bar.set_position(finished as u64);
        self.bar.reset_elapsed();
        self.bar.reset_eta();
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| out::note(text));
        }
    }
}

impl CampaignObserver for BatchProgress {
    fn event(&mut self, event: CampaignEvent) {
        match event {
            CampaignEvent::Drawing { pictures, finished } => {
                self.count("pictures", pictures, finished);
            }
            CampaignEvent::Making { assets, finished } => self.count("files", assets, finished),
            CampaignEvent::Model(Event::Loading { component }) => {
                self.bar.set_message(format!("loading {component}"));
            }
            CampaignEvent::Model(Event::Compiling { .. }) => {
                self.bar.set_message("compiling kernels");
            }
            CampaignEvent::Model(Event::Widening { component }) => self.line(&format!(
                "warning: the {component} overflows in half precision; using f32 for it"
            )),
            CampaignEvent::Model(Event::Encoding) => self.bar.set_message("pictures"),
            CampaignEvent::Picture | CampaignEvent::Asset => self.bar.inc(1),
            CampaignEvent::Cut { of, text } => {
                self.line(&format!("warning: {of}: {}", cut_before("text", &text)));
            }
            CampaignEvent::Failed { of, reason } => {
                self.bar.inc(1);
                self.line(&format!("warning: {of}: {reason}"));
            }
            CampaignEvent::Reporting => self.bar.set_message("writing the report"),
            _ => {}
        }
    }

    fn stops(&self) -> bool {
        interrupt::requested()
    }
}
