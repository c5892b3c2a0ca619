//! The plan of every sampler.

pub(crate) mod ddim;
pub(crate) mod dpmpp;
pub(crate) mod euler;
pub(crate) mod flow;
pub(crate) mod lcm;
pub(crate) mod tcd;

use crate::plan::{self, Weights};
use crate::schedule::sigma;
use crate::{PredictionType, SamplerKind, SamplingError};

/// `alpha` and `sigma` of `x = alpha x_0 + sigma e` with `alpha^2 + sigma^2 = 1`.
#[derive(Debug, Clone, Copy)]
struct Level {
    alpha: f64,
    sigma: f64,
}

impl Level {
    /// No noise.
    const CLEAN: Self = Self {
        alpha: 1.0,
        sigma: 0.0,
    };

    fn new(alpha_cumprod: f32) -> Self {
        let signal = f64::from(alpha_cumprod);
        Self {
            alpha: signal.sqrt(),
            sigma: (1.0 - signal).sqrt(),
        }
    }

    /// The level of noise-to-signal ratio `sigma`, finite.
    fn of_ratio(sigma: f32) -> Self {
        let ratio = f64::from(sigma);
        let alpha = 1.0 / (ratio * ratio + 1.0).sqrt();
        Self {
            alpha,
            sigma: ratio * alpha,
        }
    }
}

/// [`plan::split`] at a level, refusing what has no answer there.
fn split(
    sampler: SamplerKind,
    prediction_type: PredictionType,
    level: Level,
) -> Result<(Weights, Weights), SamplingError> {
    if level.alpha == 0.0 && prediction_type == PredictionType::Epsilon {
        return Err(SamplingError::ZeroTerminalSnr { sampler });
    }
    plan::split(prediction_type, level.alpha, level.sigma).ok_or(
        SamplingError::UnsupportedPrediction {
            sampler,
            prediction_type,
        },
    )
}

/// The noise-to-signal ratios at `indices`, and `end` after them.
fn ratios(alphas_cumprod: &[f32], indices: &[usize], end: f32) -> Vec<f32> {
    let visited = indices
        .iter()
        .map(|&timestep| sigma(alphas_cumprod[timestep]));
    visited.chain([end]).collect()
}

fn as_timesteps(indices: &[usize]) -> Vec<f32> {
    indices.iter().map(|&timestep| timestep as f32).collect()
}
