//! Times of whole components and pictures, for comparing devices, precisions and other programs.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use plantain_nn::DecoderConfig;
use plantain_sampling::Noise;
use plantain_weights::{Model, Target};

use crate::denoiser::{Denoiser, Guided, SamplingRun};
use crate::device::Placement;
use crate::error::{Error, RequestError};
use crate::host::read_finite;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// One pass of the text encoder over a full prompt.
    TextEncoder,
    /// One pass of the UNet, without guidance.
    Unet,
    /// One pass of the decoder.
    Decoder,
    /// Text encoder, the steps of the UNet without guidance, refiner where there is one, decoder.
    Pipeline,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TextEncoder, Self::Unet, Self::Decoder, Self::Pipeline];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::TextEncoder => "text-encoder",
            Self::Unet => "unet",
            Self::Decoder => "decoder",
            Self::Pipeline => "pipeline",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|part| part.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no part `{name}`; choose one of {names}")
        })
    }
}

/// What to time, and how often.
#[derive(Debug, Clone, Copy)]
pub struct BenchSettings {
    /// What is timed.
    pub part: Part,
    /// Width and height of the picture in pixels; the model's own where there are none.
    pub size: Option<[usize; 2]>,
    /// Steps of [`Part::Pipeline`]; the model's own where there are none.
    pub steps: Option<usize>,
    /// Runs that count, after a first one that does not.
    pub runs: usize,
}

/// Seconds that something took.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Opening the networks.
    pub load: f64,
    /// The first run.
    pub first: f64,
    /// The runs after it.
    pub runs: Vec<f64>,
}

impl Timing {
    /// Middle of the runs.
    pub fn median(&self) -> f64 {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        }
    }

    /// Fastest of the runs.
    pub fn min(&self) -> f64 {
        self.runs.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Times a part of `model`. What is computed comes from fixed noise and token ids, so a model needs no tokenizer.
///
/// # Errors
/// When the model has no such component, its tensors do not fit, or the size does not.
pub fn bench(
    model: &Model,
    placement: Placement,
    settings: &BenchSettings,
) -> Result<Timing, Error> {
    let target = placement.target();
    let began = Instant::now();
    let mut run: Box<dyn FnMut() -> Result<(), Error>> = match settings.part {
        Part::TextEncoder => Box::new(text_encoder(model, &target)?),
        Part::Unet => Box::new(unet(model, &target, settings)?),
        Part::Decoder => Box::new(decoder(model, &target, settings)?),
        Part::Pipeline => Box::new(pipeline(model, &target, settings)?),
    };
    let load = began.elapsed().as_secs_f64();
    let mut timed = || {
        let began = Instant::now();
        run()?;
        Ok::<f64, Error>(began.elapsed().as_secs_f64())
    };
    Ok(Timing {
        load,
        first: timed()?,
        runs: (0..settings.runs.max(1))
            .map(|_| timed())
            .collect::<Result<_, _>>()?,
    })
}

fn text_encoder(
    model: &Model,
    target: &Target,
) -> Result<impl FnMut() -> Result<(), Error>, Error> {
    let encoder = model.load_text_encoder(target)?;
    let ids = token_ids(model);
    Ok(move || {
        let states = encoder
            .forward(std::slice::from_ref(&ids))
            .map_err(RequestError::from)?;
        read_finite(states.last_hidden_state, "text encoder", "").map(|_| ())
    })
}

fn unet(
    model: &Model,
    target: &Target,
    settings: &BenchSettings,
) -> Result<impl FnMut() -> Result<(), Error>, Error> {
    let denoiser = Denoiser::load(model, target)?;
    let shape = latent_shape(model, settings)?;
    let noise = Noise::new(0).normal(shape.iter().product());
    let text = denoiser.read_text(&denoiser.blank_text(model));
    Ok(move || {
        let sample = denoiser.tensor(noise.clone(), shape);
        let output = denoiser.evaluate(sample, &[499.0], &text, None);
        read_finite(output, "UNet", "").map(|_| ())
    })
}

fn decoder(
    model: &Model,
    target: &Target,
    settings: &BenchSettings,
) -> Result<impl FnMut() -> Result<(), Error>, Error> {
    let decoder = model.load_decoder(target)?;
    let shape = latent_shape(model, settings)?;
    let latent = Noise::new(0).normal(shape.iter().product());
    let device = target.device.clone();
    Ok(move || {
        let data = burn::tensor::TensorData::new(latent.clone(), shape);
        let image = decoder.forward(burn::tensor::Tensor::from_data(data, &device));
        read_finite(image, "decoder", "").map(|_| ())
    })
}

fn pipeline(
    model: &Model,
    target: &Target,
    settings: &BenchSettings,
) -> Result<impl FnMut() -> Result<(), Error>, Error> {
    let encoder = model.load_text_encoder(target)?;
    let denoiser = Denoiser::load(model, target)?;
    let refiner = model.load_refiner(target)?;
    let decoder = model.load_decoder(target)?;
    let manifest = model.manifest().clone();
    let ids = token_ids(model);
    let shape = latent_shape(model, settings)?;
    let count = shape.iter().product();
    let run = SamplingRun {
        kind: manifest.sampler.kind,
        steps: settings.steps.unwrap_or(manifest.defaults.steps as usize),
        shape,
    };
    Ok(move || {
        let states = encoder
            .forward(std::slice::from_ref(&ids))
            .map_err(RequestError::from)?;
        let text = denoiser.read_guided(&Guided::new(states.into(), None, 1.0));
        let noise = Noise::new(0);
        let step_noise = |step| noise.step_normal(step, count);
        let latent = denoiser.sample(
            &run,
            &manifest,
            &text,
            noise.normal(count),
            step_noise,
            |_| Ok(()),
        )?;
        let mut latent = denoiser.tensor(latent, shape);
        if let (Some(refiner), Some(config)) = (&refiner, &manifest.components.refiner) {
            latent = refiner.forward(latent, config.sigma as f32);
        }
        let scaling = manifest.components.vae.as_ref().map(DecoderConfig::scaling);
        let (scale, shift) = scaling.unwrap_or((1.0, 0.0));
        read_finite(decoder.forward(latent / scale + shift), "decoder", "").map(|_| ())
    })
}

/// A prompt that fills all tokens.
fn token_ids(model: &Model) -> Vec<i64> {
    let config = model
        .manifest()
        .components
        .text_encoder
        .clone()
        .unwrap_or_default();
    (0..config.max_position_embeddings)
        .map(|i| (i % config.vocab_size) as i64)
        .collect()
}

/// `[1, channels, height, width]`
fn latent_shape(model: &Model, settings: &BenchSettings) -> Result<[usize; 4], Error> {
    let manifest = model.manifest();
    let own = [
        manifest.defaults.width as usize,
        manifest.defaults.height as usize,
    ];
    let [width, height] = settings.size.unwrap_or(own);
    let scale = manifest
        .components
        .vae
        .as_ref()
        .map_or(8, DecoderConfig::scale);
    if width == 0 || height == 0 || width % scale != 0 || height % scale != 0 {
        let message =
            format!("a picture of {width}x{height}: both sides must be multiples of {scale}");
        return Err(RequestError::Input(message).into());
    }
    let channels = manifest
        .components
        .unet
        .as_ref()
        .map_or(4, |unet| unet.in_channels);
    Ok([1, channels, height / scale, width / scale])
}
