//! The UNet as the sampling loop sees it: latents in, guided predictions out.

use std::cell::RefCell;

use burn::tensor::{Device, Tensor, TensorData};
use plantain_nn::{Conditioning, Tap, TextContext, UNet2DConditionModel, guidance_scale_embedding};
use plantain_sampling::{
    SampleError, Sampler, SamplerKind, SamplerOptions, ScheduleConfig, StepDone, StepInfo, guide,
    sample_from,
};
use plantain_weights::{Manifest, Model, Target};

use crate::error::{Error, RequestError};
use crate::host::read;
use crate::request::skipped_steps;
use crate::text_input::TextInput;

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

    /// The same prompt for each of `batch` pictures.
    fn repeated(&self, batch: usize) -> Self {
        let condition = self.timestep_cond.clone();
        Self {
            prompt: self.prompt.repeated(batch),
            negative: self.negative.as_ref().map(|text| text.repeated(batch)),
            scale: self.scale,
            timestep_cond: condition.map(|condition| condition.repeat_dim(0, batch)),
        }
    }
}

/// A text as the network reads it, with everything that is the same at each step done.
#[derive(Debug, Clone)]
pub(crate) struct ReadText {
    context: TextContext,
    pooled: Option<Tensor<2>>,
}

impl ReadText {
    /// Two batches of texts, one after the other.
    fn joined(self, other: Self) -> Self {
        let pooled = self.pooled.zip(other.pooled);
        Self {
            context: self.context.joined(other.context),
            pooled: pooled.map(|(mine, theirs)| Tensor::cat(vec![mine, theirs], 0)),
        }
    }
}

/// A [`Guided`] prompt as the network reads it.
#[derive(Debug, Clone)]
pub(crate) struct ReadGuided {
    /// The prompt; after the negative prompt where there is one.
    text: ReadText,
    has_negative: bool,
    scale: f64,
    timestep_cond: Option<Tensor<2>>,
}

/// A prompt that is read once by each denoiser that asks for it, and for each number of pictures.
#[derive(Debug)]
pub(crate) struct Prompted {
    guided: Guided,
    read: RefCell<Option<(Reader, ReadGuided)>>,
}

/// The address of the denoiser that read a prompt, as the one before may have been replaced by a wider one, and for how
/// many pictures.
type Reader = (*const Denoiser, usize);

impl Prompted {
    pub(crate) fn new(guided: Guided) -> Self {
        Self {
            guided,
            read: RefCell::new(None),
        }
    }

    /// The prompt itself, which is never guided away from.
    pub(crate) fn prompt(&self) -> &TextInput {
        &self.guided.prompt
    }

    /// The prompt as `denoiser` reads it for `batch` pictures at once.
    pub(crate) fn read_by(&self, denoiser: &Denoiser, batch: usize) -> ReadGuided {
        let reader = (std::ptr::from_ref(denoiser), batch);
        let mut read = self.read.borrow_mut();
        match &*read {
            Some((before, text)) if *before == reader => text.clone(),
            _ => {
                let text = denoiser.read_guided(&self.guided.repeated(batch));
                *read = Some((reader, text.clone()));
                text
            }
        }
    }
}

/// What a sampling run needs to know besides the noise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SamplingRun<'a> {
    pub(crate) kind: SamplerKind,
    /// Steps of a run from pure noise.
    pub(crate) steps: usize,
    /// `[batch, channels, height, width]`
    pub(crate) shape: [usize; 4],
    /// Where the run starts, unless from pure noise.
    pub(crate) init: Option<&'a InitLatent>,
}

impl SamplingRun<'_> {
    /// The sampler of the steps that are taken.
    pub(crate) fn sampler(&self, schedule: &ScheduleConfig) -> Result<Sampler, RequestError> {
        let options = SamplerOptions::default();
        let sampler = Sampler::new(self.kind, schedule, self.steps, options)?;
        match self.init {
            None => Ok(sampler),
            Some(init) => {
                let skipped = skipped_steps(self.steps, init.strength)?;
                Ok(sampler.starting_at(skipped)?)
            }
        }
    }

    /// The latent before the first step.
    fn first_latent(&self, sampler: &Sampler, noise: &[f32]) -> Result<Vec<f32>, RequestError> {
        match self.init {
            Some(init) if !init.begins_with_noise() => {
                let clean = init.values.repeat(self.shape[0]);
                Ok(sampler.add_noise(0, &clean, noise)?)
            }
            _ => {
                let scale = sampler.init_noise_sigma();
                Ok(noise.iter().map(|value| value * scale).collect())
            }
        }
    }
}

/// A picture to start from, as the UNet sees it.
#[derive(Debug, Clone)]
pub(crate) struct InitLatent {
    /// Scaled for the UNet, `[channels, height, width]`.
    pub(crate) values: Vec<f32>,
    /// `[height, width]`: 1 where the picture is drawn anew, 0 where it stays.
    pub(crate) mask: Option<Vec<f32>>,
    /// How much of the run is done, above 0 and up to 1.
    pub(crate) strength: f64,
}

impl InitLatent {
    /// Whether nothing of the picture is in the first latent: what a mask leaves free is then drawn as without a picture.
    fn begins_with_noise(&self) -> bool {
        self.mask.is_some() && self.strength >= 1.0
    }

    /// Puts the picture back where the mask keeps it, with the noise that the next step expects.
    ///
    /// Source: diffusers `pipelines/stable_diffusion/pipeline_stable_diffusion_inpaint.py`.
    fn keep(&self, done: &mut StepDone<'_>, noise: &[f32]) -> Result<(), RequestError> {
        let Some(mask) = &self.mask else {
            return Ok(());
        };
        let clean = self.values.repeat(noise.len() / self.values.len());
        let next = done.index + 1;
        let kept = if next < done.steps {
            done.sampler.add_noise(next, &clean, noise)?
        } else {
            clean
        };
        let free = mask.iter().cycle();
        for ((value, kept), free) in done.latents.iter_mut().zip(kept).zip(free) {
            *value = (1.0 - free) * kept + free * *value;
        }
        Ok(())
    }
}

/// Looks at a sampling run, and may stop it with an error.
pub(crate) trait SamplingWatch {
    /// A step is about to begin.
    fn before_step(&mut self, step: usize, steps: usize) -> Result<(), Error>;

    /// A step predicted the latent `denoised`, of the shape of the run.
    fn after_step(&mut self, _step: usize, _steps: usize, _denoised: &[f32]) -> Result<(), Error> {
        Ok(())
    }
}

/// `()` looks at nothing.
impl SamplingWatch for () {
    fn before_step(&mut self, _step: usize, _steps: usize) -> Result<(), Error> {
        Ok(())
    }
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
    pub(crate) fn load(model: &Model, target: &Target) -> Result<Self, Error> {
        let unet = model.load_unet(target)?;
        let config = model.manifest().components.unet.clone();
        let config = config.unwrap_or_default();
        Ok(Self {
            unet,
            device: target.device.clone(),
            channels: config.in_channels,
            time_cond_dim: config.time_cond_proj_dim,
            takes_pooled: config.class_labels_dim().is_some(),
        })
    }

    /// Channels of the latent.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Guidance told to the network, in one evaluation per step.
    pub(crate) fn embedded(&self, prompt: TextInput, scale: f64) -> Guided {
        let [batch, ..] = prompt.states.dims();
        Guided {
            timestep_cond: self.timestep_cond(batch, scale),
            ..Guided::new(prompt, None, scale)
        }
    }

    /// The guidance scale as the network takes it, if it does.
    pub(crate) fn timestep_cond(&self, batch: usize, scale: f64) -> Option<Tensor<2>> {
        let embed = |dim| guidance_scale_embedding(scale, batch, dim, &self.device);
        self.time_cond_dim.map(embed)
    }

    /// Reads a prompt once for all pictures and steps.
    pub(crate) fn read_guided(&self, guided: &Guided) -> ReadGuided {
        let prompt = self.read_text(&guided.prompt);
        let negative = guided.negative.as_ref().map(|text| self.read_text(text));
        ReadGuided {
            has_negative: negative.is_some(),
            text: match negative {
                Some(negative) => negative.joined(prompt),
                None => prompt,
            },
            scale: guided.scale,
            timestep_cond: guided.timestep_cond.clone(),
        }
    }

    pub(crate) fn read_text(&self, text: &TextInput) -> ReadText {
        ReadText {
            context: self.unet.read_text(text.states.clone()),
            pooled: text.pooled.clone().filter(|_| self.takes_pooled),
        }
    }

    /// Samples a latent of `run.shape` from standard normal noise; `step_noise` is asked for more where the sampler adds
    /// some.
    pub(crate) fn sample(
        &self,
        run: &SamplingRun<'_>,
        manifest: &Manifest,
        text: &ReadGuided,
        noise: &[f32],
        step_noise: impl FnMut(usize) -> Vec<f32>,
        watch: impl SamplingWatch,
    ) -> Result<Vec<f32>, Error> {
        let mut sampler = run.sampler(&manifest.sampler.schedule)?;
        let latent = run.first_latent(&sampler, noise)?;
        let watch = RefCell::new(watch);
        let denoise = |info: StepInfo<'_>, latent: &[f32]| {
            watch.borrow_mut().before_step(info.index, info.steps)?;
            let sample = self.tensor(latent.to_vec(), run.shape);
            self.guided(sample, info.timestep, text)
        };
        let after_step = |mut done: StepDone<'_>| {
            let mut watch = watch.borrow_mut();
            watch.after_step(done.index, done.steps, done.denoised)?;
            match run.init {
                Some(init) => Ok(init.keep(&mut done, noise)?),
                None => Ok(()),
            }
        };
        sample_from(&mut sampler, latent, step_noise, denoise, after_step).map_err(sampling_error)
    }

    pub(crate) fn tensor(&self, values: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    /// One guided evaluation: prompt and negative prompt go through the network as one batch.
    fn guided(
        &self,
        sample: Tensor<4>,
        timestep: f32,
        text: &ReadGuided,
    ) -> Result<Vec<f32>, Error> {
        let condition = text.timestep_cond.as_ref();
        if !text.has_negative {
            let timesteps = vec![timestep; sample.dims()[0]];
            return read(self.evaluate(sample, &timesteps, &text.text, condition));
        }
        let twice = Tensor::cat(vec![sample.clone(), sample], 0);
        let timesteps = vec![timestep; twice.dims()[0]];
        let output = read(self.evaluate(twice, &timesteps, &text.text, None))?;
        let (unconditional, conditional) = output.split_at(output.len() / 2);
        let scale = text.scale as f32;
        Ok(guide(unconditional, conditional, scale).map_err(RequestError::from)?)
    }

    /// One evaluation of the network, with a timestep per sample.
    pub(crate) fn evaluate(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        text: &ReadText,
        timestep_cond: Option<&Tensor<2>>,
    ) -> Tensor<4> {
        let conditioning = conditioning(text, timestep_cond);
        self.unet.forward(sample, timesteps, &conditioning)
    }

    /// [`Self::evaluate`], with `tap` looking at what each block computes.
    pub(crate) fn evaluate_tapped(
        &self,
        sample: Tensor<4>,
        timesteps: &[f32],
        text: &ReadText,
        timestep_cond: Option<&Tensor<2>>,
        tap: &mut impl Tap,
    ) -> Tensor<4> {
        let conditioning = conditioning(text, timestep_cond);
        self.unet
            .forward_tapped(sample, timesteps, &conditioning, tap)
    }
}

fn conditioning(text: &ReadText, timestep_cond: Option<&Tensor<2>>) -> Conditioning {
    Conditioning {
        text: text.context.clone(),
        class_labels: text.pooled.clone(),
        timestep_cond: timestep_cond.cloned(),
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
