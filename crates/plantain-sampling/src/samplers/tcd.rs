//! Trajectory consistency models.

use super::{Level, as_timesteps, ratios, split};
use crate::plan::{DataPrediction, Plan, StepPlan, Update};
use crate::schedule::sigma;
use crate::{NoiseSchedule, SamplerKind, SamplingError, ScheduleConfig, spacing};

/// Every step goes along the trajectory to timestep `s = (1 - gamma) t_next`
/// and noises the result up to `t_next`; the last goes to timestep 0.
///
/// Source: Zheng et al., arXiv:2402.19159, algorithm 4; diffusers
/// `schedulers/scheduling_tcd.py`, which ignores `clip_sample` as this does.
pub(crate) fn plan(
    config: &ScheduleConfig,
    steps: usize,
    gamma: f64,
) -> Result<Plan, SamplingError> {
    if !(0.0..=1.0).contains(&gamma) {
        return Err(SamplingError::Gamma { gamma });
    }
    let indices = spacing::distilled(SamplerKind::Tcd, config, steps)?;
    let schedule = NoiseSchedule::new(config)?;
    let alphas_cumprod = schedule.alphas_cumprod();
    let plans = (0..steps).map(|i| {
        let level = Level::new(alphas_cumprod[indices[i]]);
        let next = indices.get(i + 1).copied().unwrap_or(0);
        let middle = alphas_cumprod[trajectory_timestep(next, gamma)];
        step_plan(config, level, middle, alphas_cumprod[next])
    });
    Ok(Plan {
        steps: plans.collect::<Result<_, _>>()?,
        timesteps: as_timesteps(&indices),
        sigmas: ratios(alphas_cumprod, &indices, sigma(alphas_cumprod[0])),
        init_noise_sigma: 1.0,
        scale_input: false,
    })
}

/// `floor((1 - gamma) next)` with the float32 rounding of torch, where an exact
/// product would sometimes fall on the other side of a whole number.
fn trajectory_timestep(next: usize, gamma: f64) -> usize {
    ((1.0 - gamma) as f32 * next as f32).floor() as usize
}

fn step_plan(
    config: &ScheduleConfig,
    level: Level,
    middle: f32,
    after: f32,
) -> Result<StepPlan, SamplingError> {
    let (data, epsilon) = split(SamplerKind::Tcd, config.prediction(), level)?;
    let target = Level::new(middle);
    let kept = f64::from(after) / f64::from(middle);
    let scale = kept.sqrt();
    Ok(StepPlan {
        data: DataPrediction {
            sample: data.sample,
            output: data.output,
            clip: None,
        },
        next: Update {
            sample: scale * target.sigma * epsilon.sample,
            output: scale * target.sigma * epsilon.output,
            data: scale * target.alpha,
            noise: (1.0 - kept).sqrt(),
            ..Update::default()
        },
    })
}
