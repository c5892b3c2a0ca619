//! The UNet as the sampling loop sees it: latents in, guided predictions out.

use std::cell::RefCell;

use burn::tensor::{Device, Tensor, TensorData};
use plantain_nn::{
    Conditioning, Tap, TextContext, TextStates, UNet2DConditionModel, guidance_scale_embedding,
};
use plantain_sampling::{
    SampleError, Sampler, SamplerKind, SamplerOptions, StepInfo, guide, sample,
};
use plantain_weights::{Manifest, Model, Target};

use crate::error::{Error, RequestError};
use crate::host::read;
use crate::reference::normal;

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

/// A prompt that is read once by each denoiser that asks for it.
#[derive(Debug)]
pub(crate) struct Prompted {
    guided: Guided,
    /// With the address of the denoiser that read it: the one before may have been replaced by a wider one.
    read: RefCell<Option<(*const Denoiser, ReadGuided)>>,
}

impl Prompted {
    pub(crate) fn new(guided: Guided) -> Self {
        Self {
            guided,
            read: RefCell::new(None),
        }
    }

    /// The prompt as `denoiser` reads it.
    pub(crate) fn read_by(&self, denoiser: &Denoiser) -> ReadGuided {
        let reader = std::ptr::from_ref(denoiser);
        let mut read = self.read.borrow_mut();
        match &*read {
            Some((before, text)) if *before == reader => text.clone(),
            _ => {
                let text = denoiser.read_guided(&self.guided);
                *read = Some((reader, text.clone()));
                text
            }
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

    /// A text that is the same on every device, as long as the model's prompts.
    pub(crate) fn fixed_text(&self, model: &Model) -> TextInput {
        let components = &model.manifest().components;
        let unet = components.unet.clone().unwrap_or_default();
        let tokens = components
            .text_encoder
            .clone()
            .unwrap_or_default()
            .max_position_embeddings;
        TextInput {
            states: normal(1, [1, tokens, unet.text_dim()], &self.device),
            pooled: unet
                .class_labels_dim()
                .map(|width| normal(2, [1, width], &self.device)),
        }
    }

    /// Samples a latent of `run.shape` from standard normal noise; `step_noise` is asked for more
    /// where the sampler adds some, `before_step` may stop the run.
    pub(crate) fn sample(
        &self,
        run: &SamplingRun,
        manifest: &Manifest,
        text: &ReadGuided,
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
        self.evaluate_tapped(sample, timesteps, text, timestep_cond, &mut ())
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
        let conditioning = Conditioning {
            text: text.context.clone(),
            class_labels: text.pooled.clone(),
            timestep_cond: timestep_cond.cloned(),
        };
        self.unet
            .forward_tapped(sample, timesteps, &conditioning, tap)
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
