//! Which timesteps a run visits.

use crate::{SamplerKind, SamplingError, ScheduleConfig, TimestepSpacing};

/// The timesteps of `ddim`, `euler` and `euler-a`, falling. Only `linspace`
/// gives fractions, which `ddim` rounds.
///
/// Source: diffusers `set_timesteps` of `schedulers/scheduling_ddim.py` and
/// `schedulers/scheduling_euler_discrete.py`. For some step counts (61 of 1000
/// is the first) rounding makes diffusers' `trailing` return one timestep more
/// than asked for, -1; here there are always `steps`.
pub(crate) fn spaced(config: &ScheduleConfig, steps: usize) -> Vec<f64> {
    let count = config.num_train_timesteps;
    match config.timestep_spacing {
        TimestepSpacing::Trailing => trailing(count, steps),
        TimestepSpacing::Leading => leading(count / steps, config.steps_offset, steps),
        TimestepSpacing::Linspace => linspace(count, steps),
    }
}

/// The timesteps of `dpmpp-2m`, falling and whole: `leading` and `linspace`
/// leave out the last of `steps + 1`, because the solver adds its own end.
///
/// Source: diffusers `schedulers/scheduling_dpmsolver_multistep.py`, `set_timesteps`.
pub(crate) fn spaced_without_end(config: &ScheduleConfig, steps: usize) -> Vec<f64> {
    let count = config.num_train_timesteps;
    let mut timesteps = match config.timestep_spacing {
        TimestepSpacing::Trailing => trailing(count, steps),
        TimestepSpacing::Leading => leading(count / (steps + 1), config.steps_offset, steps + 1),
        TimestepSpacing::Linspace => rounded(linspace(count, steps + 1)),
    };
    timesteps.truncate(steps);
    timesteps
}

/// The timesteps of `lcm` and `tcd`: evenly spaced indices into the schedule
/// the model was distilled on, falling.
///
/// Source: diffusers `schedulers/scheduling_lcm.py`, `set_timesteps`.
pub(crate) fn distilled(
    kind: SamplerKind,
    config: &ScheduleConfig,
    steps: usize,
) -> Result<Vec<usize>, SamplingError> {
    let original = config.original_inference_steps;
    if !(1..=config.num_train_timesteps).contains(&original) {
        let reason = "it has to be between 1 and num_train_timesteps";
        return Err(crate::config::invalid(
            "original_inference_steps",
            &original,
            reason,
        ));
    }
    if steps > original {
        return Err(SamplingError::StepCount {
            sampler: kind,
            steps,
            max: original,
        });
    }
    let skip = config.num_train_timesteps / original;
    let stride = original as f64 / steps as f64;
    let index = |i: usize| (i as f64 * stride).floor() as usize;
    Ok((0..steps)
        .map(|i| (original - index(i)) * skip - 1)
        .collect())
}

/// Noise levels from `max` down to `min`, evenly spaced in their seventh roots, each with the timestep at
/// which it stands in the rising `table` before it.
///
/// Source: Karras et al., arXiv:2206.00364, eq. 5; diffusers
/// `schedulers/scheduling_euler_discrete.py`, `_convert_to_karras`.
pub(crate) fn karras(
    [max, min]: [f32; 2],
    steps: usize,
    table: &[f32],
) -> impl Iterator<Item = (f64, f32)> {
    const RHO: f64 = 7.0;
    let root = |sigma: f32| f64::from(sigma).powf(RHO.recip());
    let (first, last) = (root(max), root(min));
    let share = move |i: usize| i as f64 / (steps - 1).max(1) as f64;
    (0..steps).map(move |i| {
        let sigma = (first + share(i) * (last - first)).powf(RHO);
        (timestep_of(sigma, table), sigma as f32)
    })
}

/// Where `sigma` stands in the rising `table`, by logarithms between whole timesteps.
///
/// Source: diffusers `schedulers/scheduling_euler_discrete.py`, `_sigma_to_t`.
fn timestep_of(sigma: f64, table: &[f32]) -> f64 {
    let above = table.partition_point(|&value| f64::from(value) <= sigma);
    let high = above.clamp(1, (table.len() - 1).max(1));
    let low = high - 1;
    let log = |index: usize| f64::from(table[index.min(table.len() - 1)]).ln();
    let share = (sigma.ln() - log(low)) / (log(high) - log(low));
    // A table of one timestep has no distance.
    low as f64
        + if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        }
}

/// Rounds half to even, as numpy does.
pub(crate) fn rounded(timesteps: Vec<f64>) -> Vec<f64> {
    timesteps.into_iter().map(f64::round_ties_even).collect()
}

/// Turns timesteps into indices of the schedule's tables.
pub(crate) fn indices(
    timesteps: &[f64],
    num_train_timesteps: usize,
) -> Result<Vec<usize>, SamplingError> {
    check_range(timesteps, num_train_timesteps)?;
    Ok(timesteps
        .iter()
        .map(|&timestep| timestep as usize)
        .collect())
}

/// Refuses timesteps past the schedule's end: `leading` with an offset and
/// nearly as many steps as training timesteps.
pub(crate) fn check_range(
    timesteps: &[f64],
    num_train_timesteps: usize,
) -> Result<(), SamplingError> {
    let end = num_train_timesteps as f64;
    match timesteps.iter().find(|&&t| !(t >= 0.0 && t < end)) {
        Some(&timestep) => Err(SamplingError::TimestepRange {
            timestep: timestep as i64,
            num_train_timesteps,
        }),
        None => Ok(()),
    }
}

fn trailing(count: usize, steps: usize) -> Vec<f64> {
    let start = count as f64;
    // numpy's arange multiplies the rounded difference of its first two values;
    // the products decide which way a half is rounded.
    let difference = (start - start / steps as f64) - start;
    let exact = (0..steps).map(|i| start + i as f64 * difference);
    exact.map(|value| value.round_ties_even() - 1.0).collect()
}

fn leading(ratio: usize, offset: usize, steps: usize) -> Vec<f64> {
    (0..steps)
        .rev()
        .map(|i| (i * ratio + offset) as f64)
        .collect()
}

fn linspace(count: usize, steps: usize) -> Vec<f64> {
    let end = (count - 1) as f64;
    let step = if steps > 1 {
        end / (steps - 1) as f64
    } else {
        0.0
    };
    let mut rising: Vec<f64> = (0..steps).map(|i| i as f64 * step).collect();
    if steps > 1 {
        rising[steps - 1] = end;
    }
    rising.reverse();
    rising
}
