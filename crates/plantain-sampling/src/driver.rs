//! The denoising loop.

use crate::{Sampler, SamplingError};

/// What the denoiser is told about the step it is called for.
///
/// ```
/// use plantain_sampling::StepInfo;
///
/// fn line(info: &StepInfo<'_>) -> String {
///     format!("step {} of {} at {}", info.index + 1, info.steps, info.timestep)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StepInfo<'a> {
    /// Index of the step, from 0.
    pub index: usize,
    /// Number of steps.
    pub steps: usize,
    /// The timestep to give to the network; fractional for some samplers.
    pub timestep: f32,
    /// The noise level before the step, as in [`Sampler::sigmas`].
    pub sigma: f32,
    /// The latent before the step, not scaled for the network.
    pub sample: &'a [f32],
}

/// A step that was taken.
///
/// ```
/// use plantain_sampling::StepDone;
///
/// /// Keeps what was drawn from leaving the range.
/// fn bound(done: StepDone<'_>) {
///     done.latents.iter_mut().for_each(|value| *value = value.clamp(-4.0, 4.0));
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct StepDone<'a> {
    /// Index of the step, from 0.
    pub index: usize,
    /// Number of steps.
    pub steps: usize,
    /// The sample without noise that the network predicted at this step.
    pub denoised: &'a [f32],
    /// The latent after the step, which the next one starts from; it may be changed.
    pub latents: &'a mut [f32],
    /// What took the step.
    pub sampler: &'a Sampler,
}

/// Why [`sample`] or [`sample_from`] stopped before the last step.
///
/// ```
/// use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig};
/// use plantain_sampling::{SampleError, sample};
///
/// let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
/// let mut ddim = Sampler::new(SamplerKind::Ddim, &config, 2, options)?;
/// let stopped = sample(&mut ddim, vec![0.0], |_| Vec::new(), |_, _| Err("cancelled"));
/// assert!(matches!(stopped, Err(SampleError::Denoise("cancelled"))));
/// # Ok::<(), plantain_sampling::SamplingError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError<E> {
    /// The sampler refused a step or the noise for it.
    #[error(transparent)]
    Sampling(#[from] SamplingError),

    /// The denoiser, or what was called after a step, returned an error, for example because it was
    /// cancelled.
    #[error(transparent)]
    Denoise(E),

    /// The network returned NaN or an infinity.
    #[error("the model output of step {step} is not finite at element {element}")]
    NonFiniteOutput {
        /// Index of the step, from 0.
        step: usize,
        /// Index of the first such element.
        element: usize,
    },

    /// The latent overflowed: before the first step when `step` is `None`.
    #[error(
        "the latent {} is not finite at element {element}",
        step.map_or("before the first step".into(), |step| format!("after step {step}"))
    )]
    NonFiniteLatent {
        /// Index of the step, from 0; `None` for the initial noise.
        step: Option<usize>,
        /// Index of the first such element.
        element: usize,
    },
}

/// Denoises `noise` (standard normal, flat) into a latent of the same length.
///
/// `denoise` is called once per step with the latent scaled for the network
/// and returns the network's (guided) output of the same length. `step_noise`
/// is called, after the denoiser, only for the steps that add noise
/// ([`Sampler::adds_noise`]) and returns standard normal noise of the same
/// length.
///
/// # Errors
///
/// The denoiser's error ends the loop at once. Model outputs and latents that
/// are not finite, and lengths that do not match, end it too, naming the step.
///
/// ```
/// use std::convert::Infallible;
/// use plantain_sampling::{Noise, Sampler, SamplerKind, SamplerOptions, ScheduleConfig, sample};
///
/// let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
/// let mut ddim = Sampler::new(SamplerKind::Ddim, &config, 4, options)?;
/// let network = |_: plantain_sampling::StepInfo<'_>, input: &[f32]| {
///     Ok::<_, Infallible>(input.to_vec())
/// };
/// let latent = sample(&mut ddim, Noise::new(7).normal(16), |_| Vec::new(), network)?;
/// assert_eq!(latent.len(), 16);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sample<E>(
    sampler: &mut Sampler,
    noise: Vec<f32>,
    step_noise: impl FnMut(usize) -> Vec<f32>,
    denoise: impl FnMut(StepInfo<'_>, &[f32]) -> Result<Vec<f32>, E>,
) -> Result<Vec<f32>, SampleError<E>> {
    let latents = scaled(noise, sampler.init_noise_sigma());
    sample_from(sampler, latents, step_noise, denoise, |_| Ok(()))
}

/// [`sample`] from any latent, such as one that [`Sampler::add_noise`] made for the first step of
/// [`Sampler::starting_at`]. `after_step` is called after every step; it may change the latent, and
/// its error ends the loop like the denoiser's.
///
/// # Errors
///
/// As [`sample`].
///
/// ```
/// use std::convert::Infallible;
/// use plantain_sampling::{Sampler, SamplerKind, SamplerOptions, ScheduleConfig, sample_from};
///
/// let (config, options) = (ScheduleConfig::default(), SamplerOptions::default());
/// let mut ddim = Sampler::new(SamplerKind::Ddim, &config, 20, options)?.starting_at(16)?;
/// let latent = ddim.add_noise(0, &[0.5; 16], &[0.1; 16])?;
/// let mut steps = 0;
/// let network = |_: plantain_sampling::StepInfo<'_>, input: &[f32]| {
///     Ok::<_, Infallible>(input.to_vec())
/// };
/// sample_from(&mut ddim, latent, |_| Vec::new(), network, |_| {
///     steps += 1;
///     Ok(())
/// })?;
/// assert_eq!(steps, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sample_from<E>(
    sampler: &mut Sampler,
    mut latents: Vec<f32>,
    mut step_noise: impl FnMut(usize) -> Vec<f32>,
    mut denoise: impl FnMut(StepInfo<'_>, &[f32]) -> Result<Vec<f32>, E>,
    mut after_step: impl FnMut(StepDone<'_>) -> Result<(), E>,
) -> Result<Vec<f32>, SampleError<E>> {
    check_latents(None, &latents)?;
    let steps = sampler.steps();
    for index in 0..steps {
        let info = StepInfo {
            index,
            steps,
            timestep: sampler.timesteps()[index],
            sigma: sampler.sigmas()[index],
            sample: &latents,
        };
        let input = sampler.scale_model_input(index, &latents)?;
        let output = denoise(info, &input).map_err(SampleError::Denoise)?;
        if let Some(element) = first_non_finite(&output) {
            return Err(SampleError::NonFiniteOutput {
                step: index,
                element,
            });
        }
        let denoised = sampler.denoised(index, &output, &latents)?;
        let noise = sampler.adds_noise(index).then(|| step_noise(index));
        latents = sampler.step(index, &output, &latents, noise.as_deref())?;
        let done = StepDone {
            index,
            steps,
            denoised: &denoised,
            latents: &mut latents,
            sampler,
        };
        after_step(done).map_err(SampleError::Denoise)?;
        check_latents(Some(index), &latents)?;
    }
    Ok(latents)
}

fn scaled(mut values: Vec<f32>, factor: f32) -> Vec<f32> {
    for value in &mut values {
        *value *= factor;
    }
    values
}

fn check_latents<E>(step: Option<usize>, latents: &[f32]) -> Result<(), SampleError<E>> {
    match first_non_finite(latents) {
        Some(element) => Err(SampleError::NonFiniteLatent { step, element }),
        None => Ok(()),
    }
}

fn first_non_finite(values: &[f32]) -> Option<usize> {
    values.iter().position(|value| !value.is_finite())
}
