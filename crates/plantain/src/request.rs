//! What a user asks for, and what that means for a given model.

use plantain_sampling::{Sampler, SamplerKind, SamplerOptions};
use plantain_weights::Manifest;

use crate::error::RequestError;

/// Largest side of a picture, in pixels.
pub const MAX_SIDE: usize = 2048;

/// A text and the settings to draw it with; what is `None` comes from the model's manifest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// What the picture shows.
    pub prompt: String,
    /// What it should not show; only matters with a guidance scale above 1.
    pub negative_prompt: String,
    /// Seed of the first picture; picture `k` of a run uses `seed + k`.
    pub seed: u64,
    /// Number of pictures; 0 is taken as 1.
    pub count: usize,
    /// Sampling steps.
    pub steps: Option<usize>,
    /// Classifier-free guidance scale; 1 or less means none.
    pub guidance: Option<f64>,
    /// Width and height in pixels.
    pub size: Option<[usize; 2]>,
    /// Sampler.
    pub sampler: Option<SamplerKind>,
    /// Leave out the latent refiner.
    pub skip_refiner: bool,
}

/// A request with the model's defaults filled in, checked against the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Sampling steps.
    pub steps: usize,
    /// Classifier-free guidance scale.
    pub guidance: f64,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Sampler.
    pub sampler: SamplerKind,
    /// Whether the latent refiner runs.
    pub refine: bool,
}

impl Request {
    /// A request with every setting left to the model.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            count: 1,
            ..Self::default()
        }
    }

    /// Fills in the defaults of `manifest` and checks the result.
    ///
    /// # Errors
    /// When a number is out of range, the size cannot be made, or the sampler does not suit the model.
    pub fn settings(&self, manifest: &Manifest) -> Result<Settings, RequestError> {
        let defaults = &manifest.defaults;
        let [width, height] = self
            .size
            .unwrap_or([defaults.width as usize, defaults.height as usize]);
        let scale = manifest
            .components
            .vae
            .as_ref()
            .map_or(8, plantain_nn::DecoderConfig::scale);
        check_size(width, height, scale)?;
        let steps = self.steps.unwrap_or(defaults.steps as usize);
        if steps == 0 {
            return Err(RequestError::OutOfRange {
                name: "steps",
                value: steps.to_string(),
                expected: "at least 1",
            });
        }
        let guidance = self.guidance.unwrap_or(defaults.guidance);
        check_guidance(guidance)?;
        let sampler = self.sampler.unwrap_or(manifest.sampler.kind);
        let options = SamplerOptions::default();
        Sampler::new(sampler, &manifest.sampler.schedule, steps, options)?;
        Ok(Settings {
            steps,
            guidance,
            width,
            height,
            sampler,
            refine: !self.skip_refiner && manifest.components.refiner.is_some(),
        })
    }

    /// Settings that fight the model: each a sentence for the user.
    pub fn warnings(&self, manifest: &Manifest) -> Vec<String> {
        let defaults = &manifest.defaults;
        let mut warnings = Vec::new();
        let embeds_guidance = embeds_guidance(manifest);
        let guidance = self.guidance.unwrap_or(defaults.guidance);
        if defaults.guidance <= 1.0 && guidance > 1.0 && !embeds_guidance {
            warnings.push(format!(
                "`{}` was distilled to run without guidance; a guidance scale of {guidance} doubles the time and usually spoils the picture",
                manifest.name
            ));
        }
        if !self.negative_prompt.is_empty() && (guidance <= 1.0 || embeds_guidance) {
            warnings.push(
                "the negative prompt has no effect, because this run uses no classifier-free guidance".into(),
            );
        }
        let trained = [defaults.width as usize, defaults.height as usize];
        if let Some(size) = self.size
            && size != trained
        {
            warnings.push(format!(
                "`{}` was trained at {}x{}; at {}x{} things may repeat or lose their shape",
                manifest.name, trained[0], trained[1], size[0], size[1]
            ));
        }
        if let Some(sampler) = self.sampler
            && sampler != manifest.sampler.kind
        {
            warnings.push(format!(
                "`{}` was made for the sampler {}; {sampler} may give worse pictures",
                manifest.name, manifest.sampler.kind
            ));
        }
        if let Some(steps) = self.steps
            && steps > 4 * defaults.steps as usize
        {
            warnings.push(format!(
                "`{}` is meant for {} steps; {steps} take longer and rarely look better",
                manifest.name, defaults.steps
            ));
        }
        warnings
    }
}

/// Whether the model takes the guidance scale as an input, as LCM does, instead of two evaluations.
pub(crate) fn embeds_guidance(manifest: &Manifest) -> bool {
    let unet = manifest.components.unet.as_ref();
    unet.is_some_and(|unet| unet.time_cond_proj_dim.is_some())
}

pub(crate) fn check_guidance(guidance: f64) -> Result<(), RequestError> {
    if (0.0..=100.0).contains(&guidance) {
        return Ok(());
    }
    Err(RequestError::OutOfRange {
        name: "guidance",
        value: guidance.to_string(),
        expected: "0 to 100, where 1 or less means none",
    })
}

fn check_size(width: usize, height: usize, scale: usize) -> Result<(), RequestError> {
    let fail = |reason| {
        Err(RequestError::Size {
            width,
            height,
            reason,
        })
    };
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return fail(format!("each side must be {scale} to {MAX_SIDE}"));
    }
    if !width.is_multiple_of(scale) || !height.is_multiple_of(scale) {
        let near = |side: usize| side.next_multiple_of(scale).min(MAX_SIDE);
        return fail(format!(
            "each side must be a multiple of {scale} for this model; {}x{} would do",
            near(width),
            near(height)
        ));
    }
    Ok(())
}
