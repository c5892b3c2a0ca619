//! Pulls that are stopped by their observer, and pulls at the same time.

use std::fs;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use plantain_hub::{HubError, Plan, PullObserver};

use crate::fake_hub::{FakeHub, Fault, LIST};
use crate::model::UNET;
use crate::server::{End, Reply};

/// Stops at something.
#[derive(Default)]
struct Stopping {
    at_plan: bool,
    at_file: Option<&'static str>,
    at_bytes: Option<u64>,
    waiting_from: Option<Instant>,
    size: u64,
}

fn stop_if(stop: bool) -> ControlFlow<()> {
    if stop {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

impl PullObserver for Stopping {
    fn plan(&mut self, _plan: &Plan) -> ControlFlow<()> {
        stop_if(self.at_plan)
    }

    fn file(&mut self, name: &str, size: Option<u64>) -> ControlFlow<()> {
        self.size = size.unwrap();
        stop_if(self.at_file == Some(name))
    }

    fn progress(&mut self, bytes: u64) -> ControlFlow<()> {
        stop_if(self.at_bytes.is_some_and(|limit| bytes >= limit))
    }

    fn waiting(&mut self) -> ControlFlow<()> {
        stop_if(
            self.waiting_from
                .is_some_and(|from| from.elapsed() > Duration::from_millis(300)),
        )
    }
}

#[test]
fn a_stopped_pull_leaves_what_the_next_one_continues() {
    let hub = FakeHub::with_model();
    let mut observer = Stopping {
        at_bytes: Some(200_000),
        ..Stopping::default()
    };
    let error = hub.pull_with(&hub.options(), &mut observer).unwrap_err();
    assert!(matches!(error, HubError::Cancelled), "{error}");
    let arrived = fs::read(hub.partial(UNET)).unwrap();
    assert!(
        (200_000..600_000).contains(&arrived.len()),
        "{}",
        arrived.len()
    );
    assert_eq!(arrived, hub.bytes(UNET)[..arrived.len()]);
    assert!(hub.path(UNET).symlink_metadata().is_err() && !hub.blob(UNET).exists());

    hub.asked();
    hub.check(&hub.pull().unwrap());
    assert!(hub.asked().contains(&(UNET.to_string(), arrived.len())));
}

#[test]
fn stopping_at_the_very_end_leaves_a_file_that_is_not_asked_for_again() {
    let hub = FakeHub::with_model();
    let mut observer = Stopping {
        at_bytes: Some(600_000),
        ..Stopping::default()
    };
    hub.pull_with(&hub.options(), &mut observer).unwrap_err();
    assert_eq!(fs::read(hub.partial(UNET)).unwrap(), hub.bytes(UNET));
    hub.asked();
    hub.check(&hub.pull().unwrap());
    assert!(hub.asked().iter().all(|(name, _)| name != UNET));
}

#[test]
fn a_pull_can_be_stopped_at_the_plan_and_at_a_file() {
    let hub = FakeHub::with_model();
    let mut observer = Stopping {
        at_plan: true,
        ..Stopping::default()
    };
    assert!(matches!(
        hub.pull_with(&hub.options(), &mut observer),
        Err(HubError::Cancelled)
    ));
    let early = ["model_index.json"].map(|name| (name.to_string(), 0));
    assert_eq!(hub.asked(), early);

    let mut observer = Stopping {
        at_file: Some(UNET),
        ..Stopping::default()
    };
    assert!(matches!(
        hub.pull_with(&hub.options(), &mut observer),
        Err(HubError::Cancelled)
    ));
    assert!(hub.asked().iter().all(|(name, _)| name != UNET));
}

#[test]
fn waiting_can_be_stopped() {
    let silent = Fault::End(End::SilentAfter(100));
    let asks_to_wait = Fault::Instead(Reply::new(429, "").header("Retry-After", "100"));
    for (what, fault) in [
        (LIST, &silent),
        (UNET, &silent),
        ("model_index.json", &asks_to_wait),
    ] {
        let hub = FakeHub::with_model();
        hub.then(what, fault.clone());
        let start = Instant::now();
        let mut observer = Stopping {
            waiting_from: Some(start),
            ..Stopping::default()
        };
        let error = hub.pull_with(&hub.options(), &mut observer).unwrap_err();
        assert!(matches!(error, HubError::Cancelled), "{what}: {error}");
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{what}: {:?}",
            start.elapsed()
        );
    }
}

/// Pulls the same repository once more from within a pull.
struct Twice<'a> {
    hub: &'a FakeHub,
    inner: Option<HubError>,
}

impl PullObserver for Twice<'_> {
    fn file(&mut self, _name: &str, _size: Option<u64>) -> ControlFlow<()> {
        self.inner = self.hub.pull().err();
        ControlFlow::Continue(())
    }

    fn progress(&mut self, _bytes: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

#[test]
fn one_repository_is_pulled_once_at_a_time() {
    let hub = FakeHub::with_model();
    let mut observer = Twice {
        hub: &hub,
        inner: None,
    };
    let pulled = hub.pull_with(&hub.options(), &mut observer).unwrap();
    assert!(
        matches!(observer.inner, Some(HubError::Busy { .. })),
        "{:?}",
        observer.inner
    );
    hub.check(&pulled);
}
