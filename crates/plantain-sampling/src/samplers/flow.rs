//! Euler for flow-matching models, `x = (1 - sigma) x_0 + sigma e`.

use crate::plan::{DataPrediction, Plan, StepPlan, Update};
use crate::{FlowSpacing, ScheduleConfig};

/// Every step follows the predicted flow `dx/dsigma = e - x_0` to the next sigma; with `stochastic_sampling` it
/// goes to the predicted `x_0`, which new noise then covers up to the next sigma.
///
/// The sigmas fall evenly from 1 as [`FlowSpacing`] says, are shifted by
/// `shift` and end with 0; the timestep given to the network is
/// `sigma num_train_timesteps`.
///
/// Source: Esser et al., arXiv:2403.03206, section 3.1 and eq. 23; diffusers
/// `schedulers/scheduling_flow_match_euler_discrete.py`.
pub(crate) fn plan(config: &ScheduleConfig, steps: usize) -> Plan {
    let count = config.num_train_timesteps as f64;
    let last = match config.flow_spacing {
        FlowSpacing::ToSigmaMin => lowest(config),
        FlowSpacing::Even => 1.0 / steps as f64,
    };
    let step = (last - 1.0) / (steps.max(2) - 1) as f64;
    let visited = (0..steps).map(|i| 1.0 + i as f64 * step);
    // diffusers shifts in float32 what a pipeline asks for, and in float64 its own spacing.
    let visited = visited.map(|sigma| match config.flow_spacing {
        FlowSpacing::ToSigmaMin => shifted(sigma, config.shift) as f32,
        FlowSpacing::Even => shifted_f32(sigma as f32, config.shift as f32),
    });
    let sigmas: Vec<f32> = visited.chain([0.0]).collect();
    let plans = sigmas.windows(2).map(|pair| {
        step_plan(
            f64::from(pair[0]),
            f64::from(pair[1]),
            config.stochastic_sampling,
        )
    });
    Plan {
        steps: plans.collect(),
        timesteps: sigmas[..steps]
            .iter()
            .map(|sigma| sigma * count as f32)
            .collect(),
        sigmas,
        init_noise_sigma: 1.0,
        scale_input: false,
    }
}

/// The lowest noise level of training. diffusers shifts it when it makes the training sigmas, and
/// again when it spaces the steps between the ends.
fn lowest(config: &ScheduleConfig) -> f64 {
    let unshifted = 1.0 / config.num_train_timesteps as f64;
    f64::from(shifted(unshifted, config.shift) as f32)
}

fn shifted(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

fn shifted_f32(sigma: f32, shift: f32) -> f32 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

fn step_plan(sigma: f64, next: f64, stochastic: bool) -> StepPlan {
    let along_the_flow = Update {
        sample: 1.0,
        output: next - sigma,
        ..Update::default()
    };
    let noised_anew = Update {
        data: 1.0 - next,
        noise: next,
        ..Update::default()
    };
    StepPlan {
        data: DataPrediction {
            sample: 1.0,
            output: -sigma,
            clip: None,
        },
        next: if stochastic {
            noised_anew
        } else {
            along_the_flow
        },
    }
}
