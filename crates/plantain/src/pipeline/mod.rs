//! The road from a prompt to a picture.

mod loading;
mod stages;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Mutex, OnceLock};

use image::imageops::FilterType;
use plantain_nn::{ClipTextModel, Decoder, Encoder, Packing};
use plantain_weights::{Manifest, Model, Target};

use crate::batch::batch_size;
use crate::denoiser::{Denoiser, Prompted};
use crate::device::{DeviceChoice, DeviceOptions, precision_name};
use crate::error::{Error, RequestError};
use crate::fitting::{fitted, resized};
use crate::initial::InitImage;
use crate::layout::Layout;
use crate::observer::{Event, Observer, Unobserved};
use crate::picture::Picture;
use crate::preview::LatentToRgb;
use crate::prompt::PromptTokenizer;
use crate::refinement::Refinement;
use crate::request::{Request, Settings, embeds_guidance};
use crate::source::ModelSource;
use crate::texts::RecentTexts;
use crate::widening::{Wide, Widening};
use loading::load_networks;
use stages::Group;

/// How what is decoded is brought to the size of the picture.
const FILTER: FilterType = FilterType::CatmullRom;

/// A model loaded onto a device, ready to draw, from several threads if need be.
///
/// ```
/// use plantain::{DeviceOptions, ModelSource, Pipeline, Request, Unobserved};
///
/// let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
/// let request = Request::new("a red fox, 3d render").steps(1).size([64, 64]);
/// std::thread::scope(|scope| {
///     for seed in [1, 2] {
///         let (pipeline, request) = (&pipeline, request.clone().seed(seed));
///         scope.spawn(move || pipeline.generate(&request, &mut Unobserved));
///     }
/// });
/// # Ok::<(), plantain::Error>(())
/// ```
#[derive(Debug)]
pub struct Pipeline {
    model: Model,
    target: Target,
    device: DeviceChoice,
    precision: &'static str,
    tokenizer: PromptTokenizer,
    text_encoder: Widening<ClipTextModel>,
    denoiser: Widening<Denoiser>,
    refiner: Option<Widening<Refinement>>,
    decoder: Widening<Decoder>,
    /// Loaded when a run first starts from a picture.
    encoder: OnceLock<Widening<Encoder>>,
    /// Fitted when previews are first asked for.
    previews: OnceLock<LatentToRgb>,
    texts: RecentTexts,
    /// Where a component that overflows comes from again.
    wide: Option<Wide>,
    /// Latents of these shapes have been through the kernels; `None` where nothing is compiled.
    compiled: Option<Mutex<HashSet<[usize; 4]>>>,
}

impl Pipeline {
    /// Loads every component of a model but the encoder of pictures, which most runs do not need.
    ///
    /// # Errors
    /// When the model cannot be opened, lacks a component or a tokenizer, or its tensors do not fit, or the device cannot
    /// be had.
    ///
    /// ```
    /// use plantain::{DeviceOptions, ModelSource, Pipeline};
    ///
    /// let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
    /// assert_eq!(pipeline.manifest().name, "plantain-2-lite");
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn load(source: impl Into<ModelSource>, options: DeviceOptions) -> Result<Self, Error> {
        Self::load_observed(source, options, &mut Unobserved)
    }

    /// [`Self::load`], watched.
    ///
    /// # Errors
    /// As [`Self::load`], and when the observer stops it.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use plantain::{DeviceOptions, Event, ModelSource, Pipeline};
    ///
    /// let mut observer = |event| {
    ///     if let Event::Loading { component } = event {
    ///         println!("loading the {component}");
    ///     }
    ///     ControlFlow::Continue(())
    /// };
    /// let options = DeviceOptions::default();
    /// let pipeline = Pipeline::load_observed(ModelSource::BuiltIn, options, &mut observer)?;
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn load_observed(
        source: impl Into<ModelSource>,
        options: DeviceOptions,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let model = source.into().open()?;
        let target = options.target()?;
        let tokenizer = PromptTokenizer::new(&model)?;
        check_fit(&model)?;
        let ((text_encoder, denoiser), (refiner, decoder)) =
            load_networks(&model, &target, observer)?;
        Ok(Self {
            device: options.device.resolve(),
            precision: precision_name(&target),
            tokenizer,
            text_encoder: Widening::new(text_encoder),
            denoiser: Widening::new(denoiser),
            refiner: refiner.map(Widening::new),
            decoder: Widening::new(decoder),
            encoder: OnceLock::new(),
            previews: OnceLock::new(),
            texts: RecentTexts::default(),
            wide: Wide::of(&model, &target),
            compiled: matches!(target.packing, Some(Packing::Device(..))).then(Mutex::default),
            target,
            model,
        })
    }

    /// What the model says about itself.
    ///
    /// ```
    /// # use plantain::{DeviceOptions, ModelSource, Pipeline};
    /// # let pipeline = Pipeline::load(ModelSource::BuiltIn, DeviceOptions::default())?;
    /// let defaults = &pipeline.manifest().defaults;
    /// assert_eq!((defaults.width, defaults.height, defaults.steps), (512, 512, 4));
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn manifest(&self) -> &Manifest {
        self.model.manifest()
    }

    /// The device the model is on.
    ///
    /// ```
    /// use plantain::{DeviceChoice, ModelSource, Pipeline, REFERENCE};
    ///
    /// let pipeline = Pipeline::load(ModelSource::BuiltIn, REFERENCE)?;
    /// assert_eq!(pipeline.device(), DeviceChoice::Flex);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn device(&self) -> DeviceChoice {
        self.device
    }

    /// What products are computed in, as on the command line.
    ///
    /// ```
    /// use plantain::{ModelSource, Pipeline, REFERENCE};
    ///
    /// let pipeline = Pipeline::load(ModelSource::BuiltIn, REFERENCE)?;
    /// assert_eq!(pipeline.precision(), "f32");
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn precision(&self) -> &'static str {
        self.precision
    }

    /// The end of a text that is more than the model takes and will be ignored; empty where all of it fits. Of a prompt that is what
    /// [`Request::drawn_prompts`] tell.
    ///
    /// # Errors
    /// When the tokenizer fails.
    ///
    /// ```
    /// # use plantain::{DeviceOptions, Pipeline};
    /// # let path = std::path::Path::new("../../tests/fixtures/weights/turbo");
    /// # let pipeline = Pipeline::load(path, DeviceOptions::default())?;
    /// assert_eq!(pipeline.cut_text("a red fox")?, "");
    /// assert!(pipeline.cut_text(&"a red fox ".repeat(50))?.ends_with("a red fox"));
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn cut_text(&self, text: &str) -> Result<String, Error> {
        Ok(self.tokenizer.read(text)?.cut)
    }

    /// How many pictures are best drawn together ([`Request::batch`]): on the CPU one, as more take longer; on a graphics
    /// processor up to four, as long as no tensor of the UNet is larger than the 128 MiB that every such device reads at once.
    ///
    /// ```
    /// use plantain::{ModelSource, Pipeline, REFERENCE, Request};
    ///
    /// let pipeline = Pipeline::load(ModelSource::BuiltIn, REFERENCE)?;
    /// let settings = Request::new("a red fox").settings(pipeline.manifest())?;
    /// assert_eq!(pipeline.batch_size(&settings), 1);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn batch_size(&self, settings: &Settings) -> usize {
        let Some(unet) = &self.manifest().components.unet else {
            return 1;
        };
        let guided = settings.guidance > 1.0 && !embeds_guidance(self.manifest());
        let size = [settings.width, settings.height];
        let layout = Layout::of_one(size, settings.init.is_some(), self.manifest());
        let [.., height, width] = layout.sampled_shape(1, 1);
        let evaluations = if guided { 2 } else { 1 };
        let packing = self.target.packing.as_ref();
        batch_size(unet, packing, [height, width], evaluations)
    }

    /// Draws the pictures of a request, as many at a time as it says; each goes to `finished` as soon as it
    /// is done.
    ///
    /// # Errors
    /// When the request does not fit the model, a component computes values that are not finite,
    /// `finished` fails, or the observer stops the run.
    ///
    /// ```
    /// # use plantain::{DeviceOptions, Pipeline, Request, Unobserved};
    /// # let path = std::path::Path::new("../../tests/fixtures/weights/turbo");
    /// # let pipeline = Pipeline::load(path, DeviceOptions::default())?;
    /// let request = Request::new("a red fox").steps(1).size([64, 64]).count(2);
    /// let mut seeds = Vec::new();
    /// pipeline.generate_each(&request, &mut Unobserved, |picture| {
    ///     seeds.push(picture.parameters.seed);
    ///     Ok(())
    /// })?;
    /// assert_eq!(seeds, [0, 1]);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn generate_each(
        &self,
        request: &Request,
        observer: &mut dyn Observer,
        mut finished: impl FnMut(Picture) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let settings = request.settings(self.manifest())?;
        let size = [settings.width, settings.height];
        let layout = Layout::new(request, size, self.manifest());
        let image = InitImage::new(request, &settings);
        let init = match (&image, settings.init) {
            (Some(image), Some(how)) => Some(self.encode_image(image, how, &layout, observer)?),
            _ => None,
        };
        let texts = layout.prompts.iter();
        let texts = texts.map(|prompt| self.encode_text(prompt, request, &settings, observer));
        let texts = texts.map(|text| text.map(Prompted::new));
        let texts: Vec<_> = texts.collect::<Result<_, _>>()?;
        if observer.wants_previews() {
            self.prepare_previews(observer)?;
        }
        let (count, batch) = (request.count.max(1), request.batch.max(1));
        for first in (0..count).step_by(batch) {
            let group = Group {
                settings: &settings,
                layout: &layout,
                init: init.as_ref(),
                first,
                seeds: (first..count.min(first + batch))
                    .map(|picture| request.seed.wrapping_add(picture as u64))
                    .collect(),
            };
            let latents = self.sample(&group, &texts, observer)?;
            for (i, seed) in group.seeds.iter().enumerate() {
                let latent = latents.clone().narrow(0, i, 1);
                let picture = first + i;
                notify(observer, Event::Decoding { picture })?;
                let decoded = self.decode(latent, settings.tiled, observer)?;
                let parameters = self.parameters(request, &settings, *seed);
                let mut picture = Picture::new(decoded, parameters)?;
                if self.manifest().plain_ground {
                    picture = picture.with_plain_corners();
                }
                if picture.size() != size {
                    picture.image = match &image {
                        // As it was given to the encoder.
                        Some(_) => resized(&picture.image, size, FILTER),
                        None => fitted(&picture.image, size, FILTER),
                    };
                }
                if let Some(image) = &image {
                    image.composite(&mut picture.image);
                }
                finished(picture)?;
            }
        }
        Ok(())
    }

    /// [`Self::generate_each`], with the pictures collected.
    ///
    /// # Errors
    /// As [`Self::generate_each`].
    ///
    /// ```
    /// # use plantain::{DeviceOptions, Pipeline, Request, Unobserved};
    /// # let path = std::path::Path::new("../../tests/fixtures/weights/turbo");
    /// # let pipeline = Pipeline::load(path, DeviceOptions::default())?;
    /// let request = Request::new("a red fox, cartoon").steps(1).size([64, 64]);
    /// let pictures = pipeline.generate(&request, &mut Unobserved)?;
    /// assert_eq!(pictures.len(), 1);
    /// # Ok::<(), plantain::Error>(())
    /// ```
    pub fn generate(
        &self,
        request: &Request,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Picture>, Error> {
        let mut pictures = Vec::new();
        self.generate_each(request, observer, |picture| {
            pictures.push(picture);
            Ok(())
        })?;
        Ok(pictures)
    }
}

/// Refuses a model whose components do not fit each other.
pub(crate) fn check_fit(model: &Model) -> Result<(), Error> {
    let fit = model.manifest().components.check_fit();
    Ok(fit.map_err(RequestError::Components)?)
}

pub(crate) fn notify(observer: &mut dyn Observer, event: Event) -> Result<(), Error> {
    match observer.event(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
