//! Deterministic DDIM.

use super::{Level, as_timesteps, ratios, split};
use crate::plan::{DataPrediction, Plan, StepPlan, Update};
use crate::schedule::sigma;
use crate::{NoiseSchedule, SamplerKind, SamplingError, ScheduleConfig, spacing};

/// Every step predicts `x_0` and `e` and recombines them
/// `num_train_timesteps / steps` (rounded down) timesteps earlier.
///
/// Source: Song et al., arXiv:2010.02502, eq. 12 with zero variance; diffusers
/// `schedulers/scheduling_ddim.py` with `eta` 0. As there, the earlier timestep
/// is not the next one visited when `steps` does not divide
/// `num_train_timesteps`, and `e` is not corrected for `clip_sample`.
pub(crate) fn plan(config: &ScheduleConfig, steps: usize) -> Result<Plan, SamplingError> {
    let count = config.num_train_timesteps;
    let timesteps = spacing::rounded(spacing::spaced(config, steps));
    let indices = spacing::indices(&timesteps, count)?;
    let schedule = NoiseSchedule::new(config)?;
    let alphas_cumprod = schedule.alphas_cumprod();
    let end = if config.set_alpha_to_one {
        1.0
    } else {
        alphas_cumprod[0]
    };
    let plans = indices.iter().map(|&timestep| {
        let before = timestep.checked_sub(count / steps);
        let after = before.map_or(end, |timestep| alphas_cumprod[timestep]);
        step_plan(
            config,
            Level::new(alphas_cumprod[timestep]),
            Level::new(after),
        )
    });
    Ok(Plan {
        steps: plans.collect::<Result<_, _>>()?,
        timesteps: as_timesteps(&indices),
        sigmas: ratios(alphas_cumprod, &indices, sigma(end)),
        init_noise_sigma: 1.0,
        scale_input: false,
    })
}

fn step_plan(
    config: &ScheduleConfig,
    level: Level,
    after: Level,
) -> Result<StepPlan, SamplingError> {
    let (data, epsilon) = split(SamplerKind::Ddim, config.prediction(), level)?;
    Ok(StepPlan {
        data: DataPrediction {
            sample: data.sample,
            output: data.output,
            clip: config.clip_sample.then_some(config.clip_sample_range),
        },
        next: Update {
            sample: after.sigma * epsilon.sample,
            output: after.sigma * epsilon.output,
            data: after.alpha,
            ..Update::default()
        },
    })
}
