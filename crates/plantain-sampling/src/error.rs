//! What can go wrong between a scheduler config and the last latent.

use crate::{PredictionType, SamplerKind};

/// A schedule, sampler or step that cannot be computed.
///
/// ```
/// let error = "plms".parse::<plantain_sampling::SamplerKind>().unwrap_err();
/// assert!(error.to_string().contains("plms"));
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// The name is not one of [`SamplerKind::ALL`].
    #[error("unknown sampler `{name}` (known: {})", SamplerKind::names())]
    UnknownSampler {
        /// The name that was given.
        name: String,
    },

    /// A config key asks for mathematics that is not implemented.
    #[error("scheduler config key `{key}` is set to {value}, which is not supported")]
    UnsupportedOption {
        /// The key in `scheduler_config.json`.
        key: &'static str,
        /// Its value.
        value: String,
    },

    /// A config value is outside its domain.
    #[error("scheduler config key `{key}` is {value}: {reason}")]
    InvalidOption {
        /// The key in `scheduler_config.json`.
        key: &'static str,
        /// Its value.
        value: String,
        /// What the value has to satisfy.
        reason: &'static str,
    },

    /// The betas give noise levels that no sampler can step between.
    #[error(
        "the betas give alphas_cumprod[{timestep}] = {value}: the values have to fall from \
         below 1 and stay above 0"
    )]
    DegenerateBetas {
        /// Index into the training timesteps.
        timestep: usize,
        /// The value there.
        value: f32,
    },

    /// The sampler has no formula for what the model predicts.
    #[error(
        "sampler `{sampler}` cannot serve a model of prediction type `{prediction_type}` \
         (it serves: {})",
        sampler.prediction_type_names()
    )]
    UnsupportedPrediction {
        /// The sampler asked for.
        sampler: SamplerKind,
        /// The model's prediction type.
        prediction_type: PredictionType,
    },

    /// The number of steps is zero or more than the schedule has.
    #[error("sampler `{sampler}` takes 1 to {max} steps with this config, not {steps}")]
    StepCount {
        /// The sampler asked for.
        sampler: SamplerKind,
        /// The number of steps asked for.
        steps: usize,
        /// The most this config allows.
        max: usize,
    },

    /// The spacing asks for a timestep that the model was not trained on.
    #[error("timestep {timestep} is outside 0..{num_train_timesteps}: lower `steps_offset`")]
    TimestepRange {
        /// The timestep computed.
        timestep: i64,
        /// Number of training timesteps.
        num_train_timesteps: usize,
    },

    /// So many steps that two of them fall on one timestep.
    #[error("{steps} steps repeat timestep {timestep}: take fewer steps")]
    RepeatedTimestep {
        /// The number of steps asked for.
        steps: usize,
        /// The timestep that occurs twice.
        timestep: f32,
    },

    /// A noise prediction says nothing about the image at zero signal-to-noise ratio.
    #[error(
        "sampler `{sampler}` cannot start at zero signal-to-noise ratio with `epsilon` \
         prediction: `rescale_betas_zero_snr` needs `v_prediction` or `sample`"
    )]
    ZeroTerminalSnr {
        /// The sampler asked for.
        sampler: SamplerKind,
    },

    /// The stochasticity of [`SamplerKind::Tcd`] is not in `0..=1`.
    #[error("gamma is {gamma}, not between 0 and 1")]
    Gamma {
        /// The value that was given.
        gamma: f64,
    },

    /// Two slices that belong together have different lengths.
    #[error("{what} has {found} elements, not {expected}")]
    Length {
        /// Which slice.
        what: &'static str,
        /// The length it should have.
        expected: usize,
        /// The length it has.
        found: usize,
    },

    /// The step index is past the last step.
    #[error("step {step} does not exist: the sampler has {steps}")]
    StepIndex {
        /// The index that was given.
        step: usize,
        /// Number of steps.
        steps: usize,
    },

    /// A multi-step sampler was not given the step before this one.
    #[error("step {step} needs the result of the step before it: take the steps in order")]
    StepOrder {
        /// The index that was given.
        step: usize,
    },

    /// A stochastic step was given no noise.
    #[error("step {step} needs noise")]
    MissingNoise {
        /// The index that was given.
        step: usize,
    },
}
