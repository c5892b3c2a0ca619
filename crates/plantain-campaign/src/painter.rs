//! Who draws the pictures.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::{ControlFlow, Range};

use plantain::{
    DeviceOptions, Error, Event, MemoryPlan, Model, Picture, Pipeline, Request, Settings,
};

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

    /// A text is too long for the model, which does not read `text`, the end of it.
    fn cut(&mut self, text: &str);

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
    tiled: bool,
    pipeline: Option<Pipeline>,
    /// Texts that were found to be short enough, or said not to be.
    measured: HashSet<String>,
}

impl ModelPainter {
    /// Draws for `campaign` with `model`.
    pub fn new(campaign: &Campaign, model: Model, options: DeviceOptions) -> Self {
        Self {
            model,
            options,
            steps: campaign.steps,
            guidance: campaign.guidance,
            tiled: false,
            pipeline: None,
            measured: HashSet::new(),
        }
    }

    /// Draws in `precision`, and decodes in tiles or not, as a plan for the memory there is asks for.
    pub fn within(mut self, plan: MemoryPlan) -> Self {
        self.options.precision = plan.precision;
        self.tiled = plan.tiled;
        self
    }

    /// What is asked of the model for `shot`.
    pub fn request(&self, shot: &Shot) -> Request {
        Request {
            negative_prompt: shot.negative.clone(),
            steps: self.steps,
            guidance: self.guidance,
            tiled: self.tiled,
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
        let request = self.request(shot);
        let pipeline = match self.pipeline.take() {
            Some(pipeline) => pipeline,
            None => {
                let mut observer = |event| {
                    easel.event(event);
                    ControlFlow::Continue(())
                };
                Pipeline::load_observed(&self.model, self.options, &mut observer)?
            }
        };
        let pipeline = self.pipeline.insert(pipeline);
        let prompts = request.drawn_prompts(pipeline.manifest());
        for text in prompts.into_iter().chain([request.negative_prompt.clone()]) {
            if !self.measured.contains(&text) {
                let cut = pipeline.cut_text(&text)?;
                if !cut.is_empty() {
                    easel.cut(&cut);
                }
                self.measured.insert(text);
            }
        }
        let batch = pipeline.batch_size(&request.settings(pipeline.manifest())?);
        paint_together(pipeline, &request, seeds, batch, easel)
    }
}

/// Draws the pictures of `request` with `seeds`, `batch` at a time, which shows in none of them.
fn paint_together(
    pipeline: &Pipeline,
    request: &Request,
    seeds: Range<u64>,
    batch: usize,
    easel: &mut dyn Easel,
) -> Result<(), Error> {
    let next = Cell::new(seeds.start);
    let request_from = |seed: u64, batch| Request {
        seed,
        count: (seeds.end - seed) as usize,
        batch,
        ..request.clone()
    };
    let mut paint = |request: &Request| {
        let easel = RefCell::new(&mut *easel);
        let mut observer = |event| {
            easel.borrow_mut().event(event);
            ControlFlow::Continue(())
        };
        pipeline.generate_each(request, &mut observer, |picture| {
            next.set(next.get() + 1);
            easel.borrow_mut().finished(Painted {
                picture,
                device: pipeline.device().to_string(),
                precision: pipeline.precision().to_string(),
            })
        })
    };
    match paint(&request_from(seeds.start, batch)) {
        // Drawn alone, the one picture that comes to nothing keeps none of the others from being drawn.
        Err(Error::NonFinite { .. }) if batch > 1 => paint(&request_from(next.get(), 1)),
        outcome => outcome,
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
    /// A text of a picture is too long for the model.
    Cut {
        /// Whose it is, in words.
        of: String,
        /// The end that the model does not read.
        text: String,
    },
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use plantain::{DeviceChoice, PrecisionChoice};

    use super::*;

    /// Keeps pictures until it has enough.
    struct Kept {
        pictures: Vec<Picture>,
        most: usize,
    }

    impl Easel for Kept {
        fn event(&mut self, _event: Event) {}

        fn cut(&mut self, _text: &str) {}

        fn finished(&mut self, painted: Painted) -> Result<(), Error> {
            self.pictures.push(painted.picture);
            match self.pictures.len() < self.most {
                true => Ok(()),
                false => Err(Error::Cancelled),
            }
        }
    }

    fn pictures(options: DeviceOptions, batch: usize, most: usize) -> Vec<Picture> {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/weights/turbo"
        );
        let pipeline = Pipeline::load(Path::new(folder), options).unwrap();
        let request = Request::new("a fox").negative_prompt("snow").guidance(3.0);
        let mut kept = Kept {
            pictures: Vec::new(),
            most,
        };
        let painted = paint_together(&pipeline, &request.steps(2), 5..12, batch, &mut kept);
        assert_eq!(painted.is_err(), most <= 7, "{painted:?}");
        kept.pictures
    }

    #[test]
    fn how_many_are_drawn_together_shows_in_no_picture() {
        for device in DeviceChoice::CPU {
            for precision in [
                PrecisionChoice::F32,
                PrecisionChoice::Bf16,
                PrecisionChoice::Int8,
            ] {
                let options = DeviceOptions { device, precision };
                let alone = pictures(options, 1, usize::MAX);
                assert_eq!(alone.len(), 7);
                for batch in [2, 3, 4] {
                    let together = pictures(options, batch, usize::MAX);
                    assert!(together == alone, "{device} {precision} {batch}");
                }
            }
        }
    }

    #[test]
    fn drawing_stops_within_those_that_are_drawn_together() {
        let options = DeviceOptions::default();
        assert_eq!(pictures(options, 4, 6), pictures(options, 1, 6));
    }
}
