//! When a request is repeated.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::error::HubError;
use crate::observer::PullObserver;
use crate::options::Patience;

/// How often an observer is asked while nothing happens.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// What ended an attempt.
#[derive(Debug)]
pub(crate) enum Setback {
    /// Repeating it would not help.
    Final(HubError),
    /// Repeating it may help, after `wait` if the hub says how long.
    Passing {
        reason: String,
        wait: Option<Duration>,
    },
}

impl Setback {
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing {
            reason: reason.into(),
            wait: None,
        }
    }
}

impl From<HubError> for Setback {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

/// Counts the failures of one request.
pub(crate) struct Retries<'a> {
    patience: &'a Patience,
    host: &'a str,
    what: &'a str,
    failures: u32,
}

impl<'a> Retries<'a> {
    pub(crate) fn new(patience: &'a Patience, host: &'a str, what: &'a str) -> Self {
        Self {
            patience,
            host,
            what,
            failures: 0,
        }
    }

    /// Forgets earlier failures: the request came far enough.
    pub(crate) fn forget(&mut self) {
        self.failures = 0;
    }

    /// Waits until the request may be repeated, or says why it is not.
    pub(crate) fn wait(
        &mut self,
        setback: Setback,
        observer: &mut dyn PullObserver,
    ) -> Result<(), HubError> {
        let (reason, asked) = match setback {
            Setback::Final(error) => return Err(error),
            Setback::Passing { reason, wait } => (reason, wait),
        };
        self.failures += 1;
        let longest = self.patience.longest_wait;
        if let Some(asked) = asked.filter(|asked| *asked > longest) {
            return Err(HubError::RateLimited {
                host: self.host.to_string(),
                what: self.what.to_string(),
                seconds: asked.as_secs(),
            });
        }
        if self.failures >= self.patience.attempts {
            return Err(HubError::GaveUp {
                host: self.host.to_string(),
                what: self.what.to_string(),
                attempts: self.failures,
                reason,
            });
        }
        let doublings = 2u32.saturating_pow(self.failures - 1);
        let own = self
            .patience
            .first_wait
            .saturating_mul(doublings)
            .min(longest);
        pause(asked.unwrap_or(own), observer)
    }
}

/// Waits for `time`, unless the observer stops it.
fn pause(time: Duration, observer: &mut dyn PullObserver) -> Result<(), HubError> {
    let start = Instant::now();
    while let Some(left) = time
        .checked_sub(start.elapsed())
        .filter(|left| !left.is_zero())
    {
        stop_if(observer.waiting())?;
        std::thread::sleep(left.min(TICK));
    }
    Ok(())
}

/// Turns what an observer answers into a result.
pub(crate) fn stop_if(answer: ControlFlow<()>) -> Result<(), HubError> {
    match answer {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(HubError::Cancelled),
    }
}
