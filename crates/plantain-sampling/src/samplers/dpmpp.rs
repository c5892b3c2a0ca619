//! DPM-Solver++ 2M.

use super::euler::final_sigma;
use super::{Level, as_timesteps, split};
use crate::plan::{DataPrediction, Plan, StepPlan, Update};
use crate::{FinalSigmas, NoiseSchedule, SamplerKind, SamplingError, ScheduleConfig, spacing};

/// Runs of fewer steps than this end with a first-order step (`lower_order_final`).
const LOWER_ORDER_BELOW: usize = 15;

/// Every step but the first (and, as the config says, the last) extrapolates
/// `x_0` from two predictions, by the midpoint formula.
///
/// Source: Lu et al., arXiv:2211.01095, algorithm 2; diffusers
/// `schedulers/scheduling_dpmsolver_multistep.py` with `solver_order` 2, which
/// ignores `clip_sample` as this does.
pub(crate) fn plan(config: &ScheduleConfig, steps: usize) -> Result<Plan, SamplingError> {
    let schedule = NoiseSchedule::new(config)?;
    let (timesteps, mut sigmas) = if config.use_karras_sigmas {
        karras(&schedule, steps)
    } else {
        visited(config, &schedule, steps)?
    };
    sigmas.push(final_sigma(config, &schedule));
    let plans = (0..steps).map(|i| {
        let second_order = i > 0 && !(i + 1 == steps && first_order_end(config, steps));
        let before = second_order.then(|| Level::of_ratio(sigmas[i - 1]));
        step_plan(
            config,
            before,
            Level::of_ratio(sigmas[i]),
            Level::of_ratio(sigmas[i + 1]),
        )
    });
    Ok(Plan {
        steps: plans.collect::<Result<_, _>>()?,
        timesteps,
        sigmas,
        init_noise_sigma: 1.0,
        scale_input: false,
    })
}

fn visited(
    config: &ScheduleConfig,
    schedule: &NoiseSchedule,
    steps: usize,
) -> Result<(Vec<f32>, Vec<f32>), SamplingError> {
    let timesteps = spacing::spaced_without_end(config, steps);
    let indices = spacing::indices(&timesteps, config.num_train_timesteps)?;
    let table = schedule.sigmas();
    let sigmas = indices.iter().map(|&timestep| table[timestep]).collect();
    Ok((as_timesteps(&indices), sigmas))
}

/// Between all there is of the schedule, however timesteps are spaced. The network gets whole
/// timesteps, and near the end one of them may stand for several sigmas. diffusers cuts them off
/// instead of rounding with `squaredcos_cap_v2`, which puts many of them one lower.
fn karras(schedule: &NoiseSchedule, steps: usize) -> (Vec<f32>, Vec<f32>) {
    let table = schedule.sigmas();
    let ends = [table[table.len() - 1], table[0]];
    spacing::karras(ends, steps, &table)
        .map(|(timestep, sigma)| (timestep.round_ties_even() as f32, sigma))
        .unzip()
}

fn first_order_end(config: &ScheduleConfig, steps: usize) -> bool {
    config.euler_at_final
        || (config.lower_order_final && steps < LOWER_ORDER_BELOW)
        || config.final_sigmas_type == FinalSigmas::Zero
}

fn step_plan(
    config: &ScheduleConfig,
    before: Option<Level>,
    level: Level,
    after: Level,
) -> Result<StepPlan, SamplingError> {
    let (data, _) = split(SamplerKind::Dpmpp2m, config.prediction(), level)?;
    let shrink = after.sigma / level.sigma;
    // alpha_t (1 - exp(-h)), h being the gain in log(alpha / sigma); also for sigma_t = 0.
    let weight = after.alpha - level.alpha * shrink;
    let extrapolation = before.map_or(0.0, |before| {
        let gain = log_ratio(after) - log_ratio(level);
        let gain_before = log_ratio(level) - log_ratio(before);
        0.5 * weight * gain / gain_before
    });
    Ok(StepPlan {
        data: DataPrediction {
            sample: data.sample,
            output: data.output,
            clip: None,
        },
        next: Update {
            sample: shrink,
            data: weight + extrapolation,
            previous_data: -extrapolation,
            ..Update::default()
        },
    })
}

fn log_ratio(level: Level) -> f64 {
    level.alpha.ln() - level.sigma.ln()
}
