//! What a run of each part of a model computes.

use std::time::Instant;

use plantain_nn::DecoderConfig;
use plantain_sampling::Noise;
use plantain_weights::{Model, Target};

use super::BenchSettings;
use crate::denoiser::{Denoiser, Guided, SamplingRun, SamplingWatch};
use crate::error::{Error, RequestError};
use crate::host::read_finite;
use crate::layout::Layout;
use crate::reference::{TIMESTEP, fixed_text, latent_shape, normal, picture_size, token_ids};
use crate::refinement::Refinement;
use crate::text_input::TextInput;

/// What a run computed, and how long an evaluation of the UNet took in it.
pub(super) struct Output {
    pub(super) values: Vec<f32>,
    pub(super) step: Option<f64>,
}

pub(super) type RunOnce = Box<dyn FnMut() -> Result<Output, Error>>;

pub(super) fn text_encoder(model: &Model, target: &Target) -> Result<RunOnce, Error> {
    let encoder = model.load_text_encoder(target)?;
    let ids = token_ids(model);
    Ok(Box::new(move || {
        let states = encoder
            .forward(std::slice::from_ref(&ids))
            .map_err(RequestError::from)?;
        let values = read_finite(states.last_hidden_state, "text encoder", "")?;
        Ok(Output { values, step: None })
    }))
}

pub(super) fn unet(
    model: &Model,
    target: &Target,
    settings: &BenchSettings,
) -> Result<RunOnce, Error> {
    let denoiser = Denoiser::load(model, target)?;
    let [_, channels, ..] = latent_shape(model, settings.size)?;
    let shape = layout(model, settings).sampled_shape(1, channels);
    let noise = Noise::new(0).normal(shape.iter().product());
    let components = &model.manifest().components;
    let config = components.unet.clone().unwrap_or_default();
    let text = denoiser.read_text(&fixed_text(model, &config, &target.device));
    Ok(Box::new(move || {
        let sample = denoiser.tensor(noise.clone(), shape);
        let output = denoiser.evaluate(sample, &[TIMESTEP], &text, None);
        let values = read_finite(output, "UNet", "")?;
        Ok(Output { values, step: None })
    }))
}

pub(super) fn decoder(
    model: &Model,
    target: &Target,
    settings: &BenchSettings,
) -> Result<RunOnce, Error> {
    let decoder = model.load_decoder(target)?;
    let [_, channels, ..] = latent_shape(model, settings.size)?;
    let scale = model.manifest().components.refiner_scale();
    let [batch, channels, height, width] = layout(model, settings).shape(1, channels);
    let shape = [batch, channels, scale * height, scale * width];
    let latent = normal(0, shape, &target.device);
    Ok(Box::new(move || {
        let image = decoder.forward(latent.clone());
        let values = read_finite(image, "decoder", "")?;
        Ok(Output { values, step: None })
    }))
}

pub(super) fn refiner(
    model: &Model,
    target: &Target,
    settings: &BenchSettings,
) -> Result<RunOnce, Error> {
    let refiner = Refinement::load(model, target)?.ok_or_else(|| {
        RequestError::Input(format!("`{}` has no refiner", model.manifest().name))
    })?;
    let [_, channels, ..] = latent_shape(model, settings.size)?;
    let latent = normal(
        0,
        layout(model, settings).sampled_shape(1, channels),
        &target.device,
    );
    let text = fixed_text(model, refiner.unet(), &target.device);
    Ok(Box::new(move || {
        let refined = refiner.refine(latent.clone(), &text);
        let values = read_finite(refined, "refiner", "")?;
        Ok(Output { values, step: None })
    }))
}

pub(super) fn pipeline(
    model: &Model,
    target: &Target,
    settings: &BenchSettings,
) -> Result<RunOnce, Error> {
    let encoder = model.load_text_encoder(target)?;
    let denoiser = Denoiser::load(model, target)?;
    let refiner = Refinement::load(model, target)?;
    let decoder = model.load_decoder(target)?;
    let manifest = model.manifest().clone();
    let ids = token_ids(model);
    let [_, channels, ..] = latent_shape(model, settings.size)?;
    let layout = layout(model, settings);
    let sampled = layout.sampled_shape(1, channels);
    let count = sampled.iter().product();
    let run = SamplingRun {
        kind: manifest.sampler.kind,
        steps: settings.steps_of(model),
        shape: sampled,
        init: None,
    };
    Ok(Box::new(move || {
        let states = encoder
            .forward(std::slice::from_ref(&ids))
            .map_err(RequestError::from)?;
        let text: TextInput = states.into();
        let guided = denoiser.read_guided(&Guided::new(text.clone(), None, 1.0));
        let noise = Noise::new(0);
        let step_noise = |step| noise.step_normal(step, count);
        let mut began = Began(None);
        let latent = denoiser.sample(
            &run,
            &manifest,
            &guided,
            &noise.normal(count),
            step_noise,
            &mut began,
        )?;
        let sampling = began.0.map(|began| began.elapsed().as_secs_f64());
        let mut latent = denoiser.tensor(latent, sampled);
        if let Some(refiner) = &refiner {
            latent = refiner.refine(latent, &text);
        }
        let latent = layout.place(&[latent]);
        let scaling = manifest.components.vae.as_ref().map(DecoderConfig::scaling);
        let (scale, shift) = scaling.unwrap_or((1.0, 0.0));
        let decoded = decoder.forward(latent / scale + shift);
        let values = read_finite(decoded, "decoder", "")?;
        Ok(Output {
            values,
            step: sampling.map(|seconds| seconds / run.steps as f64),
        })
    }))
}

/// That of a picture of one thing.
fn layout(model: &Model, settings: &BenchSettings) -> Layout {
    let size = picture_size(model, settings.size);
    Layout::of_one(size, false, model.manifest())
}

/// When the first step of a sampling run began.
struct Began(Option<Instant>);

impl SamplingWatch for &mut Began {
    fn before_step(&mut self, _step: usize, _steps: usize) -> Result<(), Error> {
        self.0.get_or_insert_with(Instant::now);
        Ok(())
    }
}
