//! The road from a prompt to a picture.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use plantain_nn::{ClipTextModel, Decoder, DecoderConfig, Precision, Refiner, TextStates};
use plantain_sampling::Noise;
use plantain_weights::{Manifest, Model};

use crate::denoiser::{Denoiser, Guided, ReadGuided, SamplingRun};
use crate::device::{DeviceChoice, Placement};
use crate::error::{Error, RequestError};
use crate::host::read_finite;
use crate::metadata::Parameters;
use crate::observer::{Event, Observer};
use crate::picture::Picture;
use crate::prompt::PromptTokenizer;
use crate::request::{Request, Settings, embeds_guidance};

/// A model loaded onto a device, ready to draw.
#[derive(Debug)]
pub struct Pipeline {
    manifest: Manifest,
    device: DeviceChoice,
    precision: Option<Precision>,
    tokenizer: PromptTokenizer,
    text_encoder: ClipTextModel,
    denoiser: Denoiser,
    refiner: Option<Refiner>,
    decoder: Decoder,
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
        let target = placement.target();
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
            precision: target.precision,
            tokenizer,
            text_encoder,
            denoiser,
            refiner,
            decoder,
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

    /// What products are computed in; `None` where the device decides.
    pub fn precision(&self) -> Option<Precision> {
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
        let text = self
            .denoiser
            .read_guided(&self.encode_text(request, &settings)?);
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

    fn encode_text(&self, request: &Request, settings: &Settings) -> Result<Guided, Error> {
        let states = |prompt: &str| -> Result<TextStates, Error> {
            let tokens = self.tokenizer.encode(prompt)?;
            let states = self.text_encoder.forward(&[tokens.ids]);
            let states = states.map_err(RequestError::from)?;
            read_finite(states.last_hidden_state.clone(), "text encoder", "")?;
            Ok(states)
        };
        let prompt = states(&request.prompt)?;
        if embeds_guidance(&self.manifest) {
            return Ok(self.denoiser.embedded(prompt.into(), settings.guidance));
        }
        let negative = if settings.guidance <= 1.0 {
            None
        } else {
            Some(states(&request.negative_prompt)?.into())
        };
        Ok(Guided::new(prompt.into(), negative, settings.guidance))
    }

    fn sample(
        &self,
        settings: &Settings,
        text: &ReadGuided,
        seed: u64,
        picture: usize,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<4>, Error> {
        let shape = self.latent_shape(settings);
        let count = shape.iter().product();
        let noise = Noise::new(seed);
        let run = SamplingRun {
            kind: settings.sampler,
            steps: settings.steps,
            shape,
        };
        let latent = self.denoiser.sample(
            &run,
            &self.manifest,
            text,
            noise.normal(count),
            |step| noise.step_normal(step, count),
            |step| {
                let steps = settings.steps;
                let event = Event::Step {
                    picture,
                    step,
                    steps,
                };
                notify(observer, event)
            },
        )?;
        Ok(self.denoiser.tensor(latent, shape))
    }

    /// `[1, channels, height, width]`
    fn latent_shape(&self, settings: &Settings) -> [usize; 4] {
        let vae = self.manifest.components.vae.as_ref();
        let scale = vae.map_or(8, DecoderConfig::scale);
        let channels = self.denoiser.channels();
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
            latent = refiner.forward(latent, config.sigma as f32);
            read_finite(latent.clone(), "refiner", "")?;
        }
        notify(observer, Event::Decoding { picture })?;
        let vae = self.manifest.components.vae.as_ref();
        let (scaling, shift) = vae.map_or((1.0, 0.0), DecoderConfig::scaling);
        let latent = latent / scaling + shift;
        // The tiny decoder saturates, so it would hide an infinity.
        read_finite(latent.clone(), "decoder input", "")?;
        let image = self.decoder.forward(latent);
        let [_, _, height, width] = image.dims();
        Ok((read_finite(image, "decoder", "")?, [width, height]))
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
