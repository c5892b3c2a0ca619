//! Every sampler's step as one linear update.

use crate::PredictionType;

/// How a step goes from latent `x` and model output `m` to the next latent:
///
/// ```text
/// d  = data.sample x + data.output m            (clamped if asked for)
/// x' = next.sample x + next.output m + next.data d
///    + next.previous_data d_previous + next.noise z
/// ```
///
/// where `d_previous` is `d` of the step before and `z` is standard normal.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct StepPlan {
    pub(crate) data: DataPrediction,
    pub(crate) next: Update,
}

/// The predicted denoised sample `x_0`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct DataPrediction {
    pub(crate) sample: f64,
    pub(crate) output: f64,
    pub(crate) clip: Option<f64>,
}

/// The weights of the next latent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Update {
    pub(crate) sample: f64,
    pub(crate) output: f64,
    pub(crate) data: f64,
    pub(crate) previous_data: f64,
    pub(crate) noise: f64,
}

/// A whole run: what [`Sampler`](crate::Sampler) is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// One per step.
    pub(crate) timesteps: Vec<f32>,
    /// One per step and one for the end.
    pub(crate) sigmas: Vec<f32>,
    pub(crate) init_noise_sigma: f32,
    /// Whether the network takes `x / sqrt(sigma^2 + 1)` rather than `x`.
    pub(crate) scale_input: bool,
    /// One per step.
    pub(crate) steps: Vec<StepPlan>,
}

/// Weights of `x` and `m` in a prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weights {
    pub(crate) sample: f64,
    pub(crate) output: f64,
}

/// The `x_0` and `e` that a model output stands for at `x = alpha x_0 + sigma e`.
///
/// Source: Salimans & Ho, arXiv:2202.00512, appendix D; `None` for
/// `flow_prediction`, which belongs to another interpolation.
pub(crate) fn split(
    prediction: PredictionType,
    alpha: f64,
    sigma: f64,
) -> Option<(Weights, Weights)> {
    let weights = |sample, output| Weights { sample, output };
    match prediction {
        PredictionType::Epsilon => Some((weights(1.0 / alpha, -sigma / alpha), weights(0.0, 1.0))),
        PredictionType::VPrediction => Some((weights(alpha, -sigma), weights(sigma, alpha))),
        PredictionType::Sample => Some((weights(0.0, 1.0), weights(1.0 / sigma, -alpha / sigma))),
        PredictionType::FlowPrediction => None,
    }
}

impl StepPlan {
    /// Computes `d`. `sample` and `output` have the same length.
    pub(crate) fn predict_data(&self, output: &[f32], sample: &[f32]) -> Vec<f32> {
        let (x, m) = (self.data.sample as f32, self.data.output as f32);
        let limit = self.data.clip.map_or(f32::INFINITY, |clip| clip as f32);
        let pairs = sample.iter().zip(output);
        pairs
            .map(|(&sample, &output)| (x * sample + m * output).clamp(-limit, limit))
            .collect()
    }

    /// Computes the terms of `x'` in `x`, `m` and `d`, all of the same length.
    pub(crate) fn advance(&self, output: &[f32], sample: &[f32], data: &[f32]) -> Vec<f32> {
        let Update {
            sample: x,
            output: m,
            data: d,
            ..
        } = self.next;
        let (x, m, d) = (x as f32, m as f32, d as f32);
        let triples = sample.iter().zip(output).zip(data);
        triples
            .map(|((&sample, &output), &data)| x * sample + m * output + d * data)
            .collect()
    }
}
