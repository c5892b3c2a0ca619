//! The road from a prompt to a picture.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Mutex, OnceLock, PoisonError};

use burn::tensor::{Tensor, TensorData};
use plantain_nn::{ClipTextModel, Decoder, DecoderConfig, Encoder, Packing, Refiner};
use plantain_sampling::Noise;
use plantain_weights::{Manifest, Model, Target};

use crate::batch::batch_size;
use crate::denoiser::{Denoiser, Guided, InitLatent, Prompted, SamplingRun, SamplingWatch};
use crate::device::{DeviceChoice, DeviceOptions, precision_name};
use crate::error::{Error, RequestError};
use crate::host::read_finite;
use crate::initial::InitImage;
use crate::metadata::Parameters;
use crate::observer::{Event, Observer, Unobserved};
use crate::picture::Picture;
use crate::preview::{LatentToRgb, Preview};
use crate::prompt::PromptTokenizer;
use crate::request::{InitSettings, Request, Settings, embeds_guidance};
use crate::source::ModelSource;
use crate::text_input::TextInput;
use crate::texts::RecentTexts;
use crate::tiling::{TILE, Tiling};
use crate::widening::{Wide, Widening};

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
    refiner: Option<Widening<Refiner>>,
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
        let mut loading = |component| notify(observer, Event::Loading { component });
        loading("text encoder")?;
        let text_encoder = model.load_text_encoder(&target)?;
        loading("UNet")?;
        let denoiser = Denoiser::load(&model, &target)?;
        loading("refiner")?;
        let refiner = model.load_refiner(&target)?;
        loading("decoder")?;
        let decoder = model.load_decoder(&target)?;
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
    /// assert_eq!((defaults.width, defaults.height, defaults.steps), (128, 128, 6));
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

    /// The end of `prompt` that is more than the model takes and will be ignored; empty where all of it fits.
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
    pub fn cut_text(&self, prompt: &str) -> Result<String, Error> {
        Ok(self.tokenizer.read(prompt, 1)?.cut)
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
        let [_, _, height, width] = self.latent_shape(settings, 1);
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
        let image = InitImage::new(request, &settings);
        let init = match (&image, settings.init) {
            (Some(image), Some(how)) => Some(self.encode_image(image, how, &settings, observer)?),
            _ => None,
        };
        let text = Prompted::new(self.encode_text(request, &settings, observer)?);
        if observer.wants_previews() {
            self.prepare_previews(observer)?;
        }
        let (count, batch) = (request.count.max(1), request.batch.max(1));
        for first in (0..count).step_by(batch) {
            let group = Group {
                settings: &settings,
                init: init.as_ref(),
                first,
                seeds: (first..count.min(first + batch))
                    .map(|picture| request.seed.wrapping_add(picture as u64))
                    .collect(),
            };
            let latents = self.sample(&group, &text, observer)?;
            for (i, seed) in group.seeds.iter().enumerate() {
                let latent = latents.clone().narrow(0, i, 1);
                let decoded = self.finish(&settings, latent, first + i, observer)?;
                let mut picture =
                    Picture::new(decoded, self.parameters(request, &settings, *seed))?;
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

    /// The picture to start from as a latent of the UNet: the mean of what the encoder says, so that the same picture
    /// always gives the same latent.
    fn encode_image(
        &self,
        image: &InitImage,
        how: InitSettings,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<InitLatent, Error> {
        let mask = image.latent_mask(self.scale())?;
        let encoder = self.encoder(observer)?;
        notify(observer, Event::EncodingImage)?;
        let shape = [1, 3, settings.height, settings.width];
        let pixels = TensorData::new(image.values(), shape);
        let pixels = Tensor::from_data(pixels, &self.target.device);
        let (scaling, shift) = self.scaling();
        let encode = |encoder: &Encoder| {
            let latent = (encoder.forward(pixels.clone()) - shift) * scaling;
            read_finite(latent, "encoder", "")
        };
        let load = |wide: &Wide| Ok(wide.model().load_encoder(wide.target())?);
        Ok(InitLatent {
            values: encoder.run(encode, |component| self.widen(component, observer, load))?,
            mask,
            strength: how.strength,
        })
    }

    /// The encoder of pictures, loaded now if it was not before.
    fn encoder(&self, observer: &mut dyn Observer) -> Result<&Widening<Encoder>, Error> {
        if let Some(encoder) = self.encoder.get() {
            return Ok(encoder);
        }
        let component = "encoder";
        notify(observer, Event::Loading { component })?;
        let encoder = self.model.load_encoder(&self.target)?;
        Ok(self.encoder.get_or_init(|| Widening::new(encoder)))
    }

    /// Fits the map that previews are made with, if that was not done before.
    fn prepare_previews(&self, observer: &mut dyn Observer) -> Result<(), Error> {
        if self.previews.get().is_none() {
            let channels = self.denoiser.get().channels();
            let map = LatentToRgb::fit(channels, self.scale(), |latent, shape| {
                let latent = self.denoiser.get().tensor(latent, shape);
                Ok(self.decode(latent, false, observer)?.0)
            })?;
            self.previews.get_or_init(|| map);
        }
        Ok(())
    }

    fn encode_text(
        &self,
        request: &Request,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Guided, Error> {
        let embeds = embeds_guidance(self.manifest());
        let guided = settings.guidance > 1.0 && !embeds;
        let negative = guided.then_some(request.negative_prompt.as_str());
        // Both go through the network together, so they have to be of one length.
        let chunks = self.chunks(&request.prompt)?;
        let chunks = chunks.max(negative.map_or(Ok(1), |text| self.chunks(text))?);
        let prompt = self.encoded(&request.prompt, chunks, observer)?;
        if embeds {
            let denoiser = self.denoiser.get();
            return Ok(denoiser.embedded(prompt, settings.guidance));
        }
        let negative = negative.map(|text| self.encoded(text, chunks, observer));
        Ok(Guided::new(
            prompt,
            negative.transpose()?,
            settings.guidance,
        ))
    }

    /// Chunks of tokens that `text` fills.
    fn chunks(&self, text: &str) -> Result<usize, Error> {
        Ok(self.tokenizer.read(text, 1)?.chunks.len())
    }

    /// A text as the UNet takes it, of at least `chunks` chunks: as it was encoded lately, or encoded now.
    fn encoded(
        &self,
        text: &str,
        chunks: usize,
        observer: &mut dyn Observer,
    ) -> Result<TextInput, Error> {
        if let Some(input) = self.texts.get(text, chunks) {
            return Ok(input);
        }
        notify(observer, Event::Encoding)?;
        let tokens = self.tokenizer.read(text, chunks)?;
        let encode = |encoder: &ClipTextModel| TextInput::encode(encoder, &tokens);
        let load = |wide: &Wide| Ok(wide.model().load_text_encoder(wide.target())?);
        let encoder = &self.text_encoder;
        let input = encoder.run(encode, |component| self.widen(component, observer, load))?;
        self.texts.keep(text, chunks, input.clone());
        Ok(input)
    }

    /// The component that overflowed, loaded in single precision, where it was not already.
    fn widen<C>(
        &self,
        component: &'static str,
        observer: &mut dyn Observer,
        load: impl FnOnce(&Wide) -> Result<C, Error>,
    ) -> Result<Option<C>, Error> {
        let Some(wide) = &self.wide else {
            return Ok(None);
        };
        notify(observer, Event::Widening { component })?;
        load(wide).map(Some)
    }

    /// The latents of a group of pictures, one for each of its seeds.
    fn sample(
        &self,
        group: &Group<'_>,
        text: &Prompted,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<4>, Error> {
        let batch = group.seeds.len();
        let shape = self.latent_shape(group.settings, batch);
        let run = SamplingRun {
            kind: group.settings.sampler,
            steps: group.settings.steps,
            shape,
            init: group.init,
        };
        // Each picture has the noise of its own seed, whatever is drawn beside it.
        let sources: Vec<_> = group.seeds.iter().map(|seed| Noise::new(*seed)).collect();
        let count = shape.iter().skip(1).product();
        let noise: Vec<_> = sources.iter().flat_map(|n| n.normal(count)).collect();
        let step_noise = |step| {
            let each = sources.iter().flat_map(|n| n.step_normal(step, count));
            each.collect()
        };
        let observer = RefCell::new(observer);
        let sample = |denoiser: &Denoiser| {
            let mut observer = observer.borrow_mut();
            let watch = Watch {
                pipeline: self,
                observer: &mut **observer,
                picture: group.first,
                shape,
            };
            let read = text.read_by(denoiser, batch);
            denoiser.sample(&run, self.manifest(), &read, &noise, &step_noise, watch)
        };
        let load = |wide: &Wide| Denoiser::load(wide.model(), wide.target());
        let latent = self.denoiser.run(sample, |component| {
            self.widen(component, *observer.borrow_mut(), load)
        })?;
        Ok(self.denoiser.get().tensor(latent, shape))
    }

    /// Whether latents of this shape are new to the kernels, which they are no longer afterwards.
    fn compiles(&self, shape: [usize; 4]) -> bool {
        self.compiled.as_ref().is_some_and(|compiled| {
            let mut compiled = compiled.lock().unwrap_or_else(PoisonError::into_inner);
            compiled.insert(shape)
        })
    }

    /// `[batch, channels, height, width]`
    fn latent_shape(&self, settings: &Settings, batch: usize) -> [usize; 4] {
        let scale = self.scale();
        let channels = self.denoiser.get().channels();
        [
            batch,
            channels,
            settings.height / scale,
            settings.width / scale,
        ]
    }

    /// Pixels per position of the latent, in each direction.
    fn scale(&self) -> usize {
        let vae = self.manifest().components.vae.as_ref();
        vae.map_or(8, DecoderConfig::scale)
    }

    /// See [`DecoderConfig::scaling`].
    fn scaling(&self) -> (f64, f64) {
        let vae = self.manifest().components.vae.as_ref();
        vae.map_or((1.0, 0.0), DecoderConfig::scaling)
    }

    /// Latent to `[1, 3, height, width]` in -1 to 1, checked.
    fn finish(
        &self,
        settings: &Settings,
        mut latent: Tensor<4>,
        picture: usize,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<f32>, [usize; 2]), Error> {
        let refiner = self.manifest().components.refiner.as_ref();
        if let (true, Some(refiner), Some(config)) = (settings.refine, &self.refiner, refiner) {
            notify(observer, Event::Refining { picture })?;
            let refine = |refiner: &Refiner| {
                let refined = refiner.forward(latent.clone(), config.sigma as f32);
                read_finite(refined.clone(), "refiner", "")?;
                Ok(refined)
            };
            let load = |wide: &Wide| {
                let refiner = wide.model().load_refiner(wide.target())?;
                Ok(refiner.expect("the model had a refiner before"))
            };
            latent = refiner.run(refine, |component| self.widen(component, observer, load))?;
        }
        notify(observer, Event::Decoding { picture })?;
        self.decode(latent, settings.tiled, observer)
    }

    /// A latent of the UNet to the values of `[1, 3, height, width]` and `[width, height]`.
    fn decode(
        &self,
        latent: Tensor<4>,
        tiled: bool,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<f32>, [usize; 2]), Error> {
        let (scaling, shift) = self.scaling();
        let latent = latent / scaling + shift;
        // The tiny decoder saturates, so it would hide an infinity.
        read_finite(latent.clone(), "decoder input", "")?;
        let decode = |decoder: &Decoder| {
            if tiled {
                return Tiling::new(TILE, self.scale()).decode(decoder, &latent);
            }
            let image = decoder.forward(latent.clone());
            let [_, _, height, width] = image.dims();
            Ok((read_finite(image, "decoder", "")?, [width, height]))
        };
        let load = |wide: &Wide| Ok(wide.model().load_decoder(wide.target())?);
        self.decoder
            .run(decode, |component| self.widen(component, observer, load))
    }

    fn parameters(&self, request: &Request, settings: &Settings, seed: u64) -> Parameters {
        Parameters {
            prompt: request.prompt.clone(),
            negative_prompt: request.negative_prompt.clone(),
            seed,
            settings: settings.clone(),
            model: self.manifest().name.clone(),
        }
    }
}

/// Pictures that are drawn together.
struct Group<'a> {
    settings: &'a Settings,
    init: Option<&'a InitLatent>,
    /// The first of them, counted from the beginning of the run.
    first: usize,
    seeds: Vec<u64>,
}

/// Tells an observer about the sampling of a group.
struct Watch<'a> {
    pipeline: &'a Pipeline,
    observer: &'a mut dyn Observer,
    picture: usize,
    shape: [usize; 4],
}

impl SamplingWatch for Watch<'_> {
    fn before_step(&mut self, step: usize, steps: usize) -> Result<(), Error> {
        let picture = self.picture;
        let event = Event::Step {
            picture,
            step,
            steps,
        };
        notify(self.observer, event)?;
        if step == 0 && self.pipeline.compiles(self.shape) {
            notify(self.observer, Event::Compiling { picture })?;
        }
        Ok(())
    }

    fn after_step(&mut self, step: usize, steps: usize, denoised: &[f32]) -> Result<(), Error> {
        let (true, Some(map)) = (self.observer.wants_previews(), self.pipeline.previews.get())
        else {
            return Ok(());
        };
        let [_, channels, height, width] = self.shape;
        let latents = denoised.chunks(channels * height * width);
        for (i, latent) in latents.enumerate() {
            self.observer.preview(&Preview {
                picture: self.picture + i,
                step,
                steps,
                image: map.picture(latent, [height, width]),
            });
        }
        Ok(())
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
