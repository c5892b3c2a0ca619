//! Latent consistency models.

use super::{Level, as_timesteps, ratios, split};
use crate::plan::{DataPrediction, Plan, StepPlan, Update};
use crate::{NoiseSchedule, SamplerKind, SamplingError, ScheduleConfig, spacing};

/// Standard deviation of the data in the boundary conditions; diffusers fixes it.
const SIGMA_DATA: f64 = 0.5;

/// Every step predicts `x_0`, mixes it with the latent by the boundary
/// conditions and noises the result to the next timestep; the last does not.
///
/// Source: Luo et al., arXiv:2310.04378, algorithm 3; diffusers
/// `schedulers/scheduling_lcm.py`.
pub(crate) fn plan(config: &ScheduleConfig, steps: usize) -> Result<Plan, SamplingError> {
    let indices = spacing::distilled(SamplerKind::Lcm, config, steps)?;
    let schedule = NoiseSchedule::new(config)?;
    let alphas_cumprod = schedule.alphas_cumprod();
    let plans = (0..steps).map(|i| {
        let after = indices
            .get(i + 1)
            .map_or(Level::CLEAN, |&t| Level::new(alphas_cumprod[t]));
        step_plan(
            config,
            indices[i],
            Level::new(alphas_cumprod[indices[i]]),
            after,
        )
    });
    Ok(Plan {
        steps: plans.collect::<Result<_, _>>()?,
        timesteps: as_timesteps(&indices),
        sigmas: ratios(alphas_cumprod, &indices, 0.0),
        init_noise_sigma: 1.0,
        scale_input: false,
    })
}

fn step_plan(
    config: &ScheduleConfig,
    timestep: usize,
    level: Level,
    after: Level,
) -> Result<StepPlan, SamplingError> {
    let (data, _) = split(SamplerKind::Lcm, config.prediction(), level)?;
    let (c_skip, c_out) = boundary_conditions(timestep as f64 * config.timestep_scaling);
    Ok(StepPlan {
        data: DataPrediction {
            sample: data.sample,
            output: data.output,
            clip: config.clip_sample.then_some(config.clip_sample_range),
        },
        next: Update {
            sample: after.alpha * c_skip,
            data: after.alpha * c_out,
            noise: after.sigma,
            ..Update::default()
        },
    })
}

/// `c_skip` and `c_out`, which make the model the identity at timestep 0.
fn boundary_conditions(scaled_timestep: f64) -> (f64, f64) {
    let variance = scaled_timestep.powi(2) + SIGMA_DATA.powi(2);
    (
        SIGMA_DATA.powi(2) / variance,
        scaled_timestep / variance.sqrt(),
    )
}
