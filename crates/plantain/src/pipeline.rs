//! The road from a prompt to a picture.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, TensorData};
use plantain_nn::{
    ClipTextModel, Conditioning, Decoder, DecoderConfig, Refiner, TextStates, UNet2DConditionModel,
    guidance_scale_embedding,
};
use plantain_sampling::{
    Noise, SampleError, Sampler, SamplerKind, SamplerOptions, StepInfo, guide, sample,
};
use plantain_weights::{Manifest, Model};

use crate::device::DeviceChoice;
use crate::error::{Error, RequestError};
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
    tokenizer: PromptTokenizer,
    text_encoder: ClipTextModel,
    denoiser: Denoiser,
    refiner: Option<Refiner>,
    decoder: Decoder,
}

impl Pipeline {
    /// Loads every component of `model` onto a device.
    ///
    /// # Errors
    /// When the model lacks a component or a tokenizer, or its tensors do not fit.
    pub fn load(
        model: &Model,
        device: DeviceChoice,
        observer: &mut dyn Observer,
    ) -> Result<Self, Error> {
        let device = device.resolve();
        let burn_device = device.device();
        let tokenizer = PromptTokenizer::new(model)?;
        check_fit(model)?;
        let mut loading = |component| notify(observer, Event::Loading { component });
        loading("text encoder")?;
        let text_encoder = model.load_text_encoder(&burn_device)?;
        loading("UNet")?;
        let denoiser = Denoiser::load(model, &burn_device)?;
        loading("refiner")?;
        let refiner = model.load_refiner(&burn_device)?;
        loading("decoder")?;
        let decoder = model.load_decoder(&burn_device)?;
        Ok(Self {
            manifest: model.manifest().clone(),
            device,
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
        let text = self.encode_text(request, &settings)?;
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
        text: &Guided,
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
        let channels = self.denoiser.channels;
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

/// The text side of one evaluation.
#[derive(Debug, Clone)]
pub(crate) struct TextInput {
    /// `[batch, tokens, width]`
    pub(crate) states: Tensor<3>,
    /// `[batch, width]`, for models that take it.
    pub(crate) pooled: Option<Tensor<2>>,
}

impl From<TextStates> for TextInput {
    fn from(states: TextStates) -> Self {
        Self {
            states: states.last_hidden_state,
            pooled: Some(states.pooler_output),
        }
    }
}

/// A prompt with its way of being guided.
#[derive(Debug, Clone)]
pub(crate) struct Guided {
    pub(crate) prompt: TextInput,
    /// Evaluated beside the prompt when there is one.
    negative: Option<TextInput>,
    scale: f64,
    timestep_cond: Option<Tensor<2>>,
}

impl Guided {
    pub(crate) fn new(prompt: TextInput, negative: Option<TextInput>, scale: f64) -> Self {
        Self {
            prompt,
            negative,
            scale,
            timestep_cond: None,
        }
    }
}

/// What a sampling run needs to know besides the noise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SamplingRun {
    pub(crate) kind: SamplerKind,
    pub(crate) steps: usize,
    pub(crate) shape: [usize; 4],
}

/// The UNet with what a step must know of its configuration.
#[derive(Debug)]
pub(crate) struct Denoiser {
    unet: UNet2DConditionModel,
    device: Device,
    channels: usize,
    time_cond_dim: Option<usize>,
    takes_pooled: bool,
}

impl Denoiser {
    pub(crate) fn load(model: &Model, device: &Device) -> Result<Self, Error> {
        let unet = model.load_unet(device)?;
        let config = model.manifest().components.unet.clone();
        let config = config.unwrap_or_default();
        Ok(Self {
            unet,
            device: device.clone(),
            channels: config.in_channels,
            time_cond_dim: config.time_cond_proj_dim,
            takes_pooled: config.class_labels_dim().is_some(),
        })
    }

    /// Guidance told to the network, in one evaluation per step.
    pub(crate) fn embedded(&self, prompt: TextInput, scale: f64) -> Guided {
        let [batch, ..] = prompt.states.dims();
        let embed = |dim| guidance_scale_embedding(scale, batch, dim, &self.device);
        Guided {
            timestep_cond: self.time_cond_dim.map(embed),
            ..Guided::new(prompt, None, scale)
        }
    }

    /// Samples a latent of `run.shape` from standard normal noise; `step_noise` is asked for more
    /// where the sampler adds some, `before_step` may stop the run.
    pub(crate) fn sample(
        &self,
        run: &SamplingRun,
        manifest: &Manifest,
        text: &Guided,
        noise: Vec<f32>,
        step_noise: impl FnMut(usize) -> Vec<f32>,
        mut before_step: impl FnMut(usize) -> Result<(), Error>,
    ) -> Result<Vec<f32>, Error> {
        let schedule = &manifest.sampler.schedule;
        let options = SamplerOptions::default();
        let mut sampler =
            Sampler::new(run.kind, schedule, run.steps, options).map_err(RequestError::from)?;
        let denoise = |info: StepInfo<'_>, latent: &[f32]| {
            before_step(info.index)?;
            let sample = self.tensor(latent.to_vec(), run.shape);
            self.guided(sample, info.timestep, text)
        };
        sample(&mut sampler, noise, step_noise, denoise).map_err(sampling_error)
    }

    pub(crate) fn tensor(&self, values: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    /// One guided evaluation: prompt and negative prompt go through the network as one batch.
    fn guided(&self, sample: Tensor<4>, timestep: f32, text: &Guided) -> Result<Vec<f32>, Error> {
        let Some(negative) = &text.negative else {
            let condition = text.timestep_cond.as_ref();
            let timesteps = vec![timestep; sample.dims()[0]];
            return read(self.evaluate(sample, &timesteps, &text.prompt, condition));
        };
        let both = TextInput {
            states: Tensor::cat(vec![negative.states.clone(), text.prompt.states.clone()], 0),
            pooled: match (&negative.pooled, &text.prompt.pooled) {
                (Some(negative), Some(prompt)) => {
                    Some(Tensor::cat(vec![negative.clone(), prompt.clone()], 0))
                }
                _ => None,
            },
        };
        let twice = Tensor::cat(vec![sample.clone(), sample], 0);
        let timesteps = vec![timestep; twice.dims()[0]];
        let output = read(self.evaluate(twice, &timesteps, &both, None))?;
        let (unconditional, conditional) = output.split_at(output.len() / 2);
        let scale = text.scale as f32;
        Ok(guide(unconditional, conditional, scale).map_err(RequestError::from)?)
    }

    /// One evaluation of the network, with a timestep per sample.
    pub(crate) fn evaluate(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        text: &TextInput,
        timestep_cond: Option<&Tensor<2>>,
    ) -> Tensor<4> {
        let conditioning = Conditioning {
            encoder_hidden_states: text.states.clone(),
            class_labels: text.pooled.clone().filter(|_| self.takes_pooled),
            timestep_cond: timestep_cond.cloned(),
        };
        self.unet.forward(sample, timesteps, &conditioning)
    }
}

fn sampling_error(error: SampleError<Error>) -> Error {
    match error {
        SampleError::Denoise(error) => error,
        SampleError::Sampling(error) => RequestError::from(error).into(),
        SampleError::NonFiniteOutput { step, .. } => Error::NonFinite {
            component: "UNet",
            detail: format!(" at step {}", step + 1),
        },
        other => Error::NonFinite {
            component: "sampler",
            detail: format!(" ({other})"),
        },
    }
}

pub(crate) fn notify(observer: &mut dyn Observer, event: Event) -> Result<(), Error> {
    match observer.event(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}

/// The values of a tensor on the host.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    let device = format!("{:?}", tensor.device());
    let failed = |reason: String| Error::Device { device, reason };
    let data = tensor.try_into_data();
    match data.map(TensorData::try_into_vec::<f32>) {
        Ok(Ok(values)) => Ok(values),
        Ok(Err(error)) => Err(failed(format!("{error:?}"))),
        Err(error) => Err(failed(format!("{error:?}"))),
    }
}

/// [`read`], refusing values that are not finite.
pub(crate) fn read_finite<const D: usize>(
    tensor: Tensor<D>,
    component: &'static str,
    detail: &str,
) -> Result<Vec<f32>, Error> {
    let values = read(tensor)?;
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(Error::NonFinite {
            component,
            detail: detail.to_string(),
        })
    }
}
