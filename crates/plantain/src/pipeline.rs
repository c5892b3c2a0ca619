//! The road from a prompt to a picture.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Tensor;
use plantain_nn::{ClipTextModel, Decoder, DecoderConfig, Packing, Refiner, TextStates};
use plantain_sampling::Noise;
use plantain_weights::{Manifest, Model};

use crate::denoiser::{Denoiser, Guided, Prompted, SamplingRun};
use crate::device::{DeviceChoice, Placement, precision_name};
use crate::error::{Error, RequestError};
use crate::host::read_finite;
use crate::metadata::Parameters;
use crate::observer::{Event, Observer};
use crate::picture::Picture;
use crate::prompt::PromptTokenizer;
use crate::request::{Request, Settings, embeds_guidance};
use crate::widening::{Wide, Widening};

/// A model loaded onto a device, ready to draw.
#[derive(Debug)]
pub struct Pipeline {
    manifest: Manifest,
    device: DeviceChoice,
    precision: &'static str,
    tokenizer: PromptTokenizer,
    text_encoder: Widening<ClipTextModel>,
    denoiser: Widening<Denoiser>,
    refiner: Option<Widening<Refiner>>,
    decoder: Widening<Decoder>,
    /// Where a component that overflows comes from again.
    wide: Option<Wide>,
    /// Latents of these shapes have been through the kernels; `None` where nothing is compiled.
    compiled: Option<Mutex<HashSet<[usize; 4]>>>,
}

impl Pipeline {
    /// Loads every component of `model`.
    ///
    /// # Errors
    /// When the model lacks a component or a tokenizer, or its tensors do not fit.
    pub fn load(
        model: &Model,
        placement: Placement,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let target = placement.target()?;
        let tokenizer = PromptTokenizer::new(model)?;
        check_fit(model)?;
        let mut loading = |component| notify(observer, Event::Loading { component });
        loading("text encoder")?;
        let text_encoder = model.load_text_encoder(&target)?;
        loading("UNet")?;
        let denoiser = Denoiser::load(model, &target)?;
        loading("refiner")?;
        let refiner = model.load_refiner(&target)?;
        loading("decoder")?;
        let decoder = model.load_decoder(&target)?;
        Ok(Self {
            manifest: model.manifest().clone(),
            device: placement.device.resolve(),
            precision: precision_name(&target),
            tokenizer,
            text_encoder: Widening::new(text_encoder),
            denoiser: Widening::new(denoiser),
            refiner: refiner.map(Widening::new),
            decoder: Widening::new(decoder),
            wide: Wide::of(model, &target),
            compiled: matches!(target.packing, Some(Packing::Device(..))).then(Mutex::default),
        })
    }

    /// What the model says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The device the model is on.
    pub fn device(&self) -> DeviceChoice {
        self.device
    }

    /// What products are computed in, as on the command line.
    pub fn precision(&self) -> &'static str {
        self.precision
    }

    /// How many tokens of `prompt` do not fit the text encoder and will be dropped.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn dropped_tokens(&self, prompt: &str) -> Result<usize, Error> {
        Ok(self.tokenizer.encode(prompt)?.dropped)
    }

    /// Draws the pictures of a request one after the other; each goes to `finished` as soon as it
    /// is done.
    ///
    /// # Errors
    /// When the request does not fit the model, a component computes values that are not finite,
    /// `finished` fails, or the observer stops the run.
    pub fn generate_each(
        &self,
        request: &Request,
        observer: &mut dyn Observer,
        mut finished: impl FnMut(Picture) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let settings = request.settings(&self.manifest)?;
        notify(observer, Event::Encoding)?;
        let text = Prompted::new(self.encode_text(request, &settings, observer)?);
        for picture in 0..request.count.max(1) {
            let seed = request.seed.wrapping_add(picture as u64);
            let latent = self.sample(&settings, &text, seed, picture, observer)?;
            let image = self.finish(&settings, latent, picture, observer)?;
            let parameters = self.parameters(request, &settings, seed);
            finished(Picture::new(image, parameters)?)?;
        }
        Ok(())
    }

    /// [`Self::generate_each`], with the pictures collected.
    ///
    /// # Errors
    /// As [`Self::generate_each`].
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

    fn encode_text(
        &self,
        request: &Request,
        settings: &Settings,
        observer: &mut dyn Observer,
    ) -> Result<Guided, Error> {
        let mut states = |prompt: &str| -> Result<TextStates, Error> {
            let tokens = self.tokenizer.encode(prompt)?.ids;
            let encode = |encoder: &ClipTextModel| {
                let states = encoder.forward(std::slice::from_ref(&tokens));
                let states = states.map_err(RequestError::from)?;
                read_finite(states.last_hidden_state.clone(), "text encoder", "")?;
                Ok(states)
            };
            let load = |wide: &Wide| Ok(wide.model().load_text_encoder(wide.target())?);
            self.text_encoder
                .run(encode, |component| self.widen(component, observer, load))
        };
        let prompt = states(&request.prompt)?;
        if embeds_guidance(&self.manifest) {
            let denoiser = self.denoiser.get();
            return Ok(denoiser.embedded(prompt.into(), settings.guidance));
        }
        let negative = if settings.guidance <= 1.0 {
            None
        } else {
            Some(states(&request.negative_prompt)?.into())
        };
        Ok(Guided::new(prompt.into(), negative, settings.guidance))
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

    fn sample(
        &self,
        settings: &Settings,
        text: &Prompted,
        seed: u64,
        picture: usize,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<4>, Error> {
        let shape = self.latent_shape(settings);
        let run = SamplingRun {
            kind: settings.sampler,
            steps: settings.steps,
            shape,
        };
        let observer = RefCell::new(observer);
        let sample = |denoiser: &Denoiser| {
            let mut observer = observer.borrow_mut();
            let read = text.read_by(denoiser);
            let before_step = |step| {
                let steps = settings.steps;
                notify(
                    *observer,
                    Event::Step {
                        picture,
                        step,
                        steps,
                    },
                )?;
                if step == 0 && self.compiles(shape) {
                    notify(*observer, Event::Compiling { picture })?;
                }
                Ok(())
            };
            let noise = Noise::new(seed);
            let count = shape.iter().product();
            let step_noise = |step| noise.step_normal(step, count);
            let first = noise.normal(count);
            denoiser.sample(&run, &self.manifest, &read, first, step_noise, before_step)
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

    /// `[1, channels, height, width]`
    fn latent_shape(&self, settings: &Settings) -> [usize; 4] {
        let vae = self.manifest.components.vae.as_ref();
        let scale = vae.map_or(8, DecoderConfig::scale);
        let channels = self.denoiser.get().channels();
        [1, channels, settings.height / scale, settings.width / scale]
    }

    /// Latent to `[1, 3, height, width]` in -1 to 1, checked.
    fn finish(
        &self,
        settings: &Settings,
        mut latent: Tensor<4>,
        picture: usize,
        observer: &mut dyn Observer,
    ) -> Result<(Vec<f32>, [usize; 2]), Error> {
        let refiner = self.manifest.components.refiner.as_ref();
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
        let vae = self.manifest.components.vae.as_ref();
        let (scaling, shift) = vae.map_or((1.0, 0.0), DecoderConfig::scaling);
        let latent = latent / scaling + shift;
        // The tiny decoder saturates, so it would hide an infinity.
        read_finite(latent.clone(), "decoder input", "")?;
        let decode = |decoder: &Decoder| {
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
            model: self.manifest.name.clone(),
        }
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
