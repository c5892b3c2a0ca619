//! What a user asks for, and what that means for a given model.

use plantain_nn::DecoderConfig;
use plantain_sampling::{Sampler, SamplerKind, SamplerOptions};
use plantain_weights::Manifest;

use crate::aspect::Aspect;
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
    /// Shape, instead of a size: about as many pixels as the model's default size has.
    pub aspect: Option<Aspect>,
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
    /// When a number is out of range, the size cannot be made or contradicts the shape, or the sampler
    /// does not suit the model.
    pub fn settings(&self, manifest: &Manifest) -> Result<Settings, RequestError> {
        let defaults = &manifest.defaults;
        if self.size.is_some()
            && let Some(aspect) = self.aspect
        {
            return Err(RequestError::SizeAndAspect { aspect });
        }
        let [width, height] = self.size_for(manifest);
        check_size(width, height, scale(manifest))?;
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

    /// Width and height, not checked: the size asked for, or that of the shape, or the model's.
    fn size_for(&self, manifest: &Manifest) -> [usize; 2] {
        let native = native_size(manifest);
        // Two positions of the latent: what the UNet halves once stays exact.
        let multiple = 2 * scale(manifest);
        let shaped = self.aspect.map(|aspect| aspect.size(native, multiple));
        self.size.or(shaped).unwrap_or(native)
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
        let (size, trained) = (self.size_for(manifest), native_size(manifest));
        if size != trained {
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

/// Width and height that the model was made for.
fn native_size(manifest: &Manifest) -> [usize; 2] {
    let defaults = &manifest.defaults;
    [defaults.width as usize, defaults.height as usize]
}

/// Pixels per position of the latent, in each direction.
fn scale(manifest: &Manifest) -> usize {
    let vae = manifest.components.vae.as_ref();
    vae.map_or(8, DecoderConfig::scale)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use plantain_weights::Model;

    use super::*;

    /// A model of 128x128 pixels, 16 for each position of its latent.
    fn manifest() -> Manifest {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/weights");
        let model = Model::open(&Path::new(folder).join("deep")).unwrap();
        model.manifest().clone()
    }

    #[test]
    fn a_shape_stands_for_a_size() {
        let manifest = manifest();
        let mut request = Request::new("a fox");
        for (shape, expected) in [
            (None, [128, 128]),
            (Some("3:2"), [160, 96]),
            (Some("2:3"), [96, 160]),
            (Some("8:1"), [352, 32]),
        ] {
            request.aspect = shape.map(|shape| shape.parse().unwrap());
            let settings = request.settings(&manifest).unwrap();
            assert_eq!([settings.width, settings.height], expected, "{shape:?}");
        }
        request.size = Some([128, 128]);
        let error = request.settings(&manifest).unwrap_err().to_string();
        assert!(error.contains("8:1"), "{error}");
    }

    #[test]
    fn sizes_are_multiples_of_what_the_decoder_makes() {
        let manifest = manifest();
        let check = |size| {
            let request = Request {
                size: Some(size),
                ..Request::new("a fox")
            };
            request.settings(&manifest).map(drop)
        };
        for good in [[256, 256], [512, 512], [320, 192], [16, 2048]] {
            check(good).unwrap();
        }
        for bad in [[250, 256], [256, 8], [0, 16], [16, 2064]] {
            check(bad).unwrap_err();
        }
    }
}
