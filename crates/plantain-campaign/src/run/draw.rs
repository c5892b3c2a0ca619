//! Drawing pictures, while threads beside it measure and store those before.

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use plantain::weights::sha256;
use plantain::{Error, Event};
use plantain_assets::measure;

use super::Run;
use crate::error::CampaignError;
use crate::painter::{CampaignEvent, CampaignObserver, Easel, Painted, Painter};
use crate::plan::Shot;
use crate::size::Pixels;
use crate::store::{Entry, FailureRecord, PictureRecord, Store};

/// A picture of the campaign, in the order in which pictures are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    /// Number of its shot.
    pub(crate) shot: usize,
    /// Round of drawing, from 0.
    pub(crate) attempt: usize,
    /// Number within the round, from 0.
    pub(crate) variant: usize,
}

/// Draws those of `wanted` that are not settled, and gives how many it drew.
pub(super) fn draw(
    run: Run<'_>,
    store: &mut Store,
    wanted: &[Wanted],
    painter: &mut dyn Painter,
    observer: &mut dyn CampaignObserver,
) -> Result<usize, CampaignError> {
    let open: Vec<_> = wanted
        .iter()
        .copied()
        .filter(|wanted| !store.known().settled(&run.key(*wanted)))
        .collect();
    let (pictures, finished) = (wanted.len(), wanted.len() - open.len());
    observer.event(CampaignEvent::Drawing { pictures, finished });
    let shelf = Shelf::new(store);
    let outcome = thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2 * run.jobs);
        let (shelf, receiver) = (&shelf, Arc::new(Mutex::new(receiver)));
        for _ in 0..run.jobs.max(1) {
            let receiver = Arc::clone(&receiver);
            scope.spawn(move || shelf.work(&receiver));
        }
        let mut series = open.chunk_by(|a, b| a.shot == b.shot && run.seed(*a) + 1 == run.seed(*b));
        series.try_for_each(|series| {
            let mut drawing = Drawing {
                shot: &run.plan.shots[series[0].shot],
                next: run.seed(series[0]),
                started: Instant::now(),
                observer: &mut *observer,
                shelf,
                sender: &sender,
            };
            drawing.series(painter, series.len() as u64)
        })
    });
    // Whatever happened, what was stored is known.
    let (entries, failure) = shelf.into_parts();
    let drawn = entries.len();
    store.learn(entries);
    match (failure, outcome) {
        (Some(failure), _) | (None, Err(failure)) => Err(failure),
        (None, Ok(())) => Ok(drawn),
    }
}

/// Pictures of one shot whose seeds follow each other, being drawn.
struct Drawing<'a> {
    shot: &'a Shot,
    /// Seed of the picture that is being drawn.
    next: u64,
    /// When it was begun.
    started: Instant,
    observer: &'a mut dyn CampaignObserver,
    shelf: &'a Shelf<'a>,
    sender: &'a SyncSender<Drawn>,
}

impl Drawing<'_> {
    /// Draws `count` pictures; those that fail are passed over.
    fn series(&mut self, painter: &mut dyn Painter, count: u64) -> Result<(), CampaignError> {
        let end = self.next + count;
        while self.next < end {
            if self.stops() {
                return Err(CampaignError::Stopped);
            }
            self.started = Instant::now();
            let seeds: Range<u64> = self.next..end;
            match painter.paint(self.shot, seeds, self) {
                Ok(()) => {}
                Err(Error::Cancelled) => return Err(CampaignError::Stopped),
                Err(error) if is_of_one_picture(&error) => self.fail(&error)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn stops(&self) -> bool {
        self.observer.stops() || self.shelf.has_failed()
    }

    fn fail(&mut self, error: &Error) -> Result<(), CampaignError> {
        let reason = error.to_string();
        self.observer.event(CampaignEvent::Failed {
            of: self.shot.of.clone(),
            reason: reason.clone(),
        });
        self.shelf.put(Entry::Failure(FailureRecord {
            key: self.shot.picture_key(self.next),
            seed: self.next,
            reason,
        }))?;
        self.next += 1;
        Ok(())
    }
}

/// Whether the other pictures of a campaign may do better.
fn is_of_one_picture(error: &Error) -> bool {
    matches!(error, Error::NonFinite { .. } | Error::Request(_))
}

impl Easel for Drawing<'_> {
    fn event(&mut self, event: Event) {
        self.observer.event(CampaignEvent::Model(event));
    }

    fn cut(&mut self, text: &str) {
        self.observer.event(CampaignEvent::Cut {
            of: self.shot.of.clone(),
            text: text.to_string(),
        });
    }

    fn finished(&mut self, painted: Painted) -> Result<(), Error> {
        let drawn = Drawn {
            key: self.shot.picture_key(self.next),
            size: self.shot.size,
            painted,
            seconds: self.started.elapsed().as_secs_f64(),
        };
        self.next += 1;
        // Where every thread is gone the store has failed, which is found out below.
        let _ = self.sender.send(drawn);
        self.observer.event(CampaignEvent::Picture);
        self.started = Instant::now();
        if self.stops() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }
}

/// A picture on its way to the disk.
struct Drawn {
    key: String,
    size: Pixels,
    painted: Painted,
    seconds: f64,
}

/// Where threads put what is finished.
struct Shelf<'a> {
    store: &'a Store,
    entries: Mutex<Vec<Entry>>,
    failure: Mutex<Option<CampaignError>>,
}

impl<'a> Shelf<'a> {
    fn new(store: &'a Store) -> Self {
        Self {
            store,
            entries: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Takes pictures until no more come.
    fn work(&self, receiver: &Mutex<Receiver<Drawn>>) {
        loop {
            let next = receiver
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok(drawn) = next else {
                return;
            };
            if self.has_failed() {
                continue;
            }
            if let Err(error) = self.take(&drawn) {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
            }
        }
    }

    fn take(&self, drawn: &Drawn) -> Result<(), CampaignError> {
        let picture = &drawn.painted.picture;
        let bytes = picture
            .encode_quickly()
            .map_err(|reason| CampaignError::Make {
                what: "the file of a picture".into(),
                reason,
            })?;
        self.store.write_picture(&drawn.key, &bytes)?;
        let settings = &picture.parameters.settings;
        self.put(Entry::Picture(PictureRecord {
            key: drawn.key.clone(),
            seed: picture.parameters.seed,
            sha256: sha256(&bytes),
            size: drawn.size,
            model: picture.parameters.model.clone(),
            steps: settings.steps,
            guidance: settings.guidance,
            sampler: settings.sampler.name().into(),
            measures: measure(&picture.image),
            device: drawn.painted.device.clone(),
            precision: drawn.painted.precision.clone(),
            seconds: (drawn.seconds * 1e3).round() / 1e3,
        }))
    }

    fn put(&self, entry: Entry) -> Result<(), CampaignError> {
        self.store.append(&entry)?;
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
        Ok(())
    }

    fn has_failed(&self) -> bool {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    fn into_parts(self) -> (Vec<Entry>, Option<CampaignError>) {
        let entries = self
            .entries
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let failure = self
            .failure
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        (entries, failure)
    }
}
