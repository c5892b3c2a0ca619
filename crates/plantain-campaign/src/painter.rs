//! Who draws the pictures.

use std::cell::RefCell;
use std::ops::{ControlFlow, Range};

use plantain::{DeviceOptions, Error, Event, Model, Picture, Pipeline, Request, Settings};

use crate::file::Campaign;
use crate::plan::Shot;

/// Draws the pictures of shots.
pub trait Painter {
    /// What a picture is made with, checked without drawing any.
    ///
    /// # Errors
    /// When the model cannot draw this.
    fn settings(&self, shot: &Shot) -> Result<Settings, Error>;

    /// Draws the pictures of `shot` with `seeds`, one after the other.
    ///
    /// # Errors
    /// When one cannot be drawn, or `easel` refuses one.
    fn paint(&mut self, shot: &Shot, seeds: Range<u64>, easel: &mut dyn Easel)
    -> Result<(), Error>;
}

/// Where pictures are drawn.
pub trait Easel {
    /// Something happens on the way to the next picture.
    fn event(&mut self, event: Event);

    /// A picture is finished.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when no more are wanted.
    fn finished(&mut self, painted: Painted) -> Result<(), Error>;
}

/// A picture, and what drew it.
#[derive(Debug, Clone)]
pub struct Painted {
    /// The picture.
    pub picture: Picture,
    /// Name of the device.
    pub device: String,
    /// What products were computed in.
    pub precision: String,
}

/// Draws with a model, which is loaded when the first picture is wanted.
#[derive(Debug)]
pub struct ModelPainter {
    model: Model,
    options: DeviceOptions,
    steps: Option<usize>,
    guidance: Option<f64>,
    pipeline: Option<Pipeline>,
}

impl ModelPainter {
    /// Draws for `campaign` with `model`.
    pub fn new(campaign: &Campaign, model: Model, options: DeviceOptions) -> Self {
        Self {
            model,
            options,
            steps: campaign.steps,
            guidance: campaign.guidance,
            pipeline: None,
        }
    }

    fn request(&self, shot: &Shot) -> Request {
        Request {
            negative_prompt: shot.negative.clone(),
            steps: self.steps,
            guidance: self.guidance,
            size: Some([shot.size.width as usize, shot.size.height as usize]),
            ..Request::new(shot.prompt.clone())
        }
    }
}

impl Painter for ModelPainter {
    fn settings(&self, shot: &Shot) -> Result<Settings, Error> {
        Ok(self.request(shot).settings(self.model.manifest())?)
    }

    fn paint(
        &mut self,
        shot: &Shot,
        seeds: Range<u64>,
        easel: &mut dyn Easel,
    ) -> Result<(), Error> {
        let request = Request {
            seed: seeds.start,
            count: (seeds.end - seeds.start) as usize,
            ..self.request(shot)
        };
        let easel = RefCell::new(easel);
        let mut observer = |event| {
            easel.borrow_mut().event(event);
            ControlFlow::Continue(())
        };
        let pipeline = match self.pipeline.take() {
            Some(pipeline) => pipeline,
            None => Pipeline::load_observed(&self.model, self.options, &mut observer)?,
        };
        let pipeline = self.pipeline.insert(pipeline);
        pipeline.generate_each(&request, &mut observer, |picture| {
            easel.borrow_mut().finished(Painted {
                picture,
                device: pipeline.device().to_string(),
                precision: pipeline.precision().to_string(),
            })
        })
    }
}

/// What happens in a campaign.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CampaignEvent {
    /// Pictures are about to be drawn.
    Drawing {
        /// How many there are in all.
        pictures: usize,
        /// How many of them were drawn before.
        finished: usize,
    },
    /// Something within the drawing of a picture.
    Model(Event),
    /// A picture is finished.
    Picture,
    /// A picture could not be drawn.
    Failed {
        /// Whose it is, in words.
        of: String,
        /// Why.
        reason: String,
    },
    /// Assets are about to be made.
    Making {
        /// How many there are in all.
        assets: usize,
        /// How many of them were made before.
        finished: usize,
    },
    /// An asset is finished.
    Asset,
    /// The report is about to be written.
    Reporting,
}

/// Watches a campaign.
pub trait CampaignObserver {
    /// Called at each event.
    fn event(&mut self, event: CampaignEvent);

    /// Whether the run is to stop after the picture that is being drawn.
    fn stops(&self) -> bool {
        false
    }
}
