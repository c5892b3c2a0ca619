//! Euler and ancestral Euler in the variance-exploding scale `x = x_0 + sigma e`.

use crate::plan::{DataPrediction, Plan, StepPlan, Update, Weights};
use crate::{
    FinalSigmas, NoiseSchedule, PredictionType, SamplerKind, SamplingError, ScheduleConfig,
    TimestepSpacing, spacing,
};

/// Every step follows `dx/dsigma = (x - x_0) / sigma` to the next sigma.
///
/// Source: Karras et al., arXiv:2206.00364, algorithm 1 without churn;
/// diffusers `schedulers/scheduling_euler_discrete.py`.
pub(crate) fn plan(config: &ScheduleConfig, steps: usize) -> Result<Plan, SamplingError> {
    let schedule = NoiseSchedule::new(config)?;
    let end = final_sigma(config, &schedule);
    let (mut timesteps, mut sigmas) = visited(config, &schedule, steps)?;
    if config.use_karras_sigmas {
        // As many, between the same ends.
        let ends = [sigmas[0], sigmas[steps - 1]];
        (timesteps, sigmas) = spacing::karras(ends, steps, &schedule.sigmas())
            .map(|(timestep, sigma)| (timestep as f32, sigma))
            .unzip();
    }
    plan_of(config, timesteps, sigmas, end, |from, to| {
        let slope = slope(SamplerKind::Euler, config.prediction(), from)?;
        Ok(step_plan(slope, from, to - from, 0.0))
    })
}

/// Every step goes to a lower sigma than the next one and adds the variance
/// that is missing; the last goes to 0 and adds none.
///
/// Source: k-diffusion's `sample_euler_ancestral` by way of diffusers
/// `schedulers/scheduling_euler_ancestral_discrete.py`.
pub(crate) fn ancestral_plan(config: &ScheduleConfig, steps: usize) -> Result<Plan, SamplingError> {
    let schedule = NoiseSchedule::new(config)?;
    let (timesteps, sigmas) = visited(config, &schedule, steps)?;
    plan_of(config, timesteps, sigmas, 0.0, |from, to| {
        let slope = slope(SamplerKind::EulerA, config.prediction(), from)?;
        // sigma_down^2 = to^2 - sigma_up^2 cancels to this exactly.
        let sigma_down = to * to / from;
        let sigma_up = (to * to - sigma_down * sigma_down).sqrt();
        Ok(step_plan(slope, from, sigma_down - from, sigma_up))
    })
}

/// The sigma after the last step, as `final_sigmas_type` says.
pub(super) fn final_sigma(config: &ScheduleConfig, schedule: &NoiseSchedule) -> f32 {
    match config.final_sigmas_type {
        FinalSigmas::Zero => 0.0,
        FinalSigmas::SigmaMin => crate::schedule::sigma(schedule.alphas_cumprod()[0]),
    }
}

/// The timesteps as they are spaced, and the sigmas at them.
fn visited(
    config: &ScheduleConfig,
    schedule: &NoiseSchedule,
    steps: usize,
) -> Result<(Vec<f32>, Vec<f32>), SamplingError> {
    let timesteps = spacing::spaced(config, steps);
    spacing::check_range(&timesteps, config.num_train_timesteps)?;
    let timesteps: Vec<f32> = timesteps
        .into_iter()
        .map(|timestep| timestep as f32)
        .collect();
    let table = schedule.sigmas();
    let sigmas = timesteps
        .iter()
        .map(|&timestep| interpolate(&table, timestep))
        .collect();
    Ok((timesteps, sigmas))
}

fn plan_of(
    config: &ScheduleConfig,
    timesteps: Vec<f32>,
    mut sigmas: Vec<f32>,
    end: f32,
    step: impl Fn(f64, f64) -> Result<StepPlan, SamplingError>,
) -> Result<Plan, SamplingError> {
    sigmas.push(end);
    let plans = sigmas
        .windows(2)
        .map(|pair| step(f64::from(pair[0]), f64::from(pair[1])));
    Ok(Plan {
        steps: plans.collect::<Result<_, _>>()?,
        init_noise_sigma: init_noise_sigma(config, sigmas[0]),
        timesteps,
        sigmas,
        scale_input: true,
    })
}

/// Weights of `x` and the model output in `(x - x_0) / sigma`, where the model
/// has seen `x / sqrt(sigma^2 + 1)`.
fn slope(
    sampler: SamplerKind,
    prediction_type: PredictionType,
    sigma: f64,
) -> Result<Weights, SamplingError> {
    let variance = sigma * sigma + 1.0;
    match prediction_type {
        PredictionType::Epsilon => Ok(Weights {
            sample: 0.0,
            output: 1.0,
        }),
        PredictionType::VPrediction => Ok(Weights {
            sample: sigma / variance,
            output: 1.0 / variance.sqrt(),
        }),
        PredictionType::Sample => Ok(Weights {
            sample: 1.0 / sigma,
            output: -1.0 / sigma,
        }),
        PredictionType::FlowPrediction => Err(SamplingError::UnsupportedPrediction {
            sampler,
            prediction_type,
        }),
    }
}

/// A step of `distance` along the slope from `sigma`; its end, at 0, is the prediction of `x_0`.
fn step_plan(slope: Weights, sigma: f64, distance: f64, noise: f64) -> StepPlan {
    StepPlan {
        data: DataPrediction {
            sample: 1.0 - sigma * slope.sample,
            output: -sigma * slope.output,
            clip: None,
        },
        next: Update {
            sample: 1.0 + distance * slope.sample,
            output: distance * slope.output,
            noise,
            ..Update::default()
        },
    }
}

/// The table at a timestep between whole ones; timesteps are inside the table.
fn interpolate(table: &[f32], timestep: f32) -> f32 {
    let low = timestep.floor() as usize;
    let (below, above) = (table[low], table[(low + 1).min(table.len() - 1)]);
    let slope = f64::from(above) - f64::from(below);
    (slope * (f64::from(timestep) - low as f64) + f64::from(below)) as f32
}

/// `leading` spacing does not start from pure noise, so the first latent
/// carries the data's unit variance too.
fn init_noise_sigma(config: &ScheduleConfig, first: f32) -> f32 {
    match config.timestep_spacing {
        TimestepSpacing::Trailing | TimestepSpacing::Linspace => first,
        TimestepSpacing::Leading => (f64::from(first).powi(2) + 1.0).sqrt() as f32,
    }
}
